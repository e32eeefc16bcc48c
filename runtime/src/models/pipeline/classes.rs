//! The classes that a run speaks of: by number, by name, by the prompt.

use guide_compiler::plan::{Condition, Plan};

use super::super::judges::no_class;
use super::Pipeline;
use crate::error::{ErrorKind, Result, RuntimeError};

impl Pipeline {
    /// The number of a class, by its number or its name. It is known once a plan was prepared.
    ///
    /// # Errors
    /// `BadBinding` for one that is not there.
    pub fn class(&self, text: &str) -> Result<u32> {
        let names = self.judges.names().unwrap_or_default();
        if let Ok(number) = text.parse::<u32>() {
            return match names.is_empty() || (number as usize) < names.len() {
                true => Ok(number),
                false => Err(no_class(text, names.len())),
            };
        }
        self.class_called(text).ok_or_else(|| {
            let nearest = names
                .iter()
                .map(|name| (strsim::jaro_winkler(text, name), name))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let message = format!("there is no class `{text}`");
            let error = RuntimeError::new(ErrorKind::BadBinding, message);
            match nearest {
                Some((_, name)) => error.help(format!("is `{name}` meant? A number will do too")),
                None => error.help("give its number"),
            }
        })
    }

    /// The class that the prompt names: all of it, or what stands before its first comma.
    pub fn class_of_prompt(&self) -> Option<u32> {
        let class = self.class_among(self.judges.names()?)?;
        Some(class as u32)
    }

    /// The one of these names that the prompt names: all of it, or what stands before its first comma.
    pub fn class_among(&self, names: &[String]) -> Option<usize> {
        let prompt = self.conditions.prompt.as_str();
        let first = prompt.split(',').next().unwrap_or(prompt);
        place(names, prompt).or_else(|| place(names, first))
    }

    fn class_called(&self, name: &str) -> Option<u32> {
        place(self.judges.names()?, name).map(|at| at as u32)
    }

    /// Whether a list of prompts has one for each class that the run may ask it for.
    pub(super) fn enough_prompts(&self, plan: &Plan) -> Result<()> {
        let classes = self.judges.names().map_or(0, <[String]>::len);
        for prediction in &plan.predictions {
            let Condition::PromptOf(input, _) = &prediction.condition else {
                continue;
            };
            let bound = self.conditions.inputs.get(input).map_or(0, Vec::len);
            if bound < classes {
                let label = &prediction.label;
                let message = format!(
                    "`{label}` may ask for any of {classes} classes, and {bound} prompts are bound"
                );
                return Err(RuntimeError::new(ErrorKind::BadBinding, message)
                    .help("bind a prompt for each class, in their order"));
            }
        }
        Ok(())
    }
}

/// Where a name stands in a list, in whatever letters.
fn place(names: &[String], name: &str) -> Option<usize> {
    let mut names = names.iter();
    names.position(|known| known.eq_ignore_ascii_case(name.trim()))
}
