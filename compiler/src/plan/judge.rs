//! Questions to classifiers: what they are shown, and what they give.

use serde::{Deserialize, Serialize};

use super::{ClassifierId, Guard, JudgementId, Operand};

/// The most classes of a classifier.
pub const MOST_CLASSES: u32 = 1 << 20;

/// A classifier or a loss that a rule declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// Its name, under which it is bound.
    pub name: String,
    /// Whether it is a loss, which gives one number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loss: bool,
    /// What it is shown.
    pub sees: Seen,
    /// What the rule says of how it is shown; the rest is as the classifier's own config says.
    pub shown: Shown,
    /// How many classes it has, where that was known when the plan was made.
    pub classes: Option<u32>,
    /// Bytes that a gradient through it holds at once for each sample, where they were known.
    pub backward: Option<u64>,
}

/// What a classifier is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The noisy latent, and the time.
    Noisy,
    /// A clean latent.
    X0,
    /// A picture, by the model's decoder.
    Image,
}

impl Seen {
    /// Its name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Seen::Noisy => "noisy",
            Seen::X0 => "x0",
            Seen::Image => "image",
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        [Seen::Noisy, Seen::X0, Seen::Image]
            .into_iter()
            .find(|seen| seen.name() == name)
    }
}

/// How a classifier is shown what it sees, where a rule says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// What the darkest and the lightest number of a picture become.
    pub range: Option<(f64, f64)>,
    /// Height and width of the pictures that it is shown.
    pub size: Option<u32>,
    /// How a picture's channels are brought to a mean and a deviation.
    pub normalise: Option<Normalise>,
    /// `softplus(b)` in place of each ReLU: `ln(1 + exp(b*x))/b`.
    pub softplus: Option<f64>,
}

/// How a picture's channels are brought to a mean and a deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Not at all.
    None,
    /// By those of ImageNet's pictures.
    Imagenet,
    /// By those of the pictures that CLIP was trained on.
    Clip,
}

impl Normalise {
    /// All of them.
    pub const ALL: [Normalise; 3] = [Normalise::None, Normalise::Imagenet, Normalise::Clip];

    /// Its name in the language and in configs.
    pub fn name(self) -> &'static str {
        match self {
            Normalise::None => "none",
            Normalise::Imagenet => "imagenet",
            Normalise::Clip => "clip",
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// One question to a classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// Its name in plans, traces and recordings (`judge(x)`, `grad(judge(x))`).
    pub label: String,
    /// Whom.
    pub classifier: ClassifierId,
    /// What is asked for.
    pub gives: Gives,
}

/// What a question to a classifier asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gives {
    /// Its logits.
    Logits,
    /// A loss's one number.
    Value,
    /// The gradient of a weighted sum of its logits, or of its value times a number, by what it is shown: a
    /// forward and a backward pass. Of a picture it goes on through the decoder, to the latent.
    Gradient,
}

/// A question to a classifier as one tick puts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judging {
    /// Which.
    pub judgement: JudgementId,
    /// The latent that is shown, or whose picture is.
    pub of: Operand,
    /// The weights of the logits, or the value's one, for a gradient.
    pub by: Option<Operand>,
    /// For which samples; `None` is all.
    pub when: Option<Guard>,
}

impl Judging {
    /// What the question and its condition read.
    pub fn operands(&self) -> Vec<&Operand> {
        let mut all: Vec<&Operand> = vec![&self.of];
        all.extend(&self.by);
        all.extend(self.when.iter().flat_map(Guard::operands));
        all
    }
}
