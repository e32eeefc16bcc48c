//! Ticks that do the same work become segments.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Target;
use super::affine::{Builder, Test, Written};
use super::expr::{ExprId, Exprs, Form};
use super::fold::Folded;
use super::guard::{GuardId, Guards, NEVER};
use super::judging::Judgements;
use super::live::{self, Demand, Formulas};
use super::lower::{Lowered, Lowering, begins_step};
use super::scalar::Scalars;
use crate::graph::{CellId, Graph, NodeId, Outcome};
use crate::plan::Prediction;

/// Ticks that do the same work.
#[derive(Debug)]
pub struct Part {
    /// Places in the timetable.
    pub ticks: Vec<usize>,
    /// First step, and the step after the last.
    pub steps: (u32, u32),
    /// Which evaluation of each step.
    pub substep: u32,
    /// What they do.
    pub lowered: Rc<Lowered>,
    /// What is needed of it.
    pub demand: Rc<Demand>,
    /// The state that goes on.
    pub live: BTreeSet<CellId>,
    /// What the step's other evaluations take over.
    pub decide: Decide,
}

/// Nodes whose truth values the other evaluations of a step take over, and what they are in its first.
pub type Decide = BTreeMap<NodeId, ExprId>;

/// All ticks, taken together where they do the same.
#[derive(Debug)]
pub struct Scheduled {
    /// All expressions.
    pub exprs: Exprs,
    /// All known numbers.
    pub scalars: Scalars,
    /// All truth functions.
    pub guards: Guards,
    /// All predictions that were lowered, needed or not.
    pub predictions: Vec<Prediction>,
    /// All questions to classifiers that were lowered, needed or not.
    pub judgements: Judgements,
    /// In order of the first tick.
    pub parts: Vec<Part>,
    /// For each tick, the cells that no earlier tick wrote.
    pub unwritten: Vec<BTreeSet<CellId>>,
}

/// Lowers every tick, finds what each needs and merges them.
pub fn schedule(graph: &Graph, target: &Target, folded: &Folded, outcome: &Outcome) -> Scheduled {
    let mut exprs = Exprs::default();
    let mut scalars = Scalars::new(target.timetable.ticks.len());
    let mut lowering = Lowering::new(graph, target, folded);
    let (ticks, unwritten) = lower_all(&mut lowering, &mut exprs, &mut scalars, outcome);
    let mut guards = Guards::new();
    let needs = live_all(graph, target, &exprs, &mut guards, &ticks);
    let parts = merge(target, &exprs, ticks, needs);
    let (predictions, judgements) = (lowering.predictions.list, lowering.judgements);
    Scheduled {
        exprs,
        scalars,
        guards,
        predictions,
        judgements,
        parts,
        unwritten,
    }
}

/// Whether a tick keeps state and decides on its own: every one, or only the first of each step.
fn is_own(graph: &Graph, target: &Target, tick: usize) -> bool {
    graph.per_evaluation || begins_step(target, tick)
}

fn lower_all(
    lowering: &mut Lowering<'_>,
    exprs: &mut Exprs,
    scalars: &mut Scalars,
    outcome: &Outcome,
) -> (Vec<Rc<Lowered>>, Vec<BTreeSet<CellId>>) {
    let graph = lowering.graph;
    let mut written = vec![Written::Never; graph.cells.len()];
    let mut after = written.clone();
    let mut seen: Vec<Rc<Lowered>> = Vec::new();
    let mut ticks = Vec::new();
    let mut unwritten = Vec::new();
    let mut first: Option<Rc<Lowered>> = None;
    for tick in 0..lowering.ticks() {
        if is_own(graph, lowering.target, tick) {
            written.clone_from(&after);
            first = None;
        }
        let never =
            |(at, w): (usize, &Written)| (*w == Written::Never).then_some(CellId(at as u32));
        unwritten.push(written.iter().enumerate().filter_map(never).collect());
        let here = Here {
            tick,
            target: lowering.target,
            folded: lowering.folded,
            scalars,
            written: &written,
            first: first.as_deref(),
        };
        let alike = |l: &&Rc<Lowered>| l.tests.iter().all(|test| here.holds(*test));
        let lowered = match seen.iter().rev().find(alike) {
            Some(found) => Rc::clone(found),
            None => {
                let mut builder = Builder {
                    exprs,
                    scalars,
                    tests: BTreeSet::new(),
                    tick,
                };
                let first = first.as_deref();
                let new = Rc::new(lowering.tick(&mut builder, outcome, &written, first));
                seen.push(Rc::clone(&new));
                new
            }
        };
        if is_own(graph, lowering.target, tick) {
            for (state, kept) in after.iter_mut().zip(&lowered.cells) {
                match &kept.region {
                    None => {}
                    Some(region) if region.is_empty() => *state = Written::Surely,
                    Some(_) => *state = (*state).max(Written::Perhaps),
                }
            }
            first = Some(Rc::clone(&lowered));
        }
        ticks.push(lowered);
    }
    (ticks, unwritten)
}

/// What the tests of a tick are answered by.
struct Here<'a> {
    tick: usize,
    target: &'a Target,
    folded: &'a Folded,
    scalars: &'a Scalars,
    written: &'a [Written],
    first: Option<&'a Lowered>,
}

impl Here<'_> {
    fn holds(&self, test: Test) -> bool {
        let number = |id| self.scalars.at(id, self.tick);
        match test {
            Test::Zero(id, zero) => (number(id) == 0.0) == zero,
            Test::Bits(id, bits) => number(id).to_bits() == bits,
            Test::Decided(node, value) => self.folded.bool(node, self.tick) == Some(value),
            Test::Compared(op, a, b, result) => op.holds(number(a), number(b)) == result,
            Test::Written(cell, was) => self.written.get(cell.index()) == Some(&was),
            Test::First(node, was) => {
                let truths = self.first.map(|first| &first.truths);
                truths.and_then(|truths| truths.get(&node)).copied() == was
            }
            Test::BeginsStep(begins) => begins_step(self.target, self.tick) == begins,
        }
    }
}

/// What a tick needs.
struct Need {
    demand: Rc<Demand>,
    /// The state that is read after it.
    live: BTreeSet<CellId>,
    /// The decisions that the step's other evaluations take over.
    decide: Decide,
}

/// What other evaluations take over from the first of their step.
#[derive(Default)]
struct Taken {
    /// For which samples, in the first evaluation's terms.
    demand: Demand,
    decide: Decide,
}

impl Taken {
    fn add(
        &mut self,
        exprs: &Exprs,
        guards: &mut Guards,
        formulas: &mut Formulas,
        demand: &Demand,
        first: &Lowered,
    ) {
        for (expr, guard) in live::taken(exprs, guards, formulas, demand, &first.truths) {
            let before = self.demand.get(&expr).copied().unwrap_or(NEVER);
            self.demand.insert(expr, guards.or(before, guard));
        }
        for expr in demand.keys() {
            if let Form::Held(node) = exprs.form(*expr)
                && let Some(there) = first.truths.get(node)
            {
                self.decide.insert(*node, *there);
            }
        }
    }
}

/// Backward over the steps: what each tick needs.
fn live_all(
    graph: &Graph,
    target: &Target,
    exprs: &Exprs,
    guards: &mut Guards,
    ticks: &[Rc<Lowered>],
) -> Vec<Need> {
    let mut formulas = Formulas::default();
    let mut cache: BTreeMap<(usize, BTreeSet<CellId>, Demand), Rc<Demand>> = BTreeMap::new();
    let mut needs: Vec<Need> = Vec::new();
    let mut after: BTreeSet<CellId> = BTreeSet::new();
    let mut reads: BTreeSet<CellId> = BTreeSet::new();
    // What the later evaluations of the step at hand need, until its first one is reached.
    let mut later: Vec<Rc<Demand>> = Vec::new();
    for (tick, lowered) in ticks.iter().enumerate().rev() {
        let own = is_own(graph, target, tick);
        let live = if own { after.clone() } else { BTreeSet::new() };
        let mut taken = Taken::default();
        if own {
            for demand in later.drain(..) {
                taken.add(exprs, guards, &mut formulas, &demand, lowered);
            }
        }
        let key = (Rc::as_ptr(lowered) as usize, live.clone(), taken.demand);
        let demand = match cache.get(&key) {
            Some(found) => Rc::clone(found),
            None => {
                let new = live::demand(exprs, guards, &mut formulas, lowered, &live, &key.2);
                let new = Rc::new(new);
                cache.insert(key, Rc::clone(&new));
                new
            }
        };
        if own {
            after = live::live_before(exprs, lowered, &demand, &live);
            after.append(&mut reads);
        } else {
            reads.append(&mut live::reads(exprs, &demand));
            later.push(Rc::clone(&demand));
        }
        needs.push(Need {
            demand,
            live,
            decide: taken.decide,
        });
    }
    needs.reverse();
    needs
}

/// What two ticks must share to be one segment, sums aside: they follow from the rest.
fn atoms(exprs: &Exprs, demand: &Demand) -> Vec<(ExprId, GuardId)> {
    let is_atom = |expr: ExprId| !matches!(exprs.form(expr), Form::Linear(_) | Form::Flag(_));
    demand
        .iter()
        .filter(|(e, _)| is_atom(**e))
        .map(|(e, g)| (*e, *g))
        .collect()
}

fn merge(target: &Target, exprs: &Exprs, ticks: Vec<Rc<Lowered>>, needs: Vec<Need>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    // The open part of each substep, with what it needs.
    let mut open: BTreeMap<u32, (usize, Vec<(ExprId, GuardId)>)> = BTreeMap::new();
    for (at, (lowered, need)) in ticks.into_iter().zip(needs).enumerate() {
        let Some(tick) = target.timetable.ticks.get(at) else {
            continue;
        };
        let own = atoms(exprs, &need.demand);
        if let Some((place, key)) = open.get(&tick.substep)
            && let Some(part) = parts.get_mut(*place)
            && part.steps.1 == tick.step
            && *key == own
            && same_work(part, &lowered, &need)
        {
            part.ticks.push(at);
            part.steps.1 = tick.step + 1;
            if hands_on_more(&need.live, &need.decide, &part.live, &part.decide) {
                part.lowered = lowered;
                (part.demand, part.live, part.decide) = (need.demand, need.live, need.decide);
            }
            continue;
        }
        open.insert(tick.substep, (parts.len(), own));
        parts.push(Part {
            ticks: vec![at],
            steps: (tick.step, tick.step + 1),
            substep: tick.substep,
            lowered,
            demand: need.demand,
            live: need.live,
            decide: need.decide,
        });
    }
    parts
}

/// Whether a tick does what a part does. That one of them keeps or decides more does not part them.
fn same_work(part: &Part, lowered: &Lowered, need: &Need) -> bool {
    let comparable = hands_on_more(&part.live, &part.decide, &need.live, &need.decide)
        || hands_on_more(&need.live, &need.decide, &part.live, &part.decide);
    let kept =
        |cell: &CellId| part.lowered.cells.get(cell.index()) == lowered.cells.get(cell.index());
    comparable && part.lowered.result == lowered.result && part.live.union(&need.live).all(kept)
}

/// Whether a tick hands on all that another does: state to later steps, decisions within its own.
fn hands_on_more(
    live: &BTreeSet<CellId>,
    decide: &Decide,
    other_live: &BTreeSet<CellId>,
    other_decide: &Decide,
) -> bool {
    let decides = |(node, value): (&NodeId, &ExprId)| decide.get(node) == Some(value);
    other_live.is_subset(live) && other_decide.iter().all(decides)
}
