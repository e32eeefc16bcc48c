//! Rules that estimate, mix or mistell predictions, against slow computations in f64.
#![allow(clippy::unwrap_used, reason = "tests")]

mod by_hand;
mod pipeline;

use by_hand::compare::{near, run_both, said, wide, zip};
use by_hand::facts;
use by_hand::segments::{Formula, answer, latent};
use candle_core::Tensor;
use guide_compiler::plan::{ModelFacts, Plan, Space, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::Result;
use guide_runtime::exec::{Binding, Bindings, Executor};
use guide_runtime::ops::random::Stream;
use guide_runtime::predictor::{Predictor, Question};

const BATCH: usize = 3;

fn planned(name: &str, steps: u32, set: &[(&str, f64)]) -> Plan {
    let settings = set.iter();
    let settings = settings.map(|(name, value)| ((*name).to_owned(), format!("{value:?}")));
    planned_text(
        name,
        pipeline::rule(name).unwrap(),
        steps,
        settings.collect(),
    )
}

fn planned_text(name: &str, text: &str, steps: u32, settings: Vec<(String, String)>) -> Plan {
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    let table = timetable(&config, Sampler::Ddim, None, steps).unwrap();
    pipeline::planned(name, text, settings, facts(), table, None).unwrap()
}

fn guided(u: &[f64], c: &[f64], scale: f64) -> Vec<f64> {
    zip(u, c, |u, c| u + scale * (c - u))
}

/// LinearAG as a loop: the null predictions so far, asked for or estimated.
fn linear_adaptive(
    ticks: &[Tick],
    sample: usize,
    first: usize,
    past: usize,
    rows: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let mut known: Vec<Vec<f64>> = Vec::new();
    for tick in 0..ticks.len() {
        let c = |back: usize| said(ticks, tick - back, sample, "cond");
        let u = if tick > first && (tick - first) % 2 == 1 {
            let row = &rows[(tick - first - 1) / 2];
            let mut sum = vec![0.0; c(0).len()];
            let (of_c, of_u) = row.split_at(past + 1);
            for (back, factor) in of_c.iter().enumerate() {
                sum = zip(&sum, &c(back), |sum, c| sum + factor * c);
            }
            for (back, factor) in (1..).zip(of_u) {
                sum = zip(&sum, &known[tick - back], |sum, u| sum + factor * u);
            }
            sum
        } else {
            said(ticks, tick, sample, "uncond")
        };
        known.push(u);
    }
    known
}

#[test]
fn linear_adaptive_estimates_every_second_null_prediction() {
    for (steps, start, past) in [(9, 0.25, 2), (6, 0.0, 3), (6, 0.5, 1)] {
        let set = [("start", start), ("past", past as f64), ("scale", 3.5)];
        let plan = planned("linear_adaptive", steps, &set);
        let first = ((start * f64::from(steps)) as usize).max(past - 1);
        let count = (steps as usize - first) / 2;
        let entry =
            |row: usize, column: usize| (0.7 * row as f64 + 1.3 * column as f64).sin() / 2.0;
        let rows: Vec<Vec<f64>> = (0..count)
            .map(|row| (0..=2 * past).map(|column| entry(row, column)).collect())
            .collect();
        let mut bindings = Bindings::default();
        let table = Binding::Table(rows.clone());
        bindings.inputs.insert("coefficients".to_owned(), table);
        let ticks = &plan.timetable.ticks;
        for (got, formula) in run_both(&plan, BATCH, &bindings, Formula::new) {
            for sample in 0..BATCH {
                let known = linear_adaptive(ticks, sample, first, past, &rows);
                for (tick, got) in got.iter().enumerate() {
                    let want = guided(&known[tick], &said(ticks, tick, sample, "cond"), 3.5);
                    near(
                        &got.denoise,
                        sample,
                        &want,
                        &format!("start {start}, tick {tick}"),
                    );
                }
            }
            let asked = (0..ticks.len()).filter(|t| !formula.rows(*t, "uncond").is_empty());
            assert_eq!(asked.count(), steps as usize - count);
        }
        assert_eq!(plan.cost.most, 2 * u64::from(steps) - count as u64);
        assert_eq!(plan.cost.least, plan.cost.most);
    }
}

#[test]
fn a_table_that_is_too_small_is_refused_before_the_run() {
    let plan = planned("linear_adaptive", 8, &[]);
    let bound = |rows: Vec<Vec<f64>>| {
        let mut bindings = Bindings::default();
        let table = Binding::Table(rows);
        bindings.inputs.insert("coefficients".to_owned(), table);
        let device = candle_core::Device::Cpu;
        let made = Executor::new(&plan, 1, &by_hand::LATENT, &device, &bindings);
        made.map(|_| ()).map_err(|error| error.message)
    };
    assert_eq!(bound(vec![vec![0.0; 7]; 2]), Ok(()));
    let short = bound(vec![vec![0.0; 7]]).unwrap_err();
    assert!(
        short.contains("`coefficients[1][0]`") && short.contains("1 rows of 7"),
        "{short}"
    );
    let narrow = bound(vec![vec![0.0; 7], vec![0.0; 6]]).unwrap_err();
    assert!(narrow.contains("rows of 6"), "{narrow}");
}

#[test]
fn sine_mixes_two_models_while_the_noise_is_high() {
    let (share, from, scale) = (0.3, 420.0, 6.0);
    let plan = planned(
        "sine_edit",
        7,
        &[("pretrained", share), ("from", from), ("scale", scale)],
    );
    let ticks = &plan.timetable.ticks;
    let mixed = ticks.iter().filter(|tick| tick.t1000 >= from).count();
    assert!(mixed > 1 && mixed + 1 < ticks.len());
    for (got, formula) in run_both(&plan, BATCH, &Bindings::default(), Formula::new) {
        for (tick, got) in got.iter().enumerate() {
            for sample in 0..BATCH {
                let c = said(ticks, tick, sample, "cond");
                let u = said(ticks, tick, sample, "uncond");
                let toward = if ticks[tick].t1000 >= from {
                    let tuned = said(ticks, tick, sample, "tuned/source");
                    zip(&c, &tuned, |c, tuned| share * c + (1.0 - share) * tuned)
                } else {
                    c
                };
                near(
                    &got.denoise,
                    sample,
                    &guided(&u, &toward, scale),
                    &format!("tick {tick}"),
                );
            }
            let asks = formula.rows(tick, "tuned/source").len();
            assert_eq!(asks, if ticks[tick].t1000 >= from { BATCH } else { 0 });
        }
    }
    assert_eq!(plan.cost.most, 14 + mixed as u64);
}

/// Answers by formula, and remembers the times that were told to each sample, and where its condition
/// was drawn from.
struct Told {
    formula: Formula,
    told: Vec<(usize, usize, f64)>,
    drawn: Vec<(usize, usize, Stream)>,
}

impl Told {
    fn new() -> Self {
        Self {
            formula: Formula::new(),
            told: Vec::new(),
            drawn: Vec::new(),
        }
    }
}

impl Predictor for Told {
    fn facts(&self) -> &ModelFacts {
        self.formula.facts()
    }

    fn predict(
        &mut self,
        index: usize,
        tick: &Tick,
        asked: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        for question in asked {
            let times = question.told.iter().flatten();
            let rows = question.rows.iter().zip(times);
            self.told.extend(rows.map(|(row, t)| (index, *row, *t)));
            let drawn = question.rows.iter().zip(question.drawn.iter().flatten());
            self.drawn
                .extend(drawn.map(|(row, stream)| (index, *row, *stream)));
        }
        self.formula.predict(index, tick, asked)
    }
}

#[test]
fn time_step_guides_away_from_a_wrong_time() {
    let (spread, scale) = (0.2, 2.5);
    let plan = planned("time_step", 6, &[("spread", spread), ("scale", scale)]);
    let ticks = &plan.timetable.ticks;
    let [one, other] = run_both(&plan, BATCH, &Bindings::default(), Told::new);
    assert_eq!(one.1.told, other.1.told);
    for (got, told) in [one, other] {
        assert_eq!(told.told.len(), BATCH * ticks.len());
        for (tick, sample, t) in told.told {
            let c = said(ticks, tick, sample, "cond");
            let i = wide(&answer("cond!moved", &latent(tick, sample), t, 0));
            near(
                &got[tick].denoise,
                sample,
                &guided(&i, &c, scale),
                &format!("tick {tick}"),
            );
        }
    }
}

#[test]
fn the_wrong_times_are_normal_around_the_right_one() {
    let (spread, batch) = (0.2, 400);
    let plan = planned("time_step", 6, &[("spread", spread)]);
    let ticks = &plan.timetable.ticks;
    let seeds = |from: u64| Bindings {
        seeds: (from..from + batch).collect(),
        ..Bindings::default()
    };
    let [(_, told), _] = run_both(&plan, batch as usize, &seeds(0), Told::new);
    let drawn = |(tick, _, t): &(usize, usize, f64)| (t / ticks[*tick].t - 1.0) / spread;
    let draws: Vec<f64> = told.told.iter().map(drawn).collect();
    let mean =
        |f: &dyn Fn(f64) -> f64| draws.iter().map(|d| f(*d)).sum::<f64>() / draws.len() as f64;
    // Of 2400 draws: four standard errors of the mean, the variance and the fourth moment.
    assert!(mean(&|d| d).abs() < 0.082, "{}", mean(&|d| d));
    assert!(
        (mean(&|d| d * d) - 1.0).abs() < 0.12,
        "{}",
        mean(&|d| d * d)
    );
    assert!(
        (mean(&|d| d.powi(4)) - 3.0).abs() < 0.8,
        "{}",
        mean(&|d| d.powi(4))
    );
    let mut sorted = draws.clone();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    assert_eq!(
        sorted.len(),
        draws.len(),
        "two samples or steps share a draw"
    );
    // A sample's draw is its seed's, whatever stands beside it.
    let [(_, later), _] = run_both(&plan, batch as usize, &seeds(100), Told::new);
    let of = |told: &Told, sample: usize| -> Vec<f64> {
        told.told
            .iter()
            .filter(|one| one.1 == sample)
            .map(|one| one.2)
            .collect()
    };
    assert_eq!(of(&told, 120), of(&later, 20));
}

#[test]
fn independent_guides_away_from_a_condition_drawn_for_each_sample_and_step() {
    let scale = 2.5;
    let plan = planned("independent", 5, &[("scale", scale)]);
    let ticks = &plan.timetable.ticks;
    let seeds = Bindings {
        seeds: vec![7, 8, 9],
        ..Bindings::default()
    };
    let [one, other] = run_both(&plan, BATCH, &seeds, Told::new);
    assert_eq!(one.1.drawn, other.1.drawn);
    for (got, told) in [one, other] {
        for (tick, got) in got.iter().enumerate() {
            for sample in 0..BATCH {
                let c = said(ticks, tick, sample, "cond");
                let i = said(ticks, tick, sample, "unrelated(cond)");
                let want = guided(&i, &c, scale);
                near(&got.denoise, sample, &want, &format!("tick {tick}"));
            }
        }
        assert_eq!(told.drawn.len(), BATCH * ticks.len());
        for (at, (_, _, stream)) in told.drawn.iter().enumerate() {
            let later = &told.drawn[at + 1..];
            assert!(later.iter().all(|(_, _, other)| other != stream));
        }
        // A sample's condition is its seed's.
        let alone = Bindings {
            seeds: vec![8],
            ..Bindings::default()
        };
        let [(_, alone), _] = run_both(&plan, 1, &alone, Told::new);
        let second = told.drawn.iter().filter(|(_, sample, _)| *sample == 1);
        let same = second.zip(&alone.drawn).all(|(a, b)| a.2 == b.2);
        assert!(same);
    }
    // Two questions for a random condition are two conditions.
    let text = "guide g() {\n    let a = predict(unrelated(cond))\n    \
                let b = predict(unrelated(cond))\n    2 * a - b\n}\n";
    let table = plan.timetable.clone();
    let two = pipeline::planned("g", text, Vec::new(), facts(), table, None).unwrap();
    let labels: Vec<&str> = two.predictions.iter().map(|p| p.label.as_str()).collect();
    assert_eq!(labels, ["unrelated(cond)", "unrelated(cond)#2"]);
}

/// Two and three ticks back, each reads this tick's `init` until there are so many: in every tick, and
/// only in those ticks for which each sample decides.
#[test]
fn init_is_read_until_a_state_has_been_kept_so_often() {
    let gate = 0.02;
    let always = "guide g() {
    let c = native(predict(cond))
    let u = native(predict(uncond))
    u + 2 * (prev(c, 3, init: u) - u) + (prev(c, 2, init: u) - u)
}
";
    let sometimes = format!(
        "guide g() {{
    let u = native(predict(uncond))
    if mean(u) > {gate} {{
        let c = native(predict(cond))
        u + 2 * (prev(c, 3, init: u) - u) + (prev(c, 2, init: u) - u)
    }} else {{ u }}
}}
"
    );
    for (text, gate) in [(always, f64::NEG_INFINITY), (&sometimes, gate)] {
        let plan = planned_text("g", text, 7, Vec::new());
        let ticks = &plan.timetable.ticks;
        let mut taken = 0;
        for (got, _) in run_both(&plan, BATCH, &Bindings::default(), Formula::new) {
            for sample in 0..BATCH {
                let mut kept: Vec<Vec<f64>> = Vec::new();
                for (tick, got) in got.iter().enumerate() {
                    let u = said(ticks, tick, sample, "uncond");
                    if u.iter().sum::<f64>() / u.len() as f64 <= gate {
                        near(&got.denoise, sample, &u, "not taken");
                        continue;
                    }
                    taken += 1;
                    let back = |n: usize| kept.len().checked_sub(n).map_or(&u, |at| &kept[at]);
                    let far = zip(&u, back(3), |u, c| u + 2.0 * (c - u));
                    let want = zip(&far, &zip(back(2), &u, |c, u| c - u), |a, b| a + b);
                    near(&got.denoise, sample, &want, "taken");
                    kept.push(said(ticks, tick, sample, "cond"));
                }
            }
        }
        assert!(taken > 2 * 7, "{taken} ticks keep something");
    }
}
