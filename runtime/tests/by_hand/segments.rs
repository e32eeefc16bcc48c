//! Plans of several segments and waves, and a predictor that answers by all that it is asked with.

use candle_core::{Device, Tensor};
use guide_compiler::plan::*;
use guide_runtime::error::Result;
use guide_runtime::predictor::{Predictor, Question};

use super::{Build, LATENT, SIZE, facts, tick};

/// A prediction asked plainly, for all samples.
pub fn plainly(prediction: u32) -> Use {
    Use {
        prediction: PredictionId(prediction),
        at: None,
        t: None,
        time: None,
        told: None,
        class: None,
        maps: Vec::new(),
        by: None,
        when: None,
        shares: None,
    }
}

/// For the samples for which a truth value does or does not hold.
pub fn only(of: &Operand, holds: bool) -> Option<Guard> {
    let of = of.clone();
    Some(Guard {
        any: vec![vec![Literal { of, holds }]],
    })
}

pub fn state_of(name: &str, shape: Shape, init: Init) -> State {
    State {
        name: name.into(),
        kind: String::new(),
        shape,
        init,
        bytes: 0,
    }
}

impl Build {
    /// Asks once everything so far is computed.
    pub fn ask(&mut self, uses: Vec<Use>, coupled: bool) {
        self.close();
        self.waves.push(Wave {
            evaluate: vec![Batch { uses, coupled }],
            judge: Vec::new(),
            compute: Vec::new(),
        });
    }

    fn close(&mut self) {
        let groups = self.ops.drain(..).map(|op| Group { ops: vec![op] });
        if let Some(wave) = self.waves.last_mut() {
            wave.compute.extend(groups);
        }
    }

    /// The segment: these steps, in this evaluation of each.
    pub fn segment(mut self, steps: (u32, u32), substep: u32, denoise: Operand) -> Segment {
        self.close();
        Segment {
            steps,
            substep,
            values: self.values,
            waves: self.waves,
            keep: Vec::new(),
            decide: Vec::new(),
            result: Outcome {
                space: Space::Eps,
                denoise: Some(denoise),
                renoise: None,
                shift: None,
                moves: None,
                hold: Hold::Never,
            },
        }
    }
}

/// The predictions of these plans.
pub const LABELS: [&str; 3] = ["cond", "uncond", "class(rival)"];

/// A plan of segments; each step but the last has as many evaluations as `substeps` says.
pub fn plan_of(steps: u32, substeps: u32, segments: Vec<Segment>) -> Plan {
    let mut plan = super::cfg(1.0, steps);
    plan.predictions = LABELS
        .iter()
        .map(|label| Prediction {
            label: (*label).into(),
            model: None,
            condition: Condition::Cond,
            interventions: Vec::new(),
            control: 1.0,
            gradient: false,
        })
        .collect();
    plan.cost.by_prediction = vec![(0, 0); LABELS.len()];
    let evaluations = |step| if step + 1 < steps { substeps } else { 1 };
    let places = (0..steps).flat_map(|s| (0..evaluations(s)).map(move |substep| (s, substep)));
    plan.timetable.ticks = places
        .map(|(step, substep)| Tick {
            substep,
            ..tick(step, steps)
        })
        .collect();
    plan.segments = segments;
    plan
}

/// Another latent in each tick for each sample, that lies on another side of what is decided.
pub fn latent(tick: usize, sample: usize) -> Vec<f32> {
    let wave = |i: usize| (0.37 * i as f64 + 1.7 * sample as f64 + 0.9 * tick as f64).sin();
    let height = 1.6 * (3.1 * sample as f64 + 2.3 * tick as f64).sin();
    (0..SIZE).map(|i| (height + wave(i)) as f32).collect()
}

/// The latents of a batch.
pub fn latents(tick: usize, batch: usize) -> Tensor {
    let all: Vec<f32> = (0..batch).flat_map(|b| latent(tick, b)).collect();
    Tensor::from_vec(all, [&[batch], LATENT.as_slice()].concat(), &Device::Cpu).unwrap()
}

/// What is answered at a point: by label, time and class.
pub fn answer(label: &str, x: &[f32], t: f64, class: u32) -> Vec<f32> {
    let known = LABELS.iter().position(|known| *known == label);
    // Any other label lies somewhere beyond those of `LABELS`.
    let spelt = || label.bytes().map(u64::from).sum::<u64>() % 17;
    let by = known.map_or_else(|| 3.0 + 0.25 * spelt() as f64, |at| at as f64);
    let own = 0.8 * by + t / 700.0 + 0.3 * f64::from(class);
    x.iter()
        .map(|x| ((1.0 + 0.4 * by) * f64::from(*x) + own).cos() as f32)
        .collect()
}

/// Answers so, and remembers which samples asked what in which tick.
pub struct Formula {
    facts: ModelFacts,
    pub asked: Vec<(usize, String, Vec<usize>)>,
}

impl Formula {
    pub fn new() -> Self {
        Self {
            facts: facts(),
            asked: Vec::new(),
        }
    }

    /// The samples that asked something in a tick.
    pub fn rows(&self, tick: usize, label: &str) -> Vec<usize> {
        let here = |(t, l, _): &&(usize, String, Vec<usize>)| *t == tick && l == label;
        let rows = self.asked.iter().filter(here);
        rows.flat_map(|(_, _, rows)| rows.clone()).collect()
    }
}

impl Predictor for Formula {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        tick: usize,
        _: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        let mut answers = Vec::new();
        for question in questions {
            let label = question.prediction.label.clone();
            let x: Vec<f32> = question.x.flatten_all()?.to_vec1()?;
            let one = |(row, x): (usize, &[f32])| {
                let t = question.told.as_ref().map_or(question.t, |told| told[row]);
                let class = question.class.as_ref().map_or(0, |class| class[row]);
                answer(&label, x, t, class)
            };
            let all: Vec<f32> = x.chunks(SIZE).enumerate().flat_map(one).collect();
            answers.push(Tensor::from_vec(all, question.x.dims(), &Device::Cpu)?);
            self.asked.push((tick, label, question.rows.to_vec()));
        }
        Ok(answers)
    }
}
