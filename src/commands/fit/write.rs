//! The guide that a fit writes.

use guide_compiler::plan::Plan;
use guide_runtime::fit::Fitted;

use crate::args::Fit;
use crate::commands::fmt;
use crate::exit::Result;

/// The name of the guide.
pub const NAME: &str = "fitted";

/// The name of its table.
pub const TABLE: &str = "coefficients";

/// The text of the guide: the table as the default of an input, and `linear_adaptive` with it.
///
/// # Errors
/// None that a user can cause: the text is formatted as any other.
pub fn guide(args: &Fit, plain: &Plan, prompts: usize, fitted: &[Fitted]) -> Result<String> {
    let (steps, sampler) = (plain.head.steps, &plain.head.sampler);
    let model = one_line(&plain.head.model.name);
    let runs = prompts * args.seeds as usize;
    let (scale, start, past) = (number(args.scale), number(args.start), args.past);
    let list = fitted.iter().map(|f| f.step.to_string());
    let list = list.collect::<Vec<_>>().join(", ");
    let rows = fitted.iter().map(|f| {
        let row: Vec<String> = f.factors.iter().map(|factor| number(*factor)).collect();
        format!("    [{}],\n", row.join(", "))
    });
    let rows: String = rows.collect();
    let text = format!(
        "\
//! Linear adaptive guidance for the model `{model}` in {steps} steps of `{sampler}`: plain guidance in
//! which {count} of {steps} null predictions are estimated. The coefficients are a least squares fit to
//! {runs} runs with the guidance scale {scale}, made by `guidec fit`.

use std::rules::linear_adaptive

/// A row each for the steps {list}.
input {TABLE}: Table = [
{rows}]

/// The rule with the coefficients of this file. They hold for {steps} steps: in any other number of
/// steps nothing is estimated, and this is plain guidance.
guide {NAME}(
    /// Guidance scale; 1 is no guidance. The fit is for {scale}.
    scale: Scalar = {scale},
) {{
    let start = if steps == {steps} {{ {start} }} else {{ 1 }}
    linear_adaptive(scale: scale, start: start, past: {past})
}}
",
        count = fitted.len(),
    );
    fmt::text(&text)
}

/// A number as the language spells it.
pub fn number(value: f64) -> String {
    format!("{value:?}")
}

/// A name without what would end its line.
fn one_line(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).collect()
}
