//! Why a graph has no plan: what this runtime or this sampler cannot do, of what is needed.

use std::collections::BTreeSet;

use super::Target;
use super::expr::{Exprs, Form};
use super::gather::Impossible;
use super::merge::Scheduled;
use super::ranges;
use crate::diagnostics::{Bag, Code, Diagnostic, suggest};
use crate::graph::{Graph, Node, NodeId, Op, Outcome, SpaceTerm};
use crate::plan::{ArgValue, LayerTerm, Layers, Look, Space, Tick, is_place};
use crate::primitives::{ArgKind, InterventionSignature};
use crate::show;
use guide_grammar::span::Span;

/// Everything that stands against a plan before it is emitted.
pub fn refuse(graph: &Graph, target: &Target, scheduled: &Scheduled, bag: &mut Bag) {
    unsupported(scheduled, bag);
    if let Some(outcome) = &graph.outcome {
        solver(graph, target, outcome, bag);
    }
    layers(target, scheduled, bag);
    places(graph, scheduled, bag);
    moves(graph, target, scheduled, bag);
    ranges::refuse(graph, target, scheduled, bag);
}

/// Entries that no table has: rows or columns below 0 or between two others.
fn places(graph: &Graph, scheduled: &Scheduled, bag: &mut Bag) {
    let mut said = BTreeSet::new();
    for part in &scheduled.parts {
        for expr in part.demand.keys() {
            let Form::Entry(input, row, column) = scheduled.exprs.form(*expr) else {
                continue;
            };
            for (what, id) in [("row", row), ("column", column)] {
                let mut values = part.ticks.iter().map(|t| scheduled.scalars.at(*id, *t));
                let Some(bad) = values.find(|value| !is_place(*value)) else {
                    continue;
                };
                let name = graph.inputs.get(input.index());
                let name = name.map_or("?", |input| input.name.as_str());
                if said.insert((name, what)) {
                    let message = format!("{what} {} of `{name}` is asked for", show::number(bad));
                    bag.push(
                        Diagnostic::new(Code::NotWhole, message)
                            .at(scheduled.exprs.span(*expr), "no table has it")
                            .help(format!("{what}s are whole and counted from 0")),
                    );
                }
            }
        }
    }
}

/// `x` moved along a velocity: what comes out lies on the way of the noise only where alpha and sigma
/// add up to 1.
fn moves(graph: &Graph, target: &Target, scheduled: &Scheduled, bag: &mut Bag) {
    let along_flow = |node: &&Node| {
        let (Op::Add(a, b) | Op::Sub(a, b)) = node.op else {
            return false;
        };
        let is_flow = |id: NodeId| {
            let space = graph.nodes.get(id.index()).and_then(|n| n.space.as_ref());
            space == Some(&SpaceTerm::Named(Space::Flow))
        };
        node.kind == "latent" && (is_flow(a) || is_flow(b))
    };
    let moved: BTreeSet<Span> = graph
        .nodes
        .iter()
        .filter(along_flow)
        .map(|n| n.span)
        .collect();
    let mut said = BTreeSet::new();
    for part in &scheduled.parts {
        let ticks = part
            .ticks
            .iter()
            .filter_map(|t| target.timetable.ticks.get(*t));
        let strays = |tick: &&Tick| (tick.alpha + tick.sigma - 1.0).abs() > ON_THE_LINE;
        let Some(tick) = ticks.into_iter().find(strays) else {
            continue;
        };
        let spans = part.demand.keys().map(|expr| scheduled.exprs.span(*expr));
        for span in spans.filter(|span| moved.contains(span)) {
            if !said.insert(span) {
                continue;
            }
            let message = format!(
                "only a flow model's latent moves along a velocity, and `{}` is none: in step {} alpha is {} and sigma {}",
                target.facts.name,
                tick.step,
                show::number(tick.alpha),
                show::number(tick.sigma)
            );
            bag.push(
                Diagnostic::new(Code::NotFlow, message)
                    .at(span, "here the latent is moved")
                    .help("choose a flow model, with `--model`; or write where the latent goes yourself, with `noised(x0: …, eps: …)`"),
            );
        }
    }
}

/// Timetables of recordings are f32.
const ON_THE_LINE: f64 = 1e-5;

fn unsupported(scheduled: &Scheduled, bag: &mut Bag) {
    let mut said = BTreeSet::new();
    for part in &scheduled.parts {
        for expr in part.demand.keys() {
            let span = scheduled.exprs.span(*expr);
            if let Form::Refused(what, _) = scheduled.exprs.form(*expr)
                && said.insert(what.clone())
            {
                let message = format!(
                    "`{what}` is part of the language, but this runtime does not do it yet"
                );
                bag.push(Diagnostic::new(Code::NotYet, message).at(span, "needed here"));
            }
        }
    }
}

fn solver(graph: &Graph, target: &Target, outcome: &Outcome, bag: &mut Bag) {
    let can = target.solver;
    let mut cannot = |node: NodeId, what: &str| {
        let message = format!("the sampler `{}` cannot follow {what}", target.sampler);
        let span = graph
            .nodes
            .get(node.index())
            .map_or(Span::default(), |n| n.span);
        bag.push(
            Diagnostic::new(Code::SolverCannot, message)
                .at(span, "this is returned")
                .help("choose another sampler, as with `--sampler ddim`"),
        );
    };
    match outcome {
        Outcome::If(_, then, otherwise) => {
            solver(graph, target, then, bag);
            solver(graph, target, otherwise, bag);
        }
        Outcome::Hold if can.hold => {}
        Outcome::Hold => {
            let message = format!("the sampler `{}` cannot follow a `hold`", target.sampler);
            bag.push(Diagnostic::new(Code::SolverCannot, message));
        }
        Outcome::Guided {
            denoise,
            renoise,
            shift,
            moves,
        } => {
            if let Some(node) = renoise.filter(|r| r != denoise && !can.renoise) {
                cannot(node, "a `renoise` of its own");
            }
            if let Some(node) = shift.filter(|_| !can.shift) {
                cannot(node, "a `shift`");
            }
            if let Some(node) = moves.filter(|_| !can.moves) {
                cannot(node, "a `move`");
            }
        }
    }
}

fn layers(target: &Target, scheduled: &Scheduled, bag: &mut Bag) {
    let Some(known) = &target.facts.layers else {
        return;
    };
    let mut said = BTreeSet::new();
    for part in &scheduled.parts {
        for expr in part.demand.keys() {
            let span = scheduled.exprs.span(*expr);
            let ask = match scheduled.exprs.form(*expr) {
                Form::Predict(ask) => ask,
                Form::Look(_, look) => {
                    if let Some(found) = nothing_to_see(&target.facts.name, look, known)
                        && said.insert(found.message.clone())
                    {
                        bag.push(found.at(span, "it is looked into here"));
                    }
                    continue;
                }
                _ => continue,
            };
            let Some(prediction) = scheduled.predictions.get(ask.prediction.index()) else {
                continue;
            };
            let selected = prediction.interventions.iter().flat_map(|with| {
                with.args.iter().filter_map(move |arg| match &arg.value {
                    ArgValue::Layers(wanted) => Some((with.name.as_str(), &arg.name, wanted)),
                    _ => None,
                })
            });
            for (with, parameter, wanted) in selected {
                let missing = wanted.missing(known);
                let found = match missing {
                    Some(missing) => Some(no_layers(&target.facts.name, missing, known)),
                    None => nothing_to_do(with, parameter, wanted, known),
                };
                if let Some(found) = found
                    && said.insert(found.message.clone())
                {
                    bag.push(found.at(span, "needed here"));
                }
            }
        }
    }
}

fn no_layers(model: &str, missing: &LayerTerm, known: &[String]) -> Diagnostic {
    let message = format!("the model `{model}` has no layers `{missing}`");
    Diagnostic::new(Code::NoSuchLayers, message).help(others(missing, known))
}

/// Layers that the model has not, or that do not attend so.
fn nothing_to_see(model: &str, look: &Look, known: &[String]) -> Option<Diagnostic> {
    if let Some(missing) = look.layers.missing(known) {
        return Some(no_layers(model, missing, known));
    }
    if look.sees_any(known) {
        return None;
    }
    let message = format!("the layers `{}` hold no {}", look.layers, look.of.noun());
    let help = "name layers that have one, such as `mid` or `all`";
    Some(Diagnostic::new(Code::NoSuchLayers, message).help(help))
}

/// Layers that are none, or none that the intervention works on.
fn nothing_to_do(
    with: &str,
    parameter: &str,
    wanted: &Layers,
    known: &[String],
) -> Option<Diagnostic> {
    let mut held = known.iter().filter(|name| wanted.holds(name)).peekable();
    if held.peek().is_none() {
        let message = format!("the layers `{wanted}` are none");
        let diagnostic = Diagnostic::new(Code::NoSuchLayers, message);
        return Some(diagnostic.help("take away less, or add layers"));
    }
    let takes = InterventionSignature::find(with).and_then(|known| known.takes(parameter));
    let Some(ArgKind::Layers(works)) = takes else {
        return None;
    };
    if held.any(|name| works.holds(name)) {
        return None;
    }
    let noun = works.noun();
    let message = format!("the layers `{wanted}` hold no {noun}, which `{with}` works on");
    let help = match known.iter().find(|name| works.holds(name)) {
        Some(one) => format!("name layers with one, such as `\"{one}\"`"),
        None => format!("choose a model with a {noun}"),
    };
    Some(Diagnostic::new(Code::NoSuchLayers, message).help(help))
}

/// What to name instead: the layer whose name is nearest, else the model's sides.
fn others(term: &LayerTerm, known: &[String]) -> String {
    let paths: BTreeSet<&str> = known.iter().flat_map(|name| paths(name)).collect();
    let near = match term {
        LayerTerm::Named(name) => suggest::nearest(name, paths.iter().copied()),
        _ => None,
    };
    if let Some(near) = near {
        return format!("write `\"{near}\"`");
    }
    let sides: Vec<String> = paths
        .into_iter()
        .filter(|path| !path.contains('.'))
        .map(|side| format!("`{side}`"))
        .collect();
    format!("name layers that it has: {}", sides.join(", "))
}

/// A layer's name and those of everything that it stands in.
fn paths(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| at);
    dots.chain([name.len()]).filter_map(|end| name.get(..end))
}

/// A conversion that a tick's noise makes impossible, said to the user.
pub fn impossible(target: &Target, exprs: &Exprs, found: Impossible) -> Diagnostic {
    let tick = target.timetable.ticks.get(found.tick);
    let (step, alpha, sigma) = tick.map_or((0, 0.0, 0.0), |t| (t.step, t.alpha, t.sigma));
    let message = format!(
        "a conversion between spaces divides by 0 in step {step}, where alpha is {} and sigma is {}",
        show::number(alpha),
        show::number(sigma)
    );
    Diagnostic::new(Code::ConversionUndefined, message)
        .at(exprs.span(found.expr), "needs the conversion")
        .help("work in the model's own space there, as in `if alpha > 0 { … } else { … }`")
}
