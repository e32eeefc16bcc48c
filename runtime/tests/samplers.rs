//! Every solver against whole runs of diffusers' schedulers, with a formula in the network's place.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Space, Timetable};
use guide_compiler::timetable::{Sampler, SchedulerConfig, Shift, Spacing, shortened, timetable};
use guide_runtime::exec::{Evaluated, Guided};
use guide_runtime::noise::Supplied;
use guide_runtime::samplers::solver;
use serde_json::Value;

const REFERENCE: &str = include_str!("../../tests/oracle/models/schedulers/schedulers.json");
const TENSORS: &[u8] =
    include_bytes!("../../tests/oracle/models/schedulers/schedulers.safetensors");
const SHAPE: [usize; 4] = [2, 4, 8, 8];

struct Reference {
    json: Value,
    tensors: BTreeMap<String, Vec<f32>>,
    probes: Vec<usize>,
}

fn reference() -> Reference {
    let file = safetensors::SafeTensors::deserialize(TENSORS).expect("a safetensors file");
    let mut tensors = BTreeMap::new();
    let mut probes = Vec::new();
    for (name, view) in file.tensors() {
        if name == "probe_indices" {
            let number = |b: &[u8]| i64::from_le_bytes(b.try_into().expect("8 bytes")) as usize;
            probes = view.data().chunks_exact(8).map(number).collect();
        } else {
            let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("4 bytes"));
            tensors.insert(name, view.data().chunks_exact(4).map(number).collect());
        }
    }
    Reference {
        json: serde_json::from_str(REFERENCE).expect("JSON"),
        tensors,
        probes,
    }
}

/// What the reference can do and these samplers cannot, with the reason.
const UNSUPPORTED: [(&str, &str); 1] = [(
    "extra/pndm_prk/10",
    "Runge-Kutta steps take four evaluations a step; Stable Diffusion was published without them",
)];

/// A run of the reference: its scheduler, and how that was called.
struct Case {
    id: String,
    config: SchedulerConfig,
    sampler: Sampler,
    spacing: Option<Spacing>,
    steps: u32,
    tolerance: f64,
}

/// A scheduler of the reference as a model's folder would have it.
fn config(scheduler: &Value, prediction: Option<&str>) -> SchedulerConfig {
    let mut fields = scheduler["config"].as_object().expect("a config").clone();
    fields.insert("_class_name".into(), scheduler["class"].clone());
    if let Some(prediction) = prediction.filter(|p| *p != "flow") {
        fields.insert("prediction_type".into(), prediction.into());
    }
    let mut config = SchedulerConfig::parse(&Value::Object(fields).to_string(), None)
        .expect("a config that is offered");
    config.eta = scheduler["step_kwargs"]["eta"].as_f64().unwrap_or(0.0);
    // Times that a pipeline gives, as that of Flux does: even, and shifted once.
    let given = &scheduler["set_timesteps"];
    if given["sigmas"].is_array() {
        config.shift = match config.shift {
            Shift::Fixed(shift) => Shift::Dynamic {
                mu: shift,
                exponential: false,
            },
            Shift::Dynamic { exponential, .. } => Shift::Dynamic {
                mu: given["mu"].as_f64().expect("a shift"),
                exponential,
            },
        };
    }
    config
}

/// Every run of the reference but those of [`UNSUPPORTED`].
fn cases(json: &Value) -> Vec<Case> {
    let runs = |key: &str| json[key].as_object().expect("runs").clone();
    let case = |(id, run): (String, Value)| {
        let parts: Vec<&str> = id.split('/').collect();
        let (config, spacing, steps) = match parts.as_slice() {
            ["extra", _, steps] => (config(&run, None), None, *steps),
            [name, spacing, prediction, steps] => (
                config(&json["schedulers"][name], Some(prediction)),
                Spacing::parse(spacing).ok(),
                *steps,
            ),
            _ => panic!("{id}"),
        };
        Case {
            sampler: config.sampler.expect("a class of ours"),
            config,
            spacing,
            steps: steps.parse().expect("a count"),
            tolerance: run["tol"].as_f64().expect("a tolerance"),
            id,
        }
    };
    let all: Vec<Case> = runs("cases")
        .into_iter()
        .chain(runs("extras"))
        .map(case)
        .collect();
    for (id, _) in UNSUPPORTED {
        assert!(all.iter().any(|case| case.id == id), "{id} is not there");
    }
    let supported = |case: &Case| UNSUPPORTED.iter().all(|(id, _)| *id != case.id);
    all.into_iter().filter(supported).collect()
}

/// Whether the reference keeps its latents divided by `alpha`.
fn is_divided(sampler: Sampler, space: Space) -> bool {
    let k_diffusion = matches!(
        sampler,
        Sampler::Euler | Sampler::EulerAncestral | Sampler::Heun | Sampler::Lms
    );
    k_diffusion && space != Space::Flow
}

/// `0.1*x*cos(t/100) + 0.05*sin(x)`, as the reference computes it.
fn network(x: &[f32], t: f64) -> Vec<f32> {
    let wave = (t as f32 / 100.0).cos();
    x.iter().map(|x| 0.1 * x * wave + 0.05 * x.sin()).collect()
}

fn guided(space: Space, denoise: Vec<f32>) -> Guided {
    let denoise = Tensor::from_vec(denoise, &SHAPE, &Device::Cpu).expect("a tensor");
    let evaluated = Evaluated::default();
    Guided {
        space,
        denoise,
        renoise: None,
        shift: None,
        moves: None,
        hold: vec![false; SHAPE[0]],
        evaluated,
    }
}

/// The latents after every tick, in the reference's scale.
fn run(reference: &Reference, table: &Timetable, sampler: Sampler, space: Space) -> Vec<Vec<f32>> {
    let start = reference.tensors["init_noise"]
        .iter()
        .map(|n| (f64::from(*n) * table.init_scale) as f32);
    let mut x =
        Tensor::from_vec(start.collect::<Vec<f32>>(), &SHAPE, &Device::Cpu).expect("a tensor");
    let each = SHAPE.iter().product();
    let mut noise = Supplied::new(
        reference.tensors["noise_bank"]
            .chunks_exact(each)
            .map(<[f32]>::to_vec),
    );
    let mut solver = solver(sampler.name(), table, space).expect("a solver");
    let divided = is_divided(sampler, space);
    let mut after = Vec::new();
    for tick in &table.ticks {
        let here = x
            .flatten_all()
            .and_then(|x| x.to_vec1::<f32>())
            .expect("numbers");
        let answer = guided(space, network(&here, tick.t));
        x = solver.step(tick, &x, &answer, &mut noise).expect("a step");
        let factor = if divided { 1.0 / tick.alpha_next } else { 1.0 };
        let numbers = x
            .flatten_all()
            .and_then(|x| x.to_vec1::<f32>())
            .expect("numbers");
        after.push(
            numbers
                .iter()
                .map(|n| (f64::from(*n) * factor) as f32)
                .collect(),
        );
    }
    after
}

/// What differs from the reference, empty if nothing does.
fn compare(reference: &Reference, id: &str, tolerance: f64, after: &[Vec<f32>]) -> Vec<String> {
    let mut wrong = Vec::new();
    let probed = &reference.tensors[&format!("traj/{id}")];
    if probed.len() != after.len() * reference.probes.len() {
        return vec![format!(
            "{id}: {} steps, not {}",
            after.len(),
            probed.len() / reference.probes.len()
        )];
    }
    let largest = |pairs: &mut dyn Iterator<Item = (f32, f32)>| {
        pairs
            .map(|(a, b)| f64::from((a - b).abs()))
            .fold(0.0, |m: f64, d| if d.is_nan() { d } else { m.max(d) })
    };
    for (i, (row, latents)) in probed
        .chunks_exact(reference.probes.len())
        .zip(after)
        .enumerate()
    {
        let mut pairs = row
            .iter()
            .zip(&reference.probes)
            .map(|(e, at)| (latents[*at], *e));
        let difference = largest(&mut pairs);
        if difference.is_nan() || difference > tolerance {
            wrong.push(format!(
                "{id}: {difference:e} after call {i}, over {tolerance:e}"
            ));
        }
    }
    if let (Some(expected), Some(last)) =
        (reference.tensors.get(&format!("final/{id}")), after.last())
    {
        let difference = largest(&mut expected.iter().zip(last).map(|(e, a)| (*a, *e)));
        if difference.is_nan() || difference > tolerance {
            wrong.push(format!(
                "{id}: {difference:e} at the end, over {tolerance:e}"
            ));
        }
    }
    wrong
}

#[test]
fn runs_are_those_of_the_reference() {
    let reference = reference();
    let cases = cases(&reference.json);
    let mut wrong = Vec::new();
    for case in &cases {
        let table = timetable(&case.config, case.sampler, case.spacing, case.steps);
        let table = table.expect("a timetable");
        let after = run(&reference, &table, case.sampler, case.config.space);
        // Where a run first differs says the most.
        let found = compare(&reference, &case.id, case.tolerance, &after);
        wrong.extend(found.into_iter().next());
    }
    assert!(cases.len() > 380, "{} runs", cases.len());
    assert!(
        wrong.is_empty(),
        "{} of {} runs\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Where a start from a picture begins: what the reference makes of clean latents and noise there.
#[test]
fn pictures_are_noised_as_by_the_reference() {
    /// The reference adds in f32, in numbers up to the first noise level.
    const TOLERANCE: f64 = 2e-6;
    let reference = reference();
    let cases = reference.json["add_noise"].as_object().expect("cases");
    for (name, case) in cases {
        let config = config(&reference.json["schedulers"][name], None);
        let sampler = config.sampler.expect("a class of ours");
        let spacing = case["spacing"].as_str();
        let spacing = spacing.map(|s| Spacing::parse(s).expect("a spacing"));
        let table = shortened(&config, sampler, spacing, 10, 3).expect("a timetable");
        assert_eq!(table.skipped, 3);
        assert_eq!(table.ticks.last().map(|t| t.step), Some(6));
        let first = table.ticks[0];
        let wanted = case["timestep"].as_f64().expect("a time");
        assert!(
            (first.t - wanted).abs() < 1e-4,
            "{name}: {} is not {wanted}",
            first.t
        );
        let factor = if is_divided(sampler, config.space) {
            1.0 / first.alpha
        } else {
            1.0
        };
        let tensor = |name: &str| &reference.tensors[&format!("add_noise/{name}")];
        let pairs = tensor("x0").iter().zip(tensor("noise")).zip(tensor(name));
        for ((x0, noise), wanted) in pairs {
            let found = first.alpha * f64::from(*x0) + first.sigma * f64::from(*noise);
            let off = (found * factor - f64::from(*wanted)).abs();
            assert!(
                off <= TOLERANCE * f64::from(wanted.abs()).max(1.0),
                "{name}: off by {off:e}"
            );
        }
    }
    assert_eq!(cases.len(), 8);
}

/// The last steps of a run are those of the whole run, in every sampler.
#[test]
fn a_shorter_run_has_the_same_times() {
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    for sampler in Sampler::ALL {
        let whole = timetable(&config, sampler, None, 12).expect("a timetable");
        let short = shortened(&config, sampler, None, 12, 4).expect("a timetable");
        // PNDM makes the first step twice, whichever that is.
        let first = |table: &Timetable| -> Vec<(u32, f64, f64)> {
            let ticks = table
                .ticks
                .iter()
                .filter(|t| sampler != Sampler::Pndm || t.substep == 0);
            ticks.map(|t| (t.step, t.t, t.sigma_next)).collect()
        };
        let wanted: Vec<_> = first(&whole)
            .into_iter()
            .filter(|(step, _, _)| *step >= 4)
            .map(|(step, t, sigma)| (step - 4, t, sigma))
            .collect();
        assert_eq!(first(&short), wanted, "{sampler}");
        assert_eq!(
            short.ticks.len() as u32,
            sampler.evaluations(8),
            "{sampler}"
        );
    }
}
