//! Values from operations: nodes with their shapes, kinds and weights.

use guide_grammar::span::Span;

use crate::graph::{Op, SpaceTerm};
use crate::plan::Shape;

use super::builder::Meta;
use super::engine::Engine;
use super::value::{Data, Kind, kind_text};
use super::weight::Weight;

impl Engine<'_> {
    /// A result whose value is an unknown of its own.
    pub(crate) fn opaque(&mut self, op: Op, kind: Kind, plain: bool, span: Span) -> Data {
        let data = self.computed(op, kind, Weight::zero(), plain, span);
        if !kind.is_factor() {
            return data;
        }
        let weight = self.node_weight(data.node, |_| match kind {
            Kind::Scalar => "(a scalar)".to_string(),
            Kind::Map => "(a map)".to_string(),
            _ => "(a per-channel value)".to_string(),
        });
        Data { weight, ..data }
    }

    /// A raw result: it belongs to the space of the first of `operands` that has one, once it is
    /// vouched for.
    pub(crate) fn raw_of(&mut self, op: Op, operands: &[&Data], plain: bool, span: Span) -> Data {
        let result = self.opaque(op, Kind::Raw, plain, span);
        match operands.iter().find(|operand| operand.has_space()) {
            Some(home) => Data {
                space: home.space.clone(),
                pinned: home.pinned,
                origin: home.origin.clone(),
                ..result
            },
            None => result,
        }
    }

    /// A result that is no tensor. A scalar's value over the limits becomes an unknown of its own.
    pub(crate) fn computed(
        &mut self,
        op: Op,
        kind: Kind,
        weight: Weight,
        plain: bool,
        span: Span,
    ) -> Data {
        let meta = Meta {
            shape: shape_of(kind),
            space: None,
            kind: kind_text(kind, &SpaceTerm::Native, &weight),
        };
        let node = self.graph.add(op, meta, span);
        let weight = if kind.is_factor() && weight.is_too_large() {
            self.node_weight(node, |_| "(a scalar)".to_string())
        } else {
            weight
        };
        Data {
            weight,
            plain,
            ..Data::of(kind, node)
        }
    }

    /// A result in a space: `data` says everything but the node.
    pub(crate) fn tensor(&mut self, op: Op, data: Data, span: Span) -> Data {
        let meta = Meta {
            shape: Shape::Tensor,
            space: Some(data.space.clone()),
            kind: data.kind_text(),
        };
        Data {
            node: self.graph.add(op, meta, span),
            ..data
        }
    }

    /// Whether it is the literal `0`.
    pub(crate) fn is_zero(&self, data: &Data) -> bool {
        data.kind == Kind::Scalar
            && matches!(self.graph.node(data.node).op, Op::Number(0.0))
            && data.weight.is_zero()
    }
}

/// The shape of a kind.
pub(crate) fn shape_of(kind: Kind) -> Shape {
    match kind {
        Kind::Scalar => Shape::Scalar,
        Kind::Probs | Kind::Logits => Shape::Scores,
        Kind::Bool => Shape::Bool,
        Kind::Class => Shape::Class,
        Kind::Map => Shape::Map,
        Kind::PerChannel => Shape::PerChannel,
        Kind::Tensor | Kind::Latent | Kind::Raw | Kind::Picture | Kind::Open => Shape::Tensor,
    }
}
