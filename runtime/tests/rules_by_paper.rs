//! Rules whose numbers nobody else publishes, against slow computations in f64 written from the paper.
#![allow(clippy::unwrap_used, reason = "tests")]

mod by_hand;
mod pipeline;

use by_hand::LATENT;
use by_hand::segments::{Formula, answer, latent, latents};
use candle_core::Device;
use guide_compiler::plan::{Space, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::exec::{Bindings, Executor};

const BATCH: usize = 3;
const STEPS: u32 = 6;

fn settings(of: &[(&str, f64)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(name, value)| ((*name).to_owned(), format!("{value:?}")))
        .collect()
}

fn level_of_noise(tick: &Tick) -> f64 {
    tick.sigma / tick.alpha
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// What is predicted in x0, and the latent over alpha.
struct Seen {
    cond: Vec<f64>,
    uncond: Vec<f64>,
    y: Vec<f64>,
    s: f64,
}

fn seen(tick: &Tick, index: usize, sample: usize) -> Seen {
    let x = latent(index, sample);
    let y: Vec<f64> = wide(&x).iter().map(|x| x / tick.alpha).collect();
    let s = level_of_noise(tick);
    let x0 = |label: &str| -> Vec<f64> {
        let eps = wide(&answer(label, &x, tick.t, 0));
        y.iter().zip(&eps).map(|(y, eps)| y - s * eps).collect()
    };
    let (cond, uncond) = (x0("cond"), x0("uncond"));
    Seen { cond, uncond, y, s }
}

/// Koulischer et al. 2025, as their sampler writes it: squares of the distances from both means. With
/// it, how far f32's rounding of what is squared can move it.
fn log_posterior(
    before: &Seen,
    now: &Seen,
    level: f64,
    heat: f64,
    offset: f64,
    least: f64,
) -> (f64, f64) {
    let keep = now.s.powi(2) / before.s.powi(2);
    let far = |prediction: &[f64]| -> f64 {
        let mean = before.y.iter().zip(prediction);
        let mean = mean.map(|(y, p)| keep * y + (1.0 - keep) * p);
        now.y.iter().zip(mean).map(|(y, m)| (y - m).powi(2)).sum()
    };
    let variance = (before.s.powi(2) - now.s.powi(2)) * keep;
    let (cond, uncond) = (far(&before.cond), far(&before.uncond));
    let factor = heat / (2.0 * variance);
    let level = level - factor * (cond - uncond) + offset;
    let rounding = factor * (cond + uncond) * f64::from(f32::EPSILON);
    (level.clamp(least, 3.0), rounding)
}

#[test]
fn feedback_follows_the_posterior() {
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    let table = timetable(&config, Sampler::Ddim, None, STEPS).unwrap();
    let steps = f64::from(STEPS);
    let mut between = 0;
    for (pi, t0, t1, most) in [
        (0.85, 0.75, 0.5, 10.0),
        (0.6, 0.01, 0.9, 4.0),
        (0.95, 0.2, 0.0, 30.0),
    ] {
        let text = pipeline::rule("feedback").unwrap();
        let set = settings(&[("pi", pi), ("t0", t0), ("t1", t1), ("most", most)]);
        let facts = by_hand::facts();
        let plan = pipeline::planned("feedback", text, set, facts, table.clone(), None).unwrap();
        let offset = ((1.0 - pi) * 3.0 / 2.0f64).ln() / ((1.0 - t0) * steps);
        // The variance of the steps from the last to the first, between whose values `t1` lies.
        let variance = |i: usize| {
            let tick = &table.ticks[i];
            let (s, next) = (level_of_noise(tick), tick.sigma_next / tick.alpha_next);
            (s.powi(2) - next.powi(2)) * next.powi(2) / s.powi(2)
        };
        let place = (steps - 1.0 - t1 * steps).clamp(0.0, steps - 1.0);
        let (low, share) = (place.floor() as usize, place.fract());
        let high = (low + 1).min(table.ticks.len() - 1);
        let heat =
            (2.0 * ((1.0 - share) * variance(low) + share * variance(high)) / 10.0 * offset).abs();
        let least = ((1.0 - pi) * most / (most - 1.0f64)).ln();

        let (mut levels, mut roundings) = ([0.0; BATCH], [0.0; BATCH]);
        let device = Device::Cpu;
        let mut executor =
            Executor::new(&plan, BATCH, &LATENT, &device, &Bindings::default()).unwrap();
        let mut formula = Formula::new();
        for (index, tick) in table.ticks.iter().enumerate() {
            let guided = executor
                .tick(index, &latents(index, BATCH), &mut formula)
                .unwrap();
            assert_eq!(guided.space, Space::X0);
            for sample in 0..BATCH {
                let now = seen(tick, index, sample);
                if index > 0 {
                    let before = seen(&table.ticks[index - 1], index - 1, sample);
                    let level = levels[sample];
                    let (next, rounding) = log_posterior(&before, &now, level, heat, offset, least);
                    levels[sample] = next;
                    roundings[sample] += rounding;
                    between += usize::from(levels[sample] > least && levels[sample] < 3.0);
                }
                let grown = levels[sample].exp();
                let scale = grown / (grown - (1.0 - pi));
                let slope = grown * (1.0 - pi) / (grown - (1.0 - pi)).powi(2);
                let row = guided.denoise.get(sample).unwrap().flatten_all().unwrap();
                let row: Vec<f32> = row.to_vec1().unwrap();
                for (i, got) in row.iter().enumerate() {
                    let want = now.uncond[i] + scale * (now.cond[i] - now.uncond[i]);
                    let off = (f64::from(*got) - want).abs();
                    let moved = (now.cond[i] - now.uncond[i]).abs() * slope * roundings[sample];
                    assert!(
                        off <= 1e-6 * (1.0 + want.abs()) * (1.0 + scale) + moved,
                        "tick {index}, sample {sample}, element {i}: {got} is not {want}"
                    );
                }
            }
        }
    }
    assert!(
        between >= 5,
        "only {between} estimates lie between the bounds"
    );
}
