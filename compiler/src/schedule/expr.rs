//! What the run computes, as expressions over predictions, latents, state and inputs. Equal
//! expressions are one row, in all ticks.
//!
//! Sums of products with known coefficients are kept multiplied out (up to a size), so that terms
//! which cancel are gone; [`Recipe`] remembers how the source put a sum together.

use std::collections::HashMap;

use guide_grammar::span::Span;

use super::scalar::ScalarId;
use crate::graph::{CellId, NodeId};
use crate::plan::{
    Axes, Binary, Compare, InputId, JudgementId, Look, NoisePart, PredictionId, ReduceOp, Shape,
    Space, Unary,
};

/// An expression: a row of [`Exprs`]. Operands have smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(u32);

impl ExprId {
    /// After every expression.
    pub const LAST: ExprId = ExprId(u32::MAX);

    /// The row of that number.
    #[cfg(test)]
    pub fn new(row: u32) -> Self {
        Self(row)
    }

    /// The row.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// `factor * product of all factors`; a number where there are none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// What is known beforehand.
    pub factor: ScalarId,
    /// What the run knows, ascending; none is itself a short sum.
    pub by: Vec<ExprId>,
}

/// A conversion from one space to another at a point of the noise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// What is converted, or the latent whose share it is.
    pub of: ExprId,
    /// From.
    pub from: Space,
    /// To.
    pub to: Space,
    /// The signal's factor.
    pub alpha: ScalarId,
    /// The noise's factor.
    pub sigma: ScalarId,
}

/// A question to a network in a tick.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Which.
    pub prediction: PredictionId,
    /// See [`crate::plan::Use`].
    pub at: Option<ExprId>,
    /// See [`crate::plan::Use`].
    pub t: Option<ScalarId>,
    /// See [`crate::plan::Use`].
    pub time: Option<ExprId>,
    /// See [`crate::plan::Use`].
    pub told: Option<ExprId>,
    /// See [`crate::plan::Use`].
    pub class: Option<ExprId>,
    /// See [`crate::plan::Use`].
    pub maps: Vec<ExprId>,
    /// The predictions whose evaluations it takes something from.
    pub with: Vec<ExprId>,
    /// See [`crate::plan::Use`].
    pub by: Option<ExprId>,
}

/// A filter with its strengths; see `plan::Filter`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FilterForm {
    GaussianBlur { sigma: ScalarId, taps: u32 },
    Band { level: u32, of: u32 },
    Resample(ScalarId),
    FftDisk(ScalarId),
    FftBox(ScalarId),
    DctHighpass(ScalarId),
}

/// How an expression is computed; see `graph::Op` and `plan::Code`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A sum of terms, in source order.
    Linear(Vec<Term>),
    /// A truth value that is known.
    Flag(bool),
    Latent,
    Target,
    Input(InputId),
    /// By row and column.
    Entry(InputId, ScalarId, ScalarId),
    State(CellId),
    /// What the step's first evaluation decided about a node.
    Held(NodeId),
    Predict(Ask),
    /// What a classifier answers: to which question, shown what, and the weights of a gradient.
    Judge(JudgementId, ExprId, Option<ExprId>),
    Softmax(ExprId),
    Pick(ExprId, ExprId),
    Argmax(ExprId, Option<ExprId>),
    OneHot(ExprId, ExprId),
    MeanWithin(ExprId, ExprId),
    /// The linear part of a conversion. Stands only as a factor of a term.
    Shift(Change),
    /// The share of the latent `of` in the conversion of a prediction. Stands only as a factor.
    Share(Change),
    Div(ExprId, ExprId),
    Unary(Unary, ExprId),
    Binary(Binary, ExprId, ExprId),
    Compare(Compare, ExprId, ExprId),
    And(ExprId, ExprId),
    Or(ExprId, ExprId),
    Not(ExprId),
    /// By a truth value, lazily.
    Select(ExprId, ExprId, ExprId),
    /// By a map, elementwise.
    Where(ExprId, ExprId, ExprId),
    Clip(ExprId, ExprId, ExprId),
    Reduce {
        op: ReduceOp,
        over: Axes,
        of: ExprId,
        with: Option<ExprId>,
        level: Option<ExprId>,
    },
    Filter(FilterForm, ExprId),
    Random(String, ExprId, ExprId),
    Gaussian(String),
    /// At a time.
    NoiseAt(NoisePart, ExprId),
    /// Of a prediction.
    Look(ExprId, Look),
    Fresh(CellId, ExprId),
    /// What this runtime cannot do: an error once something needs it.
    Refused(String, Span),
}

/// How the source put a sum together; see [`Exprs::recipe`].
#[derive(Clone, Debug, PartialEq)]
pub enum Recipe {
    /// `factor * expression`, added up.
    Sum(Vec<(ScalarId, ExprId)>),
    /// A product.
    Product(ExprId, ExprId),
}

/// What is known of an expression besides how it is computed.
#[derive(Clone, Debug)]
struct Entry {
    form: Form,
    shape: Shape,
    name: Option<String>,
    kind: Option<String>,
    span: Span,
    recipe: Option<Recipe>,
}

/// All expressions of a plan.
#[derive(Debug, Default)]
pub struct Exprs {
    entries: Vec<Entry>,
    index: HashMap<Form, ExprId>,
}

impl Exprs {
    /// The expression of that form.
    pub fn intern(&mut self, form: Form, shape: Shape, span: Span) -> ExprId {
        if let Some(found) = self.index.get(&form) {
            return *found;
        }
        let id = ExprId(self.entries.len() as u32);
        self.entries.push(Entry {
            form: form.clone(),
            shape,
            name: None,
            kind: None,
            span,
            recipe: None,
        });
        self.index.insert(form, id);
        id
    }

    fn entry(&self, id: ExprId) -> &Entry {
        // INVARIANT: ids are made by `intern` of the same table.
        &self.entries[id.index()]
    }

    /// How it is computed.
    pub fn form(&self, id: ExprId) -> &Form {
        &self.entry(id).form
    }

    /// Its shape.
    pub fn shape(&self, id: ExprId) -> Shape {
        self.entry(id).shape
    }

    /// Where it was written first.
    pub fn span(&self, id: ExprId) -> Span {
        self.entry(id).span
    }

    /// The source's name.
    pub fn name(&self, id: ExprId) -> Option<&str> {
        self.entry(id).name.as_deref()
    }

    /// What it is for people.
    pub fn kind(&self, id: ExprId) -> String {
        let entry = self.entry(id);
        entry
            .kind
            .clone()
            .unwrap_or_else(|| shape_name(entry.shape).to_string())
    }

    /// Remembers the source's name and kind; the first ones stay.
    pub fn describe(&mut self, id: ExprId, name: Option<&str>, kind: &str) {
        let entry = &mut self.entries[id.index()];
        if entry.name.is_none() {
            entry.name = name.map(str::to_string);
        }
        if entry.kind.is_none() && !kind.is_empty() {
            entry.kind = Some(kind.to_string());
        }
    }

    /// How the source put a sum together.
    pub fn recipe(&self, id: ExprId) -> Option<&Recipe> {
        self.entry(id).recipe.as_ref()
    }

    /// Remembers how the source put a sum together; the first one stays. A recipe reads only
    /// expressions with smaller numbers.
    pub fn remember(&mut self, id: ExprId, recipe: Recipe) {
        let older = match &recipe {
            Recipe::Sum(parts) => parts.iter().all(|(_, part)| *part < id),
            Recipe::Product(a, b) => *a < id && *b < id,
        };
        let entry = &mut self.entries[id.index()];
        if older && entry.recipe.is_none() && matches!(entry.form, Form::Linear(_)) {
            entry.recipe = Some(recipe);
        }
    }

    /// Whether the form is a sum.
    pub fn is_linear(&self, id: ExprId) -> bool {
        matches!(self.form(id), Form::Linear(_))
    }

    /// The number, where it is one that is known: a sum of at most one term without factors.
    pub fn as_scalar(&self, id: ExprId) -> Option<Option<ScalarId>> {
        match self.form(id) {
            Form::Linear(terms) => match terms.as_slice() {
                [] => Some(None),
                [one] if one.by.is_empty() => Some(Some(one.factor)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The truth value, where it is known.
    pub fn as_flag(&self, id: ExprId) -> Option<bool> {
        match self.form(id) {
            Form::Flag(value) => Some(*value),
            _ => None,
        }
    }

    /// What an expression reads.
    pub fn operands(&self, id: ExprId) -> Vec<ExprId> {
        operands(self.form(id))
    }
}

/// What a form reads.
pub fn operands(form: &Form) -> Vec<ExprId> {
    match form {
        Form::Linear(terms) => terms.iter().flat_map(|t| t.by.iter().copied()).collect(),
        Form::Flag(_) | Form::Latent | Form::Target | Form::Input(_) | Form::Entry(..) => {
            Vec::new()
        }
        Form::State(_) | Form::Held(_) => Vec::new(),
        Form::Gaussian(_) | Form::Refused(..) => Vec::new(),
        Form::Predict(ask) => [ask.at, ask.time, ask.told, ask.class, ask.by]
            .into_iter()
            .flatten()
            .chain(ask.maps.iter().copied())
            .chain(ask.with.iter().copied())
            .collect(),
        Form::Judge(_, of, by) => std::iter::once(*of).chain(*by).collect(),
        Form::Softmax(a) => vec![*a],
        Form::Pick(a, b) | Form::OneHot(a, b) | Form::MeanWithin(a, b) => vec![*a, *b],
        Form::Argmax(a, except) => std::iter::once(*a).chain(*except).collect(),
        Form::Shift(change) | Form::Share(change) => vec![change.of],
        Form::Div(a, b) | Form::Binary(_, a, b) | Form::Compare(_, a, b) => vec![*a, *b],
        Form::And(a, b) | Form::Or(a, b) | Form::Random(_, a, b) => vec![*a, *b],
        Form::Unary(_, a) | Form::Not(a) | Form::Filter(_, a) | Form::Fresh(_, a) => vec![*a],
        Form::Look(a, _) | Form::NoiseAt(_, a) => vec![*a],
        Form::Select(a, b, c) | Form::Where(a, b, c) | Form::Clip(a, b, c) => vec![*a, *b, *c],
        Form::Reduce {
            of, with, level, ..
        } => [Some(*of), *with, *level].into_iter().flatten().collect(),
    }
}

/// The name of a shape for people.
pub fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Scalar => "scalar",
        Shape::Bool => "bool",
        Shape::Class => "class",
        Shape::Tensor => "tensor",
        Shape::Map => "map",
        Shape::PerChannel => "per channel",
        Shape::Scores => "a number for each class",
    }
}

/// The shape of two values of these shapes taken together.
pub fn joined(a: Shape, b: Shape) -> Shape {
    use Shape::{Map, PerChannel, Scalar, Tensor};
    match (a, b) {
        (Tensor, _) | (_, Tensor) | (Map, PerChannel) | (PerChannel, Map) => Tensor,
        (Map, _) | (_, Map) => Map,
        (PerChannel, _) | (_, PerChannel) => PerChannel,
        (other, Scalar) | (Scalar, other) => other,
        (other, _) => other,
    }
}
