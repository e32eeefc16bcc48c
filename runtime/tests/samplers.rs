//! Every solver against whole runs of diffusers' schedulers, with a formula in the network's place.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Space, Timetable};
use guide_compiler::timetable::{Sampler, SchedulerConfig, Shift, Spacing, timetable};
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

fn config(scheduler: &Value, prediction: Option<&str>) -> SchedulerConfig {
    let mut fields = scheduler["config"].as_object().expect("a config").clone();
    fields.insert("_class_name".into(), scheduler["class"].clone());
    if let Some(prediction) = prediction.filter(|p| *p != "flow") {
        fields.insert("prediction_type".into(), prediction.into());
    }
    SchedulerConfig::parse(&Value::Object(fields).to_string(), None)
        .expect("a config that is offered")
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
    let divided = space != Space::Flow
        && !matches!(
            sampler,
            Sampler::Ddim | Sampler::Dpmpp2m | Sampler::Dpmpp2mKarras
        );
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
    let (mut seen, mut wrong) = (0, Vec::new());
    for (id, case) in reference.json["cases"].as_object().expect("cases") {
        let parts: Vec<&str> = id.split('/').collect();
        let &[name, spacing, prediction, steps] = parts.as_slice() else {
            panic!("{id}")
        };
        let sampler = match name {
            "ddim_eta0" => Sampler::Ddim,
            "euler" | "flow_euler_shift1" | "flow_euler_shift3" => Sampler::Euler,
            "euler_ancestral" => Sampler::EulerAncestral,
            "dpmpp_2m" => Sampler::Dpmpp2m,
            "dpmpp_2m_karras" => Sampler::Dpmpp2mKarras,
            "heun" => Sampler::Heun,
            _ => continue,
        };
        let config = config(&reference.json["schedulers"][name], Some(prediction));
        let steps = steps.parse().expect("a count");
        let table =
            timetable(&config, sampler, Spacing::parse(spacing).ok(), steps).expect("a timetable");
        let after = run(&reference, &table, sampler, config.space);
        let tolerance = case["tol"].as_f64().expect("a tolerance");
        wrong.extend(compare(&reference, id, tolerance, &after));
        seen += 1;
    }
    assert_eq!(seen, 159);
    assert!(
        wrong.is_empty(),
        "{} of {seen} runs\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn options_of_schedulers_give_their_runs() {
    let reference = reference();
    let cases = [
        ("euler_karras", Sampler::EulerKarras, None),
        ("heun_karras", Sampler::HeunKarras, None),
        ("euler_sigma_min", Sampler::Euler, None),
        ("euler_zsnr_v", Sampler::Euler, None),
        ("euler_ancestral_zsnr_v", Sampler::EulerAncestral, None),
        ("dpmpp_2m_sigma_min", Sampler::Dpmpp2m, None),
        ("dpmpp_2m_not_lower_final", Sampler::Dpmpp2m, None),
        ("ddim_alpha_one", Sampler::Ddim, None),
        ("ddim_zsnr_v", Sampler::Ddim, None),
        ("ddim_linear_betas", Sampler::Ddim, None),
        ("ddim_cosine_betas", Sampler::Ddim, None),
        ("flow_dynamic_mu0.5", Sampler::Euler, Some((0.5, true))),
        ("flow_dynamic_mu1.15", Sampler::Euler, Some((1.15, true))),
        (
            "flow_dynamic_linear_mu0.8",
            Sampler::Euler,
            Some((0.8, false)),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, sampler, dynamic) in cases {
        let id = format!("extra/{name}/10");
        let extra = &reference.json["extras"][&id];
        let mut config = config(extra, None);
        if let Some((mu, exponential)) = dynamic {
            config.shift = Shift::Dynamic { mu, exponential };
        }
        // Where a config is silent, a class of diffusers has a spacing of its own.
        let spacing = config.spacing.unwrap_or(match sampler {
            Sampler::Ddim => Spacing::Leading,
            _ => Spacing::Linspace,
        });
        let table = timetable(&config, sampler, Some(spacing), 10).expect("a timetable");
        let after = run(&reference, &table, sampler, config.space);
        wrong.extend(compare(
            &reference,
            &id,
            extra["tol"].as_f64().expect("a tolerance"),
            &after,
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
