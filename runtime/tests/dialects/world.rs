//! A network made of a formula, what a tool sees of it, and the comparison of a dialect with a tool.

use std::collections::BTreeSet;

use candle_core::{Device, Tensor};
use guide_compiler::memory::Memory;
use guide_compiler::model::Model;
use guide_compiler::pipeline::{Request, Times, compile, read};
use guide_compiler::plan::{ModelFacts, NoiseTable, Plan, Space, Tick, Timetable};
use guide_compiler::sources::Loaded;
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::Result;
use guide_runtime::exec::{Binding, Bindings, Executor};
use guide_runtime::predictor::{Predictor, Question};

/// Sides that are powers of 2, as some of the tools need.
pub const LATENT: [usize; 3] = [4, 16, 8];
/// Elements of a channel.
pub const PLACE: usize = 128;
const SIZE: usize = 512;
const BATCH: usize = 2;
pub const STEPS: usize = 12;

/// The weights of prompts, where there are any.
pub const WEIGHTS: [f64; 2] = [1.2, -0.4];

/// Results are f32, of values up to this many times smaller than what they were made of: guidance takes
/// differences, and a conversion at high noise divides by a small `alpha`.
const TOLERANCE: f64 = 4e-6;

/// What the network says under a condition: a part that all conditions share, and a part of its own.
fn answer(label: &str, x: &[f32], t: f64) -> Vec<f32> {
    let by = label
        .bytes()
        .fold(0.0, |sum, byte| (1.7 * sum + f64::from(byte) / 31.0) % 7.0);
    let one = |(i, x): (usize, &f32)| {
        let shared = (1.1 * f64::from(*x) + t / 700.0).sin();
        let own = (by + 0.3 * by * i as f64 + f64::from(*x)).cos();
        (0.9 * shared + 0.5 * own) as f32
    };
    x.iter().enumerate().map(one).collect()
}

fn latent(tick: usize, sample: usize) -> Vec<f32> {
    let wave = |i: usize| (0.37 * i as f64 + 1.7 * sample as f64 + 0.9 * tick as f64).sin();
    (0..SIZE).map(|i| (1.3 * wave(i) + 0.2) as f32).collect()
}

struct Network {
    facts: ModelFacts,
    asked: Vec<BTreeSet<String>>,
}

impl Predictor for Network {
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
            let label = &question.prediction.label;
            let x: Vec<f32> = question.x.flatten_all()?.to_vec1()?;
            let rows = x.chunks(SIZE).flat_map(|x| answer(label, x, question.t));
            answers.push(Tensor::from_vec(
                rows.collect(),
                question.x.dims(),
                &Device::Cpu,
            )?);
            self.asked[tick].insert(label.clone());
        }
        Ok(answers)
    }
}

/// What a tool sees in a step, of one picture.
pub struct Seen {
    pub tick: Tick,
    pub step: usize,
    pub sample: usize,
    pub x: Vec<f64>,
    native: Space,
    x32: Vec<f32>,
    labels: BTreeSet<String>,
    pub read: std::cell::RefCell<BTreeSet<String>>,
}

impl Seen {
    /// The network's own output.
    pub fn native(&self, label: &str) -> Vec<f64> {
        assert!(
            self.labels.contains(label),
            "no {label} in {:?}",
            self.labels
        );
        self.read.borrow_mut().insert(label.to_owned());
        let answer = answer(label, &self.x32, self.tick.t);
        answer.into_iter().map(f64::from).collect()
    }

    /// The clean picture that an output means.
    pub fn x0(&self, label: &str) -> Vec<f64> {
        let (a, s) = (self.tick.alpha, self.tick.sigma);
        let from = |x: f64, out: f64| match self.native {
            Space::Eps => (x - s * out) / a,
            Space::V => (a * x - s * out) / (a * a + s * s),
            Space::Flow => (x - s * out) / (a + s),
            other => panic!("no network of these predicts {other:?}"),
        };
        let out = self.native(label);
        self.x
            .iter()
            .zip(&out)
            .map(|(x, out)| from(*x, *out))
            .collect()
    }

    /// The latent with noise of standard deviation `sigma/alpha`, as k-diffusion has it.
    pub fn x_exploding(&self) -> Vec<f64> {
        self.x.iter().map(|x| x / self.tick.alpha).collect()
    }

    /// That standard deviation.
    pub fn noise_level(&self) -> f64 {
        self.tick.sigma / self.tick.alpha
    }

    /// Whether `int(start * N) <= step < int(stop * N)`.
    pub fn in_window(&self, start: f64, stop: f64) -> bool {
        let at = |share: f64| (share * STEPS as f64) as usize;
        at(start) <= self.step && self.step < at(stop)
    }
}

/// What a tool makes of it.
pub struct Want {
    pub space: Space,
    pub denoise: Vec<f64>,
    pub renoise: Option<Vec<f64>>,
}

pub fn only(space: Space, denoise: Vec<f64>) -> Want {
    Want {
        space,
        denoise,
        renoise: None,
    }
}

fn table(space: Space) -> Timetable {
    let config = SchedulerConfig::stable_diffusion(if space == Space::Flow {
        Space::Eps
    } else {
        space
    });
    let mut table = timetable(&config, Sampler::Ddim, None, STEPS as u32).unwrap();
    if space == Space::Flow {
        let level = |i: usize| 0.97 * (1.0 - i as f64 / STEPS as f64);
        for (i, tick) in table.ticks.iter_mut().enumerate() {
            let (now, next) = (level(i), level(i + 1));
            (tick.alpha, tick.sigma) = (1.0 - now, now);
            (tick.alpha_next, tick.sigma_next) = (1.0 - next, next);
            (tick.t, tick.t1000, tick.t_next) = (1000.0 * now, 1000.0 * now, 1000.0 * next);
        }
        table.noise = NoiseTable::Flow;
    }
    table
}

fn planned(path: &str, set: &[(&str, String)], space: Space) -> Plan {
    let text = guide_stdlib::text(&format!("dialects/{path}")).unwrap_or_else(|| panic!("{path}"));
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    let root = Loaded {
        path: format!("{}.guide", path.rsplit('/').next().unwrap()),
        text: text.to_owned(),
    };
    let analysis = read(root, &sources);
    let facts = ModelFacts {
        name: "formula".into(),
        space,
        latent: LATENT.map(|side| side as u32),
        layers: None,
    };
    let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    let model = Model {
        facts: facts.clone(),
        scheduler: SchedulerConfig::stable_diffusion(Space::Eps),
    };
    let request = Request {
        settings: set.iter().map(owned).collect(),
        prompt_counts: vec![("prompts".into(), WEIGHTS.len() as u32)],
        times: Times::Recording(table(space)),
        steps: STEPS as u32,
        ..Request::new(model)
    };
    match compile(&analysis, &request) {
        Ok(compiled) => compiled.plan,
        Err(bag) => panic!("{path}: {:?}", bag.into_sorted()),
    }
}

/// Runs a dialect and the tool's computation side by side, for each picture of a batch through all steps.
pub fn compare(
    path: &str,
    set: &[(&str, String)],
    space: Space,
    mut tool: impl FnMut(&Seen) -> Want,
) {
    let plan = planned(path, set, space);
    let labels: BTreeSet<String> = plan.predictions.iter().map(|p| p.label.clone()).collect();
    let mut bindings = Bindings::default();
    let rows = WEIGHTS.iter().map(|weight| vec![*weight]).collect();
    bindings
        .inputs
        .insert("weights".into(), Binding::Table(rows));
    let device = Device::Cpu;
    let mut executor = Executor::new(&plan, BATCH, &LATENT, &device, &bindings).unwrap();
    let mut network = Network {
        facts: plan.head.model.clone(),
        asked: vec![BTreeSet::new(); STEPS],
    };
    for (index, tick) in plan.timetable.ticks.iter().enumerate() {
        let all: Vec<f32> = (0..BATCH)
            .flat_map(|sample| latent(index, sample))
            .collect();
        let x = Tensor::from_vec(all, [&[BATCH], LATENT.as_slice()].concat(), &device).unwrap();
        let guided = executor.tick(index, &x, &mut network).unwrap();
        assert!(guided.hold.iter().all(|hold| !hold));
        for sample in 0..BATCH {
            let x32 = latent(index, sample);
            let seen = Seen {
                tick: *tick,
                step: index,
                sample,
                x: x32.iter().map(|x| f64::from(*x)).collect(),
                native: space,
                x32,
                labels: labels.clone(),
                read: Default::default(),
            };
            let want = tool(&seen);
            let place = format!("{path} {set:?} in {space:?}, step {index}, picture {sample}");
            assert_eq!(guided.space, want.space, "{place}");
            let inputs = seen.read.borrow().clone();
            let scale = inputs.iter().map(|label| match want.space {
                Space::X0 => largest(&seen.x0(label)),
                _ => 1.0,
            });
            let scale = scale.fold(1.0, f64::max);
            near(&guided.denoise, sample, &want.denoise, scale, &place);
            match (&guided.renoise, &want.renoise) {
                (Some(got), Some(want)) => near(got, sample, want, scale, &place),
                (None, None) => {}
                (got, want) => panic!("{place}: renoise {} {}", got.is_some(), want.is_some()),
            }
        }
    }
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |most, v| v.abs().max(most))
}

fn near(got: &Tensor, sample: usize, want: &[f64], scale: f64, place: &str) {
    let row: Vec<f32> = got
        .get(sample)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let allowed = TOLERANCE * (scale + largest(want));
    for (i, (got, want)) in row.iter().zip(want).enumerate() {
        let off = (f64::from(*got) - want).abs();
        // Written so that a NaN fails.
        let is_near = off <= allowed;
        assert!(
            is_near,
            "{place}, element {i}: {got} is not {want} within {allowed:e}"
        );
    }
}

/// Settings as texts.
pub fn set<const N: usize>(of: [(&'static str, f64); N]) -> Vec<(&'static str, String)> {
    of.map(|(name, value)| (name, format!("{value:?}")))
        .to_vec()
}
