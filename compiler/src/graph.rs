//! The checked graph: one guide with everything it calls inlined into one dataflow graph.
//!
//! `check` makes it, `plan` reads it. Every node has a shape, a space where it has one, and a stage.
//! Nodes are hash-consed: two equal computations are one node, so `predict(cond)` twice is one
//! prediction. A node's operands stand before it, except through [`Op::Prev`].

use std::collections::BTreeMap;

use guide_grammar::span::Span;

use crate::plan::{self, Axes, Binary, Compare, Layers, ReduceOp, Shape, Space, Unary};

/// A node's place in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A cell's place in [`Graph::cells`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellId(pub u32);

impl NodeId {
    /// The index into [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl CellId {
    /// The index into [`Graph::cells`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One guide, checked and inlined.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All nodes; operands first.
    pub nodes: Vec<Node>,
    /// All state.
    pub cells: Vec<Cell>,
    /// What the guide returns; `None` after errors.
    pub outcome: Option<Outcome>,
    /// The guide's parameters with their values in force, as text in the language.
    pub settings: Vec<(String, String)>,
    /// Inputs, models, classifiers and losses that the guide uses, in order of first use.
    pub needs: Vec<plan::Need>,
    /// The inputs that `needs` and nodes refer to.
    pub inputs: Vec<plan::Input>,
    /// The rows of tables that are bound already, by the input's name.
    pub tables: BTreeMap<String, Vec<Vec<f64>>>,
    /// `guide … per evaluation`: each substep is a tick of its own.
    pub per_evaluation: bool,
    /// An `objective`: what it returns is a direction, and the noise is drawn for each sample.
    pub objective: bool,
}

/// One computed thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// How it is computed.
    pub op: Op,
    /// Its shape.
    pub shape: Shape,
    /// Its space, for predictions and directions.
    pub space: Option<SpaceTerm>,
    /// What it is for people (`direction in x0`, `scalar`, `prediction in native`).
    pub kind: String,
    /// When it is known.
    pub stage: Stage,
    /// The `let` that named it, if any (the first).
    pub name: Option<String>,
    /// Where it was written: the operation, in its own file.
    pub span: Span,
}

/// When a value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// When the plan is made, the same in every step.
    Const,
    /// When the plan is made, one value a tick.
    Step,
    /// When the plan runs.
    Sample,
}

/// A space, as far as the compiler knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SpaceTerm {
    /// By name.
    Named(Space),
    /// The main model's own.
    Native,
    /// The space of latents (`Direction<latent>`).
    Latent,
    /// A generic name of the function being checked; never in a graph that goes to `plan`.
    Generic(String),
}

/// State: what [`Op::Prev`] reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The `let`'s name.
    pub name: String,
    /// The path of names to it (`apg/momentum#0/m`), unique.
    pub path: String,
    /// What is kept.
    pub value: NodeId,
    /// What is read before anything was kept.
    pub init: NodeId,
    /// The conditions under which the `let`'s region runs, outermost first, each a `Bool` node and
    /// whether it must hold.
    pub region: Vec<(NodeId, bool)>,
    /// The first `prev` of it.
    pub span: Span,
}

/// What a guide returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Lazily one or the other, by a `Bool` node.
    If(NodeId, Box<Outcome>, Box<Outcome>),
    /// Leave `x` where it is.
    Hold,
    /// Step toward `denoise`, re-noise with `renoise` (the same if `None`).
    Guided {
        /// A prediction, of any space.
        denoise: NodeId,
        /// A prediction.
        renoise: Option<NodeId>,
        /// A direction, added to the ancestral mean.
        shift: Option<NodeId>,
        /// A latent direction by which `x` is moved before the step.
        moves: Option<NodeId>,
    },
}

/// How a node is computed. Step and const nodes are f64 scalars and truth values; sample nodes are
/// whatever their shape says.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A literal.
    Number(f64),
    /// A literal.
    Bool(bool),
    /// A parameter that no value was given for (only when a file is checked, never for a plan).
    Parameter(String),
    /// A name of the step.
    Tick(TickName),
    /// `x`
    Latent,
    /// `target`
    Target,
    /// A network's answer, in the main model's own space.
    Predict(Box<Predict>),
    /// The gradient of the sum of a network's answer, weighted by the second, by the latent that it was
    /// asked at.
    PredictGradient(Box<Predict>, NodeId),
    /// An input: a map, an image's latent.
    Input(plan::InputId),
    /// An entry of a bound table, by const nodes: row, column.
    Entry(plan::InputId, NodeId, NodeId),
    /// How many prompts are bound.
    Count(plan::InputId),
    /// `a + b`
    Add(NodeId, NodeId),
    /// `a - b`
    Sub(NodeId, NodeId),
    /// `a * b`; scalars, maps, per-channel values and tensors in any mixture.
    Mul(NodeId, NodeId),
    /// `a / b`; `a/0` infinite, `0/0 = 0`.
    Div(NodeId, NodeId),
    /// `-a`
    Neg(NodeId),
    /// A function, elementwise.
    Unary(Unary, NodeId),
    /// A function of two, elementwise.
    Binary(Binary, NodeId, NodeId),
    /// A comparison of scalars or classes (a `Bool`) or of maps (a map).
    Compare(Compare, NodeId, NodeId),
    /// `value in from..to`, or `..=`. Where `value` is `Tick(Progress)` it is a window:
    /// `int(from*steps) <= step < int(to*steps)`.
    Window {
        /// What is looked at.
        value: NodeId,
        /// First end.
        from: NodeId,
        /// Second end.
        to: NodeId,
        /// `..=`
        inclusive: bool,
    },
    /// `a and b`, lazy in `b`.
    And(NodeId, NodeId),
    /// `a or b`, lazy in `b`.
    Or(NodeId, NodeId),
    /// `not a`
    Not(NodeId),
    /// By a `Bool`, lazily.
    If(NodeId, NodeId, NodeId),
    /// By a map, elementwise.
    Where(NodeId, NodeId, NodeId),
    /// `min(max(a, low), high)`
    Clip(NodeId, NodeId, NodeId),
    /// A prediction (affine) or direction (linear) in another space.
    Convert(Box<Convert>),
    /// `prediction(a)`, `direction(a)`, `latent(a)`: `a` itself, with a meaning that the rule vouches
    /// for. Arithmetic passes through; a conversion takes it as one whole.
    Declare(NodeId),
    /// A reduction.
    Reduce {
        /// Which.
        op: ReduceOp,
        /// Over what.
        over: Axes,
        /// Of what.
        of: NodeId,
        /// The second operand of `Dot` and `Cosine`.
        with: Option<NodeId>,
        /// The level of `Quantile`.
        level: Option<NodeId>,
    },
    /// A filter, its strengths const or step nodes.
    Filter(FilterOp, NodeId),
    /// `random(low, high, salt:)`; the key is the salt and the path of names to the call.
    Random(String, NodeId, NodeId),
    /// `gaussian(like:, salt:)`
    Gaussian(String),
    /// `attention(…)` of a [`Op::Predict`].
    Look(NodeId, plan::Look),
    /// `prev`: the cell as it was before this tick. It reads [`Cell::init`] where nothing was kept.
    Prev(CellId),
    /// `mean_over_run`, `max_over_run`, `curve_at` of a step scalar: a const.
    OverRun(OverRun, NodeId),
    /// `alpha` at a time (a step scalar): of a prediction with `t:`.
    AlphaAt(NodeId),
    /// `sigma` at a time.
    SigmaAt(NodeId),
    /// `time_of(sigma)`
    TimeOf(NodeId),
    /// A classifier's logits, or a loss's value.
    Judge(Box<Judge>),
    /// The gradient of the sum of a classifier's logits, weighted by the second, by the latent that it is
    /// shown or whose picture it is shown; of a loss's value, times the second.
    JudgeGradient(Box<Judge>, NodeId),
    /// The picture of a latent: only what a classifier is shown.
    Decode(NodeId),
    /// The probabilities of logits.
    Softmax(NodeId),
    /// The number of a class: `probs[k]`.
    Pick(NodeId, NodeId),
    /// The class of the largest, but for one.
    Argmax(NodeId, Option<NodeId>),
    /// As many numbers as the first has: 1 at a class, else 0.
    OneHot(NodeId, NodeId),
    /// At each place the mean of the first, a map, over the places where the second has the same number.
    MeanWithin(NodeId, NodeId),
    /// What the language has and the runtime does not yet: the call's name and operands. `plan`
    /// refuses it with one diagnostic.
    Unsupported(String, Vec<NodeId>),
}

/// A question to a network, as a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Predict {
    /// Another model.
    pub model: Option<String>,
    /// What it is conditioned on; a `ClassOf` has the class in `class`.
    pub condition: plan::Condition,
    /// A class that the run finds.
    pub class: Option<NodeId>,
    /// `at:`, and the name that labels use for it.
    pub at: Option<(NodeId, String)>,
    /// `t:`, a step scalar.
    pub t: Option<NodeId>,
    /// `told:`
    pub told: Option<(NodeId, String)>,
    /// `control:`
    pub control: f64,
    /// `with:`, in order.
    pub with: Vec<With>,
}

impl Predict {
    /// The conditions that the network is asked under: its own, and those of its interventions.
    pub fn conditions(&self) -> impl Iterator<Item = &plan::Condition> {
        let args = self.with.iter().flat_map(|with| &with.args);
        let operands = args.filter_map(|(_, arg, _)| match arg {
            WithArg::Condition(condition) => Some(condition),
            _ => None,
        });
        std::iter::once(&self.condition).chain(operands)
    }
}

/// A question to a classifier, as a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// Whom, under the name that the rule declares.
    pub classifier: String,
    /// Whether it is a loss, which gives one number.
    pub loss: bool,
    /// What it is shown.
    pub sees: plan::Seen,
    /// How, where the rule says it.
    pub shown: plan::Shown,
    /// The latent that it is shown, or whose picture it is shown.
    pub of: NodeId,
}

/// An intervention, perhaps only under a step-stage condition.
#[derive(Clone, Debug, PartialEq)]
pub struct With {
    /// `if condition { … } else { none }`: a step-stage `Bool`, and whether it must hold.
    pub when: Vec<(NodeId, bool)>,
    /// Its name.
    pub name: String,
    /// Its arguments in order of the signature, defaults filled in; the flag says that the value is
    /// the default (labels leave it out).
    pub args: Vec<(String, WithArg, bool)>,
}

/// An argument of an intervention.
#[derive(Clone, Debug, PartialEq)]
pub enum WithArg {
    /// Layers.
    Layers(Layers),
    /// A const or step scalar.
    Number(NodeId),
    /// A word or text.
    Text(String),
    /// A condition.
    Condition(plan::Condition),
    /// A network's answer ([`Op::Predict`]).
    Prediction(NodeId),
    /// Tokens of the prediction's own text.
    Tokens(plan::Tokens),
    /// A map, and its name.
    Map(NodeId, String),
    /// A tensor (which the runtime cannot take yet).
    Node(NodeId),
}

/// A conversion between spaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Convert {
    /// What is converted.
    pub value: NodeId,
    /// From.
    pub from: SpaceTerm,
    /// To.
    pub to: SpaceTerm,
    /// `Some` for predictions: the point they were made at. `None` for directions.
    pub origin: Option<NodeId>,
    /// `alpha` and `sigma` of that point, step scalars.
    pub alpha: NodeId,
    /// See `alpha`.
    pub sigma: NodeId,
}

/// Filters with their strengths as nodes; see [`plan::Filter`].
#[derive(Clone, Debug, PartialEq)]
pub enum FilterOp {
    /// See [`plan::Filter::GaussianBlur`]; taps is a const.
    GaussianBlur {
        /// Standard deviation.
        sigma: NodeId,
        /// Odd number of taps, or `None` for the default of the reference.
        taps: Option<NodeId>,
    },
    /// See [`plan::Filter::Band`].
    Band {
        /// Const.
        level: NodeId,
        /// Const.
        of: NodeId,
    },
    /// See [`plan::Filter::Resample`].
    Resample(NodeId),
    /// See [`plan::Filter::FftDisk`].
    FftDisk(NodeId),
    /// See [`plan::Filter::FftBox`].
    FftBox(NodeId),
    /// See [`plan::Filter::DctHighpass`].
    DctHighpass(NodeId),
}

/// Folds of a step scalar over the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OverRun {
    /// Mean over steps.
    Mean,
    /// Largest over steps.
    Max,
    /// The value at a const `fraction` of the run.
    At(NodeId),
}

/// Names of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the name in the language")]
pub enum TickName {
    Step,
    Steps,
    Substep,
    Progress,
    Fraction,
    T,
    T1000,
    Alpha,
    Sigma,
    SigmaRatio,
    Snr,
    LogSnr,
    PosteriorVariance,
    AlphaNext,
    SigmaNext,
    TNext,
}

impl TickName {
    /// Whether it speaks of the noise, which an objective draws for each sample.
    pub fn is_of_noise(self) -> bool {
        !matches!(
            self,
            TickName::Step
                | TickName::Steps
                | TickName::Substep
                | TickName::Progress
                | TickName::Fraction
        )
    }

    /// Whether it speaks of the way from one step to the next, which an objective has not.
    pub fn is_of_the_way(self) -> bool {
        matches!(
            self,
            TickName::PosteriorVariance
                | TickName::AlphaNext
                | TickName::SigmaNext
                | TickName::TNext
        )
    }
}
