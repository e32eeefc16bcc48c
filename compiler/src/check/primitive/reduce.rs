//! Reductions over axes, and `unit`.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op};
use crate::plan::{Axes, ReduceOp, Unary};
use crate::primitives::Primitive;
use crate::resolved::Arg;

use super::super::engine::Engine;
use super::super::value::{Data, Kind, Origin, Value};
use super::super::weight::Weight;

impl<'p> Engine<'p> {
    /// `norm(a, over:)`, `dot(a, b, over:)`, `quantile(a, level, over:)`
    pub(crate) fn reduce(
        &mut self,
        op: ReduceOp,
        primitive: Primitive,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let Some(Some(first)) = args.first() else {
            return Value::Error;
        };
        let name = primitive.name();
        let value = self.expr(&first.value);
        let Some(a) = self.element(value, name, first) else {
            return Value::Error;
        };
        let (mut with, mut level) = (None, None);
        match (op, args.get(1)) {
            (ReduceOp::Dot | ReduceOp::Cosine, Some(Some(second))) => {
                let value = self.expr(&second.value);
                let Some(b) = self.element(value, name, second) else {
                    return Value::Error;
                };
                with = Some((b, *second));
            }
            (ReduceOp::Quantile, Some(Some(second))) => {
                let value = self.expr(&second.value);
                let what = "the level of `quantile`";
                let Some(data) = self.step_scalar(value, what, &second.value) else {
                    return Value::Error;
                };
                if let Some(value) = self.graph.constant(data.node)
                    && !(0.0..=1.0).contains(&value)
                {
                    let diagnostic = Diagnostic::new(
                        Code::NotWhole,
                        format!(
                            "the level of `quantile` is {}, outside 0..=1",
                            super::super::text::number(value)
                        ),
                    )
                    .at(second.value.span, "out of range")
                    .help("give a level from 0 to 1: 0.995 is the value that 99.5 % lie below");
                    return self.fail(diagnostic);
                }
                level = Some(data.node);
            }
            _ => {}
        }
        let over = args.last().copied().flatten();
        let Some(over) = self.over(over) else {
            return Value::Error;
        };
        let mut a = a;
        if let Some((b, second)) = with.clone() {
            let fits = |d: &Data| d.kind != Kind::Scalar;
            if !fits(&a) || !fits(&b) {
                let (data, arg) = if fits(&a) { (&b, second) } else { (&a, *first) };
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("`{name}` takes tensors, and this is {}", data.describe()),
                )
                .at(arg.value.span, format!("this is {}", data.describe()));
                return self.fail(diagnostic);
            }
            if a.is_tensor() && b.is_tensor() {
                let Some((x, y)) =
                    self.unify(a.clone(), b.clone(), &first.value, &second.value, span)
                else {
                    return Value::Error;
                };
                let relative = op == ReduceOp::Cosine && x.weight.is_zero() && y.weight.is_zero();
                if x.is_unpinned() && y.is_unpinned() && !relative {
                    self.not_pinned(&format!("`{name}`"), span, Some(&first.value));
                }
                a = x;
                with = Some((y, second));
            } else if a.is_unpinned() || b.is_unpinned() {
                self.not_pinned(
                    &format!("`{name}`"),
                    span,
                    Some(if a.is_unpinned() {
                        &first.value
                    } else {
                        &second.value
                    }),
                );
            }
        } else if a.is_unpinned() {
            self.not_pinned(&format!("`{name}`"), span, Some(&first.value));
        }
        if a.kind == Kind::Scalar {
            let diagnostic = Diagnostic::new(
                Code::WrongKind,
                format!("`{name}` takes a tensor, and this is a scalar"),
            )
            .at(first.value.span, "this is one number already");
            return self.fail(diagnostic);
        }
        let second = with.as_ref().map(|(b, _)| b.node);
        let plain = a.plain
            && !a.is_tensor()
            && with.as_ref().is_none_or(|(b, _)| b.plain && !b.is_tensor());
        let result = self.opaque(
            Op::Reduce {
                op,
                over,
                of: a.node,
                with: second,
                level,
            },
            reduced(over),
            plain,
            span,
        );
        Value::Data(result)
    }

    /// `over:`; what a parameter leaves open is taken as all axes.
    fn over(&mut self, arg: Option<&'p Arg>) -> Option<Axes> {
        let Some(arg) = arg else {
            return Some(Axes::All);
        };
        let value = self.expr(&arg.value);
        Some(self.axes(value, &arg.value)?.unwrap_or(Axes::All))
    }

    /// `unit(a, over:)`: a direction whatever the weight of `a`, measured from the origin of its space.
    pub(crate) fn unit(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        let Some(data) = self.element(value, "unit", arg) else {
            return Value::Error;
        };
        let Some(over) = self.over(args.get(1).copied().flatten()) else {
            return Value::Error;
        };
        match data.kind {
            Kind::Open => {
                return Value::Data(Data {
                    kind: Kind::Tensor,
                    weight: Weight::zero(),
                    ..data
                });
            }
            Kind::Tensor | Kind::Raw => {}
            _ => return self.wrong_kind(&Value::Data(data), "a tensor", span, arg.value.span),
        }
        if data.is_unpinned() {
            self.not_pinned("`unit`", span, Some(&arg.value));
        }
        let inverse = self.inverse_norm(data.node, over, span);
        let op = Op::Mul(data.node, inverse);
        if data.kind == Kind::Raw {
            return Value::Data(self.raw_of(op, &[&data], false, span));
        }
        let affine = !data.weight.is_zero();
        let result = Data {
            weight: Weight::zero(),
            origin: Origin::Free,
            plain: false,
            ..data
        };
        let mut result = self.tensor(op, result, span);
        if affine {
            // A conversion must take it as one whole: it is not a multiple of a prediction.
            result = self.tensor(Op::Declare(result.node), result, span);
            self.remember_affinity(&result);
        }
        Value::Data(result)
    }

    fn inverse_norm(&mut self, of: NodeId, over: Axes, span: Span) -> NodeId {
        let reduce = Op::Reduce {
            op: ReduceOp::Norm,
            over,
            of,
            with: None,
            level: None,
        };
        let norm = self.opaque(reduce, reduced(over), false, span);
        self.opaque(
            Op::Unary(Unary::InverseOrZero, norm.node),
            reduced(over),
            false,
            span,
        )
        .node
    }
}

fn reduced(over: Axes) -> Kind {
    match over {
        Axes::All => Kind::Scalar,
        Axes::Channels => Kind::Map,
        Axes::Space => Kind::PerChannel,
    }
}
