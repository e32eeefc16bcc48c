//! One tick of a graph as expressions: what is known is put in, branches that a known condition
//! decides are cut, terms whose factor is 0 are gone, conversions compose, sums are gathered.

use std::collections::{BTreeMap, HashMap};

use super::Target;
use super::affine::{Builder, Test, Written};
use super::expr::{Change, ExprId, FilterForm, Form};
use super::fold::{self, Folded};
use super::judging::Judgements;
use super::label::Predictions;
use super::leaving::Leaving;
use super::scalar::ScalarId;
use super::turn::drawn_noise;
use crate::graph::{
    CellId, Convert, FilterOp, Graph, Node, NodeId, Op, Outcome, OverRun, SpaceTerm, Stage,
    TickName,
};
use crate::plan::{Binary, Compare, Condition, DRAWN_NOISE, Shape, Space, Unary};
use crate::show;

/// A tick's work before anything is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// What leaves.
    pub result: Leaving,
    /// What each cell would keep.
    pub cells: Vec<Kept>,
    /// What became of each truth value that only the run decides.
    pub truths: BTreeMap<NodeId, ExprId>,
    /// What was asked about the tick.
    pub tests: Vec<Test>,
}

/// What a cell would keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Conditions, outermost first; `None` where the region does not run in this tick.
    pub region: Option<Vec<(ExprId, bool)>>,
    /// What is kept.
    pub value: ExprId,
}

/// Lowers ticks of one graph.
pub struct Lowering<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// What the plan is made for.
    pub target: &'a Target,
    /// What is known of its nodes.
    pub folded: &'a Folded,
    /// All predictions so far.
    pub predictions: Predictions,
    /// All questions to classifiers so far.
    pub judgements: Judgements,
    /// By node: the known number as an expression over names of the step, in the tick at hand.
    values: Vec<ExprId>,
    /// The same as a number, also where it is 0 in this tick.
    numbers: HashMap<NodeId, ScalarId>,
    ticks: usize,
    pub(super) has_uncond: bool,
}

impl<'a> Lowering<'a> {
    /// For all ticks of `target`.
    pub fn new(graph: &'a Graph, target: &'a Target, folded: &'a Folded) -> Self {
        let uncond = |n: &Node| match &n.op {
            Op::Predict(p) => p.conditions().any(|c| *c == Condition::Uncond),
            _ => false,
        };
        Self {
            graph,
            target,
            folded,
            predictions: Predictions::default(),
            judgements: Judgements::default(),
            values: Vec::new(),
            numbers: HashMap::new(),
            ticks: target.timetable.ticks.len(),
            has_uncond: graph.nodes.iter().any(uncond),
        }
    }

    /// Lowers a tick; `written` says of each cell whether an earlier tick wrote it, and `first` is the
    /// step's first evaluation where this one takes over its decisions.
    pub fn tick(
        &mut self,
        b: &mut Builder<'_>,
        outcome: &Outcome,
        written: &[Written],
        first: Option<&Lowered>,
    ) -> Lowered {
        self.values.clear();
        self.numbers.clear();
        let mut truths = BTreeMap::new();
        for index in 0..self.graph.nodes.len() {
            let (id, node) = (NodeId(index as u32), &self.graph.nodes[index]);
            let is_found = node.shape == Shape::Bool && self.folded.get(id).is_none();
            let decided = match is_found && !is_composed(&node.op) {
                true => decided(b, id, node, first),
                false => None,
            };
            let value = match decided {
                Some(value) => value,
                None => self.node(b, id, node, written),
            };
            if is_found {
                truths.insert(id, value);
            }
            if let Some(Some(number)) = b.exprs.as_scalar(value) {
                if let Some(name) = &node.name {
                    b.scalars.name(number, name);
                }
            } else if b.exprs.as_flag(value).is_none() {
                b.exprs.describe(value, node.name.as_deref(), &node.kind);
            }
            self.values.push(value);
        }
        let mut result = self.outcome(b, outcome);
        if result.moves.is_some() {
            // A step moves `x` once, before it begins.
            let begins = begins_step(self.target, b.tick);
            b.tests.insert(Test::BeginsStep(begins));
            result.moves = result.moves.filter(|_| begins);
        }
        let cells = self
            .graph
            .cells
            .iter()
            .map(|cell| self.kept(b, cell))
            .collect();
        Lowered {
            result,
            cells,
            truths,
            tests: std::mem::take(&mut b.tests).into_iter().collect(),
        }
    }

    fn kept(&self, b: &mut Builder<'_>, cell: &crate::graph::Cell) -> Kept {
        let mut region = Some(Vec::new());
        for (condition, holds) in &cell.region {
            let condition = self.value(b, *condition);
            match b.exprs.as_flag(condition) {
                Some(value) if value == *holds => {}
                Some(_) => region = None,
                None => {
                    if let Some(region) = &mut region {
                        region.push((condition, *holds));
                    }
                }
            }
        }
        Kept {
            region,
            value: self.value(b, cell.value),
        }
    }

    /// The value of a node that stands before the one at hand.
    pub(super) fn value(&self, b: &mut Builder<'_>, node: NodeId) -> ExprId {
        match self.values.get(node.index()) {
            Some(value) => *value,
            None => b.literal(0.0),
        }
    }

    /// The known number of a node.
    pub(super) fn scalar(&self, b: &mut Builder<'_>, node: NodeId) -> ScalarId {
        if let Some(number) = self.numbers.get(&node) {
            return *number;
        }
        let value = self.value(b, node);
        match b.exprs.as_scalar(value) {
            Some(Some(number)) => number,
            _ => b.scalars.literal(0.0),
        }
    }

    pub(super) fn number(&self, b: &mut Builder<'_>, node: NodeId) -> f64 {
        let id = self.scalar(b, node);
        b.fixed(id)
    }

    fn node(
        &mut self,
        b: &mut Builder<'_>,
        id: NodeId,
        node: &Node,
        written: &[Written],
    ) -> ExprId {
        if let Some(value) = self.folded.bool(id, b.tick) {
            b.tests.insert(Test::Decided(id, value));
            return b.flag(value);
        }
        if let Some(values) = self.folded.numbers(id) {
            let number = if node.stage == Stage::Const || values.is_empty() {
                b.scalars.literal(values.first().copied().unwrap_or(0.0))
            } else {
                self.known(b, id, node, values)
            };
            self.numbers.insert(id, number);
            return b.number(number);
        }
        let span = node.span;
        let shape = node.shape;
        match &node.op {
            Op::Add(x, y) | Op::Sub(x, y) => {
                let sign = if matches!(node.op, Op::Add(..)) {
                    1.0
                } else {
                    -1.0
                };
                let (x, y) = (self.value(b, *x), self.value(b, *y));
                b.sum(x, y, sign, span)
            }
            Op::Mul(x, y) => {
                let (x, y) = (self.value(b, *x), self.value(b, *y));
                b.product(x, y, span)
            }
            Op::Div(x, y) => {
                let (x, y) = (self.value(b, *x), self.value(b, *y));
                b.quotient(x, y, shape, span)
            }
            Op::Neg(x) => {
                let (minus, x) = (b.scalars.literal(-1.0), self.value(b, *x));
                b.scaled(minus, x, span)
            }
            Op::Declare(x) => self.value(b, *x),
            Op::Unary(op, x) => {
                let x = self.value(b, *x);
                self.unary(b, *op, x, node)
            }
            Op::Binary(op, x, y) => {
                let (x, y) = (self.value(b, *x), self.value(b, *y));
                self.binary(b, *op, x, y, node)
            }
            Op::Compare(op, x, y) => {
                let (x, y) = (self.value(b, *x), self.value(b, *y));
                b.compare(*op, x, y, shape, span)
            }
            Op::Window {
                value,
                from,
                to,
                inclusive,
            } => {
                let value = self.value(b, *value);
                let (from, to) = (self.value(b, *from), self.value(b, *to));
                let above = b.compare(Compare::Ge, value, from, Shape::Bool, span);
                let end = if *inclusive { Compare::Le } else { Compare::Lt };
                let below = b.compare(end, value, to, Shape::Bool, span);
                b.and(above, below, span)
            }
            Op::And(x, y) => {
                let (x, y) = (self.value(b, *x), self.value(b, *y));
                b.and(x, y, span)
            }
            Op::Or(x, y) => {
                let (x, y) = (self.value(b, *x), self.value(b, *y));
                b.or(x, y, span)
            }
            Op::Not(x) => {
                let x = self.value(b, *x);
                b.not(x, span)
            }
            Op::If(c, x, y) => {
                let (c, x, y) = (self.value(b, *c), self.value(b, *x), self.value(b, *y));
                b.select(c, x, y, shape, span)
            }
            Op::Where(c, x, y) => {
                let (c, x, y) = (self.value(b, *c), self.value(b, *x), self.value(b, *y));
                b.exprs.intern(Form::Where(c, x, y), shape, span)
            }
            Op::Clip(x, low, high) => {
                let (x, low, high) = (self.value(b, *x), self.value(b, *low), self.value(b, *high));
                b.exprs.intern(Form::Clip(x, low, high), shape, span)
            }
            Op::Convert(convert) => self.convert(b, convert, node),
            Op::Reduce {
                op,
                over,
                of,
                with,
                level,
            } => {
                let of = self.value(b, *of);
                let with = with.map(|w| self.value(b, w));
                let level = level.map(|l| self.value(b, l));
                let form = Form::Reduce {
                    op: *op,
                    over: *over,
                    of,
                    with,
                    level,
                };
                b.exprs.intern(form, shape, span)
            }
            Op::Filter(filter, of) => self.filter(b, filter, *of, node),
            Op::Latent => self.latent(b, span),
            Op::Gaussian(key) if key == DRAWN_NOISE => drawn_noise(b, span),
            Op::Target => b.exprs.intern(Form::Target, shape, span),
            Op::Input(input) => b.exprs.intern(Form::Input(*input), shape, span),
            Op::Entry(input, row, column) => {
                let (row, column) = (self.scalar(b, *row), self.scalar(b, *column));
                b.exprs
                    .intern(Form::Entry(*input, row, column), shape, span)
            }
            Op::Random(key, low, high) => {
                let (low, high) = (self.value(b, *low), self.value(b, *high));
                b.exprs
                    .intern(Form::Random(key.clone(), low, high), shape, span)
            }
            Op::Gaussian(key) => b.exprs.intern(Form::Gaussian(key.clone()), shape, span),
            Op::Look(of, look) => {
                let of = self.value(b, *of);
                b.exprs.intern(Form::Look(of, look.clone()), shape, span)
            }
            Op::Prev(cell) => self.prev(b, *cell, node, written),
            Op::Predict(predict) => self.predict(b, predict, None, node),
            Op::PredictGradient(predict, by) => self.predict(b, predict, Some(*by), node),
            Op::Judge(judge) => self.judge(b, judge, None, node),
            Op::JudgeGradient(judge, by) => self.judge(b, judge, Some(*by), node),
            Op::Softmax(x) => {
                let x = self.value(b, *x);
                b.exprs.intern(Form::Softmax(x), shape, span)
            }
            Op::Pick(x, class) => {
                let (x, class) = (self.value(b, *x), self.value(b, *class));
                b.exprs.intern(Form::Pick(x, class), shape, span)
            }
            Op::Argmax(x, except) => {
                let x = self.value(b, *x);
                let except = except.map(|class| self.value(b, class));
                b.exprs.intern(Form::Argmax(x, except), shape, span)
            }
            Op::MeanWithin(x, regions) => {
                let (x, regions) = (self.value(b, *x), self.value(b, *regions));
                b.exprs.intern(Form::MeanWithin(x, regions), shape, span)
            }
            Op::OneHot(x, class) => {
                let (x, class) = (self.value(b, *x), self.value(b, *class));
                b.exprs.intern(Form::OneHot(x, class), shape, span)
            }
            Op::Decode(_) => {
                let what = "decode".to_string();
                b.exprs.intern(Form::Refused(what, span), shape, span)
            }
            Op::Unsupported(what, _) => {
                b.exprs
                    .intern(Form::Refused(what.clone(), span), shape, span)
            }
            Op::Tick(name) => match self.drawn_name(b, *name, span) {
                Some(drawn) => drawn,
                None => b.literal(0.0),
            },
            Op::Number(_) | Op::Bool(_) | Op::Count(_) | Op::Parameter(_) => b.literal(0.0),
            Op::OverRun(..) | Op::AlphaAt(_) | Op::SigmaAt(_) | Op::TimeOf(_) => {
                let what = "a fold or a time that depends on what the run finds".to_string();
                b.exprs.intern(Form::Refused(what, span), shape, span)
            }
        }
    }

    /// A step scalar with the expression it comes from.
    fn known(&self, b: &mut Builder<'_>, id: NodeId, node: &Node, values: &[f64]) -> ScalarId {
        let of = |b: &mut Builder<'_>, n: &NodeId| self.scalar(b, *n);
        match &node.op {
            Op::Number(value) => b.scalars.literal(*value),
            Op::Tick(TickName::Steps) => b.scalars.literal(f64::from(self.target.steps)),
            Op::Tick(name) => b.scalars.leaf(fold::tick_name(*name), values),
            Op::Add(x, y) => {
                let (x, y) = (of(b, x), of(b, y));
                b.scalars.sum(x, y)
            }
            Op::Sub(x, y) => {
                let (x, y) = (of(b, x), of(b, y));
                b.scalars.difference(x, y)
            }
            Op::Mul(x, y) => {
                let (x, y) = (of(b, x), of(b, y));
                b.scalars.product(x, y)
            }
            Op::Div(x, y) => {
                let (x, y) = (of(b, x), of(b, y));
                b.scalars.quotient(x, y)
            }
            Op::Neg(x) => {
                let x = of(b, x);
                b.scalars.negative(x)
            }
            Op::Declare(x) => of(b, x),
            Op::Unary(op, x) => {
                let (op, x) = (*op, of(b, x));
                b.scalars
                    .call(show::unary(op), vec![x], |v| fold::unary(op, v[0]))
            }
            Op::Binary(op, x, y) => {
                let (op, x, y) = (*op, of(b, x), of(b, y));
                b.scalars.call(show::binary(op), vec![x, y], |v| {
                    fold::binary(op, v[0], v[1])
                })
            }
            Op::Clip(x, low, high) => {
                let args = vec![of(b, x), of(b, low), of(b, high)];
                b.scalars.call("clamp", args, |v| v[0].max(v[1]).min(v[2]))
            }
            Op::If(c, x, y) | Op::Where(c, x, y) => {
                let holds = self.folded.bool(*c, b.tick).unwrap_or(false);
                of(b, if holds { x } else { y })
            }
            Op::AlphaAt(t) => {
                let text = format!("alpha({})", {
                    let t = of(b, t);
                    b.scalars.text(t)
                });
                b.scalars.leaf(&text, values)
            }
            Op::SigmaAt(t) => {
                let text = format!("sigma({})", {
                    let t = of(b, t);
                    b.scalars.text(t)
                });
                b.scalars.leaf(&text, values)
            }
            Op::TimeOf(s) => {
                let text = format!("time_of({})", {
                    let s = of(b, s);
                    b.scalars.text(s)
                });
                b.scalars.leaf(&text, values)
            }
            Op::OverRun(OverRun::Mean, _) => {
                b.scalars.leaf(&format!("mean_over_run#{}", id.0), values)
            }
            Op::Prev(cell) => {
                let name = self
                    .graph
                    .cells
                    .get(cell.index())
                    .map_or("", |c| c.path.as_str());
                b.scalars.leaf(&format!("{name}'"), values)
            }
            _ => b.scalars.leaf(&format!("k{}", id.0), values),
        }
    }

    fn unary(&self, b: &mut Builder<'_>, op: Unary, x: ExprId, node: &Node) -> ExprId {
        if let Some(number) = b.exprs.as_scalar(x) {
            let zero = b.scalars.literal(0.0);
            let number = number.unwrap_or(zero);
            let result = b
                .scalars
                .call(show::unary(op), vec![number], |v| fold::unary(op, v[0]));
            return b.number(result);
        }
        b.exprs.intern(Form::Unary(op, x), node.shape, node.span)
    }

    fn binary(&self, b: &mut Builder<'_>, op: Binary, x: ExprId, y: ExprId, node: &Node) -> ExprId {
        if let (Some(x), Some(y)) = (b.exprs.as_scalar(x), b.exprs.as_scalar(y)) {
            let zero = b.scalars.literal(0.0);
            let args = vec![x.unwrap_or(zero), y.unwrap_or(zero)];
            let result = b
                .scalars
                .call(show::binary(op), args, |v| fold::binary(op, v[0], v[1]));
            return b.number(result);
        }
        b.exprs
            .intern(Form::Binary(op, x, y), node.shape, node.span)
    }

    pub(super) fn space(&self, term: &SpaceTerm) -> Space {
        match term {
            SpaceTerm::Named(space) => *space,
            SpaceTerm::Native | SpaceTerm::Latent | SpaceTerm::Generic(_) => {
                self.target.facts.space
            }
        }
    }

    fn convert(&self, b: &mut Builder<'_>, convert: &Convert, node: &Node) -> ExprId {
        if let Some(converted) = self.convert_drawn(b, convert, node.span) {
            return converted;
        }
        let value = self.value(b, convert.value);
        let origin = convert.origin.map(|o| self.value(b, o));
        let change = Change {
            of: value,
            from: self.space(&convert.from),
            to: self.space(&convert.to),
            alpha: self.scalar(b, convert.alpha),
            sigma: self.scalar(b, convert.sigma),
        };
        b.convert(value, &change, origin, node.span)
    }

    fn filter(&self, b: &mut Builder<'_>, filter: &FilterOp, of: NodeId, node: &Node) -> ExprId {
        let of = self.value(b, of);
        if b.exprs.as_scalar(of) == Some(None) {
            return of;
        }
        let form = match filter {
            FilterOp::GaussianBlur { sigma, taps } => {
                let taps = taps.map_or(9, |t| self.number(b, t) as u32);
                FilterForm::GaussianBlur {
                    sigma: self.scalar(b, *sigma),
                    taps,
                }
            }
            FilterOp::Band { level, of } => FilterForm::Band {
                level: self.number(b, *level) as u32,
                of: self.number(b, *of) as u32,
            },
            FilterOp::Resample(factor) => FilterForm::Resample(self.scalar(b, *factor)),
            FilterOp::FftDisk(radius) => FilterForm::FftDisk(self.scalar(b, *radius)),
            FilterOp::FftBox(radius) => FilterForm::FftBox(self.scalar(b, *radius)),
            FilterOp::DctHighpass(cutoff) => FilterForm::DctHighpass(self.scalar(b, *cutoff)),
        };
        b.exprs
            .intern(Form::Filter(form, of), node.shape, node.span)
    }

    fn prev(&self, b: &mut Builder<'_>, id: CellId, node: &Node, written: &[Written]) -> ExprId {
        let Some(cell) = self.graph.cells.get(id.index()) else {
            return b.literal(0.0);
        };
        let state = b.exprs.intern(Form::State(id), node.shape, node.span);
        if fixed_init(self.graph, self.folded, cell.init).is_some() {
            return state;
        }
        let now = written.get(id.index()).copied().unwrap_or(Written::Never);
        b.tests.insert(Test::Written(id, now));
        let init = self.value(b, cell.init);
        match now {
            Written::Never => init,
            Written::Surely => state,
            Written::Perhaps => b.exprs.intern(Form::Fresh(id, init), node.shape, node.span),
        }
    }

    /// How many ticks there are.
    pub fn ticks(&self) -> usize {
        self.ticks
    }
}

/// Whether a tick is a step's first evaluation.
pub fn begins_step(target: &Target, tick: usize) -> bool {
    let tick = target.timetable.ticks.get(tick);
    tick.is_none_or(|tick| tick.substep == 0)
}

/// Whether a truth value is put together from others, and so is again in each evaluation of a step.
fn is_composed(op: &Op) -> bool {
    matches!(
        op,
        Op::And(..) | Op::Or(..) | Op::Not(_) | Op::If(..) | Op::Declare(_)
    )
}

/// A truth value as the step's first evaluation found it, where this one takes over its decisions.
/// What is known or state is the same in all evaluations of a step.
fn decided(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    first: Option<&Lowered>,
) -> Option<ExprId> {
    let there = first.and_then(|first| first.truths.get(&id)).copied();
    b.tests.insert(Test::First(id, there));
    let there = there?;
    Some(match b.exprs.form(there) {
        Form::Flag(_) | Form::State(_) => there,
        _ => b.exprs.intern(Form::Held(id), Shape::Bool, node.span),
    })
}

/// The initial value of a state, where it is one number for the whole run.
pub fn fixed_init(graph: &Graph, folded: &Folded, init: NodeId) -> Option<f64> {
    let node = graph.nodes.get(init.index())?;
    if node.stage != Stage::Const {
        return None;
    }
    match folded.get(init)? {
        fold::Known::Numbers(values) => values.first().copied(),
        fold::Known::Bools(values) => values.first().map(|v| f64::from(u8::from(*v))),
    }
}
