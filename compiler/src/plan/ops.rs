//! The work of a segment: evaluations, operations, state and result.

use serde::{Deserialize, Serialize};

use super::{
    DecisionId, InputId, JudgementId, Judging, Look, NoisePart, PredictionId, Space, StateId,
    ValueId,
};

/// A run of ticks that do the same work: `steps.0..steps.1`, in one substep of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// First step, and the step after the last.
    pub steps: (u32, u32),
    /// Which evaluation of each step (0 is the first; 1 is a corrector's).
    pub substep: u32,
    /// Every value that `waves` computes.
    pub values: Vec<Value>,
    /// Evaluations and the arithmetic after them, wave by wave.
    pub waves: Vec<Wave>,
    /// What goes into state when the tick is done.
    pub keep: Vec<Keep>,
    /// What the step's other evaluations take over; only in its first.
    pub decide: Vec<Decide>,
    /// What leaves.
    pub result: Outcome,
}

/// Predictions that can go to the networks together, then what can be computed from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// The predictions; each batch goes through one network at once.
    pub evaluate: Vec<Batch>,
    /// The questions to classifiers, after the predictions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judge: Vec<Judging>,
    /// The arithmetic, in order. A group of several operations runs as one pass over memory.
    pub compute: Vec<Group>,
}

/// Predictions that share weights and interventions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The questions.
    pub uses: Vec<Use>,
    /// A rule in which samples see one another: the whole group runs where any sample needs it.
    pub coupled: bool,
}

/// A prediction as one tick asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Which.
    pub prediction: PredictionId,
    /// The latent it is evaluated at, if not the tick's.
    pub at: Option<Operand>,
    /// The time it is evaluated at, if not the tick's.
    pub t: Option<Number>,
    /// The time it is evaluated at, where only the run knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Operand>,
    /// The time that the network is told, if another.
    pub told: Option<Operand>,
    /// The class, where the condition is found by the run.
    pub class: Option<Operand>,
    /// The maps that the prediction's interventions read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<Operand>,
    /// The weights of the answer, a tensor of its shape, where its gradient is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Operand>,
    /// For which samples; `None` is all.
    pub when: Option<Guard>,
    /// What it has in common with a question before it in its wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shared>,
}

/// Two questions put the same to an unchanged network up to a layer, and so share what it does before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// The other, which changes nothing inside.
    pub with: PredictionId,
    /// The first layer that is changed.
    pub until: String,
}

/// Operations that run together. One operation, or several elementwise ones and the reductions
/// that end them, fused into one pass over memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The operations in order.
    pub ops: Vec<Op>,
}

/// A value of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// The source's name, or `%3` for what the compiler made; unique in the segment.
    pub name: String,
    /// What it is for people (`direction in x0`, `scalar`).
    pub kind: String,
    /// Its shape.
    pub shape: Shape,
    /// Whether it is written to memory: something outside its group reads it.
    pub stored: bool,
}

/// The shapes of values, for `B` samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `[B]`, f64.
    Scalar,
    /// `[B]`, truth values.
    Bool,
    /// `[B]`, whole numbers.
    Class,
    /// `[B, C, H, W]` (or whatever rank the latents have).
    Tensor,
    /// `[B or 1, 1, H, W]`
    Map,
    /// `[B, C, 1, 1]`
    PerChannel,
    /// `[B, K]`, f64: a number for each class.
    Scores,
}

/// One operation, `out = code`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Op {
    /// What it makes.
    pub out: ValueId,
    /// How.
    pub code: Code,
    /// For which samples; `None` is all. Rows that are not computed are never read, except by
    /// `And` and `Or`, which read them as false.
    pub when: Option<Guard>,
}

/// What an operation reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operand {
    /// A value of this segment, computed earlier.
    Value(ValueId),
    /// A prediction of this tick, in the main model's space.
    Prediction(PredictionId),
    /// What a classifier answered in this tick: a number for each class, or a gradient.
    Judgement(JudgementId),
    /// A state as it was before this tick.
    State(StateId),
    /// What the step's first evaluation decided; only in the others. Where it was not computed there
    /// it is not there either.
    Decision(DecisionId),
    /// `x`, the noisy latent of this tick.
    Latent,
    /// A bound input (`Mask`, `Image` latents).
    Input(InputId),
    /// An entry of a bound `Table`, by row and column: whole numbers from 0 on, one a tick.
    Entry(InputId, Number, Number),
    /// A number known when the plan is made, one a tick.
    Number(Number),
    /// The class aimed at.
    Target,
}

/// A number that the plan knows for every tick of its segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The expression it comes from, constants folded (`sigma/alpha`, `6.5`).
    pub text: String,
    /// One value where it is constant, else one for each tick of the segment, in order.
    #[serde(with = "numbers")]
    pub values: Vec<f64>,
}

impl Number {
    /// The value in the segment's tick `i`.
    pub fn at(&self, i: usize) -> f64 {
        match self.values.as_slice() {
            [one] => *one,
            // INVARIANT: one entry a tick; `Plan::check` refuses a saved plan that breaks it.
            many => many[i],
        }
    }
}

/// `factor * by[0] * by[1] * … * of`; without `of` the scalar term `factor * by…`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// The factor known beforehand.
    pub factor: Number,
    /// Further factors that the run knows: scalars, maps, per-channel values or tensors.
    pub by: Vec<Operand>,
    /// What is multiplied.
    pub of: Option<Operand>,
}

/// The operations. All work for each sample on its own; reductions accumulate in f64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Code {
    /// The sum of the terms, multiplied by f64 factors rounded once, added in order. Shapes
    /// broadcast: any of the terms may be smaller than the result.
    Linear(Vec<Term>),
    /// `a / b`, with `a/0` infinite of a's sign and `0/0 = 0`.
    Div(Operand, Operand),
    /// A function of one value, elementwise.
    Unary(Unary, Operand),
    /// A function of two values, elementwise.
    Binary(Binary, Operand, Operand),
    /// A comparison: of scalars a `Bool`, of maps a map of 0 and 1.
    Compare(Compare, Operand, Operand),
    /// Both, of `Bool`s.
    And(Operand, Operand),
    /// Either, of `Bool`s.
    Or(Operand, Operand),
    /// The opposite of a `Bool`.
    Not(Operand),
    /// By a `Bool` per sample, or by a map elementwise (nonzero picks the first). Rows of a branch
    /// that is not picked need not exist.
    Select(Operand, Operand, Operand),
    /// `min(max(a, low), high)`, elementwise.
    Clip(Operand, Operand, Operand),
    /// A reduction of one or two values.
    Reduce(Reduce),
    /// A linear filter over space.
    Filter(Filter, Operand),
    /// Uniform in `low..high` for each sample, keyed by seed, step and key, never a running stream.
    Random {
        /// The salt and the path of names to the call.
        key: String,
        /// Lower end.
        low: Operand,
        /// Upper end.
        high: Operand,
    },
    /// Standard normal, in the shape of its value, keyed likewise.
    Gaussian {
        /// The salt and the path of names to the call.
        key: String,
    },
    /// `alpha` or `sigma` at a time that the run finds.
    NoiseAt(NoisePart, Operand),
    /// What a network looked at while it answered a prediction of this tick: a map.
    Look {
        /// A prediction.
        of: Operand,
        /// At what.
        look: Look,
    },
    /// The probabilities of logits.
    Softmax(Operand),
    /// The number that the first has for a class.
    Pick(Operand, Operand),
    /// The class with the largest number, other than the second; of equals the first.
    Argmax(Operand, Option<Operand>),
    /// As many numbers as the first has: 1 at a class, else 0.
    OneHot(Operand, Operand),
    /// At each place the mean of the first, a map, over the places where the second has the same number.
    MeanWithin(Operand, Operand),
    /// The second in the first tick in which the state was ever written for this sample has not
    /// come (so the state is empty), else the first: `Fresh(state, init)`.
    Fresh(StateId, Operand),
}

/// Functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unary {
    /// Absolute value.
    Abs,
    /// Exponential.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// Sine.
    Sin,
    /// Cosine of an angle.
    Cos,
    /// Arc cosine.
    Acos,
    /// -1, 0 or 1.
    Sign,
    /// `1/(1 + exp(-a))`
    Sigmoid,
    /// Largest whole number not above.
    Floor,
    /// `1/a`, with `1/0 = 0`: what `unit` multiplies by.
    InverseOrZero,
}

/// Functions of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    /// The smaller.
    Min,
    /// The larger.
    Max,
    /// The first to the power of the second.
    Pow,
    /// `a - b*floor(a/b)`
    Rem,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// A reduction for each sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reduce {
    /// Which.
    pub op: ReduceOp,
    /// Over which axes: `All` gives a scalar, `Channels` a map, `Space` a per-channel value.
    pub over: Axes,
    /// What is reduced.
    pub of: Operand,
    /// The second operand of `Dot` and `Cosine`.
    pub with: Option<Operand>,
    /// The level of `Quantile`, in 0..1.
    pub level: Option<Operand>,
}

/// Reductions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReduceOp {
    /// Sum of products.
    Dot,
    /// L2 norm.
    Norm,
    /// Mean.
    Mean,
    /// Standard deviation, dividing by n-1.
    Std,
    /// Sum.
    Sum,
    /// Largest element.
    Largest,
    /// Smallest element.
    Smallest,
    /// Quantile with linear interpolation.
    Quantile,
    /// `log(sum(exp))`, stable.
    LogSumExp,
    /// Cosine of the angle, 0 where either is 0.
    Cosine,
}

/// Axes of a reduction; the batch is never one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axes {
    /// All but the batch.
    All,
    /// Channels.
    Channels,
    /// Height and width.
    Space,
}

/// Linear filters, each with its kernel, padding and alignment; all keep the shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Filter {
    /// Gaussian of standard deviation `sigma` in latent pixels, with `taps` taps, reflect padding.
    GaussianBlur {
        /// Standard deviation.
        sigma: Number,
        /// Odd number of taps.
        taps: u32,
    },
    /// The full-size share of one level of a binomial pyramid of `of` levels: 5-tap blur
    /// `[1 4 6 4 1]/16` with reflect padding, bilinear halving; up is bilinear doubling, then the blur.
    Band {
        /// Which level; 0 is the finest.
        level: u32,
        /// How many.
        of: u32,
    },
    /// Low-pass by half-pixel bilinear resampling, without antialiasing, to
    /// `max(1, floor(factor*side))` and back.
    Resample {
        /// The share of each side that is left.
        factor: Number,
    },
    /// Keeps the Fourier coefficients within a disk of `radius` (share of Nyquist).
    FftDisk {
        /// Share of Nyquist.
        radius: Number,
    },
    /// Keeps the Fourier coefficients within a box of half-side `radius` (share of Nyquist).
    FftBox {
        /// Share of Nyquist.
        radius: Number,
    },
    /// Drops the lowest `cutoff` share of DCT-II coefficients of each axis.
    DctHighpass {
        /// Share that is dropped.
        cutoff: Number,
    },
}

/// For which samples something is done: any of the lists holds in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Disjunction of conjunctions. An empty list inside holds always.
    pub any: Vec<Vec<Literal>>,
}

/// A truth value or its opposite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Literal {
    /// A `Bool`: a value, a state or a decision.
    pub of: Operand,
    /// Whether it must hold.
    pub holds: bool,
}

/// A value that goes into a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Which state.
    pub state: StateId,
    /// The value.
    pub value: Operand,
    /// For which samples; the others keep what they had. `None` is all.
    pub when: Option<Guard>,
}

/// A truth value that the other evaluations of a step take over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// Which decision.
    pub decision: DecisionId,
    /// The value.
    pub value: Operand,
}

/// What a tick gives the solver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The space of `denoise` and `renoise`.
    pub space: Space,
    /// What the solver steps toward; `None` only where every sample holds.
    pub denoise: Option<Operand>,
    /// What it re-noises with, where not the same.
    pub renoise: Option<Operand>,
    /// Added to the ancestral mean (a direction in x0 units of `x`).
    pub shift: Option<Operand>,
    /// Added to `x` before the step.
    #[serde(rename = "move")]
    pub moves: Option<Operand>,
    /// Which samples stay where they are.
    pub hold: Hold,
}

/// Which samples a step leaves where they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Hold {
    /// None.
    Never,
    /// All.
    Always,
    /// Those for which this `Bool` holds.
    When(Operand),
}

/// A list of [`super::float`] numbers.
mod numbers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeSeq};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct One(#[serde(with = "crate::plan::float")] f64);

    pub fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(values.len()))?;
        for value in values {
            list.serialize_element(&One(*value))?;
        }
        list.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<One>::deserialize(from)?
            .into_iter()
            .map(|one| one.0)
            .collect())
    }
}
