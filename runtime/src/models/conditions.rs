//! The texts of a run, and which of them a prediction is conditioned on.

use std::collections::BTreeMap;
use std::fmt;

use guide_compiler::plan::{Condition, InputId, Prediction};

use super::judges::no_class;
use super::sd::Framing;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::prompt::Reading;

/// What is asked of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// What is asked for (`cond`).
    pub prompt: String,
    /// What `uncond` stands for; without it, the null condition.
    pub negative: Option<String>,
    /// What the second text encoder of SDXL reads of `cond` and `uncond`; without, the same as the first.
    pub second: SecondTexts,
    /// What SDXL is told about the picture.
    pub framing: AskedFraming,
    /// How the texts are read.
    pub reading: Reading,
    /// The bound texts of `Prompt` (one) and `Prompt[]` inputs.
    pub inputs: BTreeMap<InputId, Vec<String>>,
}

/// Texts for the second text encoder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondTexts {
    /// In place of the prompt.
    pub prompt: Option<String>,
    /// In place of the negative prompt.
    pub negative: Option<String>,
}

/// What SDXL is told about the picture, where that is not a whole picture of its own size. In pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedFraming {
    /// Height and width of the original.
    pub original: Option<(usize, usize)>,
    /// Top and left of the cut.
    pub crop: Option<(usize, usize)>,
    /// Height and width that are wanted.
    pub target: Option<(usize, usize)>,
}

impl AskedFraming {
    /// For a picture of this height and width.
    pub fn of(&self, picture: (usize, usize)) -> Framing {
        let whole = Framing::whole(picture);
        Framing {
            original: self.original.unwrap_or(whole.original),
            crop: self.crop.unwrap_or(whole.crop),
            target: self.target.unwrap_or(whole.target),
        }
    }
}

/// The words of a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Words {
    /// None: the null condition.
    Null,
    /// A text for each encoder.
    Text {
        /// For the first.
        first: String,
        /// For the second of SDXL.
        second: String,
    },
}

impl Words {
    fn both(text: &str) -> Self {
        Self::apart(text, None)
    }

    fn apart(first: &str, second: Option<&String>) -> Self {
        Words::Text {
            first: first.to_owned(),
            second: second.map_or(first, String::as_str).to_owned(),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Words::Null => Ok(()),
            Words::Text { first, .. } => f.write_str(first),
        }
    }
}

impl Conditions {
    /// The words of a condition of a prediction; of an unrelated one, those that it is unrelated to.
    /// `class` is what the run found, and `names` are those of the classes: a class is asked for by its
    /// name.
    ///
    /// # Errors
    /// `NotBound` for an input without text; `BadBinding` for a class that has no name.
    pub fn words(
        &self,
        condition: &Condition,
        prediction: &Prediction,
        class: Option<u32>,
        names: Option<&[String]>,
    ) -> Result<Words> {
        match condition.related() {
            Condition::Cond => Ok(Words::apart(&self.prompt, self.second.prompt.as_ref())),
            Condition::Uncond => Ok(match &self.negative {
                Some(text) => Words::apart(text, self.second.negative.as_ref()),
                None => Words::Null,
            }),
            Condition::Null | Condition::Unrelated { .. } => Ok(Words::Null),
            Condition::Text(text) => Ok(Words::both(text)),
            Condition::Prompt(input) => Ok(Words::both(self.input(*input, 0, prediction)?)),
            Condition::PromptAt(input, place) => {
                Ok(Words::both(self.input(*input, *place, prediction)?))
            }
            Condition::PromptOf(input, _) => {
                let place = class.unwrap_or(0);
                Ok(Words::both(self.input(*input, place, prediction)?))
            }
            Condition::Class(class) => name(names, *class, prediction),
            Condition::ClassOf(_) => name(names, class.unwrap_or(0), prediction),
        }
    }

    /// Refuses what only SDXL can be told.
    ///
    /// # Errors
    /// `BadBinding`.
    pub fn refuse_additions(&self) -> Result<()> {
        let what = if self.second != SecondTexts::default() {
            "a prompt for a second text encoder"
        } else if self.framing != AskedFraming::default() {
            "what to tell the network about the size and cut of the picture"
        } else {
            return Ok(());
        };
        Err(RuntimeError::new(
            ErrorKind::BadBinding,
            format!("there is {what}, and the model takes none"),
        )
        .help("use it with a model of SDXL, or leave it out"))
    }

    fn input(&self, input: InputId, place: u32, prediction: &Prediction) -> Result<&str> {
        let text = self
            .inputs
            .get(&input)
            .and_then(|texts| texts.get(place as usize));
        text.map(String::as_str).ok_or_else(|| {
            RuntimeError::new(
                ErrorKind::NotBound,
                format!("no text is bound for `{}`", prediction.label),
            )
            .help("add `--bind NAME=TEXT`, repeated for a `Prompt[]`")
        })
    }
}

/// The words of a class.
fn name(names: Option<&[String]>, class: u32, prediction: &Prediction) -> Result<Words> {
    let Some(names) = names else {
        return Err(RuntimeError::new(
            ErrorKind::BadBinding,
            format!(
                "`{}` asks for a class, the model is conditioned on text, and nothing names the classes",
                prediction.label
            ),
        )
        .help("bind a classifier that names its classes, or condition on a prompt"));
    };
    match names.get(class as usize) {
        Some(name) => Ok(Words::both(name)),
        None => Err(no_class(&class.to_string(), names.len())),
    }
}
