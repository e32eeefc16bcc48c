//! The executor on plans written by hand, against slow computations in f64.
#![allow(clippy::unwrap_used, reason = "tests")]

mod by_hand;

use by_hand::*;
use candle_core::{Device, Tensor};
use guide_compiler::plan::*;
use guide_runtime::error::ErrorKind;
use guide_runtime::exec::{Binding, Bindings, Executor, Guided};

fn elements(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn run(plan: &Plan, predictor: &mut Fake, batch: usize, dense: bool) -> Vec<Guided> {
    run_with(plan, predictor, batch, dense, &Bindings::default()).unwrap()
}

fn run_with(
    plan: &Plan,
    predictor: &mut Fake,
    batch: usize,
    dense: bool,
    bindings: &Bindings,
) -> guide_runtime::error::Result<Vec<Guided>> {
    let make = if dense {
        Executor::with_tensor_operations
    } else {
        Executor::new
    };
    let mut executor = make(plan, batch, &LATENT, &Device::Cpu, bindings)?;
    (0..plan.timetable.ticks.len())
        .map(|i| executor.tick(i, &predictor.x(i), predictor))
        .collect()
}

/// `want` in f64, elementwise within f32's rounding of the largest value.
fn assert_near(got: &[f32], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (f64::from(*got) - want).abs() <= 2e-6 * most,
            "{what}: element {i}: {got} is not {want}"
        );
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn guidance_is_the_combination() {
    let plan = cfg(7.5, 3);
    let mut predictor = Fake::new(3, &LATENT, 3);
    for dense in [false, true] {
        let guided = run(&plan, &mut predictor, 3, dense);
        for (tick, guided) in guided.iter().enumerate() {
            let (c, u) = (
                wide(&predictor.all(tick, "cond")),
                wide(&predictor.all(tick, "uncond")),
            );
            let want: Vec<f64> = c.iter().zip(&u).map(|(c, u)| u + 7.5 * (c - u)).collect();
            assert_near(&elements(&guided.denoise), &want, "cfg");
            assert_eq!(guided.evaluated.counts, [2, 2, 2]);
        }
    }
}

#[test]
fn rescaling_follows_its_definition() {
    let plan = cfg_rescale(7.5, 0.7, 2);
    let mut predictor = Fake::new(2, &LATENT, 2);
    let std = |v: &[f64]| {
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        (v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
    };
    for dense in [false, true] {
        for (tick, guided) in run(&plan, &mut predictor, 2, dense).iter().enumerate() {
            for b in 0..2 {
                let (c, u) = (
                    wide(&predictor.one(tick, "cond", b)),
                    wide(&predictor.one(tick, "uncond", b)),
                );
                let g: Vec<f64> = c.iter().zip(&u).map(|(c, u)| u + 7.5 * (c - u)).collect();
                let factor = 0.7 * std(&c) / std(&g) + 0.3;
                let want: Vec<f64> = g.iter().map(|g| factor * g).collect();
                assert_near(&elements(&guided.denoise.get(b).unwrap()), &want, "rescale");
            }
        }
    }
}

#[test]
fn projected_guidance_keeps_its_momentum() {
    let plan = apg(7.5, 0.2, 9.0, -0.5, 4);
    let mut predictor = Fake::new(4, &LATENT, 3);
    for dense in [false, true] {
        let guided = run(&plan, &mut predictor, 3, dense);
        for b in 0..3 {
            let mut m = vec![0.0; LATENT.iter().product()];
            for (tick, guided) in guided.iter().enumerate() {
                let (c, u) = (
                    wide(&predictor.one(tick, "cond", b)),
                    wide(&predictor.one(tick, "uncond", b)),
                );
                m = c
                    .iter()
                    .zip(&u)
                    .zip(&m)
                    .map(|((c, u), m)| c - u - 0.5 * m)
                    .collect();
                let length = dot(&m, &m).sqrt();
                let shrunk: Vec<f64> = m.iter().map(|v| v * (9.0 / length).min(1.0)).collect();
                let along = dot(&shrunk, &c) / dot(&c, &c);
                let want: Vec<f64> = c
                    .iter()
                    .zip(&shrunk)
                    .map(|(c, d)| c + 6.5 * (d - along * c + 0.2 * along * c))
                    .collect();
                assert_near(&elements(&guided.denoise.get(b).unwrap()), &want, "apg");
            }
        }
    }
}

/// Bit for bit: any batch, any number of threads, whatever the neighbours are.
#[test]
fn neither_neighbours_nor_threads_matter() {
    let plans = [
        apg(7.5, 0.2, 9.0, -0.5, 3),
        cfg_rescale(7.5, 0.7, 3),
        adaptive(7.5, 0.3, 3),
    ];
    for plan in &plans {
        let bits = |guided: &Guided, b: usize| -> Vec<u32> {
            elements(&guided.denoise.get(b).unwrap())
                .into_iter()
                .map(f32::to_bits)
                .collect()
        };
        let sixteen = run(plan, &mut Fake::new(3, &LATENT, 16), 16, false);
        for batch in [1, 3] {
            let few = run(plan, &mut Fake::new(3, &LATENT, batch), batch, false);
            for (all, few) in sixteen.iter().zip(&few) {
                for b in 0..batch {
                    assert_eq!(
                        bits(all, b),
                        bits(few, b),
                        "{} with a batch of {batch}",
                        plan.head.guide
                    );
                }
            }
        }
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let again = pool.install(|| run(plan, &mut Fake::new(3, &LATENT, 16), 16, false));
            for (all, again) in sixteen.iter().zip(&again) {
                assert!(
                    (0..16).all(|b| bits(all, b) == bits(again, b)),
                    "{threads} threads"
                );
            }
        }
        let mut other = Fake::new(3, &LATENT, 3);
        other.spoil(0, 1000.0);
        let other = run(plan, &mut other, 3, false);
        for (all, other) in sixteen.iter().zip(&other) {
            assert_eq!(bits(all, 2), bits(other, 2), "a neighbour changed");
        }
    }
}

/// Sample by sample: who has converged does not ask for `uncond` any more.
#[test]
fn only_the_samples_that_need_it_ask() {
    let plan = adaptive(7.5, 0.3, 5);
    for dense in [false, true] {
        let mut predictor = Fake::new(5, &LATENT, 16);
        let guided = run(&plan, &mut predictor, 16, dense);
        let mut converged = [false; 16];
        let mut different = false;
        for (tick, guided) in guided.iter().enumerate() {
            let needs: Vec<usize> = (0..16).filter(|b| !converged[*b]).collect();
            different |= !needs.is_empty() && needs.len() < 16;
            let asked = predictor
                .asked
                .iter()
                .find(|(t, label, _)| *t == tick && label == "uncond");
            assert_eq!(
                asked.map(|(_, _, rows)| rows.clone()).unwrap_or_default(),
                needs,
                "tick {tick}"
            );
            for (b, converged) in converged.iter_mut().enumerate() {
                let (c, u) = (
                    wide(&predictor.one(tick, "cond", b)),
                    wide(&predictor.one(tick, "uncond", b)),
                );
                assert_eq!(guided.evaluated.counts[b], if *converged { 1 } else { 2 });
                let want: Vec<f64> = if *converged {
                    c.clone()
                } else {
                    c.iter().zip(&u).map(|(c, u)| u + 7.5 * (c - u)).collect()
                };
                assert_near(
                    &elements(&guided.denoise.get(b).unwrap()),
                    &want,
                    "adaptive",
                );
                *converged |= dot(&c, &u) / (dot(&c, &c) * dot(&u, &u)).sqrt() >= 0.3;
            }
        }
        assert!(
            different,
            "the fixture has samples that converge at different ticks"
        );
    }
}

/// Every operation, once by passes and once by tensor operations.
#[test]
fn both_engines_agree_on_every_operation() {
    let (plan, mask) = everything(3);
    let bindings = Bindings {
        inputs: [("region".to_string(), Binding::Tensor(mask))].into(),
        ..Bindings::default()
    };
    let passes = run_with(&plan, &mut Fake::new(3, &LATENT, 3), 3, false, &bindings).unwrap();
    let dense = run_with(&plan, &mut Fake::new(3, &LATENT, 3), 3, true, &bindings).unwrap();
    for (a, b) in passes.iter().zip(&dense) {
        let (a, b) = (elements(&a.denoise), elements(&b.denoise));
        let most = b.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (i, (a, b)) in a.iter().zip(&b).enumerate() {
            assert!((a - b).abs() <= 2e-5 * most, "element {i}: {a} is not {b}");
        }
    }
}

#[test]
fn something_not_finite_in_a_result_names_its_place() {
    let plan = cfg(7.5, 3);
    for dense in [false, true] {
        let mut predictor = Fake::new(3, &LATENT, 2);
        predictor.set(1, "uncond", 1, 5, f32::NAN);
        let error = run_with(&plan, &mut predictor, 2, dense, &Bindings::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFinite);
        for part in ["tick 1", "sample 1", "`uncond`"] {
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}

#[test]
fn something_not_finite_that_nothing_reads_does_not_stop() {
    let plan = adaptive(7.5, -2.0, 3);
    for dense in [false, true] {
        let mut predictor = Fake::new(3, &LATENT, 2);
        // From tick 1 on every sample has converged.
        predictor.set(1, "uncond", 0, 0, f32::NAN);
        assert_eq!(run(&plan, &mut predictor, 2, dense).len(), 3);
    }
}

#[test]
fn a_plan_that_contradicts_itself_is_refused() {
    let make = |change: &dyn Fn(&mut Plan)| {
        let mut plan = cfg(7.5, 3);
        change(&mut plan);
        Executor::new(&plan, 1, &LATENT, &Device::Cpu, &Bindings::default())
            .unwrap_err()
            .kind
    };
    assert_eq!(
        make(&|plan| plan.format = "guide-plan/9".into()),
        ErrorKind::BadPlan
    );
    assert_eq!(
        make(&|plan| plan.segments[0].steps = (0, 2)),
        ErrorKind::BadPlan
    );
    assert_eq!(
        make(&|plan| plan.segments[0].values.clear()),
        ErrorKind::BadPlan
    );
    assert_eq!(
        make(&|plan| plan.predictions.truncate(1)),
        ErrorKind::BadPlan
    );
    assert_eq!(
        make(&|plan| plan.segments[0].result.denoise = Some(Operand::Value(ValueId(9)))),
        ErrorKind::BadPlan
    );
}

#[test]
fn an_input_must_be_bound_and_fit() {
    let (plan, _) = everything(1);
    let none = Executor::new(&plan, 3, &LATENT, &Device::Cpu, &Bindings::default()).unwrap_err();
    assert_eq!(none.kind, ErrorKind::NotBound);
    let wrong = Tensor::zeros((2, 1, 12, 10), candle_core::DType::F32, &Device::Cpu).unwrap();
    let bindings = Bindings {
        inputs: [("region".to_string(), Binding::Tensor(wrong))].into(),
        ..Bindings::default()
    };
    let wrong = Executor::new(&plan, 3, &LATENT, &Device::Cpu, &bindings).unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::BadBinding);
}
