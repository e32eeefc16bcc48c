//! Sums as they are computed: a value that is stored anyway is referred to by its name, unless
//! multiplying out has fewer terms or needs less.

use std::collections::BTreeMap;

use super::expr::{Change, ExprId, Exprs, Form, Recipe, Term};
use super::guard::{GuardId, Guards, NEVER};
use super::live::Demand;
use super::scalar::{ScalarId, Scalars};
use super::space::Coefficients;
use crate::plan::Shape;

/// A recipe is followed no deeper than this; below it a sum is taken multiplied out.
const DEEPEST: u32 = 64;

/// Gathers the sums of one segment.
pub struct Gather<'a> {
    /// All expressions.
    pub exprs: &'a Exprs,
    /// All known numbers.
    pub scalars: &'a mut Scalars,
    /// All truth functions.
    pub guards: &'a mut Guards,
    /// What the segment needs.
    pub demand: &'a Demand,
    /// Sums that are computed though nothing but a product asks for them, and for which samples.
    pub extra: BTreeMap<ExprId, GuardId>,
    /// How many ticks the plan has.
    pub ticks: usize,
}

/// A conversion that a tick's noise makes impossible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impossible {
    /// The sum that holds it.
    pub expr: ExprId,
    /// The tick.
    pub tick: usize,
}

impl Gather<'_> {
    /// For which samples an expression is computed.
    pub fn guard(&self, expr: ExprId) -> GuardId {
        self.demand
            .get(&expr)
            .or_else(|| self.extra.get(&expr))
            .copied()
            .unwrap_or(NEVER)
    }

    fn is_free(&self, expr: ExprId) -> bool {
        matches!(
            self.exprs.form(expr),
            Form::Latent | Form::Target | Form::Input(_) | Form::Entry(..) | Form::Flag(_)
        )
    }

    fn has(&mut self, expr: ExprId, guard: GuardId) -> bool {
        let own = self.guard(expr);
        self.is_free(expr) || self.guards.implies(guard, own)
    }

    /// The terms by which a sum is computed in the ticks of a segment.
    ///
    /// # Errors
    /// A conversion that divides by 0 in one of the ticks.
    pub fn terms(&mut self, root: ExprId, segment: &[usize]) -> Result<Vec<Term>, Impossible> {
        let guard = self.guard(root);
        let Form::Linear(full) = self.exprs.form(root) else {
            return Ok(Vec::new());
        };
        let full = full.clone();
        let mut short = Vec::new();
        let mut products = Vec::new();
        let one = self.scalars.literal(1.0);
        self.follow(root, root, guard, one, &[], 0, &mut short, &mut products);
        let reachable = short.iter().all(|t| {
            t.by.iter().all(|f| {
                products.contains(f) || {
                    let mut of = *f;
                    while let Some((change, _)) = self.change(of) {
                        of = change.of;
                    }
                    let own = self.guard(of);
                    self.is_free(of) || self.guards.implies(guard, own)
                }
            })
        });
        let mut parts_reachable = true;
        for part in &products {
            // A value that is computed for fewer samples than need it here cannot be referred to.
            parts_reachable &= !self.demand.contains_key(part) || self.has(*part, guard);
            for operand in self.exprs.operands(*part) {
                parts_reachable &= self.has(operand, guard);
            }
        }
        let chosen = if reachable && parts_reachable && short.len() <= full.len() {
            for part in products {
                let before = self.extra.get(&part).copied().unwrap_or(NEVER);
                let now = self.guards.or(before, guard);
                if !self.demand.contains_key(&part) {
                    self.extra.insert(part, now);
                }
            }
            short
        } else {
            full
        };
        self.converted(root, chosen, segment)
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one walk")]
    fn follow(
        &mut self,
        root: ExprId,
        expr: ExprId,
        guard: GuardId,
        factor: ScalarId,
        by: &[ExprId],
        depth: u32,
        into: &mut Vec<Term>,
        products: &mut Vec<ExprId>,
    ) {
        if let Some(number) = self.exprs.as_scalar(expr) {
            if let Some(number) = number {
                let factor = self.scalars.product(factor, number);
                self.add(into, factor, by.to_vec());
            }
            return;
        }
        let named = expr != root && self.exprs.is_linear(expr) && self.demand.contains_key(&expr);
        if !self.exprs.is_linear(expr) || (named && self.has(expr, guard)) {
            let mut by = by.to_vec();
            by.push(expr);
            self.add(into, factor, by);
            return;
        }
        match self.exprs.recipe(expr).cloned() {
            Some(Recipe::Sum(parts)) if depth < DEEPEST => {
                for (share, part) in parts {
                    let factor = self.scalars.product(factor, share);
                    self.follow(root, part, guard, factor, by, depth + 1, into, products);
                }
            }
            Some(Recipe::Product(a, b)) if depth < DEEPEST => {
                let small = |s: Shape| match s {
                    Shape::Tensor => 2,
                    Shape::Map | Shape::PerChannel => 1,
                    _ => 0,
                };
                let (side, main) = if small(self.exprs.shape(a)) <= small(self.exprs.shape(b)) {
                    (a, b)
                } else {
                    (b, a)
                };
                let (factor, by) = self.side(side, factor, by, products);
                if self.exprs.shape(main) == Shape::Tensor
                    && self.exprs.shape(side) != Shape::Tensor
                {
                    self.follow(root, main, guard, factor, &by, depth + 1, into, products);
                } else {
                    let (factor, by) = self.side(main, factor, &by, products);
                    self.add(into, factor, by);
                }
            }
            _ => {
                let Form::Linear(terms) = self.exprs.form(expr) else {
                    return;
                };
                for term in terms.clone() {
                    let factor = self.scalars.product(factor, term.factor);
                    let by = by.iter().chain(&term.by).copied().collect();
                    self.add(into, factor, by);
                }
            }
        }
    }

    /// A factor of a product: itself, or the factors of its one term; a sum becomes a value.
    fn side(
        &mut self,
        side: ExprId,
        factor: ScalarId,
        by: &[ExprId],
        products: &mut Vec<ExprId>,
    ) -> (ScalarId, Vec<ExprId>) {
        let mut by = by.to_vec();
        if let Form::Linear(terms) = self.exprs.form(side) {
            if let [only] = terms.as_slice() {
                by.extend(only.by.iter().copied());
                return (self.scalars.product(factor, only.factor), by);
            }
            if !products.contains(&side) {
                products.push(side);
            }
        }
        by.push(side);
        (factor, by)
    }

    fn add(&mut self, into: &mut Vec<Term>, factor: ScalarId, mut by: Vec<ExprId>) {
        by.sort_unstable();
        let Some(at) = into.iter().position(|t| t.by == by) else {
            into.push(Term { factor, by });
            return;
        };
        let sum = self.scalars.sum(into[at].factor, factor);
        if self.scalars.as_literal(sum) == Some(0.0) {
            into.remove(at);
        } else {
            into[at].factor = sum;
        }
    }

    /// Conversions put in as coefficients.
    fn converted(
        &mut self,
        root: ExprId,
        terms: Vec<Term>,
        segment: &[usize],
    ) -> Result<Vec<Term>, Impossible> {
        let mut into = Vec::new();
        for term in terms {
            let mut factor = term.factor;
            let mut by = Vec::new();
            for mut part in term.by {
                // Conversions of conversions at different points stand inside each other.
                while let Some((change, linear)) = self.change(part) {
                    let by_which = self.coefficient(&change, linear);
                    let undefined = |t: &&usize| !self.scalars.at(by_which, **t).is_finite();
                    if let Some(tick) = segment.iter().find(undefined) {
                        return Err(Impossible {
                            expr: root,
                            tick: *tick,
                        });
                    }
                    factor = self.scalars.product(factor, by_which);
                    part = change.of;
                }
                by.push(part);
            }
            self.add(&mut into, factor, by);
        }
        Ok(into)
    }

    /// The conversion that a factor is, and whether it is the linear part.
    fn change(&self, factor: ExprId) -> Option<(Change, bool)> {
        match self.exprs.form(factor) {
            Form::Shift(change) => Some((change.clone(), true)),
            Form::Share(change) => Some((change.clone(), false)),
            _ => None,
        }
    }

    fn coefficient(&mut self, change: &Change, linear: bool) -> ScalarId {
        let mut c = Coefficients::new(self.scalars, change.alpha, change.sigma, self.ticks);
        if linear {
            c.linear(change.from, change.to)
        } else {
            c.share(change.from, change.to)
        }
    }
}
