//! The one thing the executor asks of the world: predictions. Networks and recordings answer.

use std::sync::OnceLock;

use candle_core::Tensor;
use guide_compiler::plan::{
    Classifier, Judgement, Look, ModelFacts, Prediction, PredictionId, Tick,
};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::ops::random::Stream;

/// A question for some samples of the batch.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Its place in the plan.
    pub id: PredictionId,
    /// What is asked.
    pub prediction: &'a Prediction,
    /// Which samples of the batch ask, ascending. Never empty.
    pub rows: &'a [usize],
    /// Where it is evaluated: `[rows, C, H, W]`, f32 (variance-preserving `x`).
    pub x: Tensor,
    /// The time of `x`, as the network is given it.
    pub t: f64,
    /// The signal's factor at `x`.
    pub alpha: f64,
    /// The noise's factor at `x`.
    pub sigma: f64,
    /// The time that the network is told for each row, where it is another.
    pub told: Option<Vec<f64>>,
    /// The class for each row, where the condition is found by the run.
    pub class: Option<Vec<u32>>,
    /// The maps that its interventions read, each `[rows, 1, H, W]`.
    pub maps: Vec<Tensor>,
    /// Where the gradient by `x` of the answer is asked for: what the answer is weighted with, `[rows, C, H,
    /// W]`, f32.
    pub by: Option<Tensor>,
    /// The seed of each row.
    pub seeds: Vec<u64>,
    /// What each row's condition is drawn from, where it is an unrelated one.
    pub drawn: Option<Vec<Stream>>,
    /// What is to be seen besides the answer; whoever answers fills it in.
    pub sights: Vec<Sight<'a>>,
}

/// What is to be seen of an evaluation.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    look: &'a Look,
    seen: OnceLock<Tensor>,
}

impl<'a> Sight<'a> {
    /// Nothing is seen yet.
    pub fn new(look: &'a Look) -> Self {
        Self {
            look,
            seen: OnceLock::new(),
        }
    }

    /// At what is looked.
    pub fn look(&self) -> &'a Look {
        self.look
    }

    /// Says what is seen: `[rows, 1, H, W]`. The first word counts.
    pub fn show(&self, map: Tensor) {
        let _ = self.seen.set(map);
    }

    /// What was seen.
    pub fn seen(&self) -> Option<&Tensor> {
        self.seen.get()
    }
}

/// A question to a classifier, for some samples of the batch.
#[derive(Clone, Debug)]
pub struct JudgeQuestion<'a> {
    /// What is asked.
    pub judgement: &'a Judgement,
    /// Whom.
    pub classifier: &'a Classifier,
    /// Which samples of the batch ask, ascending. Never empty.
    pub rows: &'a [usize],
    /// The latents that it is shown, or whose pictures it is shown: `[rows, C, H, W]`, f32.
    pub of: Tensor,
    /// The time of the tick, as a network is given it.
    pub t: f64,
    /// For a gradient: what each row's logits are weighted with, `[rows][classes]`; of a loss one number.
    pub by: Option<Vec<Vec<f64>>>,
}

/// What a classifier answers.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Logits, `[rows][classes]`; of a loss its one number.
    Logits(Vec<Vec<f64>>),
    /// The gradient of each row's weighted logits by the latent, `[rows, C, H, W]`, f32.
    Gradient(Tensor),
}

/// What answers.
pub trait Predictor {
    /// What is known of the main model.
    fn facts(&self) -> &ModelFacts;

    /// Answers questions that share weights and interventions, in one forward where it can.
    /// For each question a tensor `[rows, C, H, W]`, f32, in the main model's space, or the gradient by `x` of
    /// that answer where weights for it are given; its sights are shown.
    ///
    /// A sample's answer never depends on what stands beside it.
    ///
    /// # Errors
    /// A label or condition that cannot be answered; a device that fails; an interruption.
    fn predict(
        &mut self,
        tick_index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>>;

    /// Answers a question to a classifier: logits, or a gradient where it has weights.
    ///
    /// A sample's answer never depends on what stands beside it.
    ///
    /// # Errors
    /// A classifier that is not there; what it cannot be shown; a device that fails; an interruption.
    fn judge(
        &mut self,
        _tick_index: usize,
        _tick: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict> {
        Err(no_classifier(&question.classifier.name))
    }

    /// How many samples each forward pass took for the last questions; empty where nothing passed through
    /// a network.
    fn passes(&self) -> Vec<usize> {
        Vec::new()
    }
}

/// The error for a loss that is not there.
pub fn no_loss(name: &str) -> RuntimeError {
    RuntimeError::new(ErrorKind::NotBound, format!("no loss is bound as `{name}`")).help(format!(
        "add `--bind {name}=color:#ff8000`, or another loss"
    ))
}

/// The error for a classifier that is not there.
pub fn no_classifier(name: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::NotBound,
        format!("no classifier is bound as `{name}`"),
    )
    .help(format!(
        "add `--bind {name}=DIR` with the folder of a classifier"
    ))
}
