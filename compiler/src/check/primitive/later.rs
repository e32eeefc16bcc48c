//! What the language has and the runtime does not do yet: checked in full, and refused by `plan`.

use guide_grammar::span::Span;

use crate::graph::{NodeId, Op, SpaceTerm};
use crate::plan::Space;
use crate::primitives::Primitive;
use crate::resolved::{Arg, Expr, ExprNode};

use super::super::builder::Meta;
use super::super::engine::Engine;
use super::super::make::shape_of;
use super::super::value::{Data, Kind, Value};
use super::super::weight::Weight;

impl<'p> Engine<'p> {
    /// A call of one of them.
    pub(crate) fn later(
        &mut self,
        primitive: Primitive,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        use Primitive as P;
        let name = primitive.name();
        let arg = |at: usize| args.get(at).copied().flatten();
        match (primitive, arg(0), arg(1)) {
            (P::Features, Some(of), Some(layers)) => {
                let value = self.expr(&of.value);
                let Some(data) = self.prediction(value, "what is looked into", &of.value) else {
                    return Value::Error;
                };
                let value = self.expr(&layers.value);
                if self.layers(value, &layers.value).is_none() {
                    return Value::Error;
                }
                self.not_yet(name, vec![data.node], Kind::Raw, span)
            }
            (P::Classify | P::Logits | P::Value, Some(judge), Some(of)) => {
                let Some(nodes) = self.judged(&judge.value, &of.value) else {
                    return Value::Error;
                };
                let kind = match primitive {
                    P::Classify => Kind::Probs,
                    P::Logits => Kind::Logits,
                    _ => Kind::Scalar,
                };
                self.not_yet(name, nodes, kind, span)
            }
            (P::LogProb, Some(judge), Some(of)) => {
                let nodes = self.judged(&judge.value, &of.value);
                let class = arg(2).and_then(|arg| {
                    let value = self.expr(&arg.value);
                    self.class_of(value, &arg.value)
                });
                match (nodes, class) {
                    (Some(mut nodes), Some(class)) => {
                        nodes.push(class);
                        self.not_yet(name, nodes, Kind::Scalar, span)
                    }
                    _ => Value::Error,
                }
            }
            (P::Decode, Some(of), _) => match self.tensor_of(&of.value) {
                Some(node) => self.not_yet(name, vec![node], Kind::Raw, span),
                None => Value::Error,
            },
            (P::Grad, Some(of), Some(wrt)) => {
                let value = self.expr(&of.value);
                let Some(scalar) = self.scalar(value, "what is differentiated", &of.value) else {
                    return Value::Error;
                };
                let Some(by) = self.tensor_of(&wrt.value) else {
                    return Value::Error;
                };
                if !matches!(&wrt.value.node, ExprNode::Word(word) if word == "x") {
                    return self.not_yet(name, vec![scalar.node, by], Kind::Raw, span);
                }
                let space = SpaceTerm::Named(Space::Score);
                let data = Data {
                    weight: Weight::zero(),
                    space,
                    plain: false,
                    ..Data::of(Kind::Tensor, scalar.node)
                };
                Value::Data(self.tensor(
                    Op::Unsupported(name.into(), vec![scalar.node, by]),
                    data,
                    span,
                ))
            }
            (P::Softmax, Some(of), over) => {
                let value = self.expr(&of.value);
                let Some(data) = self.element(value, name, of) else {
                    return Value::Error;
                };
                if let Some(over) = over {
                    let value = self.expr(&over.value);
                    if self.axes(value, &over.value).is_none() {
                        return Value::Error;
                    }
                }
                let kind = match data.kind {
                    Kind::Logits | Kind::Probs => Kind::Probs,
                    Kind::Map => Kind::Map,
                    Kind::PerChannel => Kind::PerChannel,
                    _ => Kind::Raw,
                };
                if data.is_unpinned() {
                    self.not_pinned("`softmax`", span, Some(&of.value));
                }
                self.not_yet(name, vec![data.node], kind, span)
            }
            (P::Argmax, Some(of), except) => {
                let value = self.expr(&of.value);
                let mut nodes = match value {
                    Value::Data(data) if matches!(data.kind, Kind::Probs | Kind::Logits) => {
                        vec![data.node]
                    }
                    Value::Error => return Value::Error,
                    other => return self.wrong_kind(&other, "`Probs`", span, of.value.span),
                };
                if let Some(except) = except {
                    let value = self.expr(&except.value);
                    match self.class_of(value, &except.value) {
                        Some(node) => nodes.push(node),
                        None => return Value::Error,
                    }
                }
                self.not_yet(name, nodes, Kind::Class, span)
            }
            _ => Value::Error,
        }
    }

    fn not_yet(&mut self, name: &str, nodes: Vec<NodeId>, kind: Kind, span: Span) -> Value {
        let op = Op::Unsupported(name.to_string(), nodes);
        if kind.is_factor() {
            return Value::Data(self.opaque(op, kind, false, span));
        }
        let meta = Meta {
            shape: shape_of(kind),
            space: None,
            kind: super::super::value::kind_text(kind, &SpaceTerm::Native, &Weight::zero()),
        };
        let node = self.graph.add(op, meta, span);
        Value::Data(Data {
            plain: false,
            ..Data::of(kind, node)
        })
    }

    /// A classifier or loss, and what it is shown.
    fn judged(&mut self, judge: &'p Expr, of: &'p Expr) -> Option<Vec<NodeId>> {
        let judged = match self.expr(judge) {
            Value::Judge => true,
            Value::Error => false,
            other => {
                self.wrong_kind(&other, "a classifier or loss", judge.span, judge.span);
                false
            }
        };
        let node = self.tensor_of(of)?;
        judged.then(|| vec![node])
    }

    fn tensor_of(&mut self, expr: &'p Expr) -> Option<NodeId> {
        match self.expr(expr) {
            Value::Error => None,
            Value::Data(data)
                if matches!(
                    data.kind,
                    Kind::Tensor | Kind::Latent | Kind::Raw | Kind::Open
                ) =>
            {
                Some(data.node)
            }
            other => {
                self.wrong_kind(&other, "a tensor or latent", expr.span, expr.span);
                None
            }
        }
    }

    fn class_of(&mut self, value: Value, expr: &'p Expr) -> Option<NodeId> {
        match value {
            Value::Error => None,
            Value::Data(data) if matches!(data.kind, Kind::Class | Kind::Open) => Some(data.node),
            Value::Data(data) if data.kind == Kind::Scalar => {
                let known = self.graph.constant(data.node).is_some();
                let whole = self.whole(&data, "a class", expr.span);
                (whole.is_some() || !known).then_some(data.node)
            }
            other => {
                self.wrong_kind(&other, "a class", expr.span, expr.span);
                None
            }
        }
    }
}
