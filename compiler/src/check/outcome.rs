//! What a guide returns, and the little that may be done with it.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::Op;
use crate::resolved::{Call, Expr};

use super::engine::Engine;
use super::value::{Data, Kind, Origin, Outcome, Value};
use super::weight::Weight;

impl<'p> Engine<'p> {
    /// A value as an outcome: a prediction is one; says so where it is neither.
    pub(crate) fn outcome(&mut self, value: Value, expr: &Expr) -> Option<Outcome> {
        match value {
            Value::Outcome(outcome) => Some(outcome),
            other => {
                let denoise = self.prediction(other, "what a guide returns", expr)?;
                Some(Outcome::Guided {
                    denoise,
                    renoise: None,
                    shift: None,
                    moves: None,
                })
            }
        }
    }

    /// Says that an outcome is no value to compute with.
    pub(crate) fn outcome_as_value(&mut self, _value: &Value, expr: &Expr, at: Span) -> Value {
        let text = self.text(expr);
        let mut diagnostic = Diagnostic::new(
            Code::OutcomeAsValue,
            "an outcome is no value to compute with",
        );
        if at != expr.span {
            diagnostic = diagnostic.at(at, "computed with here");
        }
        self.fail(
            diagnostic
                .at(expr.span, "this is what a guide returns")
                .help(format!("write `denoise({text})` for what it steps toward"))
                .wrap(expr.span, "denoise"),
        )
    }

    /// `outcome + direction`: added to what is stepped toward. What the rule itself re-noises with
    /// stays; where it named nothing, the sum is re-noised with as well, so `cfg() + d` is what
    /// `u + scale*(c - u) + d` is.
    pub(crate) fn add_to_outcome(
        &mut self,
        outcome: Outcome,
        data: Data,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
    ) -> Value {
        if self.is_zero(&data) {
            return Value::Outcome(outcome);
        }
        let fits = data.kind == Kind::Open
            || (data.is_tensor() && (data.weight.is_zero() || self.is_open_weight(&data.weight)));
        if !fits {
            if data.is_tensor() {
                return self.wrong_weight(&data, &Weight::zero(), Some(left.span), right);
            }
            let outcome = Value::Outcome(outcome);
            return self.outcome_as_value(&outcome, left, span);
        }
        match self.add_direction(outcome, &data, left, right, span) {
            Some(outcome) => Value::Outcome(outcome),
            None => Value::Error,
        }
    }

    fn add_direction(
        &mut self,
        outcome: Outcome,
        data: &Data,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
    ) -> Option<Outcome> {
        Some(match outcome {
            Outcome::Hold => Outcome::Hold,
            Outcome::If(test, a, b) => {
                let a = self.add_direction(*a, data, left, right, span)?;
                let b = self.add_direction(*b, data, left, right, span)?;
                Outcome::If(test, Box::new(a), Box::new(b))
            }
            Outcome::Guided {
                denoise,
                renoise,
                shift,
                moves,
            } => {
                let (p, d) = self.unify(denoise, data.clone(), left, right, span)?;
                let plain = p.plain && d.plain;
                let pinned = p.pinned || d.pinned;
                let sum = Data {
                    plain,
                    pinned,
                    ..p.clone()
                };
                let sum = self.tensor(Op::Add(p.node, d.node), sum, span);
                Some(Outcome::Guided {
                    denoise: sum,
                    // Where a rule gave one prediction for both, both stay one.
                    renoise,
                    shift,
                    moves,
                })?
            }
        })
    }

    /// `guided(denoise:, renoise:, shift:, move:)`
    pub(crate) fn guided(&mut self, call: &'p Call) -> Value {
        let params = [
            ("denoise", false),
            ("renoise", true),
            ("shift", true),
            ("move", true),
        ];
        let Some(bound) = self.bind_args(call, &params) else {
            return Value::Error;
        };
        let mut args = bound.into_iter();
        let mut next = || args.next().flatten();
        let (denoise, renoise, shift, moves) = (next(), next(), next(), next());
        let Some(denoise) = denoise else {
            return Value::Error;
        };
        let value = self.expr(&denoise.value);
        let denoise = self.prediction(value, "`denoise`", &denoise.value);
        let mut good = denoise.is_some();
        let mut half = |engine: &mut Self,
                        arg: Option<&'p crate::resolved::Arg>,
                        what: &str,
                        direction: bool| {
            let arg = arg?;
            let value = engine.expr(&arg.value);
            let data = if direction {
                engine.direction(value, what, &arg.value)
            } else {
                engine.prediction(value, what, &arg.value)
            };
            good &= data.is_some();
            data
        };
        let renoise = half(self, renoise, "`renoise`", false);
        let shift = half(self, shift, "`shift`", true);
        let moves = half(self, moves, "`move`", true);
        match denoise {
            Some(denoise) if good => Value::Outcome(Outcome::Guided {
                denoise,
                renoise,
                shift,
                moves,
            }),
            _ => Value::Error,
        }
    }

    /// A direction (weight 0); says so where it is none.
    pub(crate) fn direction(&mut self, value: Value, what: &str, expr: &Expr) -> Option<Data> {
        match value {
            Value::Error => None,
            Value::Data(data) if data.kind == Kind::Open => Some(Data {
                kind: Kind::Tensor,
                ..data
            }),
            Value::Data(data) if data.is_tensor() => {
                if data.weight.is_zero() || self.is_open_weight(&data.weight) {
                    return Some(Data {
                        weight: Weight::zero(),
                        origin: Origin::Free,
                        ..data
                    });
                }
                self.wrong_weight(&data, &Weight::zero(), None, expr);
                None
            }
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!(
                        "{what} must be a direction, and this is {}",
                        other.describe()
                    ),
                )
                .at(expr.span, format!("this is {}", other.describe()));
                self.report(diagnostic);
                None
            }
        }
    }

    /// `denoise(o)`, `renoise(o)`; of a prediction itself.
    pub(crate) fn half(&mut self, call: &'p Call, renoise: bool, span: Span) -> Value {
        let Some(bound) = self.bind_args(call, &[("outcome", false)]) else {
            return Value::Error;
        };
        let Some(Some(arg)) = bound.into_iter().next() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        let Some(outcome) = self.outcome(value, &arg.value) else {
            return Value::Error;
        };
        match self.half_of(&outcome, renoise, &arg.value, span) {
            Some(data) => Value::Data(data),
            None => Value::Error,
        }
    }

    fn half_of(
        &mut self,
        outcome: &Outcome,
        renoise: bool,
        expr: &'p Expr,
        span: Span,
    ) -> Option<Data> {
        match outcome {
            Outcome::Guided {
                denoise,
                renoise: other,
                ..
            } => Some(if renoise {
                other.as_ref().unwrap_or(denoise).clone()
            } else {
                denoise.clone()
            }),
            Outcome::Hold => {
                self.report(
                    Diagnostic::new(Code::OutcomeAsValue, "a `hold` steps toward nothing")
                        .at(expr.span, "this may be `hold`")
                        .help("take the halves before the branch that holds"),
                );
                None
            }
            Outcome::If(test, a, b) => {
                let a = self.half_of(a, renoise, expr, span)?;
                let b = self.half_of(b, renoise, expr, span)?;
                if a.node == b.node {
                    return Some(a);
                }
                match self.join_data(*test, a, b, expr, expr, span, false) {
                    Value::Data(data) => Some(data),
                    _ => None,
                }
            }
        }
    }
}
