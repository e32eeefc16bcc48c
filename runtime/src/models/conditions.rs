//! The texts of a run, and which of them a prediction is conditioned on.

use std::collections::BTreeMap;

use guide_compiler::plan::{Condition, InputId, Prediction};

use crate::error::{ErrorKind, Result, RuntimeError};

/// The texts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// What is asked for (`cond`).
    pub prompt: String,
    /// What `uncond` stands for; without it, the empty text.
    pub negative: Option<String>,
    /// The bound texts of `Prompt` (one) and `Prompt[]` inputs.
    pub inputs: BTreeMap<InputId, Vec<String>>,
}

impl Conditions {
    /// The text of a prediction's condition; of an unrelated one, the text that it is unrelated to.
    ///
    /// # Errors
    /// `NotBound` for an input without text; `BadBinding` for a class, which a text-to-image model does
    /// not know.
    pub fn text<'a>(&'a self, prediction: &'a Prediction) -> Result<&'a str> {
        match prediction.condition.related() {
            Condition::Cond => Ok(&self.prompt),
            Condition::Uncond => Ok(self.negative.as_deref().unwrap_or("")),
            Condition::Null => Ok(""),
            Condition::Text(text) => Ok(text),
            Condition::Prompt(input) => self.input(*input, 0, prediction),
            Condition::PromptAt(input, place) => self.input(*input, *place, prediction),
            Condition::Class(_) | Condition::ClassOf(_) | Condition::Unrelated { .. } => {
                Err(RuntimeError::new(
                    ErrorKind::BadBinding,
                    format!(
                        "`{}` asks for a class, and the model is conditioned on text",
                        prediction.label
                    ),
                )
                .help("condition on a prompt, or use a model of classes"))
            }
        }
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
