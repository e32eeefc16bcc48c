//! The command that makes a workflow's picture, as far as this version can.

use guide_compiler::diagnostics::Diagnostic;
use guide_compiler::timetable::{Levels, Sampler};

use super::fields::shown;
use super::graph::{Graph, Node};
use super::imported::quoted;

/// ComfyUI's samplers by our names.
const SAMPLER_NAMES: &[(&str, &str)] = &[
    ("ddim", "ddim"),
    ("euler", "euler"),
    ("euler_ancestral", "euler_a"),
    ("euler_cfg_pp", "euler"),
    ("euler_ancestral_cfg_pp", "euler_a"),
    ("dpmpp_2m", "dpmpp_2m"),
    ("dpmpp_2m_sde", "dpmpp_2m_sde"),
    ("dpmpp_sde", "dpmpp_sde"),
    ("heun", "heun"),
    ("lms", "lms"),
    ("uni_pc_bh2", "unipc"),
    ("ddpm", "ddpm"),
    ("lcm", "lcm"),
];

/// ComfyUI's ways to spread noise levels, and those of its nodes, by ours.
const LEVELS: &[(&str, &str, Levels)] = &[
    ("karras", "KarrasScheduler", Levels::Karras),
    ("exponential", "ExponentialScheduler", Levels::Exponential),
    ("beta", "BetaSamplingScheduler", Levels::Beta),
];

/// Where the prompts are.
pub struct Prompts<'a> {
    /// The node that they come into.
    pub node: Node<'a>,
    /// The input of what the picture shows.
    pub positive: &'static str,
    /// The input of what is avoided; empty where there is none.
    pub negative: &'static str,
}

/// The name of a sampler's solver, where it has one.
///
/// # Errors
/// A link that leads nowhere.
pub fn sampler_name<'a>(
    graph: &Graph<'a>,
    sampler: Node<'a>,
) -> Result<Option<&'a str>, Diagnostic> {
    if let Some(name) = sampler.text("sampler_name") {
        return Ok(Some(name));
    }
    let node = graph.feeding(sampler, "sampler")?;
    Ok(node.and_then(|node| node.text("sampler_name")))
}

/// The command; what of the workflow is lost is added to `left_out`.
///
/// # Errors
/// A link that leads nowhere; nodes that feed each other.
pub fn of<'a>(
    graph: &Graph<'a>,
    sampler: Node<'a>,
    prompts: &Prompts<'a>,
    left_out: &mut Vec<String>,
) -> Result<String, Diagnostic> {
    let mut words = Vec::new();
    let node = prompts.node;
    for (flag, input) in [
        ("--prompt", prompts.positive),
        ("--negative", prompts.negative),
    ] {
        if input.is_empty() {
            continue;
        }
        match text_of(graph, node, input)? {
            Some("") if flag == "--negative" => {}
            Some(text) => words.push(format!("{flag} {}", quoted(text))),
            None => left_out.push(format!(
                "`{input}` of {}: it is no plain text",
                node.shown()
            )),
        }
    }
    if node.class == "DualCFGGuider"
        && let Some(text) = text_of(graph, node, "cond2")?
    {
        words.push(format!("--bind {}", quoted(&format!("middle={text}"))));
    }
    timing(graph, sampler, &mut words, left_out)?;
    Ok(words.join(" "))
}

fn timing<'a>(
    graph: &Graph<'a>,
    sampler: Node<'a>,
    words: &mut Vec<String>,
    left_out: &mut Vec<String>,
) -> Result<(), Diagnostic> {
    let scheduler = graph.feeding(sampler, "sigmas")?.unwrap_or(sampler);
    let noise = graph.feeding(sampler, "noise")?.unwrap_or(sampler);
    let steps = whole(graph, scheduler, "steps")?;
    words.extend(steps.map(|steps| format!("--steps {steps}")));
    let seed = whole(graph, noise, "seed")?.or(whole(graph, noise, "noise_seed")?);
    words.extend(seed.map(|seed| format!("--seed {seed}")));
    let levels = LEVELS
        .iter()
        .find(|(name, node, _)| {
            scheduler.text("scheduler") == Some(*name) || scheduler.class == *node
        })
        .map_or(Levels::Timesteps, |(_, _, levels)| *levels);
    if let Some(name) = sampler_name(graph, sampler)? {
        let known = SAMPLER_NAMES.iter().find(|(theirs, _)| *theirs == name);
        match known {
            Some((_, ours)) => {
                let (sampler, _) = Sampler::parse(ours)?;
                words.push(format!("--sampler {}", sampler.called(levels)));
            }
            None => left_out.push(format!(
                "the sampler `{}`, which this version does not have",
                shown(name)
            )),
        }
    }
    if sampler.has("denoise") {
        let denoise = graph.number(sampler, "denoise")?;
        if denoise.is_some_and(|denoise| denoise != 1.0) {
            left_out.push("`denoise`: a start from a picture is `--init-image FILE --strength N` here, and counts steps in another way".to_owned());
        }
    }
    Ok(())
}

/// A whole number, where the node has one of that name.
fn whole<'a>(graph: &Graph<'a>, node: Node<'a>, input: &str) -> Result<Option<u64>, Diagnostic> {
    if !node.has(input) {
        return Ok(None);
    }
    Ok(graph.value(node, input)?.and_then(|value| value.as_u64()))
}

/// The text of the prompt behind an input, where it is one.
///
/// # Errors
/// A link that leads nowhere; nodes that feed each other.
pub fn text_of<'a>(
    graph: &Graph<'a>,
    node: Node<'a>,
    input: &str,
) -> Result<Option<&'a str>, Diagnostic> {
    let Some(first) = graph.feeding(node, input)? else {
        return Ok(None);
    };
    // Through what hands conditions on, as the guidance of distilled models.
    let passed = graph.chain(first, &["conditioning", ""])?;
    let at = *passed.last().unwrap_or(&first);
    let mut all = passed.iter().chain([&first]);
    if all.any(|node| node.class == "ConditioningZeroOut") {
        return Ok(None);
    }
    if !at.class.starts_with("CLIPTextEncode") || !at.has("text") {
        return Ok(None);
    }
    Ok(graph.value(at, "text")?.and_then(|value| value.as_str()))
}
