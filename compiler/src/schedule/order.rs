//! Waves and passes: predictions that can go to the networks together, then what can be computed
//! from them, elementwise operations and the reductions over them in one pass over memory.

use std::collections::{BTreeMap, BTreeSet};

use super::expr::ExprId;
use super::guard::GuardId;

/// How an operation may share a pass over memory with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// A prediction.
    Network,
    /// Each element from the same element of its operands.
    Elementwise,
    /// A number from all elements, at the end of a pass.
    Reduction,
    /// Alone, and before anything else that could be done: a number for each sample.
    Number,
    /// Alone: filters, noise.
    Alone,
}

/// Something to be done in a tick.
#[derive(Clone, Debug)]
pub struct Task {
    /// How it may be fused.
    pub pass: Pass,
    /// For which samples.
    pub guard: GuardId,
    /// The tasks that must be done before.
    pub after: BTreeSet<ExprId>,
}

/// Predictions, then passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// The predictions.
    pub uses: Vec<ExprId>,
    /// The passes in order.
    pub passes: Vec<Vec<ExprId>>,
}

/// Operations in one pass, at most.
const LARGEST_PASS: usize = 64;
/// How many operations are looked at to find one that joins a pass.
const WINDOW: usize = 64;

/// The waves of a tick.
pub fn order(tasks: &BTreeMap<ExprId, Task>, fuse: bool) -> Vec<Stage> {
    let sequence = topological(tasks);
    let level = levels(tasks, &sequence);
    let early = before_networks(tasks, &sequence, &level);
    let mut stages: BTreeMap<i64, (Vec<ExprId>, Vec<ExprId>)> = BTreeMap::new();
    for expr in &sequence {
        let own = level.get(expr).copied().unwrap_or(0);
        let is_use = tasks.get(expr).is_some_and(|t| t.pass == Pass::Network);
        let wave = if own < 0 && !early.contains(expr) {
            0
        } else {
            own
        };
        let stage = stages.entry(wave).or_default();
        if is_use {
            stage.0.push(*expr)
        } else {
            stage.1.push(*expr)
        }
    }
    let mut result = Vec::new();
    for (mut uses, ops) in stages.into_values() {
        uses.sort_unstable();
        let passes = if fuse {
            passes(tasks, &ops)
        } else {
            ops.into_iter().map(|op| vec![op]).collect()
        };
        result.push(Stage { uses, passes });
    }
    result
}

/// The tasks that wait for one another in a circle, and what lies between circles; none where all can
/// be done.
pub fn circles(tasks: &BTreeMap<ExprId, Task>) -> BTreeSet<ExprId> {
    let done: BTreeSet<ExprId> = topological(tasks).into_iter().collect();
    let mut stuck: BTreeSet<ExprId> = tasks
        .keys()
        .copied()
        .filter(|e| !done.contains(e))
        .collect();
    // What only comes after a circle is not part of one.
    loop {
        let awaited: BTreeSet<ExprId> = stuck
            .iter()
            .filter_map(|expr| tasks.get(expr))
            .flat_map(|task| task.after.iter().copied())
            .collect();
        let before = stuck.len();
        stuck.retain(|expr| awaited.contains(expr));
        if stuck.len() == before {
            return stuck;
        }
    }
}

/// All tasks, each after what it needs, else in source order. Those on a circle are left out.
fn topological(tasks: &BTreeMap<ExprId, Task>) -> Vec<ExprId> {
    let mut users: BTreeMap<ExprId, Vec<ExprId>> = BTreeMap::new();
    let mut missing: BTreeMap<ExprId, usize> = BTreeMap::new();
    for (expr, task) in tasks {
        let needs: Vec<ExprId> = task
            .after
            .iter()
            .copied()
            .filter(|d| tasks.contains_key(d) && d != expr)
            .collect();
        missing.insert(*expr, needs.len());
        for need in needs {
            users.entry(need).or_default().push(*expr);
        }
    }
    let mut ready: BTreeSet<ExprId> = missing
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(expr, _)| *expr)
        .collect();
    let mut sequence = Vec::with_capacity(tasks.len());
    while let Some(expr) = ready.pop_first() {
        sequence.push(expr);
        for user in users.get(&expr).into_iter().flatten() {
            if let Some(count) = missing.get_mut(user) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(*user);
                }
            }
        }
    }
    sequence
}

/// The wave of each task: -1 where no prediction comes before it.
fn levels(tasks: &BTreeMap<ExprId, Task>, sequence: &[ExprId]) -> BTreeMap<ExprId, i64> {
    let mut levels: BTreeMap<ExprId, i64> = BTreeMap::new();
    for expr in sequence {
        let Some(task) = tasks.get(expr) else {
            continue;
        };
        let last = task
            .after
            .iter()
            .filter_map(|d| levels.get(d))
            .max()
            .copied()
            .unwrap_or(-1);
        let level = if task.pass == Pass::Network {
            last + 1
        } else {
            last
        };
        levels.insert(*expr, level);
    }
    levels
}

/// Operations that no prediction comes before and that some prediction waits for.
fn before_networks(
    tasks: &BTreeMap<ExprId, Task>,
    sequence: &[ExprId],
    levels: &BTreeMap<ExprId, i64>,
) -> BTreeSet<ExprId> {
    let mut early = BTreeSet::new();
    for expr in sequence.iter().rev() {
        let Some(task) = tasks.get(expr) else {
            continue;
        };
        let own = levels.get(expr).copied().unwrap_or(0);
        if task.pass == Pass::Network || (own < 0 && early.contains(expr)) {
            let older = |d: &&ExprId| levels.get(d).is_some_and(|l| *l < 0);
            early.extend(task.after.iter().filter(older).copied());
        }
    }
    early
}

/// Fuses the operations of one wave, in order.
fn passes(tasks: &BTreeMap<ExprId, Task>, ops: &[ExprId]) -> Vec<Vec<ExprId>> {
    let mut todo: BTreeMap<ExprId, usize> = BTreeMap::new();
    let mut users: BTreeMap<ExprId, Vec<ExprId>> = BTreeMap::new();
    let here: BTreeSet<ExprId> = ops.iter().copied().collect();
    let place: BTreeMap<ExprId, usize> = ops.iter().enumerate().map(|(i, e)| (*e, i)).collect();
    for expr in ops {
        let needs = tasks
            .get(expr)
            .map(|t| t.after.intersection(&here).copied().collect::<Vec<_>>());
        let needs = needs.unwrap_or_default();
        todo.insert(*expr, needs.len());
        for need in needs {
            users.entry(need).or_default().push(*expr);
        }
    }
    // Ready operations by their place, so that source order decides.
    let mut ready: BTreeSet<usize> = todo
        .iter()
        .filter(|(_, n)| **n == 0)
        .filter_map(|(e, _)| place.get(e).copied())
        .collect();
    let mut result = Vec::new();
    let is_number = |at: &usize| {
        ops.get(*at)
            .and_then(|e| tasks.get(e))
            .is_some_and(|t| t.pass == Pass::Number)
    };
    while let Some(first) = ready
        .iter()
        .take(WINDOW)
        .copied()
        .find(is_number)
        .or_else(|| ready.first().copied())
    {
        let mut pass = Passing {
            closed: BTreeSet::new(),
        };
        let mut order = Vec::new();
        let mut next = Some(first);
        while let Some(at) = next {
            ready.remove(&at);
            let Some(expr) = ops.get(at).copied() else {
                break;
            };
            let Some(task) = tasks.get(&expr) else { break };
            order.push(expr);
            pass.join(expr, task);
            for user in users.get(&expr).into_iter().flatten() {
                if let Some(count) = todo.get_mut(user) {
                    *count -= 1;
                    if *count == 0 {
                        ready.extend(place.get(user).copied());
                    }
                }
            }
            let alone =
                matches!(task.pass, Pass::Alone | Pass::Number) || order.len() >= LARGEST_PASS;
            let joins = |at: &usize| {
                let other = ops.get(*at).and_then(|e| tasks.get(e));
                other.is_some_and(|other| other.guard == task.guard && pass.admits(other))
            };
            next = if alone {
                None
            } else {
                ready.iter().copied().take(WINDOW).find(|at| joins(at))
            };
        }
        result.push(order);
    }
    result
}

/// A pass being put together.
struct Passing {
    /// Members whose value is there only when the pass is over.
    closed: BTreeSet<ExprId>,
}

impl Passing {
    fn join(&mut self, expr: ExprId, task: &Task) {
        if task.pass != Pass::Elementwise {
            self.closed.insert(expr);
        }
    }

    fn admits(&self, task: &Task) -> bool {
        !matches!(task.pass, Pass::Alone | Pass::Number) && task.after.is_disjoint(&self.closed)
    }
}
