//! What a segment computes: the expressions that its results and its state hang on, for which samples,
//! and in which order they may be done.

use std::collections::{BTreeMap, BTreeSet};

use super::super::expr::{self, ExprId, Form};
use super::super::gather::{Gather, Impossible};
use super::super::guard::{ALWAYS, GuardId};
use super::super::order::{self, Pass, Task};
use super::{Draft, Extra, Keeping};
use crate::plan::{ReduceOp, Shape};

impl Draft<'_, '_> {
    pub(super) fn is_constant(&self, expr: ExprId) -> bool {
        self.emit.exprs.as_scalar(expr).is_some()
    }

    pub(super) fn is_task(&self, expr: ExprId) -> bool {
        match self.emit.exprs.form(expr) {
            Form::Latent | Form::Target | Form::Input(_) | Form::Entry(..) | Form::State(_) => {
                false
            }
            Form::Held(_) => false,
            Form::Shift(_) | Form::Share(_) => false,
            _ => !self.is_constant(expr),
        }
    }

    pub(super) fn reads(&self, expr: ExprId) -> Vec<ExprId> {
        match self.sums.get(&expr) {
            Some(terms) => terms.iter().flat_map(|t| t.by.iter().copied()).collect(),
            None => expr::operands(&self.form(expr)),
        }
    }

    /// The form of an expression without the operands that none of its samples needs.
    pub(super) fn form(&self, expr: ExprId) -> Form {
        let needed = |operand: &ExprId| self.work.demand.contains_key(operand);
        match self.emit.exprs.form(expr).clone() {
            Form::Select(c, a, b) if !needed(&b) => Form::Select(c, a, a),
            Form::Select(c, a, b) if !needed(&a) => Form::Select(c, b, b),
            Form::And(a, b) if !needed(&b) => Form::And(a, a),
            Form::Or(a, b) if !needed(&b) => Form::Or(a, a),
            form => form,
        }
    }

    /// Everything that is computed, from what leaves and what is kept.
    pub(super) fn collect(&mut self, keeps: &[Keeping]) -> Result<(), Impossible> {
        // Sums may ask for products of their own, for more samples the more of them do: until no
        // sum asks for more.
        let mut extra = BTreeMap::new();
        loop {
            let (seen, found) = self.reach(keeps, extra.clone())?;
            if found == extra {
                for expr in seen {
                    self.guards_of.insert(expr, self.wanted(expr, &extra));
                }
                return Ok(());
            }
            extra = found;
        }
    }

    /// For which samples an expression is computed: those that demand it, else those whose sums ask for it.
    fn wanted(&self, expr: ExprId, extra: &Extra) -> GuardId {
        let demand = self.work.demand.get(&expr);
        demand
            .or_else(|| extra.get(&expr))
            .copied()
            .unwrap_or(ALWAYS)
    }

    pub(super) fn reach(
        &mut self,
        keeps: &[Keeping],
        mut extra: Extra,
    ) -> Result<(BTreeSet<ExprId>, Extra), Impossible> {
        let result = &self.work.tick.result;
        let mut open: Vec<ExprId> = [result.denoise, result.renoise, result.shift, result.moves]
            .into_iter()
            .flatten()
            .collect();
        if self.emit.exprs.as_flag(result.hold).is_none() {
            open.push(result.hold);
        }
        open.extend(self.work.decide.values());
        for (_, value, guard) in keeps {
            open.push(*value);
            open.extend(self.emit.guards.variables(*guard));
        }
        let mut seen = BTreeSet::new();
        while let Some(expr) = open.pop() {
            if !self.is_task(expr) || !seen.insert(expr) {
                continue;
            }
            if self.emit.exprs.is_linear(expr) {
                let mut gather = Gather {
                    exprs: self.emit.exprs,
                    scalars: self.emit.scalars,
                    guards: self.emit.guards,
                    demand: self.work.demand,
                    extra,
                    ticks: self.emit.ticks,
                };
                let terms = gather.terms(expr, self.work.ticks)?;
                extra = gather.extra;
                self.sums.insert(expr, terms);
            }
            open.extend(self.reads(expr));
            open.extend(self.emit.guards.variables(self.wanted(expr, &extra)));
        }
        Ok((seen, extra))
    }

    /// What is to be done, in a way that can be ordered.
    ///
    /// Two decisions may each be needed only where the other has come out in some way, in two parts
    /// of a rule. What is on such a circle is computed for every sample instead, with all that it
    /// reads.
    pub(super) fn ordered_tasks(&mut self) -> BTreeMap<ExprId, Task> {
        loop {
            let tasks = self.tasks();
            let circles = order::circles(&tasks);
            if circles.is_empty() {
                return tasks;
            }
            let mut open: Vec<ExprId> = circles.into_iter().collect();
            while let Some(expr) = open.pop() {
                if self.guards_of.insert(expr, ALWAYS) != Some(ALWAYS) {
                    open.extend(self.reads(expr).into_iter().filter(|r| self.is_task(*r)));
                }
            }
        }
    }

    pub(super) fn tasks(&self) -> BTreeMap<ExprId, Task> {
        let mut tasks = BTreeMap::new();
        for (expr, guard) in &self.guards_of {
            let reads = self.reads(*expr);
            let mut after: BTreeSet<ExprId> =
                reads.iter().copied().filter(|r| self.is_task(*r)).collect();
            after.extend(
                self.emit
                    .guards
                    .variables(*guard)
                    .into_iter()
                    .filter(|v| self.is_task(*v)),
            );
            tasks.insert(
                *expr,
                Task {
                    pass: self.pass(*expr),
                    guard: *guard,
                    after,
                },
            );
        }
        tasks
    }

    pub(super) fn pass(&self, expr: ExprId) -> Pass {
        let exprs = self.emit.exprs;
        let large = !matches!(
            exprs.shape(expr),
            Shape::Scalar | Shape::Bool | Shape::Class | Shape::Scores
        );
        match exprs.form(expr) {
            Form::Predict(_) | Form::Judge(..) => Pass::Network,
            Form::Reduce { of, .. } if exprs.shape(*of) == Shape::Scores => Pass::Number,
            Form::Reduce {
                op: ReduceOp::Quantile,
                ..
            }
            | Form::Filter(..) => Pass::Alone,
            Form::Random(..) | Form::Gaussian(_) | Form::Look(..) => Pass::Alone,
            Form::Reduce { .. } => Pass::Reduction,
            _ if large => Pass::Elementwise,
            _ => Pass::Number,
        }
    }
}
