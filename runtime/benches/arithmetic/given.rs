//! What a tick has to work with: answers that are there already.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};
use guide_compiler::plan::{ModelFacts, NoiseTable, Plan, Tick, Timetable};
use guide_runtime::predictor::{Predictor, Question};

pub const STEPS: u32 = 4;

/// Answers by label, the same in every tick.
pub struct Ready {
    pub facts: ModelFacts,
    pub answers: BTreeMap<String, Tensor>,
}

impl Ready {
    /// Answers for everything that a plan may ask: one shared part, and one of their own.
    pub fn new(plan: &Plan, shape: &[usize]) -> Result<Self> {
        let shared = Tensor::randn(0f32, 1.0, shape, &Device::Cpu)?;
        let mut answers = BTreeMap::new();
        for prediction in &plan.predictions {
            let own = Tensor::randn(0f32, 0.3, shape, &Device::Cpu)?;
            answers.insert(prediction.label.clone(), (&shared + own)?);
        }
        Ok(Self {
            facts: plan.head.model.clone(),
            answers,
        })
    }
}

impl Predictor for Ready {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        _: usize,
        _: &Tick,
        questions: &[Question<'_>],
    ) -> guide_runtime::error::Result<Vec<Tensor>> {
        let pick = |q: &Question<'_>| self.answers[&q.prediction.label].clone();
        Ok(questions.iter().map(pick).collect())
    }
}

/// Four steps; `alpha` of each noise level is what the kind of model says.
pub fn timetable(alpha: fn(f64) -> f64) -> Timetable {
    let sigma = |step: u32| 0.9 - 0.2 * f64::from(step);
    let ticks = (0..STEPS)
        .map(|step| Tick {
            step,
            substep: 0,
            t: 1000.0 * sigma(step),
            t1000: 1000.0 * sigma(step),
            alpha: alpha(sigma(step)),
            sigma: sigma(step),
            t_next: 1000.0 * sigma(step + 1),
            alpha_next: alpha(sigma(step + 1)),
            sigma_next: sigma(step + 1),
            posterior_variance: 0.0,
        })
        .collect();
    Timetable::new(ticks, NoiseTable::Points(Vec::new()))
}

/// What a direct program is given in a tick.
pub struct Given<'a> {
    pub x: &'a Tensor,
    pub answers: &'a BTreeMap<String, Tensor>,
    pub tick: &'a Tick,
}

impl Given<'_> {
    pub fn answer(&self, label: &str) -> Tensor {
        self.answers[label].clone()
    }

    /// The only answer whose label begins so.
    pub fn beginning(&self, label: &str) -> Tensor {
        let found = self
            .answers
            .iter()
            .find(|(known, _)| known.starts_with(label));
        found.map(|(_, answer)| answer.clone()).expect("an answer")
    }

    pub fn pair(&self) -> (Tensor, Tensor) {
        (self.answer("cond"), self.answer("uncond"))
    }

    /// The clean sample of a prediction of the noise.
    pub fn x0(&self, label: &str) -> Result<Tensor> {
        (self.x - (self.answer(label) * self.tick.sigma)?)? / self.tick.alpha
    }

    pub fn progress(&self) -> f64 {
        f64::from(self.tick.step) / f64::from(STEPS)
    }
}

/// What a direct program keeps between ticks.
#[derive(Default)]
pub struct Kept {
    pub tensors: Vec<Tensor>,
    pub levels: Vec<f64>,
}
