//! The graph under construction: hash-consed nodes with stages and known constants.

use std::collections::HashMap;

use guide_grammar::span::Span;

use crate::graph::{CellId, Node, NodeId, Op, SpaceTerm, Stage, TickName};
use crate::plan::{Binary, Compare, Shape, Unary};

use super::operands::operands;

/// A rule that inlines into more nodes than this is refused.
pub const MAX_NODES: usize = 200_000;

/// Nodes so far.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) nodes: Vec<Node>,
    /// The value of each node that is known before the run, truth values as 0 and 1.
    constants: Vec<Option<f64>>,
    index: HashMap<String, NodeId>,
    /// In an objective the names of the noise differ from sample to sample.
    pub(crate) objective: bool,
}

/// What a node is, apart from how it is computed.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) shape: Shape,
    pub(crate) space: Option<SpaceTerm>,
    pub(crate) kind: String,
}

impl Builder {
    /// The node of `op`: one that is there already, or a new one.
    pub(crate) fn add(&mut self, op: Op, meta: Meta, span: Span) -> NodeId {
        let stage = self.stage_of(&op);
        self.add_staged(op, meta, stage, span)
    }

    /// The same with a stage that the operands do not tell.
    pub(crate) fn add_staged(&mut self, op: Op, meta: Meta, stage: Stage, span: Span) -> NodeId {
        let mut key = format!("{op:?}");
        if matches!(op, Op::Declare(_)) {
            key.push_str(&meta.kind);
        }
        if let Some(found) = self.index.get(&key) {
            return *found;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.constants.push(self.constant_of(&op));
        self.nodes.push(Node {
            op,
            shape: meta.shape,
            space: meta.space,
            kind: meta.kind,
            stage,
            name: None,
            span,
        });
        self.index.insert(key, id);
        id
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        // INVARIANT: ids come from `add` alone.
        &self.nodes[id.index()]
    }

    pub(crate) fn stage(&self, id: NodeId) -> Stage {
        self.node(id).stage
    }

    /// The value, where it is known before the run.
    pub(crate) fn constant(&self, id: NodeId) -> Option<f64> {
        self.constants.get(id.index()).copied().flatten()
    }

    /// Gives a node the name of a `let`, unless it has one.
    pub(crate) fn name(&mut self, id: NodeId, name: &str) {
        if let Some(node) = self.nodes.get_mut(id.index()) {
            node.name.get_or_insert_with(|| name.to_string());
        }
    }

    pub(crate) fn scalar(&mut self, op: Op, span: Span) -> NodeId {
        self.add(
            op,
            Meta {
                shape: Shape::Scalar,
                space: None,
                kind: "scalar".into(),
            },
            span,
        )
    }

    pub(crate) fn number(&mut self, value: f64, span: Span) -> NodeId {
        self.scalar(Op::Number(value), span)
    }

    pub(crate) fn tick(&mut self, name: TickName, span: Span) -> NodeId {
        self.scalar(Op::Tick(name), span)
    }

    pub(crate) fn bool(&mut self, op: Op, span: Span) -> NodeId {
        self.add(
            op,
            Meta {
                shape: Shape::Bool,
                space: None,
                kind: "bool".into(),
            },
            span,
        )
    }

    /// The noisy latent of the tick.
    pub(crate) fn latent(&mut self, span: Span) -> NodeId {
        self.add(
            Op::Latent,
            Meta {
                shape: Shape::Tensor,
                space: None,
                kind: "latent".into(),
            },
            span,
        )
    }

    pub(crate) fn prev(&mut self, cell: CellId, meta: Meta, stage: Stage, span: Span) -> NodeId {
        self.add_staged(Op::Prev(cell), meta, stage, span)
    }

    fn stage_of(&self, op: &Op) -> Stage {
        let own = match op {
            Op::Latent
            | Op::Target
            | Op::Predict(_)
            | Op::PredictGradient(..)
            | Op::Input(_)
            | Op::Random(..)
            | Op::Gaussian(_)
            | Op::Look(..) => Stage::Sample,
            Op::Judge(_) | Op::JudgeGradient(..) | Op::Unsupported(..) => Stage::Sample,
            Op::Tick(TickName::Steps) | Op::OverRun(..) => return Stage::Const,
            Op::Tick(name) if self.objective && name.is_of_noise() => Stage::Sample,
            Op::Tick(_) => Stage::Step,
            _ => Stage::Const,
        };
        operands(op)
            .into_iter()
            .map(|n| self.stage(n))
            .fold(own, Stage::max)
    }

    fn constant_of(&self, op: &Op) -> Option<f64> {
        let of = |n: &NodeId| self.constant(*n);
        let truth = |b: bool| Some(f64::from(u8::from(b)));
        match op {
            Op::Number(value) => Some(*value),
            Op::Bool(value) => truth(*value),
            Op::Add(a, b) => Some(of(a)? + of(b)?),
            Op::Sub(a, b) => Some(of(a)? - of(b)?),
            Op::Mul(a, b) => Some(of(a)? * of(b)?),
            Op::Div(a, b) => match (of(a)?, of(b)?) {
                (0.0, 0.0) => Some(0.0),
                (a, b) => Some(a / b),
            },
            Op::Neg(a) => Some(-of(a)?),
            Op::Unary(unary, a) => Some(apply_unary(*unary, of(a)?)),
            Op::Binary(binary, a, b) => Some(apply_binary(*binary, of(a)?, of(b)?)),
            Op::Compare(compare, a, b) => truth(apply_compare(*compare, of(a)?, of(b)?)),
            Op::Clip(a, low, high) => Some(of(a)?.max(of(low)?).min(of(high)?)),
            Op::And(a, b) => match (of(a), of(b)) {
                (Some(0.0), _) | (_, Some(0.0)) => Some(0.0),
                (Some(_), Some(_)) => Some(1.0),
                _ => None,
            },
            Op::Or(a, b) => match (of(a), of(b)) {
                (Some(1.0), _) | (_, Some(1.0)) => Some(1.0),
                (Some(_), Some(_)) => Some(0.0),
                _ => None,
            },
            Op::Not(a) => Some(1.0 - of(a)?),
            Op::If(condition, a, b) => {
                if of(condition)? != 0.0 {
                    of(a)
                } else {
                    of(b)
                }
            }
            _ => None,
        }
    }
}

fn apply_unary(unary: Unary, a: f64) -> f64 {
    match unary {
        Unary::Abs => a.abs(),
        Unary::Exp => a.exp(),
        Unary::Log => a.ln(),
        Unary::Sqrt => a.sqrt(),
        Unary::Sin => a.sin(),
        Unary::Cos => a.cos(),
        Unary::Acos => a.acos(),
        Unary::Sign => {
            if a == 0.0 {
                0.0
            } else {
                a.signum()
            }
        }
        Unary::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Unary::Floor => a.floor(),
        Unary::InverseOrZero => {
            if a == 0.0 {
                0.0
            } else {
                1.0 / a
            }
        }
    }
}

fn apply_binary(binary: Binary, a: f64, b: f64) -> f64 {
    match binary {
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
        Binary::Pow => a.powf(b),
        Binary::Rem => a - b * (a / b).floor(),
    }
}

fn apply_compare(compare: Compare, a: f64, b: f64) -> bool {
    match compare {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}
