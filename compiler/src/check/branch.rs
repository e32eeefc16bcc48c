//! `if`, `match`, `total`, windows, lazy `and` and `or`, and how branches meet.

use guide_grammar::ast::BinaryOp;
use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op, Stage};
use crate::resolved::{Arm, ArmPattern, Block, Expr, LocalId, Range};

use super::combine::Sides;
use super::engine::{Engine, Mode};
use super::value::{Choice, Data, Kind, Value};
use super::weight::Weight;

/// How many turns a `total` may have.
pub const MAX_TURNS: i64 = 1000;

impl<'p> Engine<'p> {
    /// `if condition { then } else { otherwise }`
    pub(crate) fn if_(
        &mut self,
        condition: &'p Expr,
        then: &'p Block,
        otherwise: &'p Block,
        span: Span,
    ) -> Value {
        let value = self.expr(condition);
        let test = self.truth(value, condition);
        let Some(test) = test else {
            // Both branches are looked at all the same, for their own errors.
            self.block(then);
            self.block(otherwise);
            return Value::Error;
        };
        let a = self.within(test.node, true, |engine| engine.block(then));
        let b = self.within(test.node, false, |engine| engine.block(otherwise));
        self.join(test.node, a, b, &then.value, &otherwise.value, span)
    }

    /// Evaluates something in the region where `condition` holds (or does not).
    pub(crate) fn within<T>(
        &mut self,
        condition: NodeId,
        holds: bool,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.region.push((condition, holds));
        let result = work(self);
        self.region.pop();
        result
    }

    /// `a and b`, `a or b`: `b` is evaluated only where `a` leaves the answer open.
    pub(crate) fn lazy(&mut self, left: &'p Expr, right: &'p Expr, and: bool, span: Span) -> Value {
        let a = self.expr(left);
        let a = self.truth(a, left);
        let region = a.as_ref().map(|a| a.node);
        let b = match region {
            Some(node) => self.within(node, and, |engine| engine.expr(right)),
            None => self.expr(right),
        };
        let b = self.truth(b, right);
        let (Some(a), Some(b)) = (a, b) else {
            return Value::Error;
        };
        let op = if and {
            Op::And(a.node, b.node)
        } else {
            Op::Or(a.node, b.node)
        };
        Value::Data(Data {
            plain: a.plain && b.plain,
            ..Data::of(Kind::Bool, self.graph.bool(op, span))
        })
    }

    /// `value in from..to`
    pub(crate) fn window(
        &mut self,
        subject: &Value,
        expr: &'p Expr,
        range: &'p Range,
        span: Span,
    ) -> Option<NodeId> {
        let from = self.expr(&range.from);
        let to = self.expr(&range.to);
        let value = self.scalar(subject.clone(), "what is looked for in a range", expr);
        let from = self.scalar(from, "the end of a range", &range.from);
        let to = self.scalar(to, "the end of a range", &range.to);
        let (value, from, to) = (value?, from?, to?);
        let op = Op::Window {
            value: value.node,
            from: from.node,
            to: to.node,
            inclusive: range.inclusive,
        };
        Some(self.graph.bool(op, span))
    }

    /// `match subject { arms }`
    pub(crate) fn match_(&mut self, subject: &'p Expr, arms: &'p [Arm], span: Span) -> Value {
        let value = self.expr(subject);
        match self.flatten(value, subject.span) {
            Value::Choice(choice) => self.match_choice(choice, subject, arms, span),
            Value::Data(data) if matches!(data.kind, Kind::Scalar | Kind::Open) => {
                self.match_scalar(data, subject, arms, span)
            }
            other => {
                if !other.is_error() {
                    self.report(
                        Diagnostic::new(
                            Code::WrongKind,
                            format!(
                                "`match` takes a scalar or a choice, and this is {}",
                                other.describe()
                            ),
                        )
                        .at(subject.span, format!("this is {}", other.describe()))
                        .help("use `if`"),
                    );
                }
                for arm in arms {
                    self.block(&arm.body);
                }
                Value::Error
            }
        }
    }

    fn match_choice(
        &mut self,
        choice: Choice,
        subject: &'p Expr,
        arms: &'p [Arm],
        span: Span,
    ) -> Value {
        let (Choice::Known(_, words) | Choice::Open(_, words)) = &choice;
        let mut left: Vec<&String> = words.iter().collect();
        let mut bad = false;
        for arm in arms {
            match &arm.pattern {
                ArmPattern::String(word) if words.contains(&word.node) => {
                    left.retain(|w| **w != word.node)
                }
                ArmPattern::String(word) => {
                    self.no_such_word(&word.node, words, word.span);
                    bad = true;
                }
                ArmPattern::Else(_) => left.clear(),
                ArmPattern::Range(range) => {
                    self.report(
                        Diagnostic::new(Code::WrongKind, "a choice has no ranges")
                            .at(range.span, "this is a range")
                            .at(subject.span, "this is a choice"),
                    );
                    bad = true;
                }
            }
        }
        if !left.is_empty() && !bad {
            let text = left
                .iter()
                .map(|w| format!("`\"{w}\"`"))
                .collect::<Vec<_>>()
                .join(", ");
            self.report(
                Diagnostic::new(Code::WrongKind, format!("`match` leaves out {text}"))
                    .at(subject.span, "not every word of this choice has an arm")
                    .help("add an arm for each, or `else => …`"),
            );
            bad = true;
        }
        if let (Choice::Known(word, _), false) = (&choice, bad) {
            let fits = |arm: &&Arm| match &arm.pattern {
                ArmPattern::String(w) => w.node == *word,
                _ => true,
            };
            return match arms.iter().find(fits) {
                Some(arm) => self.block(&arm.body),
                None => Value::Error,
            };
        }
        let mut tests = Vec::new();
        for arm in arms {
            let test = match (&arm.pattern, &choice) {
                (ArmPattern::String(word), Choice::Open(name, _)) => Some(self.graph.bool(
                    Op::Parameter(format!("{name} == \"{}\"", word.node)),
                    word.span,
                )),
                _ => None,
            };
            tests.push(test);
        }
        // The last arm of a covered choice is what is left.
        if let (Some(last), false) = (tests.last_mut(), bad) {
            *last = None;
        }
        let value = self.arms(&tests, arms, span);
        if bad { Value::Error } else { value }
    }

    fn match_scalar(
        &mut self,
        data: Data,
        subject: &'p Expr,
        arms: &'p [Arm],
        span: Span,
    ) -> Value {
        let mut bad = false;
        if self.graph.stage(data.node) == Stage::Sample && self.first_passes == 0 {
            self.report(
                Diagnostic::new(
                    Code::MatchOnSample,
                    "`match` on a value that only the run knows",
                )
                .at(subject.span, "this differs from sample to sample")
                .help("use `if … { … } else { … }`"),
            );
            bad = true;
        }
        let subject_value = Value::Data(data);
        let mut tests = Vec::new();
        let mut covered = false;
        for arm in arms {
            let test = match &arm.pattern {
                ArmPattern::Range(range) => self.window(&subject_value, subject, range, range.span),
                ArmPattern::Else(_) => {
                    covered = true;
                    None
                }
                ArmPattern::String(word) => {
                    self.report(
                        Diagnostic::new(Code::WrongKind, "a scalar is matched by ranges")
                            .at(word.span, "this is a text")
                            .at(subject.span, "this is a scalar"),
                    );
                    bad = true;
                    None
                }
            };
            tests.push(test);
        }
        if !covered {
            self.report(
                Diagnostic::new(Code::WrongKind, "`match` with ranges needs `else`")
                    .at(subject.span, "the ranges may leave values out")
                    .help("add `else => …` as the last arm"),
            );
            bad = true;
        }
        let value = self.arms(&tests, arms, span);
        if bad { Value::Error } else { value }
    }

    /// The first arm whose test holds; an arm without a test takes the rest.
    fn arms(&mut self, tests: &[Option<NodeId>], arms: &'p [Arm], span: Span) -> Value {
        let depth = self.region.len();
        let mut values = Vec::new();
        for (test, arm) in tests.iter().zip(arms) {
            let value = match test {
                Some(test) => self.within(*test, true, |engine| engine.block(&arm.body)),
                None => self.block(&arm.body),
            };
            values.push((*test, value, &arm.body.value));
            if let Some(test) = test {
                self.region.push((*test, false));
            }
        }
        self.region.truncate(depth);
        let Some((_, mut value, mut expr)) = values.pop() else {
            return Value::Error;
        };
        for (test, arm, arm_expr) in values.into_iter().rev() {
            let Some(test) = test else { continue };
            value = self.join(test, arm, value, arm_expr, expr, span);
            expr = arm_expr;
        }
        value
    }

    /// `total i in from..to { body }`
    pub(crate) fn total(
        &mut self,
        local: LocalId,
        range: &'p Range,
        body: &'p Block,
        span: Span,
    ) -> Value {
        let (from, to) = (self.expr(&range.from), self.expr(&range.to));
        let from = self.scalar(from, "the end of a `total`", &range.from);
        let to = self.scalar(to, "the end of a `total`", &range.to);
        let (Some(from), Some(to)) = (from, to) else {
            return Value::Error;
        };
        let mut ends = [None, None];
        for (end, (data, expr)) in ends
            .iter_mut()
            .zip([(&from, &range.from), (&to, &range.to)])
        {
            if self.graph.stage(data.node) > Stage::Const {
                self.needs_const("the end of a `total`", data, expr.span);
                return Value::Error;
            }
            let Some(value) = self.end_of(data) else {
                continue;
            };
            if value.fract() != 0.0 {
                let diagnostic = Diagnostic::new(
                    Code::TotalTooLong,
                    format!(
                        "a `total` ends at {}, which is not whole",
                        super::text::number(value)
                    ),
                )
                .at(expr.span, "this must be a whole number");
                return self.fail(diagnostic);
            }
            *end = Some(value as i64);
        }
        let [Some(first), Some(last)] = ends else {
            return self.open_total(local, body, span);
        };
        let last = if range.inclusive {
            last.saturating_add(1)
        } else {
            last
        };
        let turns = last.saturating_sub(first);
        if turns > MAX_TURNS {
            let diagnostic = Diagnostic::new(
                Code::TotalTooLong,
                format!("a `total` of {turns} turns, and {MAX_TURNS} are allowed"),
            )
            .at(range.span, "these are the turns");
            return self.fail(diagnostic);
        }
        if turns <= 0 {
            return Value::Data(Data::of(Kind::Scalar, self.graph.number(0.0, span)));
        }
        let mut sum: Option<Value> = None;
        for turn in first..last {
            let node = self.graph.number(turn as f64, range.span);
            let weight = Weight::number(super::weight::Rational::whole(i128::from(turn)));
            let index = Value::Data(Data {
                weight,
                ..Data::of(Kind::Scalar, node)
            });
            let value = self.turn(local, index, turn as u32, body);
            sum = Some(match sum {
                None => value,
                Some(before) => {
                    let sides = Sides {
                        left: &body.value,
                        right: &body.value,
                        span,
                        at: span,
                    };
                    self.binary(BinaryOp::Add, before, value, sides)
                }
            });
            if self.gave_up {
                return Value::Error;
            }
        }
        sum.unwrap_or(Value::Error)
    }

    fn end_of(&self, data: &Data) -> Option<f64> {
        self.graph.constant(data.node).or_else(|| {
            match (&self.graph.node(data.node).op, self.mode) {
                (Op::Tick(crate::graph::TickName::Steps), Mode::Inline(request)) => {
                    request.steps.map(f64::from)
                }
                _ => None,
            }
        })
    }

    /// A `total` whose ends only parameters know: its body once, with an unknown index.
    fn open_total(&mut self, local: LocalId, body: &'p Block, span: Span) -> Value {
        if !self.is_check() {
            let diagnostic = Diagnostic::new(
                Code::ConstNeeded,
                "the ends of this `total` are not known when the rule is inlined",
            )
            .at(span, "its turns cannot be counted")
            .help("use a number, a parameter or `count(...)`");
            return self.fail(diagnostic);
        }
        let name = self
            .frame()
            .and_then(|f| f.function.locals.get(local.index()))
            .map_or("i", |l| l.name.as_str())
            .to_string();
        let node = self.graph.scalar(Op::Parameter(name.clone()), span);
        let index = Value::Data(self.opaque_scalar(node, |_| name));
        match self.turn(local, index, 0, body) {
            Value::Data(data) => {
                let op = Op::Mul(node, data.node);
                if !data.kind.is_factor() && (data.weight.is_zero() || data.kind != Kind::Tensor) {
                    return Value::Data(data);
                }
                let unknown = self.turns_unknown();
                if data.kind == Kind::Tensor {
                    return Value::Data(self.tensor(
                        op,
                        Data {
                            weight: Weight::unknown(unknown),
                            ..data
                        },
                        span,
                    ));
                }
                let plain = data.plain;
                Value::Data(self.computed(op, data.kind, Weight::unknown(unknown), plain, span))
            }
            other => other,
        }
    }

    fn turn(&mut self, local: LocalId, index: Value, turn: u32, body: &'p Block) -> Value {
        if let Some(frame) = self.frames.last_mut() {
            frame.turns.push(turn);
            if let Some(slot) = frame.locals.get_mut(local.index()) {
                *slot = Some(index);
            }
        }
        let value = self.block(body);
        if let Some(frame) = self.frames.last_mut() {
            frame.turns.pop();
        }
        value
    }
}
