//! Arithmetic and comparisons: what kinds, spaces, weights and origins they give.

use guide_grammar::ast::BinaryOp;
use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{Op, SpaceTerm};
use crate::plan::{Binary, Space};
use crate::resolved::Expr;

use super::engine::Engine;
use super::value::{Data, Kind, Origin, Value};
use super::weight::Weight;

/// Where two operands and what joins them stand.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'p> {
    pub(crate) left: &'p Expr,
    pub(crate) right: &'p Expr,
    /// The whole expression.
    pub(crate) span: Span,
    /// The operator.
    pub(crate) at: Span,
}

impl<'p> Engine<'p> {
    /// `a op b`, `op` neither `and` nor `or`.
    pub(crate) fn binary(&mut self, op: BinaryOp, a: Value, b: Value, sides: Sides<'p>) -> Value {
        let Sides {
            left,
            right,
            span,
            at,
        } = sides;
        let (a, b) = (self.flatten(a, left.span), self.flatten(b, right.span));
        match (a, b) {
            (Value::Error, _) | (_, Value::Error) => Value::Error,
            (Value::Data(a), Value::Data(b)) => {
                self.data(op, a.into_numbers(), b.into_numbers(), sides)
            }
            (Value::Outcome(o), Value::Data(d)) if op == BinaryOp::Add => {
                self.add_to_outcome(o, d, left, right, span)
            }
            (a @ Value::Outcome(_), _) => self.outcome_as_value(&a, left, at),
            (_, b @ Value::Outcome(_)) => self.outcome_as_value(&b, right, at),
            (Value::Choice(choice), Value::Text(word))
            | (Value::Text(word), Value::Choice(choice))
                if matches!(op, BinaryOp::Eq | BinaryOp::Ne) =>
            {
                self.compare_choice(choice, &word, op == BinaryOp::Ne, left, right, span)
            }
            (a, b)
                if matches!(op, BinaryOp::Add | BinaryOp::Sub)
                    && is_layers(&a)
                    && is_layers(&b) =>
            {
                match (self.layers(a, left), self.layers(b, right)) {
                    (Some(Some(a)), Some(Some(b))) => {
                        Value::Layers(Some(a.joined(b, op == BinaryOp::Add)))
                    }
                    (Some(_), Some(_)) => Value::Layers(None),
                    _ => Value::Error,
                }
            }
            (a, b) => self.cannot(op, &a.describe(), &b.describe(), sides, None),
        }
    }

    /// A row of a table that stands alone is its first entry.
    pub(crate) fn flatten(&mut self, value: Value, span: Span) -> Value {
        match value {
            Value::Row(source, row) => {
                let first = self.graph.number(0.0, span);
                self.entry(source, row, first, span)
            }
            value => value,
        }
    }

    fn data(&mut self, op: BinaryOp, a: Data, b: Data, sides: Sides<'p>) -> Value {
        let Sides { span, .. } = sides;
        match op {
            BinaryOp::Add | BinaryOp::Sub => self.sum(op == BinaryOp::Sub, a, b, sides),
            BinaryOp::Mul => self.product(a, b, sides),
            BinaryOp::Div => self.quotient(a, b, sides),
            BinaryOp::Rem => {
                let kind = match (a.kind, b.kind) {
                    (Kind::Scalar, Kind::Scalar) => Kind::Scalar,
                    (Kind::Map | Kind::Scalar, Kind::Map | Kind::Scalar) => Kind::Map,
                    _ => {
                        return self.cannot(op, &a.describe(), &b.describe(), sides, None);
                    }
                };
                let plain = a.plain && b.plain;
                Value::Data(self.opaque(Op::Binary(Binary::Rem, a.node, b.node), kind, plain, span))
            }
            _ => self.compare(op, a, b, sides),
        }
    }

    fn sum(&mut self, minus: bool, a: Data, b: Data, sides: Sides<'p>) -> Value {
        let Sides {
            left,
            right,
            span,
            at,
        } = sides;
        let op = if minus { BinaryOp::Sub } else { BinaryOp::Add };
        if self.is_zero(&b) && !b.kind.is_factor_of(&a) && a.kind != Kind::Bool {
            return Value::Data(a);
        }
        if self.is_zero(&a) && !a.kind.is_factor_of(&b) && b.kind != Kind::Bool {
            return if minus {
                self.negate(Value::Data(b), right, span)
            } else {
                Value::Data(b)
            };
        }
        let kind = match (a.kind, b.kind) {
            (Kind::Bool | Kind::Class | Kind::Probs, _)
            | (_, Kind::Bool | Kind::Class | Kind::Probs) => {
                return self.cannot(op, &a.describe(), &b.describe(), sides, None);
            }
            (Kind::Open, other) | (other, Kind::Open) => other,
            (x, y) if x == y => {
                if x == Kind::Latent {
                    return self.latents(minus, a, b, sides);
                } else {
                    x
                }
            }
            (Kind::Scalar, Kind::Map) | (Kind::Map, Kind::Scalar) => Kind::Map,
            (Kind::Scalar, Kind::PerChannel) | (Kind::PerChannel, Kind::Scalar) => Kind::PerChannel,
            (Kind::Scalar, Kind::Logits) | (Kind::Logits, Kind::Scalar) => Kind::Logits,
            (Kind::Map, Kind::PerChannel) | (Kind::PerChannel, Kind::Map) => Kind::Raw,
            (Kind::Raw, other) | (other, Kind::Raw) if other.is_factor() => Kind::Raw,
            (Kind::Latent, Kind::Tensor) | (Kind::Tensor, Kind::Latent) => {
                return self.move_latent(minus, a, b, sides);
            }
            (Kind::Tensor, Kind::Raw) | (Kind::Raw, Kind::Tensor) => {
                let (tensor, raw) = if a.is_tensor() {
                    (left, right)
                } else {
                    (right, left)
                };
                let help = format!(
                    "write `direction({})` if it is one, or `raw({})`",
                    self.text(raw),
                    self.text(tensor)
                );
                return self.cannot(op, &a.describe(), &b.describe(), sides, Some(help));
            }
            (Kind::Tensor, factor) | (factor, Kind::Tensor) if factor.is_factor() => {
                let tensor = if a.is_tensor() { left } else { right };
                let help = format!(
                    "write `raw({})` to add the same number everywhere",
                    self.text(tensor)
                );
                return self.cannot(op, &a.describe(), &b.describe(), sides, Some(help));
            }
            _ => return self.cannot(op, &a.describe(), &b.describe(), sides, None),
        };
        let make = |x, y| if minus { Op::Sub(x, y) } else { Op::Add(x, y) };
        let weight = if minus {
            a.weight.sub(&b.weight)
        } else {
            a.weight.add(&b.weight)
        };
        let plain = a.plain && b.plain;
        if kind == Kind::Raw {
            return Value::Data(self.raw_of(make(a.node, b.node), &[&a, &b], plain, span));
        }
        if kind != Kind::Tensor {
            return Value::Data(self.computed(make(a.node, b.node), kind, weight, plain, span));
        }
        let Some((a, b)) = self.unify(a, b, left, right, at) else {
            return Value::Error;
        };
        let pinned = a.pinned || b.pinned;
        let Some(origin) = self.join_origins(&a, &b, &weight, pinned, left, right) else {
            return Value::Error;
        };
        let space = if a.kind == Kind::Open {
            b.space.clone()
        } else {
            a.space.clone()
        };
        let data = Data {
            kind,
            node: a.node,
            weight,
            space,
            pinned,
            plain,
            origin,
        };
        Value::Data(self.tensor(make(a.node, b.node), data, span))
    }

    fn latents(&mut self, minus: bool, a: Data, b: Data, sides: Sides<'p>) -> Value {
        let Sides {
            left, right, span, ..
        } = sides;
        if !minus {
            let help = format!(
                "write `latent(raw({}) + raw({}))`",
                self.text(left),
                self.text(right)
            );
            return self.cannot(BinaryOp::Add, "a latent", "a latent", sides, Some(help));
        }
        let data = Data {
            space: SpaceTerm::Latent,
            ..Data::of(Kind::Tensor, a.node)
        };
        Value::Data(self.tensor(Op::Sub(a.node, b.node), data, span))
    }

    /// `x + s*p`, `x + d`: a latent moved by a velocity times a difference of sigmas, or by a
    /// direction of latents.
    fn move_latent(&mut self, minus: bool, a: Data, b: Data, sides: Sides<'p>) -> Value {
        let Sides {
            left, right, span, ..
        } = sides;
        let tensor = if a.is_tensor() { &a } else { &b };
        let fits = matches!(
            tensor.space,
            SpaceTerm::Latent | SpaceTerm::Named(Space::Flow)
        );
        if !fits || (minus && a.is_tensor()) {
            let text = self.text(if a.is_tensor() { left } else { right });
            let help = format!(
                "write `flow({text})` times a difference of sigmas, or `latent(...)` of a raw value"
            );
            let op = if minus { BinaryOp::Sub } else { BinaryOp::Add };
            return self.cannot(op, &a.describe(), &b.describe(), sides, Some(help));
        }
        let op = if minus {
            Op::Sub(a.node, b.node)
        } else {
            Op::Add(a.node, b.node)
        };
        Value::Data(self.computed(op, Kind::Latent, Weight::zero(), true, span))
    }

    fn product(&mut self, a: Data, b: Data, sides: Sides<'p>) -> Value {
        let Sides {
            left,
            right,
            span,
            at,
        } = sides;
        let kind = match (a.kind, b.kind) {
            (Kind::Bool | Kind::Class | Kind::Probs, _)
            | (_, Kind::Bool | Kind::Class | Kind::Probs) => {
                return self.cannot(BinaryOp::Mul, &a.describe(), &b.describe(), sides, None);
            }
            (Kind::Open, Kind::Open) => Kind::Open,
            (Kind::Scalar, other) | (other, Kind::Scalar) if other != Kind::Latent => other,
            (Kind::Open, factor) | (factor, Kind::Open) if factor.is_factor() => Kind::Open,
            (Kind::Map, Kind::Map) => Kind::Map,
            (Kind::PerChannel, Kind::PerChannel) => Kind::PerChannel,
            (Kind::Tensor, factor) | (factor, Kind::Tensor) if factor.is_factor() => Kind::Tensor,
            _ => Kind::Raw,
        };
        let weight = a.weight.mul(&b.weight);
        let plain = a.plain && b.plain;
        let op = Op::Mul(a.node, b.node);
        match kind {
            Kind::Tensor => {
                let (factor, of) = if a.is_tensor() { (b, a) } else { (a, b) };
                Value::Data(self.scaled(op, factor, of, weight, span))
            }
            Kind::Raw => {
                self.warn_products(&a, &b, left, right, at);
                let plain = plain && !a.is_tensor() && !b.is_tensor();
                Value::Data(self.raw_of(op, &[&a, &b], plain, span))
            }
            kind => Value::Data(self.computed(op, kind, weight, plain, span)),
        }
    }

    fn quotient(&mut self, a: Data, b: Data, sides: Sides<'p>) -> Value {
        let Sides {
            left,
            right,
            span,
            at,
        } = sides;
        let kind = match (a.kind, b.kind) {
            (Kind::Bool | Kind::Class | Kind::Probs, _)
            | (_, Kind::Bool | Kind::Class | Kind::Probs) => {
                return self.cannot(BinaryOp::Div, &a.describe(), &b.describe(), sides, None);
            }
            (Kind::Latent, Kind::Scalar) => Kind::Raw,
            (other, Kind::Scalar) => other,
            (Kind::Scalar, other) if other.is_factor() => other,
            (Kind::Open, factor) if factor.is_factor() => Kind::Open,
            (Kind::Map, Kind::Map) => Kind::Map,
            (Kind::PerChannel, Kind::PerChannel) => Kind::PerChannel,
            (Kind::Tensor, factor) if factor.is_factor() => Kind::Tensor,
            _ => Kind::Raw,
        };
        let weight = a.weight.div(&b.weight);
        let plain = a.plain && b.plain;
        let op = Op::Div(a.node, b.node);
        match kind {
            Kind::Tensor => Value::Data(self.scaled(op, b, a, weight, span)),
            Kind::Raw => {
                self.warn_products(&a, &b, left, right, at);
                let plain = plain && !a.is_tensor() && !b.is_tensor();
                Value::Data(self.raw_of(op, &[&a, &b], plain, span))
            }
            kind => Value::Data(self.computed(op, kind, weight, plain, span)),
        }
    }

    /// A tensor times (or by) a factor.
    fn scaled(&mut self, op: Op, factor: Data, of: Data, weight: Weight, span: Span) -> Data {
        let origin = if weight.is_zero() {
            Origin::Free
        } else {
            of.origin.clone()
        };
        let data = Data {
            weight,
            origin,
            plain: of.plain && factor.plain,
            ..of
        };
        self.tensor(op, data, span)
    }

    fn warn_products(&mut self, a: &Data, b: &Data, left: &'p Expr, right: &'p Expr, at: Span) {
        if a.is_unpinned() {
            self.not_pinned("a product of tensors", at, Some(left));
        } else if b.is_unpinned() {
            self.not_pinned("a product of tensors", at, Some(right));
        }
    }

    /// `-a`
    pub(crate) fn negate(&mut self, value: Value, of: &'p Expr, span: Span) -> Value {
        let value = self.flatten(value, span);
        match value {
            Value::Error => Value::Error,
            Value::Data(data) if !matches!(data.kind, Kind::Bool | Kind::Class | Kind::Probs) => {
                let data = data.into_numbers();
                let weight = data.weight.neg();
                let op = Op::Neg(data.node);
                match data.kind {
                    Kind::Tensor => Value::Data(self.tensor(op, Data { weight, ..data }, span)),
                    Kind::Latent | Kind::Raw => {
                        Value::Data(self.raw_of(op, &[&data], data.plain, span))
                    }
                    kind => Value::Data(self.computed(op, kind, weight, data.plain, span)),
                }
            }
            value @ Value::Outcome(_) => self.outcome_as_value(&value, of, span),
            value => self.fail(
                Diagnostic::new(
                    Code::WrongKind,
                    format!("{} has no opposite", value.describe()),
                )
                .at(of.span, "a minus stands before this"),
            ),
        }
    }

    pub(crate) fn cannot(
        &mut self,
        op: BinaryOp,
        a: &str,
        b: &str,
        sides: Sides<'_>,
        help: Option<String>,
    ) -> Value {
        let Sides {
            left, right, at, ..
        } = sides;
        let what = match op {
            BinaryOp::Add => "cannot be added",
            BinaryOp::Sub => "cannot be subtracted from each other",
            BinaryOp::Mul => "cannot be multiplied",
            BinaryOp::Div | BinaryOp::Rem => "cannot be divided",
            _ => "cannot be compared",
        };
        let mut diagnostic = Diagnostic::new(Code::WrongKind, format!("{a} and {b} {what}"))
            .at(at, "these do not fit together")
            .at(left.span, format!("this is {a}"))
            .at(right.span, format!("this is {b}"));
        diagnostic.help = help;
        self.fail(diagnostic)
    }
}

impl Kind {
    /// Whether adding a scalar to the other is arithmetic of numbers.
    fn is_factor_of(self, other: &Data) -> bool {
        self.is_factor()
            && (other.kind.is_factor()
                || matches!(
                    other.kind,
                    Kind::Raw | Kind::Logits | Kind::Class | Kind::Open
                ))
    }
}

fn is_layers(value: &Value) -> bool {
    match value {
        Value::Layers(_) | Value::Text(_) | Value::List(_) => true,
        Value::Word(word) => super::coerce::layer_word(word).is_some(),
        _ => false,
    }
}
