//! Randomness, and folds over the run.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{Op, OverRun, Stage};
use crate::resolved::Arg;

use super::super::engine::Engine;
use super::super::value::{Kind, Value};

impl<'p> Engine<'p> {
    /// `random(low, high, salt:)`
    pub(crate) fn random(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(low), Some(high), salt] = args else {
            return Value::Error;
        };
        let low_value = self.expr(&low.value);
        let a = self.scalar(low_value, "the lower end", &low.value);
        let high_value = self.expr(&high.value);
        let b = self.scalar(high_value, "the upper end", &high.value);
        let Some(key) = self.key("random", *salt) else {
            return Value::Error;
        };
        let (Some(a), Some(b)) = (a, b) else {
            return Value::Error;
        };
        Value::Data(self.opaque(Op::Random(key, a.node, b.node), Kind::Scalar, true, span))
    }

    /// `gaussian(like:, salt:)`: in the shape of a latent, a map or a per-channel value, or one number.
    pub(crate) fn gaussian(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [like, salt] = args else {
            return Value::Error;
        };
        let kind = match like {
            None => Kind::Raw,
            Some(like) => match self.expr(&like.value) {
                Value::Error => return Value::Error,
                Value::Data(data) if data.kind.is_factor() => data.kind,
                Value::Data(data)
                    if matches!(
                        data.kind,
                        Kind::Tensor | Kind::Latent | Kind::Raw | Kind::Open
                    ) =>
                {
                    Kind::Raw
                }
                other => {
                    let wanted = "a tensor, latent, map, per-channel value or scalar";
                    return self.wrong_kind(&other, wanted, span, like.value.span);
                }
            },
        };
        let Some(key) = self.key("gaussian", *salt) else {
            return Value::Error;
        };
        Value::Data(self.opaque(Op::Gaussian(key), kind, true, span))
    }

    /// The key of a random value: its salt and the path of names to the call.
    pub(crate) fn key(&mut self, name: &str, salt: Option<&'p Arg>) -> Option<String> {
        let salt = match salt {
            None => String::new(),
            Some(arg) => match self.expr(&arg.value) {
                Value::Text(text) => text,
                Value::Data(data) if data.kind == Kind::Scalar => match self
                    .graph
                    .constant(data.node)
                {
                    Some(value) => super::super::text::number(value),
                    None if self.graph.stage(data.node) == Stage::Const => self.text(&arg.value),
                    None => {
                        self.needs_const("`salt`", &data, arg.value.span);
                        return None;
                    }
                },
                Value::Error => return None,
                other => {
                    self.wrong_kind(&other, "a number or text", arg.value.span, arg.value.span);
                    return None;
                }
            },
        };
        let path = self.call_path(name);
        Some(if salt.is_empty() {
            path
        } else {
            format!("{salt}:{path}")
        })
    }

    /// `time_of(sigma)`
    pub(crate) fn time_of(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        match self.step_scalar(value, "the noise of `time_of`", &arg.value) {
            Some(data) => Value::Data(self.opaque(Op::TimeOf(data.node), Kind::Scalar, true, span)),
            None => Value::Error,
        }
    }

    /// `mean_over_run(curve)`, `max_over_run(curve)`
    pub(crate) fn over_run(
        &mut self,
        over: OverRun,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        match self.step_scalar(value, "a curve over the run", &arg.value) {
            Some(data) => {
                Value::Data(self.opaque(Op::OverRun(over, data.node), Kind::Scalar, true, span))
            }
            None => Value::Error,
        }
    }

    /// `curve_at(curve, fraction)`
    pub(crate) fn curve_at(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(curve), Some(fraction)] = args else {
            return Value::Error;
        };
        let value = self.expr(&fraction.value);
        let Some(at) = self.scalar(value, "the fraction of the run", &fraction.value) else {
            return Value::Error;
        };
        if self.graph.stage(at.node) > Stage::Const {
            self.needs_const("the fraction of the run", &at, fraction.value.span);
            return Value::Error;
        }
        if let Some(value) = self.graph.constant(at.node)
            && !(0.0..=1.0).contains(&value)
        {
            let diagnostic = Diagnostic::new(
                Code::NotWhole,
                format!(
                    "the fraction of the run is {}, outside 0..=1",
                    super::super::text::number(value)
                ),
            )
            .at(fraction.value.span, "out of range");
            return self.fail(diagnostic);
        }
        self.over_run(OverRun::At(at.node), &[Some(curve)], span)
    }
}
