//! What an expression stands for while it is checked: kind, space, weight, origin and graph node.

use crate::graph::{NodeId, SpaceTerm, With};
use crate::plan::{self, Axes, InputId, Layers};
use crate::resolved::ItemId;

use super::weight::Weight;

/// The value of an expression.
#[allow(
    clippy::large_enum_variant,
    reason = "most values are data; a box would only add a step"
)]
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Said already.
    Error,
    /// Something with a node.
    Data(Data),
    /// A word of a choice.
    Choice(Choice),
    /// A string literal.
    Text(String),
    /// A contextual word that means layers or axes by what is expected.
    Word(String),
    /// `[a, b]`
    List(Vec<Value>),
    /// Layers; `None` where a parameter leaves them open.
    Layers(Option<Layers>),
    /// Axes; `None` where a parameter leaves them open.
    Axes(Option<Axes>),
    /// What a prediction is conditioned on.
    Condition(Condition),
    /// A `Prompt[]`.
    Prompts(Source),
    /// A `Table`.
    Table(Source),
    /// A row of a table.
    Row(Source, NodeId),
    /// An `Image`, `Trajectory` or `Tokens`.
    Plain(PlainInput, Source),
    /// A guide with its arguments.
    Guide(Guide),
    /// What a guide returns.
    Outcome(Outcome),
    /// `(a, b)`
    Tuple(Vec<Value>),
    /// A model; `None` is the main one.
    Model(Option<String>),
    /// A classifier or loss.
    Judge(Judge),
    /// Interventions, in order.
    Interventions(Vec<With>),
}

/// Something computed.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) kind: Kind,
    pub(crate) node: NodeId,
    /// Of a tensor: how many predictions' worth it is. Of a scalar, map or per-channel value: the
    /// value itself.
    pub(crate) weight: Weight,
    /// Of a tensor.
    pub(crate) space: SpaceTerm,
    /// Whether `native(...)` said that the model's own space is meant.
    pub(crate) pinned: bool,
    /// Whether it comes from predictions by affine operations alone, without state: then it is the
    /// same in every space.
    pub(crate) plain: bool,
    /// Of a tensor: where it was made.
    pub(crate) origin: Origin,
}

/// The kinds of things with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Bool,
    Tensor,
    Latent,
    Map,
    PerChannel,
    Raw,
    Class,
    Probs,
    Logits,
    /// What the decoder makes of a latent.
    Picture,
    /// A state whose kind is still being found.
    Open,
}

/// Where a tensor was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: a difference of two predictions of one origin.
    Free,
    /// At one point.
    At(Point),
    /// A mix of several points, of a weight that is neither 0 nor 1 so far.
    Mixed,
}

/// The point of a prediction: `at:` and `t:`, where they are not the tick's.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Point {
    pub(crate) at: Option<(NodeId, String)>,
    pub(crate) t: Option<NodeId>,
}

/// A bound input, or a parameter that stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Input(InputId),
    Parameter(String),
}

/// Inputs that only few operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainInput {
    Image,
    Trajectory,
    Tokens,
}

/// The value of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Known(String, Vec<String>),
    /// Of a parameter of that name.
    Open(String, Vec<String>),
}

/// What a prediction is conditioned on.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Known(plan::Condition),
    /// A class that the run finds.
    ClassOf(NodeId, String),
    /// A prompt of a list that the run finds.
    PromptOf(InputId, NodeId, String),
    /// What only a parameter knows, with what it depends on.
    Open(String, Vec<NodeId>),
}

/// A classifier or loss as a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Judge {
    /// By its name, and whether it is a loss.
    One(String, bool),
    /// One or the other, by a step-stage condition.
    If(NodeId, Box<Judge>, Box<Judge>),
}

/// A guide as a value.
#[derive(Clone, Debug)]
pub(crate) enum Guide {
    /// A parameter that nothing was given for.
    Open(String),
    /// A guide and the arguments that it will be called with.
    Closure {
        item: ItemId,
        args: Vec<Option<Value>>,
    },
}

/// What a guide returns.
#[allow(
    clippy::large_enum_variant,
    reason = "most values are data; a box would only add a step"
)]
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    If(NodeId, Box<Outcome>, Box<Outcome>),
    Hold,
    Guided {
        denoise: Data,
        renoise: Option<Data>,
        shift: Option<Data>,
        moves: Option<Data>,
    },
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Value::Error => "an error".into(),
            Value::Data(data) => data.describe(),
            Value::Choice(_) => "a choice".into(),
            Value::Text(_) => "a text".into(),
            Value::Word(word) => format!("the word `{word}`"),
            Value::List(_) => "a list".into(),
            Value::Layers(_) => "layers".into(),
            Value::Axes(_) => "axes".into(),
            Value::Condition(_) => "a condition".into(),
            Value::Prompts(_) => "a list of prompts".into(),
            Value::Table(_) => "a table".into(),
            Value::Row(..) => "a row of a table".into(),
            Value::Plain(PlainInput::Image, _) => "an image".into(),
            Value::Plain(PlainInput::Trajectory, _) => "a trajectory".into(),
            Value::Plain(PlainInput::Tokens, _) => "tokens".into(),
            Value::Guide(_) => "a guide".into(),
            Value::Outcome(_) => "an outcome".into(),
            Value::Tuple(parts) => format!("a tuple of {}", parts.len()),
            Value::Model(_) => "a model".into(),
            Value::Judge(_) => "a classifier or loss".into(),
            Value::Interventions(_) => "an intervention".into(),
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Value::Error)
    }
}

impl Data {
    /// Whether what is made of it belongs to its space: a tensor's, or the one that a raw value
    /// remembers.
    pub(crate) fn has_space(&self) -> bool {
        match self.kind {
            Kind::Tensor => true,
            Kind::Raw => {
                self.space != SpaceTerm::Native || self.pinned || self.origin != Origin::Free
            }
            _ => false,
        }
    }

    /// What it is, for messages: with its article.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            Kind::Tensor if self.weight.is_one() => {
                format!("a prediction in `{}`", space_text(&self.space))
            }
            Kind::Tensor if self.weight.is_zero() => {
                format!("a direction in `{}`", space_text(&self.space))
            }
            Kind::Tensor => format!("a tensor in `{}`", space_text(&self.space)),
            kind => kind.with_article().to_string(),
        }
    }

    /// What it is, for plans: without an article.
    pub(crate) fn kind_text(&self) -> String {
        kind_text(self.kind, &self.space, &self.weight)
    }

    /// A tensor that belongs to a space.
    pub(crate) fn is_tensor(&self) -> bool {
        self.kind == Kind::Tensor
    }

    /// The same to be computed with: a picture's numbers are raw.
    pub(crate) fn into_numbers(self) -> Data {
        match self.kind {
            Kind::Picture => Data {
                kind: Kind::Raw,
                ..self
            },
            _ => self,
        }
    }

    /// Whether a result of it that is not affine depends on what the model predicts.
    pub(crate) fn is_unpinned(&self) -> bool {
        self.is_tensor() && self.space == SpaceTerm::Native && !self.pinned
    }
}

impl Kind {
    fn with_article(self) -> &'static str {
        match self {
            Kind::Scalar => "a scalar",
            Kind::Bool => "a truth value",
            Kind::Tensor => "a tensor",
            Kind::Latent => "a latent",
            Kind::Map => "a map",
            Kind::PerChannel => "a per-channel value",
            Kind::Raw => "a raw value",
            Kind::Class => "a class",
            Kind::Probs => "probabilities",
            Kind::Logits => "logits",
            Kind::Picture => "a picture",
            Kind::Open => "a state",
        }
    }

    /// Whether it multiplies tensors without taking part in weights: a scalar, map or per-channel value.
    pub(crate) fn is_factor(self) -> bool {
        matches!(self, Kind::Scalar | Kind::Map | Kind::PerChannel)
    }
}

/// `direction in x0`, `scalar`
pub(crate) fn kind_text(kind: Kind, space: &SpaceTerm, weight: &Weight) -> String {
    match kind {
        Kind::Tensor if weight.is_one() => format!("prediction in {}", space_text(space)),
        Kind::Tensor if weight.is_zero() => format!("direction in {}", space_text(space)),
        Kind::Tensor => format!("tensor in {}", space_text(space)),
        Kind::Scalar => "scalar".into(),
        Kind::Bool => "bool".into(),
        Kind::Latent => "latent".into(),
        Kind::Map => "map".into(),
        Kind::PerChannel => "per channel".into(),
        Kind::Raw => "raw".into(),
        Kind::Class => "class".into(),
        Kind::Probs => "probabilities".into(),
        Kind::Logits => "logits".into(),
        Kind::Picture => "picture".into(),
        Kind::Open => "open".into(),
    }
}

/// A space as users write it.
pub(crate) fn space_text(space: &SpaceTerm) -> &str {
    match space {
        SpaceTerm::Named(space) => space.name(),
        SpaceTerm::Native => "native",
        SpaceTerm::Latent => "latent",
        SpaceTerm::Generic(name) => name,
    }
}
