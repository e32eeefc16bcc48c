//! A network made of a formula. What it says of the clean sample depends on the question alone, not on
//! the space in which it answers nor on the rows beside it.

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Plan, Space, Tick};
use guide_runtime::error::RuntimeError;
use guide_runtime::exec::{Binding, Bindings, Executor, Guided};
use guide_runtime::predictor::{JudgeQuestion, Predictor, Question, Verdict};

use crate::draw::Draw;
use crate::pipeline;
use crate::spaces::of_x0;
use crate::ticks::{Noise, timetable};
use crate::walk::Rule;

/// The latents of these tests; a pyramid of three levels fits.
pub const LATENT: [usize; 3] = [3, 8, 12];
pub const SIZE: usize = 288;
pub const STEPS: u32 = 6;

pub struct Field {
    facts: ModelFacts,
    /// The null condition answers as the negative prompt does.
    pub nothing_negative: bool,
    /// What is added to the clean sample that is answered to `cond`; nothing where it is empty.
    pub moved: Vec<f64>,
}

impl Field {
    pub fn new(space: Space) -> Self {
        Self {
            facts: facts(space),
            nothing_negative: false,
            moved: Vec::new(),
        }
    }

    /// The clean sample that is answered to a label, at a point.
    pub fn x0(&self, label: &str, x: &[f64], t: f64, class: u32) -> Vec<f64> {
        let label = if self.nothing_negative && label == "null" {
            "uncond"
        } else {
            label
        };
        let seed = label.bytes().fold(u64::from(class), |seed, byte| {
            seed.wrapping_mul(0x0100_0000_01b3)
                .wrapping_add(u64::from(byte))
        });
        let mut own = Draw::new(seed);
        let (mix, shift) = (own.uniform(), 6.0 * own.uniform());
        let one = |i: usize| {
            let beside = x[(i * 7 + 3) % x.len()];
            let shared = (1.3 * x[i] + 0.2 * beside + 0.3).sin();
            0.9 * shared + 0.4 * (x[i] * (0.5 + mix) + shift + t / 700.0).cos()
        };
        let moved = |i: usize| match (label, self.moved.get(i)) {
            ("cond", Some(moved)) => one(i) + moved,
            _ => one(i),
        };
        (0..x.len()).map(moved).collect()
    }
}

/// Half of the step of a difference in f64.
const STEP: f64 = 1e-5;

impl Field {
    /// The gradient by the point of the weighted sum of an answer, by differences.
    fn back(&self, question: &Question<'_>, x: &[f64], by: &[f64]) -> Vec<f32> {
        let label = &question.prediction.label;
        let label = label
            .strip_prefix("grad(")
            .and_then(|l| l.strip_suffix(')'));
        let label = label.expect("the gradient of a prediction");
        let mut x = x.to_vec();
        let sum = |x: &[f64]| -> f64 {
            let x0 = self.x0(label, x, question.t, 0);
            let native = of_x0(self.facts.space, &x0, x, question.alpha, question.sigma);
            native.iter().zip(by).map(|(v, by)| v * by).sum()
        };
        let one = |at: usize| {
            let here = x[at];
            x[at] = here + STEP;
            let above = sum(&x);
            x[at] = here - STEP;
            let below = sum(&x);
            x[at] = here;
            ((above - below) / (2.0 * STEP)) as f32
        };
        (0..SIZE).map(one).collect()
    }
}

/// What is seen at a point: about 1, as attention is; of regions a whole number.
fn map(name: &str, x: &[f64]) -> Vec<f32> {
    let [_, height, width] = LATENT;
    let shift = name.len() as f64;
    let one = |i: usize| 1.0 + 0.8 * (1.7 * x[i] + shift).sin();
    let seen = |i: usize| match name.starts_with("regions(") {
        true => (4.0 * one(i)).round(),
        false => one(i),
    };
    (0..height * width).map(|i| seen(i) as f32).collect()
}

fn facts(space: Space) -> ModelFacts {
    ModelFacts {
        name: "field".into(),
        space,
        latent: LATENT.map(|side| side as u32),
        layers: None,
    }
}

pub fn wide(tensor: &Tensor) -> Vec<f64> {
    let values: Vec<f32> = tensor
        .flatten_all()
        .and_then(|t| t.to_vec1())
        .expect("numbers");
    values.into_iter().map(f64::from).collect()
}

impl Predictor for Field {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        _: usize,
        _: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let answer = |question: &Question<'_>| {
            let x = wide(&question.x);
            let mut answers: Vec<f32> = Vec::with_capacity(x.len());
            for (row, x) in x.chunks(SIZE).enumerate() {
                if let Some(by) = &question.by {
                    let by = &wide(by)[row * SIZE..(row + 1) * SIZE];
                    answers.extend(self.back(question, x, by));
                    continue;
                }
                let t = question.told.as_ref().map_or(question.t, |told| told[row]);
                let class = question.class.as_ref().map_or(0, |class| class[row]);
                let x0 = self.x0(&question.prediction.label, x, t, class);
                let native = of_x0(self.facts.space, &x0, x, question.alpha, question.sigma);
                answers.extend(native.into_iter().map(|v| v as f32));
            }
            for sight in &question.sights {
                let name = sight.look().label(&question.prediction.label);
                let maps = x.chunks(SIZE).flat_map(|x| map(&name, x)).collect();
                let [_, height, width] = LATENT;
                let shape = (question.rows.len(), 1, height, width);
                sight.show(Tensor::from_vec(maps, shape, &Device::Cpu)?);
            }
            Ok(Tensor::from_vec(answers, question.x.dims(), &Device::Cpu)?)
        };
        questions.iter().map(answer).collect()
    }

    fn judge(
        &mut self,
        _: usize,
        _: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict, RuntimeError> {
        let x = wide(&question.of);
        let name = &question.classifier.name;
        let rows = x.chunks(SIZE);
        let Some(by) = &question.by else {
            let logits = rows.map(|x| Self::logits(name, x, question.t));
            return Ok(Verdict::Logits(logits.collect()));
        };
        let pairs = rows.zip(by);
        let gradient = pairs.flat_map(|(x, by)| Self::gradient(name, x, question.t, by));
        let gradient: Vec<f32> = gradient.map(|v| v as f32).collect();
        Ok(Verdict::Gradient(Tensor::from_vec(
            gradient,
            question.of.dims(),
            &Device::Cpu,
        )?))
    }
}

/// How many classes the field's classifiers know.
pub const CLASSES: usize = 4;

impl Field {
    /// The weight and the phase of a place in a class's logit.
    fn wave(name: &str, class: usize, place: usize, t: f64) -> (f64, f64) {
        let letters = name.bytes().map(f64::from).sum::<f64>();
        let at = (class * 31 + place) as f64;
        let weight = (0.7 * at + 0.1 * letters).sin() / (SIZE as f64).sqrt();
        (weight, 0.3 * at + t / 900.0)
    }

    /// What a classifier says of a latent.
    pub fn logits(name: &str, x: &[f64], t: f64) -> Vec<f64> {
        let logit = |class| {
            let one = |(place, x): (usize, &f64)| {
                let (weight, phase) = Self::wave(name, class, place, t);
                3.0 * weight * (x + phase).sin()
            };
            x.iter().enumerate().map(one).sum()
        };
        (0..CLASSES).map(logit).collect()
    }

    /// The gradient of the weighted sum of those.
    pub fn gradient(name: &str, x: &[f64], t: f64, by: &[f64]) -> Vec<f64> {
        let one = |(place, x): (usize, &f64)| {
            let slope = |(class, by): (usize, &f64)| {
                let (weight, phase) = Self::wave(name, class, place, t);
                by * 3.0 * weight * (x + phase).cos()
            };
            by.iter().enumerate().map(slope).sum()
        };
        x.iter().enumerate().map(one).collect()
    }
}

/// The plan of a rule for the field.
///
/// # Errors
/// All diagnostics, as text.
pub fn plan(
    rule: &Rule,
    set: &[(String, String)],
    space: Space,
    noise: Noise,
    substeps: u32,
) -> Result<Plan, String> {
    let mut table = timetable(noise, STEPS, substeps);
    // Some signal from the start, so that every space has every conversion.
    for tick in &mut table.ticks {
        if tick.alpha == 0.0 {
            (tick.alpha, tick.sigma) = (0.0625, 0.9375);
        }
    }
    planned(rule, set, space, table)
}

/// As [`plan`], for any timetable.
///
/// # Errors
/// All diagnostics, as text.
pub fn planned(
    rule: &Rule,
    set: &[(String, String)],
    space: Space,
    table: guide_compiler::plan::Timetable,
) -> Result<Plan, String> {
    let ask = pipeline::Ask {
        settings: set.to_vec(),
        lists: rule.lists.iter().map(|name| (name.clone(), 2)).collect(),
        negative: rule.negative,
        ..pipeline::Ask::new(facts(space), table)
    };
    pipeline::ask(rule.name, rule.text, ask)
}

/// A plan for which the field works: on noise of one kind or the other, as some rules need.
pub fn some_plan(rule: &Rule, set: &[(String, String)], substeps: u32) -> (Plan, Noise) {
    let tried = [Noise::Preserving, Noise::Flow].map(|noise| {
        let plan = plan(rule, set, home(noise), noise, substeps)?;
        Ok((plan, noise))
    });
    let refused: Vec<String> = tried
        .iter()
        .filter_map(|t: &Result<_, String>| t.as_ref().err().cloned())
        .collect();
    let worked = tried.into_iter().find_map(Result::ok);
    worked.unwrap_or_else(|| panic!("{}: {refused:?}", rule.name))
}

/// What models of this noise answer in.
pub fn home(noise: Noise) -> Space {
    match noise {
        Noise::Preserving => Space::Eps,
        Noise::Flow => Space::Flow,
    }
}

/// The latent of a sample in a tick, by the sample's seed.
pub fn latent(seed: u64, tick: usize) -> Vec<f32> {
    let mut draw = Draw::new(seed * 1000 + tick as u64);
    let large = 0.7 + 0.3 * seed as f64;
    (0..SIZE).map(|_| (large * draw.normal()) as f32).collect()
}

pub fn latents(seeds: &[u64], tick: usize) -> Tensor {
    let all: Vec<f32> = seeds.iter().flat_map(|seed| latent(*seed, tick)).collect();
    crate::case::tensor(all, &[&[seeds.len()], LATENT.as_slice()].concat())
}

/// Everything that a plan may want, found from what its inputs are.
pub fn bindings(plan: &Plan, seeds: &[u64]) -> Bindings {
    let mut bindings = Bindings {
        seeds: seeds.to_vec(),
        target: Some(vec![1; seeds.len()]),
        ..Bindings::default()
    };
    for input in &plan.inputs {
        let area = LATENT[1] * LATENT[2];
        let wave = |count: usize| (0..count).map(|i| 0.5 + 0.5 * (i as f32).sin()).collect();
        let value = match input.kind.as_str() {
            "Mask" | "Map" => Binding::Tensor(crate::case::tensor(
                wave(area),
                &[1, 1, LATENT[1], LATENT[2]],
            )),
            "Image" => Binding::Tensor(crate::case::tensor(
                wave(SIZE),
                &[&[1], LATENT.as_slice()].concat(),
            )),
            "Trajectory" => {
                let points = plan.head.steps as usize + 1;
                let shape = [&[points], LATENT.as_slice()].concat();
                Binding::Trajectory(crate::case::tensor(wave(points * SIZE), &shape))
            }
            "Table" => Binding::Table(vec![
                vec![1.5, 0.25, -0.5, 0.125, 0.75, -0.25, 0.0625],
                vec![-0.75, 0.5, 0.25, -0.125, 1.0, 0.375, -0.25],
            ]),
            _ => continue,
        };
        bindings.inputs.insert(input.name.clone(), value);
    }
    bindings
}

/// Which arithmetic runs a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Engine {
    Passes,
    TensorOperations,
}

pub fn executor(plan: &Plan, seeds: &[u64], engine: Engine) -> Executor {
    let bindings = bindings(plan, seeds);
    let make = match engine {
        Engine::Passes => Executor::new,
        Engine::TensorOperations => Executor::with_tensor_operations,
    };
    make(plan, seeds.len(), &LATENT, &Device::Cpu, &bindings).expect("an executor")
}

/// All ticks of a run, the latents given.
pub fn run(plan: &Plan, seeds: &[u64], engine: Engine) -> Result<Vec<Guided>, RuntimeError> {
    let mut executor = executor(plan, seeds, engine);
    let mut field = Field::new(plan.head.model.space);
    let ticks = 0..plan.timetable.ticks.len();
    ticks
        .map(|i| executor.tick(i, &latents(seeds, i), &mut field))
        .collect()
}

/// What leaves a tick for a sample: all of its numbers.
pub fn parts(guided: &Guided, sample: usize) -> Vec<f32> {
    let all = [
        Some(&guided.denoise),
        guided.renoise.as_ref(),
        guided.shift.as_ref(),
        guided.moves.as_ref(),
    ];
    let row = |t: &Tensor| -> Vec<f32> {
        t.get(sample)
            .and_then(|t| t.flatten_all())
            .and_then(|t| t.to_vec1())
            .expect("numbers")
    };
    all.into_iter().flatten().flat_map(row).collect()
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}
