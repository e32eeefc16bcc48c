//! The samplers and guiders of ComfyUI-NAG, which lead cross-attentions away from a negative prompt.

use guide_compiler::diagnostics::Diagnostic;

use super::command::text_of;
use super::graph::{Graph, Node};
use super::imported::Rule;
use super::nodes::value;

/// Its samplers.
pub const SAMPLERS: &[&str] = &[
    "KSamplerWithNAG",
    "KSamplerWithNAG (Advanced)",
    "SamplerCustomWithNAG",
];

/// Its guiders, the first with plain guidance.
pub const GUIDERS: &[&str] = &["NAGCFGGuider", "NAGGuider"];

const NUMBERS: &[(&str, &str)] = &[
    ("nag_scale", "nag_scale"),
    ("nag_tau", "tau"),
    ("nag_alpha", "mix"),
    ("nag_sigma_end", "sigma_end"),
];

/// What such a node comes to.
pub struct Away {
    /// The rule.
    pub rule: Rule,
    /// The input of what the picture shows.
    pub positive: &'static str,
    /// The input of what is avoided.
    pub negative: &'static str,
}

/// Takes over such a sampler or guider.
///
/// # Errors
/// A number that is missing or of the wrong kind; a link that leads nowhere; nodes that feed each other.
pub fn away(
    graph: &Graph<'_>,
    node: Node<'_>,
    left_out: &mut Vec<String>,
) -> Result<Away, Diagnostic> {
    let is_alone = node.class == "NAGGuider";
    let mut values = match is_alone {
        true => vec![("scale", "1".to_owned())],
        false => Vec::from_iter(value(graph, node, "cfg", "scale", left_out)?),
    };
    for (input, param) in NUMBERS {
        values.extend(value(graph, node, input, param, left_out)?);
    }
    // Without plain guidance nobody reads the other negative prompt.
    let is_unguided = values.contains(&("scale", "1".to_owned()));
    let mut negative = if is_unguided {
        "nag_negative"
    } else {
        "negative"
    };
    if is_zeroed(graph, node)? {
        values.push(("minus", "\"null\"".to_owned()));
        left_out.push(format!(
            "the zeros behind `nag_negative` of {}: the null condition stands for them here",
            node.shown()
        ));
        if is_unguided {
            negative = "";
        }
    } else {
        let text = text_of(graph, node, "nag_negative")?;
        if text == Some("") {
            values.push(("minus", "\"null\"".to_owned()));
        } else if text != text_of(graph, node, negative)? {
            left_out.push(format!(
                "`nag_negative` of {}: the negative prompt stands for it here",
                node.shown()
            ));
        }
    }
    Ok(Away {
        rule: Rule {
            path: "std::dialects::comfyui::negative_attention",
            values,
        },
        positive: if is_alone { "conditioning" } else { "positive" },
        negative,
    })
}

/// Whether zeros stand for the negative prompt.
fn is_zeroed(graph: &Graph<'_>, node: Node<'_>) -> Result<bool, Diagnostic> {
    let from = graph.feeding(node, "nag_negative")?;
    Ok(from.is_some_and(|from| from.class == "ConditioningZeroOut"))
}
