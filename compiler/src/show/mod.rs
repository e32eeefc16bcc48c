//! Printers of plans: one `Plan`, four forms.

mod dot;
mod expression;
mod layout;
mod svg;
mod text;
mod words;

pub use dot::dot;
pub use expression::{binary, unary};
pub use svg::svg;
pub use text::text;
pub use words::{counted, number, table};

use crate::plan::Plan;

/// The plan as JSON, `guide-plan/1`, indented, with a line break at the end.
pub fn json(plan: &Plan) -> String {
    // INVARIANT: a plan is strings, numbers and lists, which always have a JSON form.
    let mut text = serde_json::to_string_pretty(plan).unwrap_or_default();
    text.push('\n');
    text
}
