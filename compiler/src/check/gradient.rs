//! `grad`: the operations of a gradient, put together backward from the number that is differentiated.
//!
//! They are operations like any others, so that a plan shows and runs them as it does a rule's own; only
//! what goes through a network is asked of it ([`Op::JudgeGradient`], [`Op::PredictGradient`]).

mod network;

use std::collections::BTreeMap;

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{Convert, NodeId, Op, SpaceTerm};
use crate::plan::{Axes, Binary, ReduceOp, Shape, Space, Unary};
use crate::resolved::Arg;

use super::builder::{Builder, Meta};
use super::engine::Engine;
use super::operands::operands;
use super::value::{Data, Kind, Origin, Value};
use super::weight::Weight;

impl<'p> Engine<'p> {
    /// `grad(of, wrt:)`
    pub(crate) fn grad(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), Some(wrt)] = args else {
            return Value::Error;
        };
        let value = self.expr(&of.value);
        let scalar = self.scalar(value, "what is differentiated", &of.value);
        let by = match self.expr(&wrt.value) {
            Value::Error => None,
            Value::Data(data)
                if matches!(
                    data.kind,
                    Kind::Tensor | Kind::Latent | Kind::Raw | Kind::Open
                ) =>
            {
                Some(data)
            }
            other => {
                self.wrong_kind(&other, "a tensor or latent", wrt.value.span, wrt.value.span);
                None
            }
        };
        let (Some(scalar), Some(by)) = (scalar, by) else {
            return Value::Error;
        };
        let node = match Backward::new(&mut self.graph, by.node, span).of(scalar.node) {
            Ok(node) => node,
            Err(Stop::NoPath) if self.first_passes == 0 => {
                let (f, x) = (self.text(&of.value), self.text(&wrt.value));
                let message =
                    format!("`{f}` does not depend on `{x}`, so it has no gradient by it");
                let diagnostic = Diagnostic::new(Code::NoGradient, message)
                    .at(of.value.span, "this is differentiated")
                    .at(wrt.value.span, "by this, which it is not made of")
                    .help("differentiate by what it is made of: `x`, or a `let` that stands in it");
                return self.fail(diagnostic);
            }
            Err(Stop::NoPath) => self.unknown_gradient(scalar.node, by.node, "grad", span),
            Err(Stop::Without(what, at)) => {
                let message = format!("there is no gradient through {what}");
                let diagnostic = Diagnostic::new(Code::NoGradient, message)
                    .at(at, "this has none")
                    .at(span, "the gradient would go through it")
                    .help("leave it out of what is differentiated");
                return self.fail(diagnostic);
            }
            Err(Stop::NotYet(what)) => {
                let what = format!("a gradient through {what}");
                self.unknown_gradient(scalar.node, by.node, &what, span)
            }
        };
        if matches!(self.graph.node(by.node).op, Op::Latent) {
            let data = Data {
                weight: Weight::zero(),
                space: SpaceTerm::Named(Space::Score),
                plain: false,
                ..Data::of(Kind::Tensor, node)
            };
            let result = self.tensor(Op::Declare(node), data, span);
            self.remember_affinity(&result);
            return Value::Data(result);
        }
        Value::Data(Data {
            kind: Kind::Raw,
            node,
            weight: Weight::zero(),
            plain: false,
            origin: Origin::Free,
            ..by
        })
    }

    /// What stands for a gradient that no plan can have.
    fn unknown_gradient(&mut self, of: NodeId, by: NodeId, what: &str, span: Span) -> NodeId {
        let meta = Meta {
            shape: Shape::Tensor,
            space: None,
            kind: "raw".into(),
        };
        self.graph
            .add(Op::Unsupported(what.to_string(), vec![of, by]), meta, span)
    }
}

/// Why there is no gradient.
enum Stop {
    /// Nothing leads from the one to the other.
    NoPath,
    /// An operation without a gradient, and where it is.
    Without(String, Span),
    /// What this runtime cannot do.
    NotYet(String),
}

/// A gradient under way.
struct Backward<'a> {
    graph: &'a mut Builder,
    /// By what.
    by: NodeId,
    span: Span,
    /// By node: whether it depends on `by`.
    depends: Vec<bool>,
    /// What is known of the gradient by each node so far, in the node's own shape.
    known: BTreeMap<NodeId, NodeId>,
}

impl<'a> Backward<'a> {
    fn new(graph: &'a mut Builder, by: NodeId, span: Span) -> Self {
        let is_x = matches!(graph.node(by).op, Op::Latent);
        let mut depends = vec![false; graph.nodes.len()];
        for (at, node) in graph.nodes.iter().enumerate() {
            // A prediction without a point of its own is made at `x`.
            let at_x = is_x && matches!(&node.op, Op::Predict(p) if p.at.is_none());
            let read = operands(&node.op);
            let below = read.iter().any(|o| depends.get(o.index()) == Some(&true));
            depends[at] = at == by.index() || at_x || below;
        }
        Self {
            graph,
            by,
            span,
            depends,
            known: BTreeMap::new(),
        }
    }

    /// The gradient of a number.
    fn of(mut self, number: NodeId) -> Result<NodeId, Stop> {
        if !self.is_on_the_way(number) {
            return Err(self.without_a_path(number));
        }
        let one = self.graph.number(1.0, self.span);
        self.known.insert(number, one);
        let mut at = number.index();
        loop {
            let node = NodeId(at as u32);
            if node != self.by
                && let Some(so_far) = self.known.get(&node).copied()
            {
                self.back(node, so_far)?;
            }
            let Some(next) = at.checked_sub(1) else { break };
            at = next;
        }
        self.known.get(&self.by).copied().ok_or(Stop::NoPath)
    }

    /// What only a call will put in may yet lead there.
    fn without_a_path(&self, number: NodeId) -> Stop {
        let mut open = vec![number];
        let mut seen = vec![false; self.graph.nodes.len()];
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut seen[node.index()], true) {
                continue;
            }
            let op = &self.graph.node(node).op;
            if matches!(op, Op::Parameter(_)) {
                return Stop::NotYet("a parameter".to_string());
            }
            open.extend(operands(op));
        }
        Stop::NoPath
    }

    fn is_on_the_way(&self, node: NodeId) -> bool {
        self.depends.get(node.index()).copied().unwrap_or(false)
    }

    fn shape(&self, node: NodeId) -> Shape {
        self.graph.node(node).shape
    }

    fn add(&mut self, op: Op, shape: Shape) -> NodeId {
        let kind = match shape {
            Shape::Scalar => "scalar",
            Shape::Map => "map",
            Shape::PerChannel => "per channel",
            Shape::Scores => "by class",
            _ => "raw",
        };
        let meta = Meta {
            shape,
            space: None,
            kind: kind.into(),
        };
        self.graph.add(op, meta, self.span)
    }

    fn two(&mut self, op: fn(NodeId, NodeId) -> Op, a: NodeId, b: NodeId) -> NodeId {
        let shape = joined(self.shape(a), self.shape(b));
        self.add(op(a, b), shape)
    }

    fn times(&mut self, a: NodeId, b: NodeId) -> NodeId {
        // The gradient begins with 1.
        match (self.graph.constant(a), self.graph.constant(b)) {
            (Some(1.0), _) => b,
            (_, Some(1.0)) => a,
            _ => self.two(Op::Mul, a, b),
        }
    }

    fn unary(&mut self, op: Unary, a: NodeId) -> NodeId {
        let shape = self.shape(a);
        self.add(Op::Unary(op, a), shape)
    }

    fn scaled(&mut self, factor: f64, a: NodeId) -> NodeId {
        let factor = self.graph.number(factor, self.span);
        self.two(Op::Mul, factor, a)
    }

    fn negative(&mut self, a: NodeId) -> NodeId {
        let shape = self.shape(a);
        self.add(Op::Neg(a), shape)
    }

    fn reduced(&mut self, op: ReduceOp, over: Axes, of: NodeId) -> NodeId {
        let shape = match over {
            Axes::All => Shape::Scalar,
            Axes::Channels => Shape::Map,
            Axes::Space => Shape::PerChannel,
        };
        let reduce = Op::Reduce {
            op,
            over,
            of,
            with: None,
            level: None,
        };
        self.add(reduce, shape)
    }

    /// 1 in every place that a value has.
    fn ones(&mut self, like: NodeId) -> NodeId {
        let one = self.graph.number(1.0, self.span);
        let shape = self.shape(like);
        self.add(Op::Clip(like, one, one), shape)
    }

    /// 1 where `a` is above 0, half of it at 0, else 0.
    fn above(&mut self, a: NodeId) -> NodeId {
        let half = self.graph.number(0.5, self.span);
        let sign = self.unary(Unary::Sign, a);
        let share = self.scaled(0.5, sign);
        self.two(Op::Add, share, half)
    }

    /// Adds to the gradient by a node; what comes may be of another shape than it.
    fn give(&mut self, node: NodeId, share: NodeId) {
        if !self.is_on_the_way(node) {
            return;
        }
        let share = self.fitted(share, node);
        let sum = match self.known.get(&node).copied() {
            Some(before) => self.two(Op::Add, before, share),
            None => share,
        };
        self.known.insert(node, sum);
    }

    /// A share in the shape of a node: repeated where the node is larger, added up where it is smaller.
    fn fitted(&mut self, share: NodeId, node: NodeId) -> NodeId {
        let wanted = self.shape(node);
        let share = match (self.shape(share), wanted) {
            (a, b) if a == b => return share,
            (Shape::Tensor, _) | (_, Shape::Scalar) => share,
            _ => {
                let ones = self.ones(node);
                self.two(Op::Mul, share, ones)
            }
        };
        match (self.shape(share), wanted) {
            (a, b) if a == b => share,
            (_, Shape::Map) => self.reduced(ReduceOp::Sum, Axes::Channels, share),
            (_, Shape::PerChannel) => self.reduced(ReduceOp::Sum, Axes::Space, share),
            _ => self.reduced(ReduceOp::Sum, Axes::All, share),
        }
    }

    /// Takes the gradient by a node on to what the node is made of.
    fn back(&mut self, node: NodeId, so_far: NodeId) -> Result<(), Stop> {
        let op = self.graph.node(node).op.clone();
        match op {
            Op::Add(a, b) => {
                self.give(a, so_far);
                self.give(b, so_far);
            }
            Op::Sub(a, b) => {
                self.give(a, so_far);
                let less = self.negative(so_far);
                self.give(b, less);
            }
            Op::Mul(a, b) => {
                let (by_a, by_b) = (self.times(so_far, b), self.times(so_far, a));
                self.give(a, by_a);
                self.give(b, by_b);
            }
            Op::Div(a, b) => {
                let by_a = self.two(Op::Div, so_far, b);
                self.give(a, by_a);
                let share = self.times(by_a, node);
                let by_b = self.negative(share);
                self.give(b, by_b);
            }
            Op::Neg(a) => {
                let less = self.negative(so_far);
                self.give(a, less);
            }
            Op::Declare(a) => self.give(a, so_far),
            Op::Unary(function, a) => self.function(function, node, a, so_far),
            Op::Binary(function, a, b) => self.function_of_two(function, node, (a, b), so_far),
            Op::If(test, a, b) => {
                let zero = self.graph.number(0.0, self.span);
                let shape = self.shape(so_far);
                let (by_a, by_b) = (
                    self.add(Op::If(test, so_far, zero), shape),
                    self.add(Op::If(test, zero, so_far), shape),
                );
                self.give(a, by_a);
                self.give(b, by_b);
            }
            Op::Where(map, a, b) => {
                let zero = self.graph.number(0.0, self.span);
                let shape = joined(self.shape(so_far), self.shape(map));
                let (by_a, by_b) = (
                    self.add(Op::Where(map, so_far, zero), shape),
                    self.add(Op::Where(map, zero, so_far), shape),
                );
                self.give(a, by_a);
                self.give(b, by_b);
            }
            Op::Clip(a, low, high) => {
                let (over, under) = (self.two(Op::Sub, a, low), self.two(Op::Sub, high, a));
                let (over, under) = (self.above(over), self.above(under));
                let within = self.two(Op::Mul, over, under);
                let by_a = self.times(so_far, within);
                self.give(a, by_a);
            }
            Op::Convert(convert) => self.conversion(&convert, so_far),
            Op::Reduce {
                op, over, of, with, ..
            } => self.reduction(op, over, node, (of, with), so_far)?,
            Op::Judge(judge) => {
                let of = judge.of;
                let by = self.add(Op::JudgeGradient(judge, so_far), Shape::Tensor);
                self.give(of, by);
            }
            Op::Softmax(a) => {
                let product = self.times(so_far, node);
                let all = self.reduced(ReduceOp::Sum, Axes::All, product);
                let share = self.two(Op::Mul, all, node);
                let by = self.two(Op::Sub, product, share);
                self.give(a, by);
            }
            Op::Pick(a, class) => {
                let own = self.add(Op::OneHot(a, class), Shape::Scores);
                let by = self.times(so_far, own);
                self.give(a, by);
            }
            // Truth values and classes do not change with what they are made of.
            Op::Compare(..) | Op::Window { .. } | Op::And(..) | Op::Or(..) | Op::Not(_) => {}
            // Each place's mean reads every place of its region by the same share.
            Op::MeanWithin(a, regions) => {
                let back = self.add(Op::MeanWithin(so_far, regions), Shape::Map);
                self.give(a, back);
            }
            Op::Argmax(..) | Op::OneHot(..) => {}
            Op::Predict(predict) => self.network(predict, node, so_far)?,
            Op::Unsupported(what, _) => return Err(Stop::NotYet(format!("`{what}`"))),
            Op::Parameter(_) => return Err(Stop::NotYet("a parameter".to_string())),
            Op::JudgeGradient(..) | Op::PredictGradient(..) => {
                return Err(self.without(node, "a gradient"));
            }
            Op::Filter(..) => return Err(self.without(node, "a filter")),
            _ => return Err(self.without(node, "this")),
        }
        Ok(())
    }

    fn without(&self, node: NodeId, what: &str) -> Stop {
        Stop::Without(what.to_string(), self.graph.node(node).span)
    }

    /// Through a function of one value.
    fn function(&mut self, function: Unary, node: NodeId, a: NodeId, so_far: NodeId) {
        let by = match function {
            Unary::Abs => {
                let sign = self.unary(Unary::Sign, a);
                self.times(so_far, sign)
            }
            Unary::Exp => self.times(so_far, node),
            Unary::Log => self.two(Op::Div, so_far, a),
            Unary::Sqrt => {
                let half = self.scaled(0.5, so_far);
                self.two(Op::Div, half, node)
            }
            Unary::Sin => {
                let cos = self.unary(Unary::Cos, a);
                self.times(so_far, cos)
            }
            Unary::Cos => {
                let sin = self.unary(Unary::Sin, a);
                let share = self.times(so_far, sin);
                self.negative(share)
            }
            Unary::Acos => {
                let square = self.two(Op::Mul, a, a);
                let one = self.graph.number(1.0, self.span);
                let rest = self.two(Op::Sub, one, square);
                let root = self.unary(Unary::Sqrt, rest);
                let share = self.two(Op::Div, so_far, root);
                self.negative(share)
            }
            Unary::Sigmoid => {
                let one = self.graph.number(1.0, self.span);
                let rest = self.two(Op::Sub, one, node);
                let slope = self.two(Op::Mul, node, rest);
                self.times(so_far, slope)
            }
            Unary::InverseOrZero => {
                let square = self.two(Op::Mul, node, node);
                let share = self.times(so_far, square);
                self.negative(share)
            }
            // Flat wherever they have a slope.
            Unary::Sign | Unary::Floor => return,
        };
        self.give(a, by);
    }

    /// Through a function of two values.
    fn function_of_two(
        &mut self,
        function: Binary,
        node: NodeId,
        (a, b): (NodeId, NodeId),
        so_far: NodeId,
    ) {
        match function {
            Binary::Min | Binary::Max => {
                let (upper, lower) = match function {
                    Binary::Max => (a, b),
                    _ => (b, a),
                };
                let ahead = self.two(Op::Sub, upper, lower);
                let behind = self.two(Op::Sub, lower, upper);
                let (ahead, behind) = (self.above(ahead), self.above(behind));
                let (by_a, by_b) = (self.times(so_far, ahead), self.times(so_far, behind));
                self.give(a, by_a);
                self.give(b, by_b);
            }
            Binary::Pow => {
                let one = self.graph.number(1.0, self.span);
                let less = self.two(Op::Sub, b, one);
                let shape = joined(self.shape(a), self.shape(less));
                let power = self.add(Op::Binary(Binary::Pow, a, less), shape);
                let slope = self.two(Op::Mul, b, power);
                let by_a = self.times(so_far, slope);
                self.give(a, by_a);
                if self.is_on_the_way(b) {
                    let log = self.unary(Unary::Log, a);
                    let slope = self.two(Op::Mul, node, log);
                    let by_b = self.times(so_far, slope);
                    self.give(b, by_b);
                }
            }
            // `a - b*floor(a/b)`, and the whole part is flat.
            Binary::Rem => {
                self.give(a, so_far);
                if self.is_on_the_way(b) {
                    let ratio = self.two(Op::Div, a, b);
                    let whole = self.unary(Unary::Floor, ratio);
                    let share = self.times(so_far, whole);
                    let by_b = self.negative(share);
                    self.give(b, by_b);
                }
            }
        }
    }

    /// Through a conversion `p*value + q*x`, both numbers: the gradients are multiplied by them.
    fn conversion(&mut self, convert: &Convert, so_far: NodeId) {
        let by_value = Convert {
            value: so_far,
            origin: None,
            ..convert.clone()
        };
        let by_value = self.add(Op::Convert(Box::new(by_value)), Shape::Tensor);
        self.give(convert.value, by_value);
        if let Some(origin) = convert.origin {
            let zero = self.graph.number(0.0, self.span);
            let by_origin = Convert {
                value: zero,
                origin: Some(so_far),
                ..convert.clone()
            };
            let by_origin = self.add(Op::Convert(Box::new(by_origin)), Shape::Tensor);
            self.give(origin, by_origin);
        }
    }

    /// Through a reduction.
    fn reduction(
        &mut self,
        op: ReduceOp,
        over: Axes,
        node: NodeId,
        (of, with): (NodeId, Option<NodeId>),
        so_far: NodeId,
    ) -> Result<(), Stop> {
        let by = match (op, with) {
            (ReduceOp::Sum, _) => so_far,
            (ReduceOp::Mean, _) => {
                let ones = self.ones(of);
                let count = self.reduced(ReduceOp::Sum, over, ones);
                self.two(Op::Div, so_far, count)
            }
            (ReduceOp::Dot, Some(with)) => {
                let by_with = self.times(so_far, of);
                self.give(with, by_with);
                self.times(so_far, with)
            }
            (ReduceOp::Norm, _) => {
                let inverse = self.unary(Unary::InverseOrZero, node);
                let factor = self.times(so_far, inverse);
                self.times(factor, of)
            }
            (ReduceOp::Std, _) => {
                let mean = self.reduced(ReduceOp::Mean, over, of);
                let apart = self.two(Op::Sub, of, mean);
                let ones = self.ones(of);
                let count = self.reduced(ReduceOp::Sum, over, ones);
                let one = self.graph.number(1.0, self.span);
                let fewer = self.two(Op::Sub, count, one);
                let below = self.two(Op::Mul, fewer, node);
                let factor = self.two(Op::Div, so_far, below);
                self.times(factor, apart)
            }
            (ReduceOp::LogSumExp, _) if self.shape(of) == Shape::Scores => {
                let shares = self.add(Op::Softmax(of), Shape::Scores);
                self.times(so_far, shares)
            }
            (ReduceOp::LogSumExp, _) => {
                let apart = self.two(Op::Sub, of, node);
                let shares = self.unary(Unary::Exp, apart);
                self.times(so_far, shares)
            }
            (ReduceOp::Quantile, _) => return Err(self.without(node, "`quantile`")),
            (ReduceOp::Largest, _) => return Err(self.without(node, "`largest`")),
            (ReduceOp::Smallest, _) => return Err(self.without(node, "`smallest`")),
            _ => return Err(self.without(node, "`cosine`")),
        };
        self.give(of, by);
        Ok(())
    }
}

/// The shape of two values taken together.
fn joined(a: Shape, b: Shape) -> Shape {
    use Shape::{Map, PerChannel, Scalar, Tensor};
    match (a, b) {
        (Tensor, _) | (_, Tensor) | (Map, PerChannel) | (PerChannel, Map) => Tensor,
        (Map, _) | (_, Map) => Map,
        (PerChannel, _) | (_, PerChannel) => PerChannel,
        (other, Scalar) => other,
        (_, other) => other,
    }
}
