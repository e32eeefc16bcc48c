//! Whole runs with a sampler that evaluates twice a step, against Heun's method written out in f64.
//!
//! A formula stands in the network's place, so that what is compared is the language, the plan, the
//! executor and the solver together.

mod pipeline;

use std::sync::atomic::AtomicBool;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Plan, Space, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::Result;
use guide_runtime::exec::Bindings;
use guide_runtime::noise::{NoiseSource, Seeded};
use guide_runtime::predictor::{Predictor, Question};
use guide_runtime::run::{Finished, Request, Start, run};

const LATENT: [usize; 3] = [4, 6, 5];
const SIZE: usize = 120;
const STEPS: u32 = 6;
const SEED: u64 = 40;

/// Decides by this step's own predictions: `u` is only asked where they are close.
const GATE: &str = "guide gate() {\n    let c = predict(cond)\n    \
                    let close = cosine(c, predict(null)) > 0.75\n    \
                    if close { c } else { c + 1.5 * (c - predict(uncond)) }\n}\n";

/// Keeps what it once decided, so that `u` falls away for some samples before others.
const UNTIL: &str = "guide until() {\n    let c = predict(cond)\n    let u = predict(uncond)\n    \
                     let done = prev(done, init: false) or cosine(c, u) > 0.81\n    \
                     if prev(done, init: false) { c } else { u + 2.5 * (c - u) }\n}\n";

/// What the network of these tests answers to a question, element by element.
fn answer(label: &str, x: &[f32], t: f64) -> Vec<f32> {
    let (shift, mix) = match label {
        "cond" => (0.2, 0.5),
        "uncond" => (-0.3, 0.9),
        _ => (0.6, 0.2),
    };
    let at = |i: usize| f64::from(x[i]);
    let one = |i: usize| (at(i) + mix * at((i * 7 + 3) % x.len()) + shift + t / 900.0).sin();
    (0..x.len()).map(|i| one(i) as f32).collect()
}

/// Answers sample by sample, and counts.
struct Formula(ModelFacts);

impl Predictor for Formula {
    fn facts(&self) -> &ModelFacts {
        &self.0
    }

    fn predict(&mut self, _: usize, _: &Tick, questions: &[Question<'_>]) -> Result<Vec<Tensor>> {
        let one = |question: &Question<'_>| {
            let x = question.x.flatten_all()?.to_vec1::<f32>()?;
            let answers: Vec<f32> = x
                .chunks(SIZE)
                .flat_map(|x| answer(&question.prediction.label, x, question.t))
                .collect();
            Ok(Tensor::from_vec(answers, question.x.dims(), &Device::Cpu)?)
        };
        questions.iter().map(one).collect()
    }
}

/// Guides until its state has counted to four.
const COUNT: &str = "guide count() {\n    let n = prev(n, init: 0) + 1\n    let c = predict(cond)\n    \
                     if n > 3.5 { c } else { c + 1.5 * (c - predict(uncond)) }\n}\n";

fn plan(name: &str, text: &str, sampler: Sampler) -> Plan {
    let facts = ModelFacts {
        name: "formula".into(),
        space: Space::Eps,
        latent: LATENT.map(|side| side as u32),
        layers: None,
    };
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    let table = timetable(&config, sampler, None, STEPS).expect("a timetable");
    pipeline::planned(name, text, Vec::new(), facts, table, Some(sampler)).expect("a plan")
}

fn run_with(plan: &Plan, batch: usize, seed: u64) -> Finished {
    let stop = AtomicBool::new(false);
    let request = Request {
        plan,
        batch,
        latent: &LATENT,
        device: &Device::Cpu,
        bindings: Bindings::default(),
        seed,
        start: Start::Noise,
        stop: &stop,
    };
    let mut formula = Formula(plan.head.model.clone());
    run(&request, &mut formula, &mut ()).expect("a run")
}

fn rows(latents: &Tensor) -> Vec<Vec<f32>> {
    let all = latents.flatten_all().and_then(|t| t.to_vec1::<f32>());
    let all = all.expect("numbers");
    all.chunks(SIZE).map(<[f32]>::to_vec).collect()
}

/// A rule in f64: what it answers at `x`, how many questions it asked, and what it decided; `held`
/// is what the step's first evaluation decided.
type Rule = fn(&[f32], f64, State, Option<bool>) -> (Vec<f64>, u64, bool);

/// What a rule of these tests keeps: whether it is done.
type State = bool;

fn wide(label: &str, x: &[f32], t: f64) -> Vec<f64> {
    answer(label, x, t).into_iter().map(f64::from).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn mixed(a: &[f64], b: &[f64], scale: f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| b + scale * (a - b)).collect()
}

fn gate(x: &[f32], t: f64, _: State, held: Option<bool>) -> (Vec<f64>, u64, bool) {
    let c = wide("cond", x, t);
    let (close, asked) = match held {
        Some(held) => (held, 1),
        None => (cosine(&c, &wide("null", x, t)) > 0.75, 2),
    };
    if close {
        (c, asked, close)
    } else {
        let guided = mixed(&c, &wide("uncond", x, t), 2.5);
        (guided, asked + 1, close)
    }
}

fn until(x: &[f32], t: f64, done: State, _: Option<bool>) -> (Vec<f64>, u64, bool) {
    let c = wide("cond", x, t);
    if done {
        return (c, 1, true);
    }
    let u = wide("uncond", x, t);
    (mixed(&c, &u, 2.5), 2, cosine(&c, &u) > 0.81)
}

/// One sample: Karras et al. 2022, algorithm 1 without churn, for `y = x/alpha` over
/// `s = sigma/alpha`. What the first evaluation of a step decides holds in the second, and becomes
/// state once the step is over.
fn by_hand(plan: &Plan, seed: u64, rule: Rule) -> (Vec<f64>, u64, Vec<bool>) {
    let noise = Seeded::new(seed, 1).draw(SIZE).expect("noise");
    let mut x: Vec<f64> = noise
        .iter()
        .map(|n| f64::from(*n) * plan.timetable.init_scale)
        .collect();
    let (mut done, mut asked, mut decisions) = (false, 0, Vec::new());
    let narrow = |x: &[f64]| x.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    for step in plan.timetable.ticks.chunk_by(|_, next| next.substep > 0) {
        let (first, second) = (&step[0], step.get(1));
        let (from, to) = (
            first.sigma / first.alpha,
            first.sigma_next / first.alpha_next,
        );
        let (slope, questions, decided) = rule(&narrow(&x), first.t, done, None);
        asked += questions;
        let start: Vec<f64> = x.iter().map(|x| x / first.alpha).collect();
        let move_by = |slope: &[f64]| -> Vec<f64> {
            let y = start.iter().zip(slope).map(|(y, s)| y + (to - from) * s);
            y.map(|y| y * first.alpha_next).collect()
        };
        x = move_by(&slope);
        if let Some(second) = second {
            let (other, questions, _) = rule(&narrow(&x), second.t, done, Some(decided));
            asked += questions;
            let mean: Vec<f64> = slope
                .iter()
                .zip(&other)
                .map(|(a, b)| (a + b) / 2.0)
                .collect();
            x = move_by(&mean);
        }
        done = decided;
        decisions.push(decided);
    }
    (x, asked, decisions)
}

/// As a share of the largest element: both sides round `x` to f32 eleven times, and the formula's
/// slope times a step of sigma carries that on. A decision that differs is off by more than 0.1.
const TOLERANCE: f64 = 1e-5;

fn check(name: &str, text: &str, rule: Rule) {
    const BATCH: usize = 12;
    let plan = plan(name, text, Sampler::Heun);
    assert_eq!(plan.timetable.ticks.len(), 11);
    let many = run_with(&plan, BATCH, SEED);
    let latents = rows(&many.latents);
    let (mut yes, mut no) = (0, 0);
    for (b, latent) in latents.iter().enumerate() {
        let seed = SEED + b as u64;
        let (want, asked, decisions) = by_hand(&plan, seed, rule);
        let most = want.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
        for (i, (got, want)) in latent.iter().zip(&want).enumerate() {
            let off = (f64::from(*got) - want).abs();
            assert!(
                off <= TOLERANCE * most,
                "{name}: sample {b}, element {i}: {got} is not {want}"
            );
        }
        assert_eq!(
            many.evaluations[b], asked,
            "{name}: sample {b}, {decisions:?}"
        );
        yes += decisions.iter().filter(|d| **d).count();
        no += decisions.iter().filter(|d| !**d).count();

        let alone = run_with(&plan, 1, seed);
        let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
        assert_eq!(
            bits(&rows(&alone.latents)[0]),
            bits(latent),
            "{name}: sample {b} alone"
        );
        assert_eq!(alone.evaluations, [asked]);
    }
    assert!(
        yes > BATCH && no > BATCH,
        "{name} decides both ways: {yes}, {no}"
    );
}

#[test]
fn a_decision_of_the_step_is_held_in_its_second_evaluation() {
    check("gate", GATE, gate);
}

#[test]
fn state_advances_once_a_step() {
    check("until", UNTIL, until);
}

/// The first three steps ask for both, each as often as the sampler evaluates it.
#[test]
fn every_sampler_counts_steps() {
    for sampler in Sampler::ALL {
        let plan = plan("count", COUNT, sampler);
        assert_eq!(
            plan.timetable.ticks.len() as u32,
            sampler.evaluations(STEPS)
        );
        let guided = plan.timetable.ticks.iter().filter(|t| t.step < 3).count();
        let expected = (plan.timetable.ticks.len() + guided) as u64;
        let finished = run_with(&plan, 2, SEED);
        assert_eq!(finished.evaluations, [expected; 2], "{sampler}");
        assert_eq!(
            (plan.cost.least, plan.cost.most),
            (expected, expected),
            "{sampler}"
        );
        let alone = run_with(&plan, 1, SEED + 1);
        assert_eq!(
            rows(&finished.latents)[1],
            rows(&alone.latents)[0],
            "{sampler}"
        );
    }
}
