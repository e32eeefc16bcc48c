//! Values that are known when the plan is made: every const and step node, in every tick.

use crate::graph::{Graph, Node, NodeId, Op, OverRun, TickName};
use crate::plan::{Binary, Compare, NoiseCurve, Tick, Timetable, Unary};

/// What is known of a node: its value in each tick.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// Numbers, one a tick.
    Numbers(Vec<f64>),
    /// Truth values, one a tick.
    Bools(Vec<bool>),
}

/// The known values of a graph.
#[derive(Debug)]
pub struct Folded {
    nodes: Vec<Option<Known>>,
}

impl Folded {
    /// What is known of a node; `None` if only the run finds it.
    pub fn get(&self, node: NodeId) -> Option<&Known> {
        self.nodes.get(node.index()).and_then(Option::as_ref)
    }

    /// The numbers of a node, one a tick.
    pub fn numbers(&self, node: NodeId) -> Option<&[f64]> {
        match self.get(node) {
            Some(Known::Numbers(values)) => Some(values),
            _ => None,
        }
    }

    /// The node's truth value in a tick.
    pub fn bool(&self, node: NodeId, tick: usize) -> Option<bool> {
        match self.get(node) {
            Some(Known::Bools(values)) => values.get(tick).copied(),
            _ => None,
        }
    }
}

/// Evaluates what is known in each tick.
pub fn fold(graph: &Graph, timetable: &Timetable, steps: u32) -> Folded {
    let known = knowable(graph);
    let phases = phases(graph, &known);
    let last_phase = phases.iter().copied().max().unwrap_or(0);
    let mut folder = Folder {
        graph,
        ticks: &timetable.ticks,
        steps,
        curve: timetable.noise.curve(),
        values: known
            .iter()
            .map(|k| {
                if *k {
                    vec![0.0; timetable.ticks.len()]
                } else {
                    Vec::new()
                }
            })
            .collect(),
        kept: vec![None; graph.cells.len()],
        pending: vec![None; graph.cells.len()],
    };
    for phase in 0..=last_phase {
        folder.kept.fill(None);
        folder.pending.fill(None);
        for tick in 0..folder.ticks.len() {
            folder.begin(tick);
            for index in 0..graph.nodes.len() {
                if known[index] && phases[index] == phase {
                    folder.evaluate(index, tick);
                }
            }
            folder.end(tick, &known, &phases, phase);
        }
    }
    let is_bool = |node: &Node| node.shape == crate::plan::Shape::Bool;
    let wrap = |(index, values): (usize, Vec<f64>)| {
        known[index].then(|| {
            if is_bool(&graph.nodes[index]) {
                Known::Bools(values.iter().map(|v| *v != 0.0).collect())
            } else {
                Known::Numbers(values)
            }
        })
    };
    Folded {
        nodes: folder.values.into_iter().enumerate().map(wrap).collect(),
    }
}

/// Which nodes depend on nothing that only the run finds.
fn knowable(graph: &Graph) -> Vec<bool> {
    let mut cells = vec![true; graph.cells.len()];
    loop {
        let mut known = vec![false; graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            known[index] = match &node.op {
                Op::Tick(name) if graph.objective && name.is_of_noise() => false,
                Op::Parameter(_) | Op::Latent | Op::Target | Op::Predict(_) | Op::Input(_) => false,
                Op::PredictGradient(..) => false,
                Op::Entry(..) | Op::Convert(_) | Op::Reduce { .. } | Op::Filter(..) => false,
                Op::Random(..) | Op::Gaussian(_) | Op::Look(..) | Op::Unsupported(..) => false,
                Op::Judge(_) | Op::JudgeGradient(..) | Op::Decode(_) | Op::Softmax(_) => false,
                Op::Pick(..) | Op::Argmax(..) | Op::OneHot(..) | Op::MeanWithin(..) => false,
                Op::Prev(cell) => cells.get(cell.index()).copied().unwrap_or(false),
                op => operands(op)
                    .iter()
                    .all(|o| known.get(o.index()).copied().unwrap_or(false)),
            };
        }
        let is_known = |node: NodeId| known.get(node.index()).copied().unwrap_or(false);
        let mut changed = false;
        for (cell, still) in graph.cells.iter().zip(&mut cells) {
            let now = is_known(cell.value)
                && is_known(cell.init)
                && cell
                    .region
                    .iter()
                    .all(|(condition, _)| is_known(*condition));
            changed |= *still && !now;
            *still &= now;
        }
        if !changed {
            return known;
        }
    }
}

/// Folds over the run need all ticks of their operand first: a phase for each depth of them.
fn phases(graph: &Graph, known: &[bool]) -> Vec<u32> {
    /// More folds of folds through state than anybody writes.
    const DEEPEST: u32 = 16;
    let mut phases = vec![0_u32; graph.nodes.len()];
    loop {
        let mut changed = false;
        for (index, node) in graph.nodes.iter().enumerate() {
            if !known[index] {
                continue;
            }
            let of = |node: &NodeId| phases.get(node.index()).copied().unwrap_or(0);
            let phase = match &node.op {
                Op::OverRun(..) => operands(&node.op).iter().map(of).max().unwrap_or(0) + 1,
                Op::Prev(cell) => graph.cells.get(cell.index()).map_or(0, |cell| {
                    let conditions = cell.region.iter().map(|(c, _)| of(c)).max().unwrap_or(0);
                    of(&cell.value).max(of(&cell.init)).max(conditions)
                }),
                op => operands(op).iter().map(of).max().unwrap_or(0),
            };
            if phase > phases[index] && phase <= DEEPEST {
                phases[index] = phase;
                changed = true;
            }
        }
        if !changed {
            return phases;
        }
    }
}

struct Folder<'a> {
    graph: &'a Graph,
    ticks: &'a [Tick],
    steps: u32,
    curve: NoiseCurve,
    values: Vec<Vec<f64>>,
    /// What `prev` reads, by cell.
    kept: Vec<Option<f64>>,
    /// What becomes of it when the step is over.
    pending: Vec<Option<f64>>,
}

impl Folder<'_> {
    fn own_tick(&self, tick: usize) -> bool {
        self.graph.per_evaluation || self.ticks[tick].substep == 0
    }

    fn begin(&mut self, tick: usize) {
        if self.own_tick(tick) {
            for (kept, pending) in self.kept.iter_mut().zip(&mut self.pending) {
                if pending.is_some() {
                    *kept = pending.take();
                }
            }
        }
    }

    fn end(&mut self, tick: usize, known: &[bool], phases: &[u32], phase: u32) {
        if !self.own_tick(tick) {
            return;
        }
        for (index, cell) in self.graph.cells.iter().enumerate() {
            let value = cell.value.index();
            let active = cell.region.iter().all(|(condition, holds)| {
                known.get(condition.index()) == Some(&true)
                    && (self.value(*condition, tick) != 0.0) == *holds
            });
            if known.get(value) == Some(&true) && phases[value] <= phase && active {
                self.pending[index] = Some(self.value(cell.value, tick));
            }
        }
    }

    fn value(&self, node: NodeId, tick: usize) -> f64 {
        self.values
            .get(node.index())
            .and_then(|v| v.get(tick))
            .copied()
            .unwrap_or(0.0)
    }

    fn evaluate(&mut self, index: usize, tick: usize) {
        let node = &self.graph.nodes[index];
        let value = if node.shape == crate::plan::Shape::Bool && !self.own_tick(tick) {
            // A substep keeps what its step's first evaluation decided.
            let first = (0..tick).rev().find(|t| self.own_tick(*t)).unwrap_or(tick);
            self.values[index][first]
        } else {
            self.compute(&node.op, tick)
        };
        self.values[index][tick] = value;
    }

    fn compute(&self, op: &Op, tick: usize) -> f64 {
        let v = |node: &NodeId| self.value(*node, tick);
        let truth = |holds: bool| f64::from(u8::from(holds));
        match op {
            Op::Number(value) => *value,
            Op::Bool(value) => truth(*value),
            Op::Tick(name) => tick_value(*name, &self.ticks[tick], self.steps),
            Op::Count(input) => {
                let count = self.graph.inputs.get(input.index()).and_then(|i| i.count);
                f64::from(count.unwrap_or(0))
            }
            Op::Add(a, b) => v(a) + v(b),
            Op::Sub(a, b) => v(a) - v(b),
            Op::Mul(a, b) => v(a) * v(b),
            Op::Div(a, b) => divide(v(a), v(b)),
            Op::Neg(a) => -v(a),
            Op::Declare(a) => v(a),
            Op::Unary(op, a) => unary(*op, v(a)),
            Op::Binary(op, a, b) => binary(*op, v(a), v(b)),
            Op::Compare(op, a, b) => truth(compare(*op, v(a), v(b))),
            Op::Window {
                value,
                from,
                to,
                inclusive,
            } => {
                if matches!(
                    self.graph.nodes[value.index()].op,
                    Op::Tick(TickName::Progress)
                ) {
                    let (first, last) = window(v(from), v(to), *inclusive, self.steps);
                    let step = i64::from(self.ticks[tick].step);
                    return truth((first..last).contains(&step));
                }
                let inside = v(value) < v(to) || (*inclusive && v(value) == v(to));
                truth(v(from) <= v(value) && inside)
            }
            Op::And(a, b) => truth(v(a) != 0.0 && v(b) != 0.0),
            Op::Or(a, b) => truth(v(a) != 0.0 || v(b) != 0.0),
            Op::Not(a) => truth(v(a) == 0.0),
            Op::If(c, a, b) | Op::Where(c, a, b) => {
                if v(c) != 0.0 {
                    v(a)
                } else {
                    v(b)
                }
            }
            Op::Clip(a, low, high) => v(a).max(v(low)).min(v(high)),
            Op::Prev(cell) => match self.kept.get(cell.index()).copied().flatten() {
                Some(value) => value,
                None => self
                    .graph
                    .cells
                    .get(cell.index())
                    .map_or(0.0, |c| v(&c.init)),
            },
            Op::OverRun(fold, of) => self.over_run(*fold, *of, tick),
            Op::AlphaAt(t) => self.curve.at(v(t)).0,
            Op::SigmaAt(t) => self.curve.at(v(t)).1,
            Op::TimeOf(ratio) => self.curve.time_of(v(ratio)),
            _ => f64::NAN,
        }
    }

    fn over_run(&self, fold: OverRun, of: NodeId, tick: usize) -> f64 {
        let steps = (0..self.ticks.len()).filter(|t| self.ticks[*t].substep == 0);
        let curve: Vec<f64> = steps.map(|t| self.value(of, t)).collect();
        match fold {
            OverRun::Mean => divide(curve.iter().sum(), curve.len() as f64),
            OverRun::Max => curve.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            OverRun::At(fraction) => {
                let last = curve.len().saturating_sub(1);
                let place = self.value(fraction, tick).clamp(0.0, 1.0) * last as f64;
                let below = place.floor();
                let at = |i: usize| curve.get(i.min(last)).copied().unwrap_or(0.0);
                let (low, high) = (at(below as usize), at(below as usize + 1));
                low + (high - low) * (place - below)
            }
        }
    }
}

/// The steps that `progress in from..to` means: `int(from*steps)..int(to*steps)`, half-open.
pub fn window(from: f64, to: f64, inclusive: bool, steps: u32) -> (i64, i64) {
    let whole = |share: f64| (share * f64::from(steps)) as i64;
    (whole(from), whole(to) + i64::from(inclusive))
}

/// `a / b`, with `a/0` infinite of a's sign and `0/0 = 0`.
pub fn divide(a: f64, b: f64) -> f64 {
    if b != 0.0 {
        a / b
    } else if a == 0.0 {
        0.0
    } else if a.is_nan() {
        a
    } else {
        f64::INFINITY.copysign(a)
    }
}

/// A function of one number.
pub fn unary(op: Unary, a: f64) -> f64 {
    match op {
        Unary::Abs => a.abs(),
        Unary::Exp => a.exp(),
        Unary::Log => a.ln(),
        Unary::Sqrt => a.sqrt(),
        Unary::Sin => a.sin(),
        Unary::Cos => a.cos(),
        Unary::Acos => a.acos(),
        Unary::Sign if a == 0.0 || a.is_nan() => a,
        Unary::Sign => a.signum(),
        Unary::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Unary::Floor => a.floor(),
        Unary::InverseOrZero if a == 0.0 => 0.0,
        Unary::InverseOrZero => 1.0 / a,
    }
}

/// A function of two numbers.
pub fn binary(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
        Binary::Pow => a.powf(b),
        Binary::Rem => a - b * (a / b).floor(),
    }
}

/// A comparison of two numbers.
pub fn compare(op: Compare, a: f64, b: f64) -> bool {
    match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}

/// The value of a name of the step in a tick.
pub fn tick_value(name: TickName, tick: &Tick, steps: u32) -> f64 {
    let step = f64::from(tick.step);
    let ratio = divide(tick.sigma, tick.alpha);
    match name {
        TickName::Step => step,
        TickName::Steps => f64::from(steps),
        TickName::Substep => f64::from(tick.substep),
        TickName::Progress => step / f64::from(steps.max(1)),
        TickName::Fraction if steps <= 1 => 0.0,
        TickName::Fraction => step / f64::from(steps - 1),
        TickName::T => tick.t,
        TickName::T1000 => tick.t1000,
        TickName::Alpha => tick.alpha,
        TickName::Sigma => tick.sigma,
        TickName::SigmaRatio => ratio,
        TickName::Snr => divide(tick.alpha * tick.alpha, tick.sigma * tick.sigma),
        TickName::LogSnr => divide(tick.alpha * tick.alpha, tick.sigma * tick.sigma).ln(),
        TickName::PosteriorVariance => tick.posterior_variance,
        TickName::AlphaNext => tick.alpha_next,
        TickName::SigmaNext => tick.sigma_next,
        TickName::TNext => tick.t_next,
    }
}

/// The name of a name of the step, in the language.
pub fn tick_name(name: TickName) -> &'static str {
    match name {
        TickName::Step => "step",
        TickName::Steps => "steps",
        TickName::Substep => "substep",
        TickName::Progress => "progress",
        TickName::Fraction => "fraction",
        TickName::T => "t",
        TickName::T1000 => "t1000",
        TickName::Alpha => "alpha",
        TickName::Sigma => "sigma",
        TickName::SigmaRatio => "sigma_ratio",
        TickName::Snr => "snr",
        TickName::LogSnr => "log_snr",
        TickName::PosteriorVariance => "posterior_variance",
        TickName::AlphaNext => "alpha_next",
        TickName::SigmaNext => "sigma_next",
        TickName::TNext => "t_next",
    }
}

/// The nodes that an operation reads in its own tick.
pub fn operands(op: &Op) -> Vec<NodeId> {
    match op {
        Op::Entry(_, a, b) | Op::Random(_, a, b) => vec![*a, *b],
        Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) | Op::Div(a, b) => vec![*a, *b],
        Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::And(a, b) | Op::Or(a, b) => vec![*a, *b],
        Op::Neg(a) | Op::Declare(a) | Op::Unary(_, a) | Op::Not(a) | Op::Filter(_, a) => vec![*a],
        Op::OverRun(OverRun::At(at), a) => vec![*a, *at],
        Op::OverRun(_, a) | Op::AlphaAt(a) | Op::SigmaAt(a) | Op::TimeOf(a) => vec![*a],
        Op::Window {
            value, from, to, ..
        } => vec![*value, *from, *to],
        Op::If(a, b, c) | Op::Where(a, b, c) | Op::Clip(a, b, c) => vec![*a, *b, *c],
        Op::Convert(convert) => [
            Some(convert.value),
            convert.origin,
            Some(convert.alpha),
            Some(convert.sigma),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Op::Reduce {
            of, with, level, ..
        } => [Some(*of), *with, *level].into_iter().flatten().collect(),
        Op::Predict(predict) => asked(predict).collect(),
        Op::PredictGradient(predict, by) => asked(predict).chain([*by]).collect(),
        Op::Look(of, _) => vec![*of],
        Op::Judge(judge) => vec![judge.of],
        Op::JudgeGradient(judge, by) => vec![judge.of, *by],
        Op::Decode(a) | Op::Softmax(a) => vec![*a],
        Op::Pick(a, b) | Op::OneHot(a, b) | Op::MeanWithin(a, b) => vec![*a, *b],
        Op::Argmax(a, except) => std::iter::once(*a).chain(*except).collect(),
        Op::Unsupported(_, operands) => operands.clone(),
        Op::Number(_) | Op::Bool(_) | Op::Parameter(_) | Op::Tick(_) | Op::Latent => Vec::new(),
        Op::Target | Op::Input(_) | Op::Count(_) | Op::Gaussian(_) | Op::Prev(_) => Vec::new(),
    }
}

/// What a question to a network reads, but for its interventions.
fn asked(predict: &crate::graph::Predict) -> impl Iterator<Item = NodeId> {
    let at = predict.at.as_ref().map(|a| a.0);
    let told = predict.told.as_ref().map(|a| a.0);
    [predict.class, at, predict.t, told].into_iter().flatten()
}
