//! Graph to plan. Takes a checked graph and what it is run on; gives the plan, or the reasons why
//! there is none: something that this runtime cannot do (`G0601`), a conversion that a step makes
//! impossible (`G0602`), a solver that cannot follow (`G0606`), steps out of range (`G0608`), a number out of its range (`G0610`), a flow model's rule on another
//! model (`G0611`), a division by nothing (`G0612`).
//!
//! ```text
//! graph --fold--> known numbers --lower--> expressions --live--> demand
//!       --merge--> segments --gather--> sums --order--> waves and passes --emit--> plan
//! ```
//!
//! INVARIANT: no pass knows a rule by name.

mod affine;
mod after;
mod asking;
mod count;
mod emit;
mod expr;
mod fold;
mod gather;
mod guard;
mod judging;
mod label;
mod leaving;
mod live;
mod lower;
mod merge;
mod order;
mod ranges;
mod refuse;
mod scalar;
mod sharing;
mod space;
mod tables;
mod turn;
mod unread;

pub use crate::plan::MOST_STEPS;
pub use after::{PASSES, after};
pub use judging::KnownClassifier;
pub use unread::warn;

use std::collections::BTreeSet;

use crate::diagnostics::{Bag, Code, Diagnostic};
use crate::graph::Graph;
use crate::plan::{FORMAT, Head, MOST_TURNS, ModelFacts, Objective, Plan, Setting, Timetable};
use crate::timetable::SolverFacts;
use emit::{Emit, Work};
use live::Formulas;
use merge::Scheduled;

/// What a plan is made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The guide's name.
    pub guide: String,
    /// The file that holds it, as the user named it.
    pub file: String,
    /// SHA-256, in hex, of all source texts.
    pub source: String,
    /// The model.
    pub facts: ModelFacts,
    /// When the rule is evaluated.
    pub timetable: Timetable,
    /// The sampler's name, or `recording`.
    pub sampler: String,
    /// What the sampler can do with an outcome.
    pub solver: SolverFacts,
    /// Number of sampling steps.
    pub steps: u32,
    /// Whether a negative prompt is given.
    pub negative: bool,
    /// What is known of classifiers.
    pub classifiers: Vec<KnownClassifier>,
    /// What an objective draws; the steps are its turns then.
    pub objective: Option<Objective>,
    /// What is known of backward passes.
    pub backward: Backward,
}

/// Bytes that a backward pass holds at once for each sample, where they are known before the run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Backward {
    /// Through the main model's network.
    pub network: Option<u64>,
    /// Through its decoder.
    pub decoder: Option<u64>,
}

/// Makes the plan of a guide.
///
/// # Errors
/// Every independent reason why there is none; see the module.
pub fn plan(graph: &Graph, target: &Target) -> Result<Plan, Bag> {
    build(graph, target, true)
}

fn build(graph: &Graph, target: &Target, fuse: bool) -> Result<Plan, Bag> {
    let mut bag = Bag::default();
    let (most, called) = match target.objective {
        Some(_) => (MOST_TURNS, "turns"),
        None => (MOST_STEPS, "steps"),
    };
    if !(1..=most).contains(&target.steps) || target.timetable.ticks.is_empty() {
        let message = format!("a plan of {} {called} is out of range", target.steps);
        let help = format!("choose `--steps` from 1 to {most}");
        bag.push(Diagnostic::new(Code::StepsOutOfRange, message).help(help));
        return Err(bag);
    }
    let Some(outcome) = &graph.outcome else {
        bag.push(Diagnostic::new(
            Code::NotYet,
            "a guide without a result has no plan",
        ));
        return Err(bag);
    };
    let folded = fold::fold(graph, &target.timetable, target.steps);
    let mut scheduled = merge::schedule(graph, target, &folded, outcome);
    refuse::refuse(graph, target, &scheduled, &mut bag);
    if bag.has_errors() {
        return Err(bag);
    }
    emit_all(graph, target, &folded, &mut scheduled, fuse)
}

fn emit_all(
    graph: &Graph,
    target: &Target,
    folded: &fold::Folded,
    scheduled: &mut Scheduled,
    fuse: bool,
) -> Result<Plan, Bag> {
    let mut bag = Bag::default();
    let (state_ids, states) = tables::states(graph, target, folded, scheduled);
    let (decision_ids, decisions) = tables::decisions(graph, scheduled);
    let used = tables::used(scheduled);
    let judged = judging::used(scheduled);
    // Of an objective `x` is a value of the turn, and the latent is what is optimised.
    let (latent, leaves) = match target.objective {
        Some(_) => ("z", "gradient"),
        None => ("x", "guided"),
    };
    let taken: BTreeSet<String> = used
        .list
        .iter()
        .map(|p| p.label.clone())
        .chain(judged.list.iter().map(|j| j.label.clone()))
        .chain(graph.inputs.iter().map(|i| i.name.clone()))
        .chain([latent, "target"].map(str::to_string))
        .collect();
    // A later evaluation speaks of decisions by name beside its own values.
    let names = decisions.iter().map(|d| d.name.clone());
    let taken_later: BTreeSet<String> = taken.iter().cloned().chain(names).collect();
    let mut formulas = Formulas::default();
    let mut segments = Vec::new();
    for part in &scheduled.parts {
        let mut emit = Emit {
            exprs: &scheduled.exprs,
            scalars: &mut scheduled.scalars,
            guards: &mut scheduled.guards,
            formulas: &mut formulas,
            used: &used,
            judged: &judged,
            states: &state_ids,
            decisions: &decision_ids,
            taken: match part.substep {
                0 => &taken,
                _ => &taken_later,
            },
            leaves,
            ticks: target.timetable.ticks.len(),
            fuse,
        };
        let work = Work {
            ticks: &part.ticks,
            steps: part.steps,
            substep: part.substep,
            tick: &part.lowered,
            demand: &part.demand,
            live: &part.live,
            decide: &part.decide,
        };
        match emit.segment(&work) {
            Ok(segment) => segments.push(segment),
            Err(impossible) => bag.push(refuse::impossible(target, &scheduled.exprs, impossible)),
        }
    }
    if bag.has_errors() {
        return Err(bag);
    }
    let used = tables::Asked { used, judged };
    let cost = tables::cost(
        scheduled,
        &segments,
        &used,
        (&state_ids, &states),
        target.backward,
    );
    let head = Head {
        guide: target.guide.clone(),
        file: target.file.clone(),
        source: target.source.clone(),
        settings: graph
            .settings
            .iter()
            .map(|(name, value)| Setting {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        steps: target.steps,
        sampler: target.sampler.clone(),
        objective: target.objective,
        model: target.facts.clone(),
        negative: target.negative,
        per_evaluation: graph.per_evaluation,
        needs: tables::needs(graph, &segments, &used),
    };
    let mut plan = Plan {
        format: FORMAT.to_string(),
        head,
        predictions: used.used.list,
        classifiers: used.judged.classifiers,
        judgements: used.judged.list,
        inputs: graph.inputs.clone(),
        states,
        decisions,
        timetable: target.timetable.clone(),
        segments,
        cost,
    };
    sharing::mark(&mut plan);
    Ok(plan)
}
