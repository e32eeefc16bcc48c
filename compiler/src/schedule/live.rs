//! What each tick needs, and for which samples: from the result and the state that a later tick
//! reads, backward over the operands and over the ticks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::expr::{ExprId, Exprs, Form};
use super::guard::{ALWAYS, GuardId, Guards, NEVER};
use super::lower::Lowered;
use crate::graph::{CellId, NodeId};

/// For which samples each needed expression is needed.
pub type Demand = BTreeMap<ExprId, GuardId>;

/// Truth values of the run as functions of what they are put together from.
#[derive(Debug, Default)]
pub struct Formulas {
    memo: HashMap<ExprId, GuardId>,
}

impl Formulas {
    /// The truth function of a truth value.
    pub fn of(&mut self, exprs: &Exprs, guards: &mut Guards, expr: ExprId) -> GuardId {
        let mut open = vec![expr];
        while let Some(&at) = open.last() {
            if self.memo.contains_key(&at) {
                open.pop();
                continue;
            }
            let parts = match exprs.form(at) {
                Form::And(a, b) | Form::Or(a, b) => vec![*a, *b],
                Form::Not(a) => vec![*a],
                _ => Vec::new(),
            };
            let missing: Vec<ExprId> = parts
                .iter()
                .copied()
                .filter(|p| !self.memo.contains_key(p))
                .collect();
            if !missing.is_empty() {
                open.extend(missing);
                continue;
            }
            let part = |i: usize| {
                parts
                    .get(i)
                    .and_then(|p| self.memo.get(p))
                    .copied()
                    .unwrap_or(NEVER)
            };
            let value = match exprs.form(at) {
                Form::Flag(true) => ALWAYS,
                Form::Flag(false) => NEVER,
                Form::And(..) => guards.and(part(0), part(1)),
                Form::Or(..) => guards.or(part(0), part(1)),
                Form::Not(_) => guards.not(part(0)),
                _ => guards.variable(at),
            };
            self.memo.insert(at, value);
            open.pop();
        }
        self.memo.get(&expr).copied().unwrap_or(NEVER)
    }
}

/// What a tick needs, if `live` is the state that is read later and `taken` are the decisions that
/// the step's other evaluations take over, and for which samples.
pub fn demand(
    exprs: &Exprs,
    guards: &mut Guards,
    formulas: &mut Formulas,
    tick: &Lowered,
    live: &BTreeSet<CellId>,
    taken: &Demand,
) -> Demand {
    let mut open: BTreeMap<ExprId, GuardId> = taken.clone();
    let mut needed = Demand::new();
    let hold = formulas.of(exprs, guards, tick.result.hold);
    let moving = guards.not(hold);
    want(guards, &mut open, tick.result.hold, ALWAYS);
    let result = &tick.result;
    for part in [result.denoise, result.renoise, result.shift, result.moves]
        .into_iter()
        .flatten()
    {
        want(guards, &mut open, part, moving);
    }
    for cell in live {
        let Some(kept) = tick.cells.get(cell.index()) else {
            continue;
        };
        let Some(region) = &kept.region else { continue };
        let mut within = ALWAYS;
        for (condition, holds) in region {
            want(guards, &mut open, *condition, within);
            let mut formula = formulas.of(exprs, guards, *condition);
            if !holds {
                formula = guards.not(formula);
            }
            within = guards.and(within, formula);
        }
        want(guards, &mut open, kept.value, within);
    }
    // Operands have smaller numbers, so the largest is complete.
    while let Some((expr, guard)) = open.pop_last() {
        let guard = guards.widened(guard);
        if guard == NEVER {
            continue;
        }
        needed.insert(expr, guard);
        match exprs.form(expr) {
            Form::And(a, b) | Form::Or(a, b) => {
                let mut first = formulas.of(exprs, guards, *a);
                if matches!(exprs.form(expr), Form::Or(..)) {
                    first = guards.not(first);
                }
                let second = guards.and(guard, first);
                want(guards, &mut open, *a, guard);
                want(guards, &mut open, *b, second);
            }
            Form::Select(c, a, b) => {
                let then = formulas.of(exprs, guards, *c);
                let otherwise = guards.not(then);
                let (then, otherwise) = (guards.and(guard, then), guards.and(guard, otherwise));
                want(guards, &mut open, *c, guard);
                want(guards, &mut open, *a, then);
                want(guards, &mut open, *b, otherwise);
            }
            _ => {
                for operand in exprs.operands(expr) {
                    want(guards, &mut open, operand, guard);
                }
            }
        }
    }
    needed
}

fn want(guards: &mut Guards, open: &mut BTreeMap<ExprId, GuardId>, expr: ExprId, guard: GuardId) {
    let before = open.get(&expr).copied().unwrap_or(NEVER);
    let now = guards.or(before, guard);
    if now != NEVER {
        open.insert(expr, now);
    }
}

/// The decisions of a step's first evaluation that a tick takes over, and for which samples, in the
/// first evaluation's terms: `first` is what that makes of each truth value.
pub fn taken(
    exprs: &Exprs,
    guards: &mut Guards,
    formulas: &mut Formulas,
    demand: &Demand,
    first: &BTreeMap<NodeId, ExprId>,
) -> Demand {
    let decision = |expr: ExprId| match exprs.form(expr) {
        Form::Held(node) => first.get(node).copied(),
        _ => None,
    };
    let mut taken = Demand::new();
    for (expr, guard) in demand {
        let Some(there) = decision(*expr) else {
            continue;
        };
        let variables = guards.variables(*guard);
        let known: BTreeMap<ExprId, GuardId> = variables
            .into_iter()
            .filter_map(|v| Some((v, formulas.of(exprs, guards, decision(v)?))))
            .collect();
        let guard = guards.composed(*guard, &known);
        want(guards, &mut taken, there, guard);
    }
    taken
}

/// The states that a tick reads.
pub fn reads(exprs: &Exprs, demand: &Demand) -> BTreeSet<CellId> {
    let read = |expr: &ExprId| match exprs.form(*expr) {
        Form::State(cell) | Form::Fresh(cell, _) => Some(*cell),
        _ => None,
    };
    demand.keys().filter_map(read).collect()
}

/// The states whose value from before a tick is read in it or later, where `after` are those read
/// later.
pub fn live_before(
    exprs: &Exprs,
    tick: &Lowered,
    demand: &Demand,
    after: &BTreeSet<CellId>,
) -> BTreeSet<CellId> {
    let mut before = reads(exprs, demand);
    for cell in after {
        let always = tick
            .cells
            .get(cell.index())
            .and_then(|kept| kept.region.as_ref())
            .is_some_and(Vec::is_empty);
        if !always {
            before.insert(*cell);
        }
    }
    before
}
