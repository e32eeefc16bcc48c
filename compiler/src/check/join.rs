//! How branches meet: they agree in kind, space and weight.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op, Stage};
use crate::resolved::Expr;

use super::builder::Meta;
use super::engine::Engine;
use super::make::shape_of;
use super::value::{Choice, Data, Judge, Kind, Origin, Outcome, Point, Value, kind_text};
use super::weight::Weight;

impl<'p> Engine<'p> {
    /// One of two values by a truth value: they agree in kind, space and weight.
    pub(crate) fn join(
        &mut self,
        test: NodeId,
        a: Value,
        b: Value,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
    ) -> Value {
        let (a, b) = (self.flatten(a, left.span), self.flatten(b, right.span));
        if a.is_error() || b.is_error() {
            return Value::Error;
        }
        match (a, b) {
            (a @ Value::Outcome(_), b) | (a, b @ Value::Outcome(_)) => {
                let (a, b) = (self.outcome(a, left), self.outcome(b, right));
                match (a, b) {
                    (Some(a), Some(b)) => {
                        Value::Outcome(Outcome::If(test, Box::new(a), Box::new(b)))
                    }
                    _ => Value::Error,
                }
            }
            (Value::Data(a), Value::Data(b)) => {
                self.join_data(test, a, b, left, right, span, false)
            }
            (Value::Tuple(a), Value::Tuple(b)) if a.len() == b.len() => Value::Tuple(
                a.into_iter()
                    .zip(b)
                    .map(|(a, b)| self.join(test, a, b, left, right, span))
                    .collect(),
            ),
            (Value::Interventions(a), Value::Interventions(b)) => {
                self.join_interventions(test, a, b)
            }
            (Value::Choice(Choice::Known(_, words)), Value::Choice(_))
                if self.graph.constant(test).is_none() =>
            {
                Value::Choice(Choice::Open("(a choice)".into(), words))
            }
            (Value::Judge(a), Value::Judge(b)) => self.join_judges(test, a, b, span),
            (a, b) if std::mem::discriminant(&a) == std::mem::discriminant(&b) => {
                // What has no node is decided here, or is as open as the condition.
                match self.graph.constant(test) {
                    Some(0.0) => b,
                    _ if self.graph.stage(test) > Stage::Const => {
                        let what = a.describe();
                        let data = Data::of(Kind::Bool, test);
                        self.needs_const(
                            &format!("the choice between {what} and another"),
                            &data,
                            span,
                        );
                        Value::Error
                    }
                    _ => a,
                }
            }
            (a, b) => self.disagree(&a.describe(), &b.describe(), left, right),
        }
    }

    /// The same for values with nodes; `elementwise` by a map.
    #[allow(
        clippy::too_many_arguments,
        reason = "two branches with their expressions, and how"
    )]
    pub(crate) fn join_data(
        &mut self,
        test: NodeId,
        a: Data,
        b: Data,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
        elementwise: bool,
    ) -> Value {
        let op = |a: NodeId, b: NodeId| {
            if elementwise {
                Op::Where(test, a, b)
            } else {
                Op::If(test, a, b)
            }
        };
        let (za, zb) = (self.is_zero(&a), self.is_zero(&b));
        let zero_fits = |d: &Data| match d.kind {
            Kind::Tensor => d.weight.is_zero(),
            kind => kind.is_factor(),
        };
        let (a, b) = match (za, zb) {
            (true, false) if a.kind != b.kind && zero_fits(&b) => (
                Data {
                    node: a.node,
                    weight: Weight::zero(),
                    ..b.clone()
                },
                b,
            ),
            (false, true) if a.kind != b.kind && zero_fits(&a) => (
                a.clone(),
                Data {
                    node: b.node,
                    weight: Weight::zero(),
                    ..a
                },
            ),
            _ => (a, b),
        };
        let kind = match (a.kind, b.kind) {
            (Kind::Open, other) | (other, Kind::Open) => other,
            // One scalar of two at every place is a map.
            (Kind::Scalar, Kind::Scalar) if elementwise => Kind::Map,
            // What has no places cannot be picked place by place.
            (Kind::Class | Kind::Probs | Kind::Logits | Kind::Picture, _) if elementwise => {
                return self.disagree(&a.describe(), &b.describe(), left, right);
            }
            (x, y) if x == y => x,
            (Kind::Scalar, y) | (y, Kind::Scalar) if elementwise && y.is_factor() => y,
            _ => return self.disagree(&a.describe(), &b.describe(), left, right),
        };
        let plain = a.plain && b.plain;
        if kind == Kind::Tensor {
            let Some((a, b)) = self.unify(a, b, left, right, span) else {
                return Value::Error;
            };
            let opened = a.kind == Kind::Open
                || b.kind == Kind::Open
                || self.is_open_weight(&a.weight)
                || self.is_open_weight(&b.weight);
            if !opened && !a.weight.equals(&b.weight) {
                let (wa, wb) = (self.weight_text(&a.weight), self.weight_text(&b.weight));
                let diagnostic = Diagnostic::new(
                    Code::BranchWeights,
                    format!("one branch has weight `{wa}` and the other weight `{wb}`"),
                )
                .at(
                    left.span,
                    format!("this is {}, of weight `{wa}`", a.describe()),
                )
                .at(
                    right.span,
                    format!("this is {}, of weight `{wb}`", b.describe()),
                )
                .help("let both be predictions (weight 1) or both directions (weight 0)");
                return self.fail(diagnostic);
            }
            let origin = match (&a.origin, &b.origin) {
                (x, y) if x == y => x.clone(),
                (Origin::Free, x) | (x, Origin::Free) => x.clone(),
                _ if a.pinned || b.pinned || a.space != crate::graph::SpaceTerm::Native => {
                    Origin::At(Point::default())
                }
                _ => match self.join_origins(&a, &b, &a.weight.clone(), false, left, right) {
                    Some(origin) => origin,
                    None => return Value::Error,
                },
            };
            let source = if a.kind == Kind::Open || self.is_open_weight(&a.weight) {
                &b
            } else {
                &a
            };
            let data = Data {
                kind,
                node: a.node,
                weight: source.weight.clone(),
                space: source.space.clone(),
                pinned: a.pinned || b.pinned,
                plain,
                origin,
            };
            return Value::Data(self.tensor(op(a.node, b.node), data, span));
        }
        if kind == Kind::Picture {
            return self.join_pictures(test, &a, &b, span);
        }
        if kind == Kind::Raw {
            let op = op(a.node, b.node);
            return Value::Data(self.raw_of(op, &[&a, &b], plain, span));
        }
        let meta = Meta {
            shape: shape_of(kind),
            space: None,
            kind: kind_text(kind, &a.space, &a.weight),
        };
        let node = self.graph.add(op(a.node, b.node), meta, span);
        let weight = match kind.is_factor() {
            true if a.kind == kind && a.weight.equals(&b.weight) => a.weight,
            true => self.node_weight(node, |_| "(one of two values)".to_string()),
            false => Weight::zero(),
        };
        Value::Data(Data {
            weight,
            plain,
            ..Data::of(kind, node)
        })
    }

    /// The picture of one of two latents.
    fn join_pictures(&mut self, test: NodeId, a: &Data, b: &Data, span: Span) -> Value {
        let latent = |data: &Data| match self.graph.node(data.node).op {
            Op::Decode(latent) => latent,
            _ => data.node,
        };
        let op = Op::If(test, latent(a), latent(b));
        let meta = Meta {
            shape: shape_of(Kind::Raw),
            space: None,
            kind: kind_text(Kind::Raw, &a.space, &a.weight),
        };
        let one = self.graph.add(op, meta, span);
        Value::Data(self.picture(one, span))
    }

    /// One of two classifiers, by what a step knows.
    fn join_judges(&mut self, test: NodeId, a: Judge, b: Judge, span: Span) -> Value {
        if a == b {
            return Value::Judge(a);
        }
        if self.graph.stage(test) > Stage::Step {
            self.report(
                Diagnostic::new(
                    Code::StepNeeded,
                    "the choice between classifiers must be known in each step",
                )
                .at(span, "only the run knows this")
                .help("choose by `progress`, `t1000` or another name of the step"),
            );
            return Value::Error;
        }
        Value::Judge(Judge::If(test, Box::new(a), Box::new(b)))
    }

    fn disagree(&mut self, a: &str, b: &str, left: &Expr, right: &Expr) -> Value {
        self.fail(
            Diagnostic::new(
                Code::BranchesDisagree,
                format!("one branch is {a} and the other is {b}"),
            )
            .at(left.span, format!("this is {a}"))
            .at(right.span, format!("this is {b}"))
            .help("let both branches give the same kind of value in the same space"),
        )
    }
}
