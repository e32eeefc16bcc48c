//! What the nodes of ComfyUI that patch a model do to its guidance.

use guide_compiler::diagnostics::{Diagnostic, suggest};

use super::command::text_of;
use super::fields::{self, shown, spelled, spelled_layers};
use super::graph::{Graph, Node};
use super::imported::{Addition, Rule};
use super::node_classes::{ADDITIONS, AROUND, LEFT_OUT, MODELS, RULES, RuleNode};
use super::refused;

/// What a node does.
pub enum Patch {
    /// It replaces plain guidance.
    Rule(Rule),
    /// It adds a direction: that, the rule that does so to plain guidance, and the input that is lost
    /// where the direction is added to another rule.
    Addition(Addition, Rule, Option<&'static str>),
    /// It says that the model is a flow model, with a shift where that is known.
    Flow(Option<f64>),
    /// It changes the network under whatever rule.
    Around(Rule),
    /// Nothing that is taken over, or nothing at all.
    Nothing,
}

/// What a node does to guidance; what of it is lost is added to `left_out`.
///
/// # Errors
/// An input that is missing or of the wrong kind.
pub fn patch(
    graph: &Graph<'_>,
    node: Node<'_>,
    left_out: &mut Vec<String>,
) -> Result<Patch, Diagnostic> {
    match node.class {
        class if MODELS.contains(&class) => return Ok(Patch::Nothing),
        "ModelSamplingSD3" | "ModelSamplingAuraFlow" => {
            return Ok(Patch::Flow(graph.number(node, "shift")?));
        }
        "ModelSamplingFlux" => return Ok(Patch::Flow(None)),
        "PerturbedAttentionGuidance" => return perturbed(graph, node, left_out),
        "SelfAttentionGuidance" => return looked_at(graph, node, left_out),
        "SkipLayerGuidanceDiT" | "SkipLayerGuidanceSD3" => return skipped(graph, node, left_out),
        _ => {}
    }
    if let Some((_, backbone)) = AROUND.iter().find(|(class, _)| *class == node.class) {
        return scaled(graph, node, backbone, left_out);
    }
    if let Some(known) = RULES.iter().find(|rule| rule.class == node.class) {
        return rule(graph, node, known, left_out);
    }
    let reason = LEFT_OUT.iter().find(|(class, _)| *class == node.class);
    left_out.push(match reason {
        Some((_, reason)) => format!("{}: {reason}", node.shown()),
        None => {
            let known = RULES.iter().map(|rule| rule.class);
            let left_out = LEFT_OUT.iter().map(|(class, _)| *class);
            let around = AROUND.iter().map(|(class, _)| *class);
            let known = known.chain(ADDITIONS.iter().copied());
            let known = known.chain(around).chain(left_out);
            let near = suggest::nearest(node.class, known);
            let near = near.map(|near| format!("; a similar one is `{near}`"));
            format!(
                "{}, which is not known here{}",
                node.shown(),
                near.unwrap_or_default()
            )
        }
    });
    Ok(Patch::Nothing)
}

/// A number, with our name for it; where another node computes it, what is lost is said instead.
pub fn value(
    graph: &Graph<'_>,
    node: Node<'_>,
    input: &str,
    param: &'static str,
    left_out: &mut Vec<String>,
) -> Result<Option<(&'static str, String)>, Diagnostic> {
    let number = graph.number(node, input)?;
    if number.is_none() {
        left_out.push(format!(
            "`{input}` of {}: another node computes it",
            node.shown()
        ));
    }
    Ok(number.map(|number| (param, spelled(number))))
}

fn rule(
    graph: &Graph<'_>,
    node: Node<'_>,
    known: &RuleNode,
    left_out: &mut Vec<String>,
) -> Result<Patch, Diagnostic> {
    let mut values = Vec::new();
    for (input, param) in known.numbers {
        values.extend(value(graph, node, input, param, left_out)?);
    }
    match known.class {
        "DynamicThresholdingSimple" => values.push(("apart", "false".to_owned())),
        "PerpNeg" => null_condition(graph, node, left_out)?,
        "DynamicThresholdingFull" => thresholding(node, &mut values, left_out)?,
        "SkipLayerGuidanceDiTSimple" => match layers(node, left_out)? {
            Some(layers) => values.push(("layers", layers)),
            None => return Ok(Patch::Nothing),
        },
        _ => {}
    }
    Ok(Patch::Rule(Rule {
        path: known.path,
        values,
    }))
}

/// Says where the empty prompt of Perp-Neg is not empty.
///
/// # Errors
/// A link that leads nowhere; nodes that feed each other.
pub fn null_condition(
    graph: &Graph<'_>,
    node: Node<'_>,
    left_out: &mut Vec<String>,
) -> Result<(), Diagnostic> {
    let input = "empty_conditioning";
    if text_of(graph, node, input)?.is_none_or(|text| !text.is_empty()) {
        left_out.push(format!(
            "`{input}` of {}: the null condition stands for it here",
            node.shown()
        ));
    }
    Ok(())
}

/// The words of `DynamicThresholdingFull`.
fn thresholding(
    node: Node<'_>,
    values: &mut Vec<(&'static str, String)>,
    left_out: &mut Vec<String>,
) -> Result<(), Diagnostic> {
    let word = |input: &str, param: &'static str, words: &[(&str, &str)]| {
        let Some(text) = node.text(input) else {
            return Err(fields::missing(&node.shown(), input));
        };
        let known = words.iter().find(|(theirs, _)| *theirs == text);
        match known {
            Some((_, ours)) => Ok((param, (*ours).to_owned())),
            None => Err(refused(format!(
                "`{input}` of {} is `{}`, which is not known here",
                node.shown(),
                shown(text)
            ))),
        }
    };
    let apart = [("enable", "true"), ("disable", "false")];
    let about = [("MEAN", "\"mean\""), ("ZERO", "\"zero\"")];
    let range = [("AD", "\"ad\""), ("STD", "\"std\"")];
    values.push(word("separate_feature_channels", "apart", &apart)?);
    values.push(word("scaling_startpoint", "startpoint", &about)?);
    values.push(word("variability_measure", "variability", &range)?);
    for mode in ["mimic_mode", "cfg_mode"] {
        if let Some(text) = node.text(mode)
            && text != "Constant"
        {
            left_out.push(format!(
                "`{mode}` `{}` of {}: the scale is constant here",
                shown(text),
                node.shown()
            ));
        }
    }
    Ok(())
}

/// The layers that a node of skip-layer guidance names; nothing where it names none, with which it does
/// nothing.
fn layers(node: Node<'_>, left_out: &mut Vec<String>) -> Result<Option<String>, Diagnostic> {
    let numbers = |input: &str| -> Vec<u64> {
        let text = node.text(input).unwrap_or_default();
        let digits = text.split(|c: char| !c.is_ascii_digit());
        digits.filter_map(|digits| digits.parse().ok()).collect()
    };
    let inputs: &[&str] = if node.has("layers") {
        &["layers"]
    } else {
        &["double_layers", "single_layers"]
    };
    for input in inputs {
        if !node.has(input) {
            return Err(fields::missing(&node.shown(), input));
        }
        if node.text(input).is_none() {
            left_out.push(format!(
                "`{input}` of {}: another node computes it",
                node.shown()
            ));
        }
    }
    let lists: Vec<Vec<u64>> = inputs.iter().map(|input| numbers(input)).collect();
    let named = lists.iter().find(|list| !list.is_empty());
    let Some(first) = named else {
        left_out.push(format!("{}: it names no layers", node.shown()));
        return Ok(None);
    };
    if lists.iter().any(|list| !list.is_empty() && list != first) {
        left_out.push(format!(
            "`single_layers` of {}: layers are numbered through here, and those of `double_layers` are \
             taken",
            node.shown()
        ));
    }
    let first = fields::layers("layers", &first.clone().into())?;
    Ok(Some(spelled_layers(&first)))
}

/// `FreeU` and `FreeU_V2`.
fn scaled(
    graph: &Graph<'_>,
    node: Node<'_>,
    backbone: &str,
    left_out: &mut Vec<String>,
) -> Result<Patch, Diagnostic> {
    let mut values = Vec::new();
    for name in ["b1", "b2", "s1", "s2"] {
        values.extend(value(graph, node, name, name, left_out)?);
    }
    values.push(("backbone", backbone.to_owned()));
    Ok(Patch::Around(Rule {
        path: "std::dialects::comfyui::free_u",
        values,
    }))
}

fn perturbed(
    graph: &Graph<'_>,
    node: Node<'_>,
    left_out: &mut Vec<String>,
) -> Result<Patch, Diagnostic> {
    let scale = value(graph, node, "scale", "pag_scale", left_out)?;
    let (name, scale) = scale.unwrap_or(("pag_scale", "3".to_owned()));
    let alone = Rule {
        path: "std::rules::cfg_pag",
        values: vec![(name, scale.clone())],
    };
    let added = Addition {
        uses: vec!["std::directions::structure"],
        params: vec![
            (
                name,
                "Scalar",
                scale,
                "Scale of the perturbed-attention direction; 0 is none.",
            ),
            (
                "pag_layers",
                "Layers",
                "mid".to_owned(),
                "The attention layers that are disturbed.",
            ),
        ],
        code: "pag_scale * structure(layers: pag_layers)",
    };
    Ok(Patch::Addition(added, alone, None))
}

/// The node adds its direction in x0.
fn looked_at(
    graph: &Graph<'_>,
    node: Node<'_>,
    left_out: &mut Vec<String>,
) -> Result<Patch, Diagnostic> {
    let mut number = |input, default: &str| -> Result<String, Diagnostic> {
        let known = value(graph, node, input, "", left_out)?;
        Ok(known.map_or(default.to_owned(), |(_, number)| number))
    };
    let (scale, sigma) = (number("scale", "0.5")?, number("blur_sigma", "2")?);
    let alone = Rule {
        path: "std::rules::sag",
        values: vec![("strength", scale.clone()), ("sigma", sigma.clone())],
    };
    let added = Addition {
        uses: vec!["std::directions::self_attention"],
        params: vec![
            (
                "sag_scale",
                "Scalar",
                scale,
                "Scale of the direction away from the blurred picture; 0 is none.",
            ),
            (
                "sag_sigma",
                "Scalar",
                sigma,
                "Standard deviation of the blur, in latent pixels.",
            ),
        ],
        code: "x0(sag_scale * self_attention(sigma: sag_sigma))",
    };
    Ok(Patch::Addition(added, alone, None))
}

fn skipped(
    graph: &Graph<'_>,
    node: Node<'_>,
    left_out: &mut Vec<String>,
) -> Result<Patch, Diagnostic> {
    let Some(layers) = layers(node, left_out)? else {
        return Ok(Patch::Nothing);
    };
    let mut values = vec![("layers", layers)];
    for (input, param) in [
        ("scale", "skip_scale"),
        ("start_percent", "start"),
        ("end_percent", "stop"),
    ] {
        values.extend(value(graph, node, input, param, left_out)?);
    }
    let mut lost = None;
    if node.has("rescaling_scale") {
        let rescaling = value(graph, node, "rescaling_scale", "phi", left_out)?;
        lost = rescaling
            .as_ref()
            .filter(|(_, phi)| phi != "0")
            .map(|_| "rescaling_scale");
        values.extend(rescaling);
    }
    let of = |name: &str, otherwise: &str| {
        let found = values.iter().find(|(param, _)| *param == name);
        found.map_or(otherwise.to_owned(), |(_, value)| value.clone())
    };
    let added = Addition {
        uses: vec!["std::dialects::comfyui::within", "std::directions::skip"],
        params: vec![
            (
                "skip_scale",
                "Scalar",
                of("skip_scale", "3"),
                "Scale of the direction away from the network without `skip_layers`; 0 is none.",
            ),
            (
                "skip_layers",
                "Layers",
                of("layers", "[7, 8, 9]"),
                "The layers that are left out.",
            ),
            (
                "skip_start",
                "Scalar",
                of("start", "0.01"),
                "Where that begins, as a share of the training timesteps, in 0..=1.",
            ),
            (
                "skip_stop",
                "Scalar",
                of("stop", "0.15"),
                "Where it ends, in 0..=1.",
            ),
            (
                "shift",
                "Scalar",
                "0".to_owned(),
                "The `shift` of a flow model; 0 stands for a model with 1000 discrete timesteps.",
            ),
        ],
        code: "(if within(start: skip_start, stop: skip_stop, shift: shift) \
               { skip_scale * skip(layers: skip_layers) } else { 0 })",
    };
    let alone = Rule {
        path: "std::dialects::comfyui::slg",
        values,
    };
    Ok(Patch::Addition(added, alone, lost))
}
