//! A plan's answers in every tick with both engines, and numbers compared with slow ones in f64.

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Plan, Tick};
use guide_runtime::exec::{Bindings, Executor, Guided};
use guide_runtime::predictor::Predictor;

use super::LATENT;
use super::segments::{answer, latent, latents};

/// Every tick of a plan with one engine, and then with the other, each with a predictor of its own.
pub fn run_both<P: Predictor>(
    plan: &Plan,
    batch: usize,
    bindings: &Bindings,
    mut predictor: impl FnMut() -> P,
) -> [(Vec<Guided>, P); 2] {
    [Executor::new, Executor::with_tensor_operations].map(|make| {
        let mut executor = make(plan, batch, &LATENT, &Device::Cpu, bindings).unwrap();
        let mut predictor = predictor();
        let guided = (0..plan.timetable.ticks.len())
            .map(|i| {
                executor
                    .tick(i, &latents(i, batch), &mut predictor)
                    .unwrap()
            })
            .collect();
        (guided, predictor)
    })
}

/// What a network says to a sample in a tick.
pub fn said(ticks: &[Tick], tick: usize, sample: usize, label: &str) -> Vec<f64> {
    wide(&answer(label, &latent(tick, sample), ticks[tick].t, 0))
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// `f` of the elements of two lists, pair by pair.
pub fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The numbers of a sample.
pub fn row(of: &Tensor, sample: usize) -> Vec<f64> {
    let row = of.get(sample).unwrap().flatten_all().unwrap();
    wide(&row.to_vec1::<f32>().unwrap())
}

/// Within f32's rounding of numbers of this size.
#[track_caller]
pub fn near(got: &Tensor, sample: usize, want: &[f64], place: &str) {
    let got = row(got, sample);
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (got - want).abs() <= 2e-6 * most,
            "{place}, sample {sample}, element {i}: {got} is not {want}"
        );
    }
}
