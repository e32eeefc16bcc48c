//! Elementwise functions.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::Op;
use crate::plan::{Binary, Unary};
use crate::resolved::Arg;

use super::super::engine::Engine;
use super::super::value::{Data, Kind, Value};

impl<'p> Engine<'p> {
    /// A function of one value.
    pub(crate) fn one(
        &mut self,
        unary: Unary,
        name: &str,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        let Some(data) = self.element(value, name, arg) else {
            return Value::Error;
        };
        let kind = elementwise(data.kind);
        if data.is_unpinned() {
            self.not_pinned(&format!("`{name}`"), span, Some(&arg.value));
        }
        let plain = data.plain && !data.is_tensor();
        self.keep_space(Op::Unary(unary, data.node), kind, &[&data], plain, span)
    }

    /// A function of two values.
    pub(crate) fn two(
        &mut self,
        binary: Binary,
        name: &str,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let [Some(left), Some(right)] = args else {
            return Value::Error;
        };
        let (a, b) = (self.expr(&left.value), self.expr(&right.value));
        let (a, b) = (self.element(a, name, left), self.element(b, name, right));
        let (Some(a), Some(b)) = (a, b) else {
            return Value::Error;
        };
        let kind = match (elementwise(a.kind), elementwise(b.kind)) {
            (x, y) if x == y => x,
            (Kind::Scalar, y) | (y, Kind::Scalar) => y,
            _ => Kind::Raw,
        };
        for (data, arg) in [(&a, left), (&b, right)] {
            if data.is_unpinned() {
                self.not_pinned(&format!("`{name}`"), span, Some(&arg.value));
            }
        }
        let plain = a.plain && b.plain && !a.is_tensor() && !b.is_tensor();
        let op = Op::Binary(binary, a.node, b.node);
        self.keep_space(op, kind, &[&a, &b], plain, span)
    }

    /// `clamp(a, low, high)` of scalars, maps or per-channel values.
    pub(crate) fn clamp(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), Some(low), Some(high)] = args else {
            return Value::Error;
        };
        let value = self.expr(&of.value);
        let data = self.element(value, "clamp", of);
        let low_value = self.expr(&low.value);
        let low = self.scalar(low_value, "the lower bound", &low.value);
        let high_value = self.expr(&high.value);
        let high = self.scalar(high_value, "the upper bound", &high.value);
        let (Some(data), Some(low), Some(high)) = (data, low, high) else {
            return Value::Error;
        };
        if !data.kind.is_factor() && data.kind != Kind::Open {
            let text = self.text(&of.value);
            let diagnostic = Diagnostic::new(
                Code::WrongKind,
                format!("`clamp` takes a scalar, and this is {}", data.describe()),
            )
            .at(of.value.span, format!("this is {}", data.describe()))
            .help(format!("write `clip({text}, …, …)`"));
            return self.fail(diagnostic);
        }
        let kind = elementwise(data.kind);
        let plain = data.plain && low.plain && high.plain;
        Value::Data(self.opaque(Op::Clip(data.node, low.node, high.node), kind, plain, span))
    }

    /// A value that functions take: with elements that are numbers.
    pub(crate) fn element(&mut self, value: Value, name: &str, arg: &'p Arg) -> Option<Data> {
        match self.flatten(value, arg.value.span) {
            Value::Error => None,
            Value::Data(data) if !matches!(data.kind, Kind::Bool | Kind::Class) => {
                Some(data.into_numbers())
            }
            value @ Value::Outcome(_) => {
                self.outcome_as_value(&value, &arg.value, arg.value.span);
                None
            }
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("`{name}` takes numbers, and this is {}", other.describe()),
                )
                .at(arg.value.span, format!("this is {}", other.describe()));
                self.report(diagnostic);
                None
            }
        }
    }

    /// A result that, if raw, remembers where it came from.
    fn keep_space(
        &mut self,
        op: Op,
        kind: Kind,
        operands: &[&Data],
        plain: bool,
        span: Span,
    ) -> Value {
        Value::Data(match kind {
            Kind::Raw => self.raw_of(op, operands, plain, span),
            kind => self.opaque(op, kind, plain, span),
        })
    }
}

/// The kind of a function's result: tensors are left without a weight.
fn elementwise(kind: Kind) -> Kind {
    match kind {
        Kind::Tensor | Kind::Latent | Kind::Raw => Kind::Raw,
        Kind::Open => Kind::Scalar,
        kind => kind,
    }
}
