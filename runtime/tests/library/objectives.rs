//! Every objective of the library: its gradient against its formula in f64, what its turns draw, and the
//! loop that goes down it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use candle_core::{Device, Tensor};
use guide_compiler::memory::Memory;
use guide_compiler::model;
use guide_compiler::pipeline::{Request as Wanted, Times, compile, read};
use guide_compiler::plan::{ModelFacts, Plan, Space, Tick};
use guide_compiler::sources::Loaded;
use guide_compiler::timetable::SchedulerConfig;
use guide_runtime::error::{ErrorKind, RuntimeError};
use guide_runtime::exec::{Bindings, Executor};
use guide_runtime::optimise::{Facts, Optimisation, Request, State, Target, World, noise};
use guide_runtime::predictor::{Predictor, Question};
use libtest_mimic::Trial;

use crate::case::Set;
use crate::field::{Field, LATENT, SIZE, latents, wide};
use crate::walk::trial;

/// f32 against f64, as a share of the largest number.
const CLOSE: f64 = 1e-4;
const TURNS: u32 = 8;
const SEEDS: [u64; 3] = [3, 4, 11];

/// Parameters to try, for each objective; the defaults are always tried.
const SETS: &[(&str, &[Set])] = &[
    (
        "csd",
        &[
            &[("scale", "3"), ("away", "0.5")],
            &[("clip", "0.1")],
            &[("away", "1"), ("clip", "1")],
        ],
    ),
    (
        "domain_score",
        &[
            &[("guidance", "0")],
            &[("variational", "0")],
            &[("variational", "3"), ("clip", "0.5")],
        ],
    ),
    (
        "sds",
        &[
            &[("scale", "1")],
            &[("scale", "0")],
            &[("clip", "0.1")],
            &[("scale", "7.5"), ("clip", "2")],
        ],
    ),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, text) in files() {
        let sets = SETS.iter().find(|(known, _)| *known == name);
        let sets = sets
            .unwrap_or_else(|| panic!("`{name}` has no formula here"))
            .1;
        for set in std::iter::once(&(&[] as Set)).chain(sets) {
            trials.push(trial(format!("objectives::{name}{set:?}"), move || {
                formula(name, text, set)
            }));
        }
    }
    trials.extend([
        trial("objectives::what_is_drawn".into(), what_is_drawn),
        trial(
            "objectives::a_sample_does_not_see_another".into(),
            a_sample_does_not_see_another,
        ),
        trial("objectives::names_of_the_noise".into(), names_of_the_noise),
        trial(
            "objectives::a_run_is_taken_up_again".into(),
            a_run_is_taken_up_again,
        ),
        trial("objectives::steps_go_down".into(), steps_go_down),
        trial("objectives::what_is_refused".into(), what_is_refused),
    ]);
    trials
}

/// The objectives of the library: name and text.
fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = |(path, text): &(&'static str, &'static str)| {
        let name = path.strip_prefix("objectives/")?.strip_suffix(".guide")?;
        Some((name, *text))
    };
    guide_stdlib::files().iter().filter_map(own)
}

fn text_of(wanted: &str) -> &'static str {
    files()
        .find(|(name, _)| *name == wanted)
        .expect("an objective")
        .1
}

/// The plan of an objective for a model that answers in `space`.
fn planned(name: &str, text: &str, set: Set, space: Space) -> Result<Plan, String> {
    let scheduler = match space {
        Space::Flow => {
            let config = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler"}"#;
            SchedulerConfig::parse(config, None).expect("a config")
        }
        space => SchedulerConfig::stable_diffusion(space),
    };
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    let root = Loaded {
        path: format!("{name}.guide"),
        text: text.to_owned(),
    };
    let wanted = Wanted {
        settings: set
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        facts: ModelFacts {
            name: "field".into(),
            space,
            latent: LATENT.map(|side| side as u32),
            layers: None,
        },
        times: Times::Turns {
            scheduler,
            range: (0.02, 0.98),
        },
        steps: TURNS,
        ..Wanted::new(model::known("sd15").expect("a model"))
    };
    match compile(&read(root, &sources), &wanted) {
        Ok(compiled) => {
            assert_eq!(compiled.plan.check(), Ok(()));
            Ok(compiled.plan)
        }
        Err(bag) => Err(format!("{:?}", bag.into_sorted())),
    }
}

/// What a network was asked for one sample.
#[derive(Clone, Debug)]
struct Asked {
    t: f64,
    alpha: f64,
    sigma: f64,
    x: Vec<f64>,
}

/// The field, and what it was asked, by turn and sample. Its pictures are latents on another scale.
struct Watched {
    field: Field,
    asked: BTreeMap<(u32, usize), Asked>,
}

impl Watched {
    fn new(space: Space) -> Self {
        Self {
            field: Field::new(space),
            asked: BTreeMap::new(),
        }
    }
}

impl Predictor for Watched {
    fn facts(&self) -> &ModelFacts {
        self.field.facts()
    }

    fn predict(
        &mut self,
        index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>, RuntimeError> {
        for question in questions {
            for (row, x) in question.rows.iter().zip(wide(&question.x).chunks(SIZE)) {
                let asked = Asked {
                    t: question.t,
                    alpha: question.alpha,
                    sigma: question.sigma,
                    x: x.to_vec(),
                };
                let first = self
                    .asked
                    .entry((tick.step, *row))
                    .or_insert_with(|| asked.clone());
                // All that is asked of a sample in a turn is asked at one point.
                assert_eq!((first.t, &first.x), (asked.t, &asked.x));
            }
        }
        self.field.predict(index, tick, questions)
    }
}

/// Latents from pictures: `3*(p - 0.5)`.
impl World for Watched {
    fn latents_of(&self, pictures: &Tensor) -> Result<Tensor, RuntimeError> {
        Ok(pictures.affine(3.0, -1.5)?)
    }

    fn back_to_pictures(&self, _: &Tensor, by_latents: &Tensor) -> Result<Tensor, RuntimeError> {
        Ok((by_latents * 3.0)?)
    }
}

fn executor(plan: &Plan, seeds: &[u64], passes: bool) -> Executor {
    let bindings = Bindings {
        seeds: seeds.to_vec(),
        ..Bindings::default()
    };
    let make = match passes {
        true => Executor::new,
        false => Executor::with_tensor_operations,
    };
    make(plan, seeds.len(), &LATENT, &Device::Cpu, &bindings).expect("an executor")
}

fn number(set: Set, name: &str, default: f64) -> f64 {
    let found = set.iter().find(|(known, _)| *known == name);
    found.map_or(default, |(_, text)| text.parse().expect("a number"))
}

/// What a network of the field says is noise, at a point.
fn eps(field: &Field, label: &str, at: &Asked) -> Vec<f64> {
    let x0 = field.x0(label, &at.x, at.t, 0);
    let zipped = at.x.iter().zip(&x0);
    zipped
        .map(|(x, x0)| (x - at.alpha * x0) / at.sigma)
        .collect()
}

/// The gradient of an objective as its paper has it, before it is clipped.
fn gradient(name: &str, set: Set, field: &Field, at: &Asked, z: &[f64]) -> Vec<f64> {
    let of = |label| eps(field, label, at);
    let weight = 1.0 - at.alpha * at.alpha;
    let (c, u) = (of("cond"), of("uncond"));
    let one = |i: usize| match name {
        "sds" => {
            let scale = number(set, "scale", 100.0);
            let noise = (at.x[i] - at.alpha * z[i]) / at.sigma;
            u[i] + scale * (c[i] - u[i]) - noise
        }
        "csd" => {
            let n = of("null");
            let (scale, away) = (number(set, "scale", 1.0), number(set, "away", 0.0));
            scale * (c[i] - n[i]) - away * (u[i] - n[i])
        }
        "domain_score" => {
            let weak = of("weak/cond");
            let guidance = number(set, "guidance", 7.5);
            let variational = number(set, "variational", 1.0);
            guidance * (c[i] - u[i]) + variational * (c[i] - weak[i])
        }
        other => panic!("`{other}` has no formula here"),
    };
    let all: Vec<f64> = (0..SIZE).map(one).collect();
    all.iter().map(|v| weight * v).collect()
}

/// The vector of channels at each place, no longer than `most`; 0 is no limit.
fn clipped(mut d: Vec<f64>, most: f64) -> Vec<f64> {
    let [channels, height, width] = LATENT;
    let area = height * width;
    for place in 0..area {
        let long = (0..channels)
            .map(|c| d[c * area + place].powi(2))
            .sum::<f64>()
            .sqrt();
        if most > 0.0 && long > most {
            (0..channels).for_each(|c| d[c * area + place] *= most / long);
        }
    }
    d
}

fn formula(name: &str, text: &str, set: Set) {
    for space in [Space::Eps, Space::V, Space::X0, Space::Flow, Space::Score] {
        let plan = planned(name, text, set, space).expect("a plan");
        for passes in [true, false] {
            let mut executor = executor(&plan, &SEEDS, passes);
            let mut world = Watched::new(space);
            for turn in 0..3 {
                let z = latents(&SEEDS, turn);
                let given = executor.tick(turn, &z, &mut world).expect("a turn");
                let (z, given) = (wide(&z), wide(&given.denoise));
                for (sample, (z, given)) in z.chunks(SIZE).zip(given.chunks(SIZE)).enumerate() {
                    let at = &world.asked[&(turn as u32, sample)];
                    let d = gradient(name, set, &world.field, at, z);
                    let wanted = clipped(d, number(set, "clip", 0.0));
                    let largest = wanted.iter().fold(1e-3, |most: f64, v| most.max(v.abs()));
                    for (got, wanted) in given.iter().zip(&wanted) {
                        let off = (got - wanted).abs() / largest;
                        assert!(off < CLOSE, "{space:?}, turn {turn}: {got}, not {wanted}");
                    }
                }
            }
        }
    }
}

/// The noise table of Stable Diffusion by its definition.
fn table(t: f64) -> (f64, f64) {
    let root =
        |i: usize| 0.00085f64.sqrt() + (0.012f64.sqrt() - 0.00085f64.sqrt()) * i as f64 / 999.0;
    let kept: f64 = (0..=t as usize).map(|i| 1.0 - root(i).powi(2)).product();
    (kept.sqrt(), (1.0 - kept).sqrt())
}

fn what_is_drawn() {
    let plan = planned("sds", text_of("sds"), &[], Space::Eps).expect("a plan");
    let seeds: Vec<u64> = (0..40).collect();
    let mut executor = executor(&plan, &seeds, true);
    let mut world = Watched::new(Space::Eps);
    let z = latents(&seeds, 0);
    for turn in 0..TURNS as usize {
        executor.tick(turn, &z, &mut world).expect("a turn");
    }
    let z = wide(&z);
    let (mut times, mut sum, mut squares, mut count) = (Vec::new(), 0.0, 0.0, 0.0);
    for ((_, sample), at) in &world.asked {
        assert!(
            at.t.fract() == 0.0 && (20.0..=980.0).contains(&at.t),
            "{}",
            at.t
        );
        let (alpha, sigma) = table(at.t);
        assert!(
            (at.alpha - alpha).abs() < 1e-5 && (at.sigma - sigma).abs() < 1e-5,
            "{at:?}"
        );
        times.push(at.t);
        for (x, z) in at.x.iter().zip(&z[sample * SIZE..]) {
            let noise = (x - at.alpha * z) / at.sigma;
            (sum, squares, count) = (sum + noise, squares + noise * noise, count + 1.0);
        }
    }
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let spread = times.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / times.len() as f64;
    // 320 times of a uniform distribution of deviation 277: three deviations of its mean are 47.
    assert!(
        (mean - 500.0).abs() < 47.0 && (spread.sqrt() - 277.0).abs() < 25.0,
        "{mean} {spread}"
    );
    assert!((sum / count).abs() < 0.01 && (squares / count - 1.0).abs() < 0.02);
    times.sort_by(f64::total_cmp);
    times.dedup();
    assert!(times.len() > 230, "{} of 320 times differ", times.len());
}

fn a_sample_does_not_see_another() {
    for (name, text) in files() {
        let plan = planned(name, text, &[], Space::V).expect("a plan");
        let turn = |seeds: &[u64]| {
            let mut executor = executor(&plan, seeds, true);
            let given = executor.tick(2, &latents(seeds, 0), &mut Watched::new(Space::V));
            wide(&given.expect("a turn").denoise)
        };
        let together = turn(&SEEDS);
        for (at, seed) in SEEDS.iter().enumerate() {
            assert_eq!(
                together[at * SIZE..(at + 1) * SIZE],
                turn(&[*seed]),
                "{name}"
            );
        }
    }
}

/// Every name of the noise is that of the drawn time.
fn names_of_the_noise() {
    let text = "objective o() {\n    let k = t + t1000 + sigma + sigma_ratio + snr + log_snr\n    \
                k * (x0(predict(cond)) - x0(noise))\n}\n";
    for space in [Space::Eps, Space::V, Space::X0, Space::Flow, Space::Score] {
        let plan = planned("o", text, &[], space).expect("a plan");
        let mut world = Watched::new(space);
        let z = latents(&SEEDS, 0);
        let given = executor(&plan, &SEEDS, true)
            .tick(1, &z, &mut world)
            .expect("a turn");
        let (z, given) = (wide(&z), wide(&given.denoise));
        for (sample, (z, given)) in z.chunks(SIZE).zip(given.chunks(SIZE)).enumerate() {
            let at = &world.asked[&(1, sample)];
            let ratio = at.sigma / at.alpha;
            let k = 2.0 * at.t + at.sigma + ratio + ratio.powi(-2) - 2.0 * ratio.ln();
            let x0 = world.field.x0("cond", &at.x, at.t, 0);
            for (i, got) in given.iter().enumerate() {
                let wanted = k * (x0[i] - z[i]);
                assert!(
                    (got - wanted).abs() < 20.0 * CLOSE * (k.abs() + wanted.abs()),
                    "{space:?}: {got}, {wanted}"
                );
            }
        }
    }
}

fn request<'a>(plan: &'a Plan, target: Target, stop: &'a AtomicBool) -> Request<'a> {
    Request {
        plan,
        batch: 2,
        latent: &LATENT,
        device: &Device::Cpu,
        bindings: Bindings::default(),
        seed: 5,
        target,
        stop,
    }
}

fn start(request: &Request<'_>) -> Tensor {
    let noise = noise(request).expect("noise");
    match request.target {
        Target::Latent => noise,
        Target::Image => noise.affine(0.1, 0.5).expect("pictures"),
    }
}

fn bytes(tensor: &Tensor) -> Vec<u32> {
    wide(tensor)
        .into_iter()
        .map(|v| (v as f32).to_bits())
        .collect()
}

fn a_run_is_taken_up_again() {
    let plan = planned("sds", text_of("sds"), &[("scale", "7.5")], Space::Eps).expect("a plan");
    let stop = AtomicBool::new(false);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state.safetensors");
    let facts = Facts::from([("objective".to_owned(), "sds".to_owned())]);
    for target in [Target::Latent, Target::Image] {
        let request = request(&plan, target, &stop);
        let to_the_end = |state: State| {
            let mut work = Optimisation::new(&request, state).expect("an optimisation");
            let mut world = Watched::new(Space::Eps);
            while !work.is_done() {
                work.turn(&mut world).expect("a turn");
            }
            assert_eq!(work.state.turns(), TURNS);
            work
        };
        let begin = || State::new(start(&request), 0.05).expect("a state");
        let whole = to_the_end(begin());
        assert_eq!(whole.evaluations, [2 * u64::from(TURNS); 2]);
        let mut half = Optimisation::new(&request, begin()).expect("an optimisation");
        for _ in 0..3 {
            half.turn(&mut Watched::new(Space::Eps)).expect("a turn");
        }
        half.state.write(&file, &facts).expect("written");
        let state = State::read(&file, &facts, 0.05, &Device::Cpu).expect("read");
        assert_eq!(state.turns(), 3);
        let again = to_the_end(state);
        assert_eq!(bytes(&again.state.variable), bytes(&whole.state.variable));
        assert_ne!(bytes(&again.state.variable), bytes(&start(&request)));
        if target == Target::Image {
            assert!(
                wide(&whole.state.variable)
                    .iter()
                    .all(|v| (0.0..=1.0).contains(v))
            );
        }
    }
}

/// Adam's first step is as long as the rate, against the gradient.
fn steps_go_down() {
    let plan = planned("csd", text_of("csd"), &[], Space::V).expect("a plan");
    let stop = AtomicBool::new(false);
    for (target, share) in [(Target::Latent, 1.0), (Target::Image, 3.0)] {
        let request = request(&plan, target, &stop);
        let begin = start(&request);
        let state = State::new(begin.clone(), 0.01).expect("a state");
        let mut work = Optimisation::new(&request, state).expect("an optimisation");
        let mut world = Watched::new(Space::V);
        work.turn(&mut world).expect("a turn");
        let z = match target {
            Target::Latent => begin.clone(),
            Target::Image => world.latents_of(&begin).expect("latents"),
        };
        let (z, begin, after) = (wide(&z), wide(&begin), wide(&work.state.variable));
        for sample in 0..2 {
            let of = sample * SIZE..(sample + 1) * SIZE;
            let at = &world.asked[&(0, sample)];
            let d = gradient("csd", &[], &world.field, at, &z[of.clone()]);
            for ((g, before), after) in d.iter().zip(&begin[of.clone()]).zip(&after[of]) {
                let g = share * g;
                let wanted = before - 0.01 * g / (g.abs() + 1e-8);
                let far = g.abs() > 1e-4;
                assert!(
                    !far || (after - wanted).abs() < 1e-5,
                    "{after}, not {wanted} by {g}"
                );
            }
        }
    }
}

fn what_is_refused() {
    let stop = AtomicBool::new(false);
    let plan = planned("sds", text_of("sds"), &[], Space::Eps).expect("a plan");
    let request_of = |plan| request(plan, Target::Latent, &stop);
    // A gradient that is not finite: the state stays what it was.
    let request = request_of(&plan);
    let state = State::new(start(&request), 0.1).expect("a state");
    let mut work = Optimisation::new(&request, state).expect("an optimisation");
    let mut world = Watched::new(Space::Eps);
    world.field.moved = vec![f64::NAN];
    let error = work.turn(&mut world).expect_err("no gradient");
    assert_eq!(error.kind, ErrorKind::NotFinite);
    assert!(
        error
            .message
            .starts_with("the gradient is not finite in tick 0, sample 0"),
        "{error:?}"
    );
    assert_eq!(bytes(&work.state.variable), bytes(&start(&request)));
    assert_eq!(work.state.turns(), 0);
    // What crosses turns is not in the file.
    let text = "use std::ops::momentum\n\nobjective o() {\n    \
                (eps(predict(cond)) - noise) |> momentum(0.5)\n}\n";
    let kept = planned("o", text, &[], Space::Eps).expect("a plan");
    let mut state = State::new(start(&request), 0.1).expect("a state");
    assert!(Optimisation::new(&request_of(&kept), state.clone()).is_ok());
    state.adam.steps = 1;
    let error = Optimisation::new(&request_of(&kept), state).expect_err("state is missing");
    assert_eq!(error.kind, ErrorKind::NotYet);
    // Names of the way, a guide's outcome, and directions of no space.
    let said = |body: &str| {
        let text = format!("objective o() {{\n    {body}\n}}\n");
        planned("o", &text, &[], Space::Eps).expect_err("refused")
    };
    assert!(said("alpha_next * (eps(predict(cond)) - noise)").contains("known only in a guide"));
    assert!(said("predict(cond)").contains("WeightNotZero"));
    assert!(said("hold").contains("an objective returns a direction"));
    let apart = said("eps(predict(cond, with: push_apart(from: batch))) - noise");
    assert!(apart.contains("NotYet"), "{apart}");
    let noisy = "classifier judge(sees: noisy)\n\nobjective o() {\n    \
                 eps(grad(log_prob(judge, x, target), wrt: x))\n}\n";
    let refused = planned("o", noisy, &[], Space::Eps).expect_err("refused");
    assert!(
        refused.contains("a classifier of noisy samples in an objective"),
        "{refused}"
    );
}
