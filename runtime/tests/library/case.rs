//! A recording made up for a rule, and what a slow formula in f64 makes of it.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Space, Tick};
use guide_runtime::eval::eval;
use guide_runtime::exec::{Binding, Bindings};
use guide_runtime::recording::{self, Recording};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::draw::Draw;
use crate::pipeline;
use crate::spaces::{converted, of_x0, x0_of};
use crate::ticks::{Noise, timetable};

/// The parameters that differ from a rule's defaults, as `--set` takes them.
pub type Set = &'static [(&'static str, &'static str)];

/// What a rule is tried on.
#[derive(Clone, Copy, Debug)]
pub struct Where {
    pub space: Space,
    pub noise: Noise,
    pub batch: usize,
    pub shape: [usize; 3],
    pub steps: u32,
    pub seed: u64,
}

impl Where {
    fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// One tick for one sample, in f64 on the recorded values.
pub struct Now<'a> {
    pub tick: &'a Tick,
    pub steps: u32,
    pub space: Space,
    pub shape: [usize; 3],
    pub set: Set,
    pub x: Vec<f64>,
    answers: BTreeMap<&'static str, Vec<f64>>,
    sights: BTreeMap<&'static str, Vec<f64>>,
    logits: BTreeMap<&'static str, Vec<f64>>,
    /// The class aimed at.
    pub target: usize,
}

impl Now<'_> {
    /// A number that is set, or its default.
    pub fn num(&self, name: &str, default: f64) -> f64 {
        let set = self.set.iter().find(|(known, _)| *known == name);
        set.map_or(default, |(_, text)| text.parse().expect("a number"))
    }

    /// A word that is set, or its default.
    pub fn word(&self, name: &str, default: &'static str) -> &'static str {
        let set = self.set.iter().find(|(known, _)| *known == name);
        set.map_or(default, |(_, text)| text)
    }

    /// What the model answers, in its own space.
    pub fn native(&self, label: &str) -> Vec<f64> {
        self.answers
            .get(label)
            .expect("a label of this test")
            .clone()
    }

    /// What a classifier says.
    pub fn logits(&self, name: &str) -> Vec<f64> {
        self.logits
            .get(name)
            .expect("a classifier of this test")
            .clone()
    }

    /// A direction of scores, in the model's space.
    pub fn along(&self, score: &[f64]) -> Vec<f64> {
        let (alpha, sigma) = (self.tick.alpha, self.tick.sigma);
        let zero = vec![0.0; score.len()];
        let eps: Vec<f64> = score.iter().map(|v| -sigma * v).collect();
        converted((Space::Eps, self.space), &eps, &zero, alpha, sigma)
    }

    /// How much of the latent there is in the clean sample, beside the answer.
    pub fn share_of_x(&self) -> f64 {
        let (alpha, sigma) = (self.tick.alpha, self.tick.sigma);
        x0_of(self.space, &[0.0], &[1.0], alpha, sigma)[0]
    }

    /// The same as a clean sample.
    pub fn x0(&self, label: &str) -> Vec<f64> {
        let (alpha, sigma) = (self.tick.alpha, self.tick.sigma);
        x0_of(self.space, &self.native(label), &self.x, alpha, sigma)
    }

    /// The same as noise.
    pub fn eps(&self, label: &str) -> Vec<f64> {
        let (alpha, sigma) = (self.tick.alpha, self.tick.sigma);
        let spaces = (self.space, Space::Eps);
        converted(spaces, &self.native(label), &self.x, alpha, sigma)
    }

    /// What was seen, a number for each place.
    pub fn sight(&self, name: &str) -> Vec<f64> {
        self.sights.get(name).expect("a sight of this test").clone()
    }

    /// An answer at another point, as noise.
    pub fn eps_at(&self, label: &str, x: &[f64]) -> Vec<f64> {
        let (alpha, sigma) = (self.tick.alpha, self.tick.sigma);
        converted(
            (self.space, Space::Eps),
            &self.native(label),
            x,
            alpha,
            sigma,
        )
    }

    /// Noise, back in the model's space.
    pub fn output_of_eps(&self, eps: &[f64]) -> Vec<f64> {
        let (alpha, sigma) = (self.tick.alpha, self.tick.sigma);
        converted((Space::Eps, self.space), eps, &self.x, alpha, sigma)
    }

    /// A clean sample, back in the model's space.
    pub fn output_of_x0(&self, x0: &[f64]) -> Vec<f64> {
        of_x0(self.space, x0, &self.x, self.tick.alpha, self.tick.sigma)
    }

    pub fn is_last(&self) -> bool {
        self.tick.step + 1 == self.steps
    }

    /// `progress in start..stop`.
    pub fn in_window(&self, start: f64, stop: f64) -> bool {
        let n = f64::from(self.steps);
        ((start * n) as u32..(stop * n) as u32).contains(&self.tick.step)
    }
}

/// What crosses ticks for a sample.
#[derive(Default)]
pub struct Memory {
    pub update: Option<Vec<f64>>,
    pub done: bool,
}

/// What a rule makes of a tick.
pub struct Made {
    pub guided: Vec<f64>,
    pub renoise: Option<Vec<f64>>,
    pub shift: Option<Vec<f64>>,
    pub moves: Option<Vec<f64>>,
    pub evaluations: i64,
    /// Questions to classifiers.
    pub judged: i64,
    pub hold: bool,
}

impl Made {
    pub fn new(guided: Vec<f64>, evaluations: usize) -> Self {
        Self {
            guided,
            renoise: None,
            shift: None,
            moves: None,
            evaluations: evaluations as i64,
            judged: 0,
            hold: false,
        }
    }
}

/// A rule written out slowly.
pub type Formula = fn(&Now<'_>, &mut Memory) -> Made;

/// A recorded run: its tensors by name, `[T, B, C, H, W]`.
struct Recorded {
    x: Vec<f32>,
    answers: BTreeMap<&'static str, Vec<f32>>,
    /// `[T, B, 1, H, W]`
    sights: BTreeMap<&'static str, Vec<f32>>,
    /// `[T, B, CLASSES]`
    logits: BTreeMap<&'static str, Vec<f32>>,
}

/// Classes of a classifier.
pub const CLASSES: usize = 5;

/// The class that a sample aims at.
fn target(sample: usize) -> usize {
    (2 * sample + 1) % CLASSES
}

/// Latents of a noised sample, and predictions that are right but for errors of their own. Samples
/// differ in size and in how far their predictions lie apart.
fn record(at: &Where, ticks: &[Tick], needs: &Needs) -> Recorded {
    let mut draw = Draw::new(at.seed);
    let size = at.size();
    let clean: Vec<Vec<f64>> = (0..at.batch).map(|_| draw.normals(size)).collect();
    let mut recorded = Recorded {
        x: Vec::new(),
        answers: BTreeMap::new(),
        sights: BTreeMap::new(),
        logits: BTreeMap::new(),
    };
    for tick in ticks {
        for (b, clean) in clean.iter().enumerate() {
            let noise = draw.normals(size);
            let large = 0.6 + 0.5 * b as f64;
            let narrow = |v: f64| v as f32;
            let x: Vec<f32> = clean
                .iter()
                .zip(&noise)
                .map(|(c, n)| narrow(tick.alpha * large * c + tick.sigma * n))
                .collect();
            let wide: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
            let shared = draw.normals(size);
            for label in needs.labels {
                let apart = 0.3 + 0.2 * b as f64;
                let x0: Vec<f64> = clean
                    .iter()
                    .zip(&shared)
                    .map(|(c, s)| large * c + 0.3 * s + apart * draw.normal())
                    .collect();
                let answer = of_x0(at.space, &x0, &wide, tick.alpha, tick.sigma);
                let all = recorded.answers.entry(label).or_default();
                all.extend(answer.into_iter().map(narrow));
            }
            for name in needs.judges {
                let logits = (0..CLASSES).map(|_| narrow(2.0 * draw.normal()));
                recorded.logits.entry(name).or_default().extend(logits);
            }
            recorded.x.extend(x);
            for name in needs.sights {
                let places = at.shape[1] * at.shape[2];
                // Regions are whole numbers.
                let seen = |value: f64| match name.starts_with("regions/") {
                    true => (3.0 * value).round(),
                    false => value,
                };
                let map = (0..places).map(|_| narrow(seen(1.0 + 0.5 * draw.normal())));
                recorded.sights.entry(name).or_default().extend(map);
            }
        }
    }
    recorded
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A number of every tick.
type Curve = fn(&Tick) -> f64;

/// As a file would hold it.
fn recording(at: &Where, ticks: &[Tick], recorded: &Recorded) -> Recording {
    let tensors = [at.steps as usize, at.batch].into_iter().chain(at.shape);
    let tensors: Vec<usize> = tensors.collect();
    let curve = |of: Curve| -> Vec<u8> {
        let values: Vec<f32> = ticks.iter().map(|tick| of(tick) as f32).collect();
        bytes(&values)
    };
    let mut all: BTreeMap<&str, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let curves: [(&str, Curve); 3] = [
        ("t", |tick| tick.t),
        ("alpha", |tick| tick.alpha),
        ("sigma", |tick| tick.sigma),
    ];
    for (name, of) in curves {
        all.insert(name, (vec![ticks.len()], curve(of)));
    }
    all.insert("x", (tensors.clone(), bytes(&recorded.x)));
    for (label, values) in &recorded.answers {
        all.insert(label, (tensors.clone(), bytes(values)));
    }
    for (name, values) in &recorded.sights {
        let mut maps = tensors.clone();
        maps[2] = 1;
        all.insert(name, (maps, bytes(values)));
    }
    let names: Vec<String> = recorded
        .logits
        .keys()
        .map(|name| format!("logits/{name}"))
        .collect();
    for (name, values) in names.iter().zip(recorded.logits.values()) {
        all.insert(name, (vec![ticks.len(), at.batch, CLASSES], bytes(values)));
    }
    let views = all.iter().map(|(name, (shape, data))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).expect("a tensor");
        (*name, view)
    });
    let metadata = HashMap::from([
        ("format".to_owned(), recording::FORMAT.to_owned()),
        ("prediction".to_owned(), at.space.name().to_owned()),
    ]);
    let file = safetensors::serialize(views, Some(metadata)).expect("a file");
    recording::parse(&file, "made up").expect("a recording")
}

/// What a rule needs besides its parameters.
#[derive(Clone, Copy)]
pub struct Needs {
    pub labels: &'static [&'static str],
    /// Classifiers whose logits are recorded.
    pub judges: &'static [&'static str],
    /// Rows of the table `weights`; as many prompts stand in the list `prompts`.
    pub weights: &'static [f64],
    /// What is seen of evaluations, by the names in recordings.
    pub sights: &'static [&'static str],
}

/// How far the executor may be from f64 on the same values: ten times what f32 loses in one operation,
/// as a share of the largest value of the tick and sample. `eval` rounds to f32 at the end.
const RELATIVE: f64 = 1e-5;
const ABSOLUTE: f64 = 1e-6;

/// Where a rule works in x0, each of its values is off by f32's rounding of `x/alpha`; back in the
/// model's space that is divided by `sigma/alpha`, and a scale enlarges it.
fn through_x0(tick: &Tick, x: &[f64], scale: f64) -> f64 {
    let most = x.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    8.0 * f64::from(f32::EPSILON) * (1.0 + scale.abs()) * most / tick.sigma
}

/// Compares `eval` of a rule with the formula, in every tick and sample.
pub fn compare(name: &str, set: Set, needs: Needs, formula: Formula, at: &Where) {
    let title = format!("{name} {set:?} {at:?}");
    let table = timetable(at.noise, at.steps, 1);
    let recorded = record(at, &table.ticks, &needs);
    let mut recording = recording(at, &table.ticks, &recorded);
    let text = pipeline::rule(name).expect("a rule of the library");
    let settings = set.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let lists = vec![("prompts".to_owned(), needs.weights.len() as u32)];
    let facts = ModelFacts {
        name: "recording".into(),
        space: at.space,
        latent: at.shape.map(|side| side as u32),
        layers: None,
    };
    let ask = pipeline::Ask {
        settings: settings.collect(),
        lists,
        ..pipeline::Ask::new(facts, recording.timetable())
    };
    let plan = pipeline::ask(name, text, ask).unwrap_or_else(|error| panic!("{title}: {error}"));
    let mut bindings = Bindings {
        target: Some((0..at.batch).map(|b| target(b) as u32).collect()),
        ..Bindings::default()
    };
    let rows = needs.weights.iter().map(|w| vec![*w]).collect();
    bindings
        .inputs
        .insert("weights".into(), Binding::Table(rows));
    let got =
        eval(&plan, &mut recording, &bindings).unwrap_or_else(|error| panic!("{title}: {error:?}"));

    let size = at.size();
    let mut memories: Vec<Memory> = (0..at.batch).map(|_| Memory::default()).collect();
    let (mut least, mut most) = (0, 0);
    for (index, tick) in table.ticks.iter().enumerate() {
        for (b, memory) in memories.iter_mut().enumerate() {
            let row = index * at.batch + b;
            let part = |values: &[f32], size: usize| -> Vec<f64> {
                let here = &values[row * size..(row + 1) * size];
                here.iter().map(|v| f64::from(*v)).collect()
            };
            let wide = |values: &[f32]| part(values, size);
            let places = at.shape[1] * at.shape[2];
            let answers = recorded
                .answers
                .iter()
                .map(|(l, v)| (*l, wide(v)))
                .collect();
            let of_row = |values: &[f32]| -> Vec<f64> {
                let here = &values[row * CLASSES..(row + 1) * CLASSES];
                here.iter().map(|v| f64::from(*v)).collect()
            };
            let logits = recorded
                .logits
                .iter()
                .map(|(name, v)| (*name, of_row(v)))
                .collect();
            let now = Now {
                tick,
                steps: at.steps,
                space: at.space,
                shape: at.shape,
                set,
                x: wide(&recorded.x),
                answers,
                sights: recorded
                    .sights
                    .iter()
                    .map(|(name, map)| (*name, part(map, places)))
                    .collect(),
                logits,
                target: target(b),
            };
            let want = formula(&now, memory);
            let place = format!("{title}: tick {index}, sample {b}");
            let scale = now.num("scale", 7.5);
            let slack = if text.contains("x0(") || text.contains("self_attention(") {
                through_x0(tick, &now.x, scale)
            } else {
                0.0
            };
            near(&place, &wide(&got.guided), &want.guided, slack);
            if let Some(renoise) = &got.renoise {
                let want = want.renoise.as_ref().unwrap_or(&want.guided);
                near(&format!("{place}, renoise"), &wide(renoise), want, slack);
            } else {
                assert!(want.renoise.is_none(), "{place}: no renoise came out");
            }
            let halves = [
                ("shift", &got.shift, &want.shift),
                ("move", &got.moves, &want.moves),
            ];
            for (half, got, want) in halves {
                match (got, want) {
                    (Some(got), Some(want)) => {
                        near(&format!("{place}, {half}"), &wide(got), want, 0.0);
                    }
                    (got, want) => {
                        assert_eq!(got.is_some(), want.is_some(), "{place}: {half}");
                    }
                }
            }
            assert_eq!(
                got.evaluations[row], want.evaluations,
                "{place}: evaluations"
            );
            assert_eq!(got.classified[row], want.judged, "{place}: classified");
            assert_eq!(got.hold[row], u8::from(want.hold), "{place}: hold");
        }
        let here = &got.evaluations[index * at.batch..(index + 1) * at.batch];
        least += here.iter().min().copied().unwrap_or(0);
        most += here.iter().max().copied().unwrap_or(0);
    }
    let stated = (plan.cost.least as i64, plan.cost.most as i64);
    assert!(
        stated.0 <= least && most <= stated.1,
        "{title}: {least} to {most} evaluations, the plan states {stated:?}"
    );
}

fn near(place: &str, got: &[f64], want: &[f64], slack: f64) {
    let most = want.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let allowed = ABSOLUTE + RELATIVE * most + slack;
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        // Written so that a NaN fails.
        let is_near = (got - want).abs() <= allowed;
        assert!(
            is_near,
            "{place}, element {i}: {got} is not {want} within {allowed:e}"
        );
    }
}

/// A tensor of the executor from f32 values.
pub fn tensor(values: Vec<f32>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")
}
