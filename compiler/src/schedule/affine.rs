//! Arithmetic of sums in one tick: terms are gathered, and those whose factor is 0 in this tick are
//! gone.

use std::collections::BTreeSet;

use guide_grammar::span::Span;

use super::expr::{Change, ExprId, Exprs, Form, Recipe, Term, joined};
use super::fold;
use super::scalar::{ScalarId, Scalars};
use crate::graph::{CellId, NodeId};
use crate::plan::{Compare, Shape, Space};

/// A sum of more terms than this is not multiplied out any further.
pub const MOST_TERMS: usize = 32;
/// A product of more factors than this is not gathered any further.
const MOST_FACTORS: usize = 8;

/// What was asked about a tick while it was lowered. Two ticks that answer all of it alike are
/// lowered alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// A number is 0, or is not.
    Zero(ScalarId, bool),
    /// A number has these bits.
    Bits(ScalarId, u64),
    /// A known condition.
    Decided(NodeId, bool),
    /// A comparison of known numbers.
    Compared(CompareKey, ScalarId, ScalarId, bool),
    /// Whether a state was written.
    Written(CellId, Written),
    /// What the step's first evaluation made of a truth value; `None` in a tick that decides itself.
    First(NodeId, Option<ExprId>),
    /// Whether the tick is a step's first evaluation.
    BeginsStep(bool),
}

/// [`Compare`] with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CompareKey(u8);

/// Whether a state was written for a sample in an earlier tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Written {
    /// For none.
    Never,
    /// For those for which its region ran.
    Perhaps,
    /// For all.
    Surely,
}

const COMPARES: [Compare; 6] = [
    Compare::Eq,
    Compare::Ne,
    Compare::Lt,
    Compare::Le,
    Compare::Gt,
    Compare::Ge,
];

impl CompareKey {
    fn of(op: Compare) -> Self {
        Self(COMPARES.iter().position(|c| *c == op).unwrap_or(0) as u8)
    }

    /// Whether it holds.
    pub fn holds(self, a: f64, b: f64) -> bool {
        COMPARES
            .get(usize::from(self.0))
            .is_some_and(|op| fold::compare(*op, a, b))
    }
}

/// Makes expressions for one tick.
pub struct Builder<'a> {
    /// All expressions.
    pub exprs: &'a mut Exprs,
    /// All known numbers.
    pub scalars: &'a mut Scalars,
    /// What was asked about the tick.
    pub tests: BTreeSet<Test>,
    /// The tick's place in the timetable.
    pub tick: usize,
}

impl Builder<'_> {
    /// Whether a number is exactly 0 in this tick.
    pub fn is_zero(&mut self, id: ScalarId) -> bool {
        let zero = self.scalars.at(id, self.tick) == 0.0;
        if self.scalars.as_literal(id).is_none() {
            self.tests.insert(Test::Zero(id, zero));
        }
        zero
    }

    /// The value of a number in this tick, when the plan's structure depends on it.
    pub fn fixed(&mut self, id: ScalarId) -> f64 {
        let value = self.scalars.at(id, self.tick);
        if self.scalars.as_literal(id).is_none() {
            self.tests.insert(Test::Bits(id, value.to_bits()));
        }
        value
    }

    /// A known number as an expression.
    pub fn number(&mut self, id: ScalarId) -> ExprId {
        let terms = if self.is_zero(id) {
            Vec::new()
        } else {
            vec![Term {
                factor: id,
                by: Vec::new(),
            }]
        };
        self.exprs
            .intern(Form::Linear(terms), Shape::Scalar, Span::default())
    }

    /// A literal as an expression.
    pub fn literal(&mut self, value: f64) -> ExprId {
        let id = self.scalars.literal(value);
        self.number(id)
    }

    /// A known truth value as an expression.
    pub fn flag(&mut self, value: bool) -> ExprId {
        self.exprs
            .intern(Form::Flag(value), Shape::Bool, Span::default())
    }

    /// The terms of an expression, where there are few; else it is one term.
    pub fn terms(&mut self, id: ExprId) -> Vec<Term> {
        match self.exprs.form(id) {
            Form::Linear(terms) if terms.len() <= MOST_TERMS => terms.clone(),
            _ => self.whole(id),
        }
    }

    fn whole(&mut self, id: ExprId) -> Vec<Term> {
        vec![Term {
            factor: self.scalars.literal(1.0),
            by: vec![id],
        }]
    }

    fn linear(&mut self, terms: Vec<Term>, span: Span) -> ExprId {
        if let [one] = terms.as_slice()
            && let [only] = one.by.as_slice()
            && self.scalars.as_literal(one.factor) == Some(1.0)
            && !matches!(self.exprs.form(*only), Form::Shift(_) | Form::Share(_))
        {
            return *only;
        }
        let shape = terms
            .iter()
            .flat_map(|t| t.by.iter().map(|f| self.exprs.shape(*f)))
            .fold(Shape::Scalar, joined);
        self.exprs.intern(Form::Linear(terms), shape, span)
    }

    fn gather(&mut self, into: &mut Vec<Term>, term: Term) {
        if self.is_zero(term.factor) {
            return;
        }
        let Some(at) = into.iter().position(|t| t.by == term.by) else {
            into.push(term);
            return;
        };
        let factor = self.scalars.sum(into[at].factor, term.factor);
        // The shares of `x` in conversions add up to 0 or 1 but for rounding.
        let is_share = term
            .by
            .iter()
            .any(|f| matches!(self.exprs.form(*f), Form::Share(_)));
        let rest = is_share && self.fixed_rest(factor);
        if rest || self.is_zero(factor) {
            into.remove(at);
        } else {
            into[at].factor = factor;
        }
    }

    fn fixed_rest(&mut self, id: ScalarId) -> bool {
        let value = self.scalars.at(id, self.tick);
        value != 0.0 && value.abs() < 1e-12 && {
            self.fixed(id);
            true
        }
    }

    /// `factor * a`
    pub fn scaled(&mut self, factor: ScalarId, a: ExprId, span: Span) -> ExprId {
        if self.is_zero(factor) {
            return self
                .exprs
                .intern(Form::Linear(Vec::new()), Shape::Scalar, span);
        }
        let mut terms = Vec::new();
        self.gather_scaled(&mut terms, factor, a);
        let result = self.linear(terms, span);
        self.exprs.remember(result, Recipe::Sum(vec![(factor, a)]));
        result
    }

    /// Gathers the terms of `factor * a`.
    fn gather_scaled(&mut self, terms: &mut Vec<Term>, factor: ScalarId, a: ExprId) {
        for term in self.terms(a) {
            let factor = self.scalars.product(factor, term.factor);
            let by = term.by;
            self.gather(terms, Term { factor, by });
        }
    }

    /// `a + sign*b`
    pub fn sum(&mut self, a: ExprId, b: ExprId, sign: f64, span: Span) -> ExprId {
        let (one, sign) = (self.scalars.literal(1.0), self.scalars.literal(sign));
        let mut terms = Vec::new();
        for term in self.terms(a) {
            self.gather(&mut terms, term);
        }
        self.gather_scaled(&mut terms, sign, b);
        let result = self.linear(terms, span);
        self.exprs
            .remember(result, Recipe::Sum(vec![(one, a), (sign, b)]));
        result
    }

    /// `a * b`
    pub fn product(&mut self, a: ExprId, b: ExprId, span: Span) -> ExprId {
        for (known, other) in [(a, b), (b, a)] {
            match self.exprs.as_scalar(known) {
                Some(None) => return known,
                Some(Some(factor)) => return self.scaled(factor, other, span),
                None => {}
            }
        }
        let (mut left, mut right) = (self.terms(a), self.terms(b));
        let degree = |terms: &[Term]| terms.iter().map(|t| t.by.len()).max().unwrap_or(0);
        let large = |l: &[Term], r: &[Term]| {
            l.len() * r.len() > MOST_TERMS || degree(l) + degree(r) > MOST_FACTORS
        };
        if large(&left, &right) {
            if left.len() >= right.len() {
                left = self.whole(a);
            } else {
                right = self.whole(b);
            }
        }
        if large(&left, &right) {
            (left, right) = (self.whole(a), self.whole(b));
        }
        let mut terms = Vec::new();
        for x in &left {
            for y in &right {
                let factor = self.scalars.product(x.factor, y.factor);
                let mut by: Vec<ExprId> = x.by.iter().chain(&y.by).copied().collect();
                by.sort_unstable();
                self.gather(&mut terms, Term { factor, by });
            }
        }
        let result = self.linear(terms, span);
        self.exprs.remember(result, Recipe::Product(a, b));
        result
    }

    /// `a / b`
    pub fn quotient(&mut self, a: ExprId, b: ExprId, shape: Shape, span: Span) -> ExprId {
        match (self.exprs.as_scalar(a), self.exprs.as_scalar(b)) {
            (Some(None), _) => return a,
            (Some(Some(x)), Some(Some(y))) => {
                let value = self.scalars.quotient(x, y);
                return self.number(value);
            }
            (None, Some(Some(divisor))) => {
                let one = self.scalars.literal(1.0);
                let mut terms = Vec::new();
                for term in self.terms(a) {
                    let factor = self.scalars.quotient(term.factor, divisor);
                    self.gather(
                        &mut terms,
                        Term {
                            factor,
                            by: term.by,
                        },
                    );
                }
                let result = self.linear(terms, span);
                let factor = self.scalars.quotient(one, divisor);
                self.exprs.remember(result, Recipe::Sum(vec![(factor, a)]));
                return result;
            }
            _ => {}
        }
        self.exprs.intern(Form::Div(a, b), shape, span)
    }

    /// A comparison; of known numbers it is decided.
    pub fn compare(
        &mut self,
        op: Compare,
        a: ExprId,
        b: ExprId,
        shape: Shape,
        span: Span,
    ) -> ExprId {
        if let (Some(x), Some(y)) = (self.exprs.as_scalar(a), self.exprs.as_scalar(b))
            && shape == Shape::Bool
        {
            let zero = self.scalars.literal(0.0);
            let (x, y) = (x.unwrap_or(zero), y.unwrap_or(zero));
            let (left, right) = (self.scalars.at(x, self.tick), self.scalars.at(y, self.tick));
            let key = CompareKey::of(op);
            let holds = key.holds(left, right);
            self.tests.insert(Test::Compared(key, x, y, holds));
            return self.flag(holds);
        }
        self.exprs.intern(Form::Compare(op, a, b), shape, span)
    }

    /// `a and b`
    pub fn and(&mut self, a: ExprId, b: ExprId, span: Span) -> ExprId {
        match (self.exprs.as_flag(a), self.exprs.as_flag(b)) {
            (Some(false), _) | (_, Some(false)) => self.flag(false),
            (Some(true), _) => b,
            (_, Some(true)) => a,
            _ if a == b => a,
            _ => self.exprs.intern(Form::And(a, b), Shape::Bool, span),
        }
    }

    /// `a or b`
    pub fn or(&mut self, a: ExprId, b: ExprId, span: Span) -> ExprId {
        match (self.exprs.as_flag(a), self.exprs.as_flag(b)) {
            (Some(true), _) | (_, Some(true)) => self.flag(true),
            (Some(false), _) => b,
            (_, Some(false)) => a,
            _ if a == b => a,
            _ => self.exprs.intern(Form::Or(a, b), Shape::Bool, span),
        }
    }

    /// `not a`
    pub fn not(&mut self, a: ExprId, span: Span) -> ExprId {
        match self.exprs.form(a) {
            Form::Flag(value) => {
                let value = !*value;
                self.flag(value)
            }
            Form::Not(inner) => *inner,
            _ => self.exprs.intern(Form::Not(a), Shape::Bool, span),
        }
    }

    /// One of two values by a truth value.
    pub fn select(&mut self, c: ExprId, a: ExprId, b: ExprId, shape: Shape, span: Span) -> ExprId {
        match self.exprs.form(c) {
            Form::Flag(true) => return a,
            Form::Flag(false) => return b,
            Form::Not(inner) => {
                let inner = *inner;
                return self.select(inner, b, a, shape, span);
            }
            _ => {}
        }
        if a == b {
            return a;
        }
        if shape == Shape::Bool {
            let otherwise = self.not(c, span);
            let (first, second) = (self.and(c, a, span), self.and(otherwise, b, span));
            return self.or(first, second, span);
        }
        self.exprs.intern(Form::Select(c, a, b), shape, span)
    }

    /// A value in another space: of a prediction made at `origin` the affine conversion, of a
    /// direction (no origin) the linear one.
    pub fn convert(
        &mut self,
        value: ExprId,
        change: &Change,
        origin: Option<ExprId>,
        span: Span,
    ) -> ExprId {
        if change.from == change.to {
            return value;
        }
        let mut terms = Vec::new();
        for term in self.terms(value) {
            for term in self.convert_term(term, change, span) {
                self.gather(&mut terms, term);
            }
        }
        if let Some(origin) = origin {
            for term in self.share(origin, change, 1.0, span) {
                self.gather(&mut terms, term);
            }
        }
        self.linear(terms, span)
    }

    fn convert_term(&mut self, term: Term, change: &Change, span: Span) -> Vec<Term> {
        let tensors: Vec<usize> = (0..term.by.len())
            .filter(|i| self.exprs.shape(term.by[*i]) == Shape::Tensor)
            .collect();
        let (at, mut by) = match tensors.as_slice() {
            [at] => (*at, term.by),
            // A product of tensors, or a number for each element: converted as a whole.
            _ => {
                let one = Term {
                    factor: self.scalars.literal(1.0),
                    by: term.by,
                };
                let shape = Shape::Tensor;
                (
                    0,
                    vec![self.exprs.intern(Form::Linear(vec![one]), shape, span)],
                )
            }
        };
        let same = |inner: &Change| {
            inner.to == change.from && inner.alpha == change.alpha && inner.sigma == change.sigma
        };
        match self.exprs.form(by[at]).clone() {
            Form::Shift(inner) if same(&inner) => {
                by[at] = if inner.from == change.to {
                    inner.of
                } else {
                    self.exprs.intern(
                        Form::Shift(Change {
                            to: change.to,
                            ..inner
                        }),
                        Shape::Tensor,
                        span,
                    )
                };
                if by.len() == 1 && inner.from == change.to && self.exprs.is_linear(by[0]) {
                    let mut terms = self.terms(by[0]);
                    for t in &mut terms {
                        t.factor = self.scalars.product(term.factor, t.factor);
                    }
                    return terms;
                }
                by.sort_unstable();
                vec![Term {
                    factor: term.factor,
                    by,
                }]
            }
            Form::Share(inner) if same(&inner) => {
                // L(t->s) of X(f->t) is X(f->s) - X(t->s).
                by.remove(at);
                let mut terms = Vec::new();
                let whole = Change {
                    from: inner.from,
                    ..change.clone()
                };
                for (change, sign) in [(&whole, 1.0), (change, -1.0)] {
                    for share in self.share(inner.of, change, sign, span) {
                        let factor = self.scalars.product(term.factor, share.factor);
                        let mut by: Vec<ExprId> = by.iter().chain(&share.by).copied().collect();
                        by.sort_unstable();
                        terms.push(Term { factor, by });
                    }
                }
                terms
            }
            _ => {
                let of = Change {
                    of: by[at],
                    ..change.clone()
                };
                by[at] = self.exprs.intern(Form::Shift(of), Shape::Tensor, span);
                by.sort_unstable();
                vec![Term {
                    factor: term.factor,
                    by,
                }]
            }
        }
    }

    fn share(&mut self, origin: ExprId, change: &Change, sign: f64, span: Span) -> Vec<Term> {
        let (from, to) = (change.from, change.to);
        let none = matches!(
            (from, to),
            (Space::Eps, Space::Score) | (Space::Score, Space::Eps)
        );
        if none || from == to {
            return Vec::new();
        }
        let of = Change {
            of: origin,
            ..change.clone()
        };
        let by = vec![self.exprs.intern(Form::Share(of), Shape::Tensor, span)];
        vec![Term {
            factor: self.scalars.literal(sign),
            by,
        }]
    }
}
