//! The one thing the executor asks of the world: predictions. Networks and recordings answer.

use std::sync::OnceLock;

use candle_core::Tensor;
use guide_compiler::plan::{Look, ModelFacts, Prediction, PredictionId, Tick};

use crate::error::Result;
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

/// What answers.
pub trait Predictor {
    /// What is known of the main model.
    fn facts(&self) -> &ModelFacts;

    /// Answers questions that share weights and interventions, in one forward where it can.
    /// For each question a tensor `[rows, C, H, W]`, f32, in the main model's space; its sights are shown.
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

    /// How many samples each forward pass took for the last questions; empty where nothing passed through
    /// a network.
    fn passes(&self) -> Vec<usize> {
        Vec::new()
    }
}
