//! Recorded predictions (`guide-recording/1`): rules without a network.

mod read;
mod write;

use std::collections::BTreeMap;

use candle_core::Tensor;
use guide_compiler::plan::{ModelFacts, NoiseTable, Space, Tick, Timetable};

pub use read::{parse, read};
pub(crate) use write::File;
pub use write::Recorder;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::predictor::{Predictor, Question};

/// The metadata's `format`.
pub const FORMAT: &str = "guide-recording/1";

/// A recording: a [`Predictor`] that knows its answers.
#[derive(Clone, Debug)]
pub struct Recording {
    facts: ModelFacts,
    batch: usize,
    ticks: Vec<Tick>,
    x: Tensor,
    answers: BTreeMap<String, Tensor>,
    gaussian: BTreeMap<String, Tensor>,
    inputs: BTreeMap<String, Tensor>,
    target: Option<Vec<u32>>,
}

impl Recording {
    /// What the main model's network answers in.
    pub fn space(&self) -> Space {
        self.facts.space
    }

    /// Samples.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Channels, height and width.
    pub fn latent(&self) -> [usize; 3] {
        self.facts.latent.map(|side| side as usize)
    }

    /// The noisy state in a tick, `[B, C, H, W]`.
    ///
    /// # Errors
    /// There is no such tick.
    pub fn x(&self, tick: usize) -> Result<Tensor> {
        Ok(self.x.get(tick)?)
    }

    /// The labels of all predictions, in order of the alphabet.
    pub fn labels(&self) -> Vec<&str> {
        self.answers.keys().map(String::as_str).collect()
    }

    /// Inputs that stand in the recording, by name.
    pub fn inputs(&self) -> &BTreeMap<String, Tensor> {
        &self.inputs
    }

    /// Noise that stands for `gaussian` calls, by salt.
    pub fn gaussian(&self) -> &BTreeMap<String, Tensor> {
        &self.gaussian
    }

    /// The class aimed at.
    pub fn target(&self) -> Option<&[u32]> {
        self.target.as_deref()
    }

    /// Number of sampling steps: ticks without their substeps.
    pub fn steps(&self) -> u32 {
        self.ticks
            .iter()
            .map(|tick| tick.step + 1)
            .max()
            .unwrap_or(0)
    }

    /// The timetable that a rule is planned for.
    pub fn timetable(&self) -> Timetable {
        let mut points: Vec<(f64, f64, f64)> = self
            .ticks
            .iter()
            .map(|tick| (tick.t, tick.alpha, tick.sigma))
            .collect();
        points.extend(
            self.ticks
                .last()
                .map(|tick| (tick.t_next, tick.alpha_next, tick.sigma_next)),
        );
        Timetable::new(self.ticks.clone(), NoiseTable::Points(points))
    }

    /// The error for a label that is not there.
    fn missing(&self, label: &str) -> RuntimeError {
        let labels = self.labels();
        let list = labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let nearest = labels
            .iter()
            .map(|other| (strsim::jaro_winkler(label, other), *other))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let help = match nearest {
            Some((_, other)) => format!(
                "record `{label}`, or rename `{other}` if that is it; the recording holds {list}"
            ),
            None => {
                format!("record `{label}` with `guidec run --record`; the recording holds {list}")
            }
        };
        RuntimeError::new(
            ErrorKind::LabelMissing,
            format!(
                "the rule demands the prediction `{label}`, and the recording does not hold it"
            ),
        )
        .help(help)
    }
}

impl Predictor for Recording {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        tick_index: usize,
        _tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        questions
            .iter()
            .map(|question| {
                let label = &question.prediction.label;
                let all = self
                    .answers
                    .get(label)
                    .ok_or_else(|| self.missing(label))?
                    .get(tick_index)?;
                if question.rows.len() == self.batch {
                    return Ok(all);
                }
                let rows: Vec<u32> = question.rows.iter().map(|row| *row as u32).collect();
                Ok(all.index_select(&Tensor::new(rows, all.device())?, 0)?)
            })
            .collect()
    }
}
