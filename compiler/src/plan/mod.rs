//! The step plan: what `guidec plan` prints, snapshot tests pin and the runtime executes.
//!
//! INVARIANT: inert data. No closures, no lifetimes, no tensors; what it does not hold, the runtime
//! cannot know. Saved as JSON it is `guide-plan/1`, in which an unknown field is an error.

mod check;
mod fingerprint;
mod judge;
mod layers;
mod look;
mod noise;
mod objective;
mod ops;
mod sizes;
mod timetable;
mod walk;

pub use check::is_place;
pub use judge::*;
pub use layers::{LayerTerm, Layers, layer_kind};
pub use look::{Look, MOST_SPREAD, Sees, Tokens, USUAL_SPREAD};
pub use noise::NoiseCurve;
pub use objective::{DRAWN_NOISE, DRAWN_TIME, NoisePart, Objective};
pub use ops::*;
pub use sizes::{MOST_STEPS, MOST_TRAIN_STEPS, MOST_TURNS};
pub use timetable::*;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::primitives::InterventionSignature;

/// The value of [`Plan::format`].
pub const FORMAT: &str = "guide-plan/1";

macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The place in its table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

define_id!(
    /// A row of [`Plan::predictions`].
    PredictionId
);
define_id!(
    /// A row of [`Plan::inputs`].
    InputId
);
define_id!(
    /// A row of [`Plan::states`].
    StateId
);
define_id!(
    /// A row of [`Plan::decisions`].
    DecisionId
);
define_id!(
    /// A row of [`Plan::classifiers`].
    ClassifierId
);
define_id!(
    /// A row of [`Plan::judgements`].
    JudgementId
);
define_id!(
    /// A row of [`Segment::values`]; counted anew in each segment.
    ValueId
);

/// A whole plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`FORMAT`].
    pub format: String,
    /// Where it came from and for what it was made.
    pub head: Head,
    /// Each prediction that any step may ask for, once.
    pub predictions: Vec<Prediction>,
    /// The classifiers that any step may ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classifiers: Vec<Classifier>,
    /// Each question to a classifier that any step may put, once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgements: Vec<Judgement>,
    /// What must be bound before a run, besides models.
    pub inputs: Vec<Input>,
    /// What crosses steps.
    pub states: Vec<State>,
    /// What a step's first evaluation decides for its others.
    pub decisions: Vec<Decision>,
    /// When the rule is evaluated: one entry an evaluation of the rule, in order.
    pub timetable: Timetable,
    /// The work, in order. Each tick of the timetable belongs to exactly one segment.
    pub segments: Vec<Segment>,
    /// What it costs.
    pub cost: Cost,
}

/// Where a plan came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The guide's name.
    pub guide: String,
    /// The file that holds it, as the user named it (`stdlib/rules/apg.guide`, `examples/first.guide`).
    pub file: String,
    /// SHA-256, in hex, of the texts of the file and of all modules it uses, in order of use.
    pub source: String,
    /// All parameters with the values in force, in the order of the guide.
    pub settings: Vec<Setting>,
    /// Number of sampling steps; of an objective, of turns.
    pub steps: u32,
    /// The sampler's name (`ddim`), or `recording`; of an objective the optimiser's (`adam`).
    pub sampler: String,
    /// What is drawn in each turn, where the plan is an objective's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// The model's facts.
    pub model: ModelFacts,
    /// Whether a negative prompt is given, so that `uncond` and `null` differ.
    pub negative: bool,
    /// `guide … per evaluation`: each evaluation is a tick of its own, that reads what the one before
    /// it kept and decides for itself. Otherwise state advances, and decisions are made, once a step.
    pub per_evaluation: bool,
    /// What the rule needs of the model and of the user.
    pub needs: Vec<Need>,
}

/// A parameter and its value in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The parameter.
    pub name: String,
    /// Its value, as text in the language (`7.5`, `inf`, `"linear"`, `mid`).
    pub value: String,
}

/// What a plan needs to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Need {
    /// The model answers without a condition.
    NullCondition,
    /// These layers exist in the model.
    Layers(Layers),
    /// A second model under this name.
    Model(String),
    /// A classifier under this name.
    Classifier(String),
    /// A loss under this name.
    Loss(String),
    /// An input, see [`Plan::inputs`].
    Input(InputId),
    /// A class to aim at.
    Target,
}

/// What the compiler knows of a model without its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// Its name for people (`sd15`, `pocket`, `recording`).
    pub name: String,
    /// What its network answers in.
    pub space: Space,
    /// Channels, height and width of its latents.
    pub latent: [u32; 3],
    /// The names of its layers in order of execution, where known (`down.0.attn.0.self`).
    pub layers: Option<Vec<String>>,
}

/// The spaces of predictions. With `x = alpha*x0 + sigma*eps`: `v = alpha*eps - sigma*x0`,
/// `flow = eps - x0`, `eps = -sigma*score`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// The noise.
    Eps,
    /// The clean sample.
    X0,
    /// The velocity of Salimans and Ho 2022.
    V,
    /// The velocity of rectified flow.
    Flow,
    /// The gradient of the log-density.
    Score,
}

impl Space {
    /// Its name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Space::Eps => "eps",
            Space::X0 => "x0",
            Space::V => "v",
            Space::Flow => "flow",
            Space::Score => "score",
        }
    }
}

/// One question to a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Its name in plans, traces and recordings (`cond`, `weak/cond`, `cond~identity_attention(mid)`).
    pub label: String,
    /// The model's name; `None` is the main model. Another model's answer arrives already converted
    /// to the main model's space.
    pub model: Option<String>,
    /// What it is conditioned on.
    pub condition: Condition,
    /// What is changed inside the network, in order.
    pub interventions: Vec<Intervention>,
    /// The strength of a control network.
    pub control: f64,
    /// Not the answer is asked for, but the gradient by its point of the answer's sum, weighted by
    /// [`Use::by`]: a forward and a backward pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradient: bool,
}

impl Plan {
    /// Whether samples see one another in some evaluation, so that all of a batch must run together.
    pub fn couples(&self) -> bool {
        let waves = self.segments.iter().flat_map(|segment| &segment.waves);
        waves
            .flat_map(|wave| &wave.evaluate)
            .any(|batch| batch.coupled)
    }

    /// Whether some step reads the input at this place of the plan's list.
    pub fn needs_input(&self, at: usize) -> bool {
        let read = |operand: &Operand| matches!(operand, Operand::Input(id) | Operand::Entry(id, _, _) if id.index() == at);
        let segments = self.segments.iter();
        let mut operands =
            segments.flat_map(|part| part.ops().flat_map(Op::operands).chain(part.ends()));
        let mut conditions = self.predictions.iter().flat_map(Prediction::conditions);
        operands.any(read)
            || conditions.any(|condition| match condition.related() {
                Condition::Prompt(id) | Condition::PromptAt(id, _) | Condition::PromptOf(id, _) => {
                    id.index() == at
                }
                _ => false,
            })
    }
}

impl Prediction {
    /// The predictions whose evaluations its interventions take something from.
    pub fn takes_from(&self) -> impl Iterator<Item = PredictionId> {
        let args = self.interventions.iter().flat_map(|with| &with.args);
        args.filter_map(|arg| match arg.value {
            ArgValue::Prediction(from) => Some(from),
            _ => None,
        })
    }

    /// Whether samples see one another in its network.
    pub fn couples(&self) -> bool {
        self.interventions.iter().any(Intervention::couples)
    }

    /// How many maps its interventions read.
    pub fn maps(&self) -> usize {
        let args = self.interventions.iter().flat_map(|with| &with.args);
        args.filter(|arg| matches!(arg.value, ArgValue::Map { .. }))
            .count()
    }
}

/// What a prediction is conditioned on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// The prompt or class of the run.
    Cond,
    /// The negative prompt; the null condition when none is given.
    Uncond,
    /// Always the null condition.
    Null,
    /// A `Prompt` input.
    Prompt(InputId),
    /// An element of a `Prompt[]` input.
    PromptAt(InputId, u32),
    /// An element of a `Prompt[]` input that the run finds, by the name of its value.
    PromptOf(InputId, String),
    /// A text in the rule.
    Text(String),
    /// A class by number.
    Class(u32),
    /// A class that the run finds, by the name of its value.
    ClassOf(String),
    /// One drawn for each sample and step in the manner of another: for a text Gaussian states with
    /// the mean and deviation of the text's own, for a class another class.
    Unrelated {
        /// The other.
        to: Box<Condition>,
        /// The salt and the path of names to the call.
        key: String,
    },
}

impl Condition {
    /// The condition itself, or the one that it is drawn in the manner of.
    pub fn related(&self) -> &Condition {
        match self {
            Condition::Unrelated { to, .. } => to.related(),
            other => other,
        }
    }

    /// The same, to be changed.
    pub fn related_mut(&mut self) -> &mut Condition {
        match self {
            Condition::Unrelated { to, .. } => to.related_mut(),
            other => other,
        }
    }
}

/// A change inside a network, by name, with its arguments; the runtime knows the names it can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervention {
    /// `identity_attention`, `blur_attention`, `skip_layers`, …
    pub name: String,
    /// All arguments in order of the signature, defaults filled in.
    pub args: Vec<InterventionArg>,
}

impl Intervention {
    /// Whether it makes samples see one another.
    pub fn couples(&self) -> bool {
        let word = InterventionSignature::find(&self.name).and_then(|known| known.couples_by);
        let is_word = |arg: &InterventionArg| matches!(&arg.value, ArgValue::Text(text) if Some(text.as_str()) == word);
        self.args.iter().any(is_word)
    }
}

/// An argument of an intervention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterventionArg {
    /// The parameter's name.
    pub name: String,
    /// The value.
    pub value: ArgValue,
}

/// The value of an intervention's argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ArgValue {
    /// Layers.
    Layers(Layers),
    /// What another prediction's evaluation did; it is asked in an earlier wave.
    Prediction(PredictionId),
    /// A constant.
    Number(#[serde(with = "crate::plan::float")] f64),
    /// A number that changes over the run: a value for each tick of the timetable, whether or not the
    /// tick asks for the prediction.
    Curve(Number),
    /// A word or text.
    Text(String),
    /// A condition; one that all samples share.
    Condition(Condition),
    /// Tokens of the prediction's own text.
    Tokens(Tokens),
    /// A number for each place of each sample.
    Map {
        /// What the rule calls it.
        name: String,
        /// Its place in [`Use::maps`].
        at: u32,
    },
}

impl Prediction {
    /// The conditions that the network is asked under: its own, and those of its interventions.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let args = self.interventions.iter().flat_map(|with| &with.args);
        let operands = args.filter_map(|arg| match &arg.value {
            ArgValue::Condition(condition) => Some(condition),
            _ => None,
        });
        std::iter::once(&self.condition).chain(operands)
    }
}

/// Something the user binds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its kind in the language (`Mask`, `Prompt`, `Prompt[]`, `Table`).
    pub kind: String,
    /// For a `Prompt[]`, how many prompts are bound.
    pub count: Option<u32>,
    /// What it is where nothing is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<InputDefault>,
}

/// What an input is where nothing is bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum InputDefault {
    /// Of a `Prompt`.
    Text(String),
    /// Of a `Prompt[]`.
    Texts(Vec<String>),
    /// Of a `Mask` or `Map`: the same everywhere.
    Number(#[serde(with = "crate::plan::float")] f64),
    /// Of a `Table`: rows of one length.
    Table(Vec<Vec<f64>>),
}

impl Input {
    /// Whether a default fits its kind, and says how many prompts there are.
    fn takes(&self, default: &InputDefault) -> bool {
        match default {
            InputDefault::Text(_) => self.kind == "Prompt",
            InputDefault::Texts(texts) => {
                self.kind == "Prompt[]" && self.count.is_none_or(|n| n as usize == texts.len())
            }
            InputDefault::Number(number) => {
                matches!(self.kind.as_str(), "Mask" | "Map") && number.is_finite()
            }
            InputDefault::Table(rows) => {
                let width = rows.first().map_or(0, Vec::len);
                self.kind == "Table" && rows.iter().all(|row| row.len() == width)
            }
        }
    }
}

/// As the item is written, its default included: `input region: Mask = 0.5`.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input {}: {}", self.name, self.kind)?;
        match &self.default {
            None => Ok(()),
            Some(InputDefault::Text(text)) => write!(f, " = {text:?}"),
            Some(InputDefault::Texts(texts)) => write!(f, " = {texts:?}"),
            Some(InputDefault::Number(number)) => write!(f, " = {number}"),
            Some(InputDefault::Table(rows)) => write!(f, " = {rows:?}"),
        }
    }
}

/// A value that crosses steps, kept for each sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The `let`'s name, made unique.
    pub name: String,
    /// What it is for people (`direction in x0`).
    pub kind: String,
    /// Its shape.
    pub shape: Shape,
    /// What it starts with.
    pub init: Init,
    /// Bytes for each sample.
    pub bytes: u64,
}

/// A truth value that a step's first evaluation finds and its other evaluations take over, for each
/// sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The `let`'s name, made unique; `decided` where it has none.
    pub name: String,
}

/// What a state starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Init {
    /// A number everywhere.
    Number(#[serde(with = "crate::plan::float")] f64),
    /// A truth value.
    Bool(bool),
    /// Computed in the tick that first reads it: the segment holds a `Fresh` select for it.
    Computed,
}

/// What a plan costs, for each sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Fewest network evaluations.
    pub least: u64,
    /// Most network evaluations.
    pub most: u64,
    /// The same for each label, in order of `Plan::predictions`; a gradient is no evaluation of the two
    /// numbers above.
    pub by_prediction: Vec<(u64, u64)>,
    /// Fewest and most questions to classifiers, of each kind: in order of `Plan::judgements`. They are
    /// no network evaluations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_judgement: Vec<(u64, u64)>,
    /// Bytes that the largest backward pass holds at once for each sample, where that is known. Estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backward_bytes: Option<u64>,
    /// Most tensors alive at once, predictions and state included.
    pub peak_tensors: u32,
    /// Bytes of state for each sample.
    pub state_bytes: u64,
}

/// Numbers in JSON that may be infinite: finite ones as numbers, others as `"inf"`, `"-inf"`, `"nan"`.
pub mod float {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Text {
        Number(f64),
        Word(String),
    }

    /// Writes `value`.
    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            to.serialize_f64(*value)
        } else if value.is_nan() {
            to.serialize_str("nan")
        } else {
            to.serialize_str(if *value > 0.0 { "inf" } else { "-inf" })
        }
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Text::deserialize(from)? {
            Text::Number(value) => Ok(value),
            Text::Word(word) => match word.as_str() {
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                "nan" => Ok(f64::NAN),
                other => Err(D::Error::custom(format!("`{other}` is not a number"))),
            },
        }
    }
}
