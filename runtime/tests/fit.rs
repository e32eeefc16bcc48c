//! The coefficients of `linear_adaptive`: found again where they are known, and the best there are.
#![allow(clippy::unwrap_used, reason = "tests")]

mod by_hand;

use by_hand::compare::{said, zip};
use by_hand::segments::{answer, latent};
use by_hand::{LATENT, SIZE, facts};
use candle_core::{Device, Tensor};
use guide_compiler::plan::{Condition, ModelFacts, Prediction, PredictionId, Space, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::Result;
use guide_runtime::fit::{Fitted, Reach, Seen, Watch, fit};
use guide_runtime::predictor::{Predictor, Question};

const RUNS: usize = 4;

/// Answers that were made before, `[tick][run]`.
struct Made {
    facts: ModelFacts,
    cond: Vec<Vec<Vec<f32>>>,
    null: Vec<Vec<Vec<f32>>>,
}

impl Predictor for Made {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(&mut self, tick: usize, _: &Tick, asked: &[Question<'_>]) -> Result<Vec<Tensor>> {
        let answers = asked.iter().map(|question| {
            let from = match question.prediction.condition {
                Condition::Cond => &self.cond[tick],
                _ => &self.null[tick],
            };
            let rows = question.rows.iter().flat_map(|row| from[*row].clone());
            let shape = [&[question.rows.len()], LATENT.as_slice()].concat();
            Ok(Tensor::from_vec(
                rows.collect::<Vec<f32>>(),
                shape,
                &Device::Cpu,
            )?)
        });
        answers.collect()
    }
}

fn ticks(steps: u32, sampler: Sampler) -> Vec<Tick> {
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    timetable(&config, sampler, None, steps).unwrap().ticks
}

/// What the formula answers, and null predictions that `null` makes of all answers before.
fn made(ticks: &[Tick], null: impl Fn(usize, usize, &Made) -> Option<Vec<f32>>) -> Made {
    let mut made = Made {
        facts: facts(),
        cond: Vec::new(),
        null: Vec::new(),
    };
    for (tick, at) in ticks.iter().enumerate() {
        let of = |label: &'static str| {
            (0..RUNS).map(move |run| answer(label, &latent(tick, run), at.t, 0))
        };
        made.cond.push(of("cond").collect());
        made.null.push(Vec::new());
        for (run, asked) in of("uncond").enumerate() {
            let null = null(tick, run, &made).unwrap_or(asked);
            made.null[tick].push(null);
        }
    }
    made
}

/// Asks for both predictions in every tick, of two runs at a time.
fn watched(made: &mut Made, ticks: &[Tick]) -> Seen {
    let mut seen = Seen::default();
    let mut watch = Watch::new(made, &mut seen);
    let asked = [Condition::Cond, Condition::Uncond].map(|condition| Prediction {
        label: String::new(),
        model: None,
        condition,
        interventions: Vec::new(),
        control: 1.0,
        gradient: false,
    });
    for rows in [[0, 1], [2, 3]] {
        for (index, tick) in ticks.iter().enumerate() {
            let questions = asked.each_ref().map(|prediction| Question {
                id: PredictionId(0),
                prediction,
                rows: &rows,
                x: Tensor::zeros((2, SIZE), candle_core::DType::F32, &Device::Cpu).unwrap(),
                t: tick.t,
                alpha: tick.alpha,
                sigma: tick.sigma,
                told: None,
                class: None,
                maps: Vec::new(),
                by: None,
                seeds: vec![0; 2],
                drawn: None,
                sights: Vec::new(),
            });
            watch.predict(index, tick, &questions).unwrap();
        }
    }
    seen
}

#[test]
fn coefficients_are_found_again() {
    let ticks = ticks(8, Sampler::Ddim);
    let reach = Reach {
        start: 0.25,
        past: 2,
        steps: 8,
    };
    assert_eq!(reach.estimated(), [3, 5, 7]);
    // From step 3 on every second null prediction is this combination; later ones look back on it.
    let known = [0.5, -0.25, 0.125, 0.75, -0.0625];
    let mut made = made(&ticks, |tick, run, so_far| {
        let estimated = reach.estimated().contains(&(tick as u32));
        estimated.then(|| {
            let columns = [
                &so_far.cond[tick][run],
                &so_far.cond[tick - 1][run],
                &so_far.cond[tick - 2][run],
                &so_far.null[tick - 1][run],
                &so_far.null[tick - 2][run],
            ];
            let sum = |i: usize| {
                let terms = columns.iter().zip(known);
                terms.map(|(c, k)| k * f64::from(c[i])).sum::<f64>() as f32
            };
            (0..SIZE).map(sum).collect()
        })
    });
    let seen = watched(&mut made, &ticks);
    let fitted = fit(&ticks, &seen, reach).unwrap();
    assert_eq!(fitted.len(), 3);
    for Fitted {
        step,
        factors,
        error,
        error_of_cond,
    } in fitted
    {
        for (found, known) in factors.iter().zip(known) {
            assert!((found - known).abs() < 1e-5, "step {step}: {factors:?}");
        }
        assert!(
            error < 1e-6 && error_of_cond > 0.1,
            "{error} {error_of_cond}"
        );
    }
}

/// The norm of what an estimate misses over all runs, and of what it is to be.
fn missed(ticks: &[Tick], step: usize, factors: &[f64]) -> (f64, f64) {
    let (mut off, mut whole) = (0.0, 0.0);
    for run in 0..RUNS {
        let u = said(ticks, step, run, "uncond");
        let mut sum: Vec<f64> = u.iter().map(|u| -u).collect();
        let past = (factors.len() - 1) / 2;
        let c = (0..=past).map(|back| said(ticks, step - back, run, "cond"));
        let n = (1..=past).map(|back| said(ticks, step - back, run, "uncond"));
        for (column, factor) in c.chain(n).zip(factors) {
            sum = zip(&sum, &column, |sum, c| sum + factor * c);
        }
        off += sum.iter().map(|v| v * v).sum::<f64>();
        whole += u.iter().map(|v| v * v).sum::<f64>();
    }
    (off.sqrt(), whole.sqrt())
}

#[test]
fn no_other_coefficients_are_better() {
    let ticks = ticks(7, Sampler::Ddim);
    let reach = Reach {
        start: 0.7,
        past: 3,
        steps: 7,
    };
    assert_eq!(reach.estimated(), [5]);
    let seen = watched(&mut made(&ticks, |_, _, _| None), &ticks);
    let fitted = fit(&ticks, &seen, reach).unwrap().remove(0);
    let (off, whole) = missed(&ticks, 5, &fitted.factors);
    assert!(
        (fitted.error - off / whole).abs() < 1e-7,
        "{} {}",
        fitted.error,
        off / whole
    );
    let mut alone = vec![0.0; 7];
    alone[0] = 1.0;
    let of_cond = missed(&ticks, 5, &alone).0 / whole;
    assert!((fitted.error_of_cond - of_cond).abs() < 1e-7);
    assert!(fitted.error < of_cond);
    for at in 0..7 {
        for by in [-0.01, 0.01] {
            let mut other = fitted.factors.clone();
            other[at] += by;
            assert!(
                missed(&ticks, 5, &other).0 > off,
                "factor {at} moved by {by}"
            );
        }
    }
}

#[test]
fn equal_columns_share_their_factor() {
    let ticks = ticks(4, Sampler::Ddim);
    let reach = Reach {
        start: 0.0,
        past: 1,
        steps: 4,
    };
    let mut made = made(&ticks, |_, _, _| None);
    let base = made.null[0].clone();
    for tick in 0..4 {
        let double = |run: &Vec<f32>| run.iter().map(|v| 2.0 * v).collect::<Vec<f32>>();
        made.cond[tick] = base.clone();
        made.null[tick] = base.iter().map(double).collect();
    }
    let seen = watched(&mut made, &ticks);
    for fitted in fit(&ticks, &seen, reach).unwrap() {
        // c, c before and half of u before are one column; the smallest factors are 2/6, 2/6, 4/6.
        let want = [1.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0];
        for (found, want) in fitted.factors.iter().zip(want) {
            assert!((found - want).abs() < 1e-6, "{:?}", fitted.factors);
        }
    }
}

#[test]
fn steps_that_are_evaluated_twice_are_fitted_in_both_evaluations() {
    let ticks = ticks(5, Sampler::Heun);
    let reach = Reach {
        start: 0.0,
        past: 1,
        steps: 5,
    };
    let step_of = |tick: usize| ticks[tick].step;
    let first = |step: u32| ticks.iter().position(|t| t.step == step).unwrap();
    let mut made = made(&ticks, |tick, run, so_far| {
        let before = first(step_of(tick).checked_sub(1)?);
        let columns = (&so_far.cond[tick][run], &so_far.null[before][run]);
        let pair = columns.0.iter().zip(columns.1);
        (step_of(tick) % 2 == 1).then(|| pair.map(|(c, u)| 0.5 * c + 0.25 * u).collect())
    });
    let seen = watched(&mut made, &ticks);
    for fitted in fit(&ticks, &seen, reach).unwrap() {
        for (found, want) in fitted.factors.iter().zip([0.5, 0.0, 0.25]) {
            assert!((found - want).abs() < 1e-5, "{:?}", fitted.factors);
        }
    }
}

#[test]
fn what_is_not_whole_or_not_finite_is_refused() {
    let ticks = ticks(4, Sampler::Ddim);
    let reach = Reach {
        start: 0.0,
        past: 1,
        steps: 4,
    };
    assert!(fit(&ticks, &Seen::default(), reach).is_err());
    let mut broken = made(&ticks, |_, _, _| None);
    broken.cond[1][2][5] = f32::NAN;
    let seen = watched(&mut broken, &ticks);
    let error = fit(&ticks, &seen, reach).unwrap_err();
    assert!(error.message.contains("step 1"), "{}", error.message);
}
