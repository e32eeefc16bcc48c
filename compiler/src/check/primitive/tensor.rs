//! `clip`, filters and `where`.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{FilterOp, NodeId, Op};
use crate::primitives::Primitive;
use crate::resolved::Arg;

use super::super::engine::Engine;
use super::super::value::{Data, Kind, Origin, Point, Value};

impl<'p> Engine<'p> {
    /// `clip(a, low, high)`: keeps a weight of 0 or 1, and refuses any other.
    pub(crate) fn clip(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), Some(low), Some(high)] = args else {
            return Value::Error;
        };
        let value = self.expr(&of.value);
        let data = self.element(value, "clip", of);
        let mut bounds = Vec::new();
        for arg in [low, high] {
            let value = self.expr(&arg.value);
            match self.element(value, "clip", arg) {
                Some(bound) if bound.kind.is_factor() || bound.kind == Kind::Open => {
                    bounds.push(bound.node)
                }
                Some(bound) => {
                    self.wrong_kind(
                        &Value::Data(bound),
                        "a scalar, map or per-channel value",
                        span,
                        arg.value.span,
                    );
                }
                None => {}
            }
        }
        let (Some(data), [low, high]) = (data, bounds.as_slice()) else {
            return Value::Error;
        };
        let op = Op::Clip(data.node, *low, *high);
        match data.kind {
            Kind::Tensor => {
                if data.is_unpinned() {
                    self.not_pinned("`clip`", span, Some(&of.value));
                }
                self.settled("clip", op, data, of, span)
            }
            Kind::Raw | Kind::Latent => Value::Data(self.raw_of(op, &[&data], data.plain, span)),
            kind => {
                let plain = data.plain;
                Value::Data(self.opaque(op, kind, plain, span))
            }
        }
    }

    /// A result that keeps the weight of `data`, which must be 0 or 1.
    fn settled(&mut self, name: &str, op: Op, data: Data, arg: &'p Arg, span: Span) -> Value {
        let settled =
            data.weight.is_zero() || data.weight.is_one() || self.is_open_weight(&data.weight);
        if !settled {
            let weight = self.weight_text(&data.weight);
            let text = self.text(&arg.value);
            let diagnostic = Diagnostic::new(
                Code::WeightUnfit,
                format!(
                    "`{name}` needs a prediction or a direction, and this has weight `{weight}`"
                ),
            )
            .at(
                arg.value.span,
                format!("this has weight `{weight}`, neither 0 nor 1"),
            )
            .help(format!(
                "write `{name}(raw({text}), …)`, or vouch for it with `prediction(...)`"
            ));
            return self.fail(diagnostic);
        }
        let origin = match data.origin {
            Origin::Mixed => Origin::At(Point::default()),
            origin => origin,
        };
        let result = Data {
            origin,
            plain: false,
            ..data
        };
        let result = self.tensor(op, result, span);
        self.remember_affinity(&result);
        Value::Data(result)
    }

    /// A filter over space.
    pub(crate) fn filter(
        &mut self,
        primitive: Primitive,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let Some(Some(of)) = args.first() else {
            return Value::Error;
        };
        let name = primitive.name();
        let value = self.expr(&of.value);
        let data = self.element(value, name, of);
        let second = self.filter_number(
            name,
            args.get(1).copied().flatten(),
            primitive == Primitive::Band,
        );
        let third = match (primitive, args.get(2).copied().flatten()) {
            (Primitive::Band, arg) => self.filter_number(name, arg, true),
            (Primitive::GaussianBlur, Some(arg)) => self.filter_number(name, Some(arg), true),
            _ => None,
        };
        let (Some(data), Some(second)) = (data, second) else {
            return Value::Error;
        };
        if primitive == Primitive::GaussianBlur && args.get(2).is_some_and(Option::is_some) {
            match third.and_then(|n| self.graph.constant(n)) {
                Some(taps) if taps < 1.0 || taps % 2.0 == 0.0 => {
                    let at = args
                        .get(2)
                        .copied()
                        .flatten()
                        .map_or(span, |a| a.value.span);
                    let diagnostic = Diagnostic::new(
                        Code::NotWhole,
                        format!(
                            "a blur of {} taps has no middle",
                            super::super::text::number(taps)
                        ),
                    )
                    .at(at, "this must be odd");
                    return self.fail(diagnostic);
                }
                _ if third.is_none() => return Value::Error,
                _ => {}
            }
        }
        let filter = match (primitive, third) {
            (Primitive::GaussianBlur, taps) => FilterOp::GaussianBlur {
                sigma: second,
                taps,
            },
            (Primitive::Band, Some(of)) => FilterOp::Band { level: second, of },
            (Primitive::Resample, _) => FilterOp::Resample(second),
            (Primitive::FftDisk, _) => FilterOp::FftDisk(second),
            (Primitive::FftBox, _) => FilterOp::FftBox(second),
            (Primitive::DctHighpass, _) => FilterOp::DctHighpass(second),
            _ => return Value::Error,
        };
        let op = Op::Filter(filter, data.node);
        match data.kind {
            Kind::Tensor => {
                let direction = data.weight.is_zero();
                if data.is_unpinned() && !direction && !self.is_open_weight(&data.weight) {
                    self.not_pinned(&format!("`{name}` of a prediction"), span, Some(&of.value));
                }
                let plain = data.plain && direction;
                match self.settled(name, op, data, of, span) {
                    // A filter of a direction is the same in every space.
                    Value::Data(data) => Value::Data(Data { plain, ..data }),
                    other => other,
                }
            }
            Kind::Map => Value::Data(self.opaque(op, Kind::Map, data.plain, span)),
            Kind::Raw | Kind::Latent => Value::Data(self.raw_of(op, &[&data], data.plain, span)),
            Kind::Open => Value::Data(data),
            _ => self.wrong_kind(&Value::Data(data), "a tensor or map", span, of.value.span),
        }
    }

    /// `mean_within(a, regions)`
    pub(crate) fn mean_within(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), Some(regions)] = args else {
            return Value::Error;
        };
        let value = self.expr(&of.value);
        let of = self.map(value, "what has a mean within regions", &of.value);
        let value = self.expr(&regions.value);
        let regions = self.map(value, "`regions`", &regions.value);
        let (Some(of), Some(regions)) = (of, regions) else {
            return Value::Error;
        };
        let op = Op::MeanWithin(of.node, regions.node);
        Value::Data(self.opaque(op, Kind::Map, of.plain, span))
    }

    fn filter_number(&mut self, name: &str, arg: Option<&'p Arg>, whole: bool) -> Option<NodeId> {
        let arg = arg?;
        let value = self.expr(&arg.value);
        let data = self.step_scalar(value, &format!("the strength of `{name}`"), &arg.value)?;
        if whole {
            let before = self.graph.constant(data.node);
            let number = self.whole(&data, &format!("the level of `{name}`"), arg.value.span);
            if number.is_none()
                && (before.is_some() || self.graph.stage(data.node) > crate::graph::Stage::Const)
            {
                return None;
            }
        }
        Some(data.node)
    }

    /// `where(condition, then, otherwise)`: by a truth value lazily, by a map at every place.
    pub(crate) fn where_(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(condition), Some(then), Some(otherwise)] = args else {
            return Value::Error;
        };
        let value = self.expr(&condition.value);
        match self.flatten(value, condition.value.span) {
            Value::Data(data) if data.kind == Kind::Map => {
                let (a, b) = (self.expr(&then.value), self.expr(&otherwise.value));
                match (
                    self.flatten(a, then.value.span),
                    self.flatten(b, otherwise.value.span),
                ) {
                    (Value::Data(a), Value::Data(b)) => {
                        self.join_data(data.node, a, b, &then.value, &otherwise.value, span, true)
                    }
                    (Value::Error, _) | (_, Value::Error) => Value::Error,
                    (a, b) => {
                        let bad = if matches!(a, Value::Data(_)) { b } else { a };
                        self.wrong_kind(&bad, "a tensor, map or scalar", span, span)
                    }
                }
            }
            value => {
                let Some(test) = self.truth(value, &condition.value) else {
                    return Value::Error;
                };
                let a = self.within(test.node, true, |engine| engine.expr(&then.value));
                let b = self.within(test.node, false, |engine| engine.expr(&otherwise.value));
                self.join(test.node, a, b, &then.value, &otherwise.value, span)
            }
        }
    }
}
