//! How diagnostics look: for people (`human`) and for programs (`json`).

mod excerpt;
mod human;
mod json;
mod wrap;

pub use human::{Style, human};
pub use json::json;

use super::{Diagnostic, Severity};

/// What was said, counted: `2 errors, 1 warning`; `None` if nothing was said.
pub fn summary(diagnostics: &[Diagnostic]) -> Option<String> {
    let count = |severity| {
        diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    };
    let part = |number: usize, noun: &str| match number {
        0 => None,
        1 => Some(format!("1 {noun}")),
        _ => Some(format!("{number} {noun}s")),
    };
    let parts: Vec<String> = [
        part(count(Severity::Error), "error"),
        part(count(Severity::Warning), "warning"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests;
