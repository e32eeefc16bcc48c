//! Recorded predictions (`guide-recording/1`): rules without a network.

mod example;
mod read;
mod rule;
mod write;

use std::collections::BTreeMap;

use candle_core::Tensor;
use guide_compiler::plan::{ModelFacts, NoiseTable, Space, Tick, Timetable};

pub use example::example;
pub use read::{parse, read};
pub use rule::Rule;
pub(crate) use write::File;
pub use write::Recorder;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::predictor::{JudgeQuestion, Predictor, Question, Verdict};

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
    /// What was seen of evaluations, `[ticks, B, 1, H, W]`, by [`guide_compiler::plan::Look::recorded`].
    sights: BTreeMap<String, Tensor>,
    gaussian: BTreeMap<String, Tensor>,
    inputs: BTreeMap<String, Tensor>,
    target: Option<Vec<u32>>,
    /// `logits/…` and `classify/…`, by their whole name.
    scores: BTreeMap<String, Tensor>,
    /// `grad/…`, by the rest of their name.
    gradients: BTreeMap<String, Tensor>,
    rule: Option<Rule>,
}

impl Recording {
    /// What the main model's network answers in.
    pub fn space(&self) -> Space {
        self.facts.space
    }

    /// The rule of the recorded run, where the file names it.
    pub fn rule(&self) -> Option<&Rule> {
        self.rule.as_ref()
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

    /// What a tick holds for these samples.
    fn rows(&self, all: &Tensor, tick: usize, rows: &[usize]) -> Result<Tensor> {
        let all = all.get(tick)?;
        if rows.len() == self.batch {
            return Ok(all);
        }
        let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        Ok(all.index_select(&Tensor::new(rows, all.device())?, 0)?)
    }

    /// The error for a look that is not there.
    fn unseen(&self, name: &str, call: &str) -> RuntimeError {
        let message = format!("the rule reads `{call}`, and the recording does not hold it");
        let held: Vec<String> = self.sights.keys().map(|name| format!("`{name}`")).collect();
        let held = match held.is_empty() {
            true => "no attention".to_owned(),
            false => held.join(", "),
        };
        RuntimeError::new(ErrorKind::LabelMissing, message).help(format!(
            "record `{name}` with `guidec run --record`; the recording holds {held}"
        ))
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
                for sight in &question.sights {
                    let name = sight.look().recorded(label);
                    let all = self
                        .sights
                        .get(&name)
                        .ok_or_else(|| self.unseen(&name, &sight.look().label(label)))?;
                    sight.show(self.rows(all, tick_index, question.rows)?);
                }
                if question.by.is_some() {
                    return self.through(tick_index, question);
                }
                let all = self.answers.get(label);
                let all = all.ok_or_else(|| self.missing(label))?;
                self.rows(all, tick_index, question.rows)
            })
            .collect()
    }

    fn judge(
        &mut self,
        tick_index: usize,
        _tick: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict> {
        match question.by {
            None => self.logits(tick_index, question).map(Verdict::Logits),
            Some(_) => self.gradient(tick_index, question).map(Verdict::Gradient),
        }
    }
}

impl Recording {
    /// A classifier's logits; of recorded probabilities their logarithms, which have the same softmax.
    fn logits(&self, tick: usize, question: &JudgeQuestion<'_>) -> Result<Vec<Vec<f64>>> {
        let names = [&question.judgement.label, &question.classifier.name];
        let found = ["logits", "classify", "value"]
            .into_iter()
            .find_map(|kind| {
                let mut each = names.iter().map(|name| format!("{kind}/{name}"));
                let scores = each.find_map(|name| self.scores.get(&name))?;
                Some((kind, scores))
            });
        let Some((kind, scores)) = found else {
            let kind = if question.classifier.loss {
                "value"
            } else {
                "logits"
            };
            return Err(self.lacks(kind, question));
        };
        let rows: Vec<Vec<f32>> = scores.get(tick)?.to_vec2()?;
        let number = |value: f32| match kind {
            "classify" => f64::from(value).ln(),
            _ => f64::from(value),
        };
        let rows = question.rows.iter().filter_map(|row| rows.get(*row));
        Ok(rows
            .map(|row| row.iter().map(|value| number(*value)).collect())
            .collect())
    }

    /// The gradient through a network.
    fn through(&self, tick: usize, question: &Question<'_>) -> Result<Tensor> {
        let label = &question.prediction.label;
        match self.gradients.get(of_gradient(label)) {
            Some(all) => self.rows(all, tick, question.rows),
            None => Err(self.missing(&format!("grad/{}", of_gradient(label)))),
        }
    }

    fn gradient(&self, tick: usize, question: &JudgeQuestion<'_>) -> Result<Tensor> {
        let found = self.gradients.get(of_gradient(&question.judgement.label));
        let found = found.or_else(|| self.gradients.get(&question.classifier.name));
        let Some(gradients) = found else {
            return Err(self.lacks("grad", question));
        };
        let rows: Vec<u32> = question.rows.iter().map(|row| *row as u32).collect();
        let rows = Tensor::new(rows, gradients.device())?;
        Ok(gradients.get(tick)?.index_select(&rows, 0)?)
    }

    fn lacks(&self, kind: &str, question: &JudgeQuestion<'_>) -> RuntimeError {
        let label = &question.judgement.label;
        let name = of_gradient(label);
        let held = self
            .scores
            .keys()
            .cloned()
            .chain(self.gradients.keys().map(|name| format!("grad/{name}")));
        let held: Vec<String> = held.map(|name| format!("`{name}`")).collect();
        let held = match held.is_empty() {
            true => "nothing of a classifier".to_owned(),
            false => held.join(", "),
        };
        RuntimeError::new(
            ErrorKind::LabelMissing,
            format!("the rule asks for `{label}`, and the recording does not hold it"),
        )
        .help(format!(
            "record `{kind}/{name}` with `guidec run --record`; the recording holds {held}"
        ))
    }
}

/// What a gradient's label speaks of: `judge(x)` of `grad(judge(x))`, which a recording calls
/// `grad/judge(x)`.
fn of_gradient(label: &str) -> &str {
    let inner = label.strip_prefix("grad(");
    inner
        .and_then(|inner| inner.strip_suffix(')'))
        .unwrap_or(label)
}
