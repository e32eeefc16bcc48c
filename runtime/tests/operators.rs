//! Operators of the library against their own mathematics, slowly in f64.
#![allow(clippy::unwrap_used, reason = "tests")]

mod by_hand;
mod pipeline;

use by_hand::compare::{dot, near, row, run_both, said, zip};
use by_hand::segments::Formula;
use by_hand::{LATENT, facts};
use guide_compiler::plan::{Plan, Space, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::exec::Bindings;

const BATCH: usize = 3;
const STEPS: u32 = 5;

/// A guide that adds what an operator makes to the conditional prediction.
fn planned(uses: &str, direction: &str) -> Plan {
    let text = format!(
        "use std::ops::{uses}\n\nguide g() {{\n    let c = eps(predict(cond))\n    \
         let d = c - eps(predict(uncond))\n    c + {direction}\n}}\n"
    );
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    let table = timetable(&config, Sampler::Ddim, None, STEPS).unwrap();
    pipeline::planned("g", &text, Vec::new(), facts(), table, None).unwrap()
}

fn difference(ticks: &[Tick], tick: usize, sample: usize) -> (Vec<f64>, Vec<f64>) {
    let c = said(ticks, tick, sample, "cond");
    let d = zip(&c, &said(ticks, tick, sample, "uncond"), |c, u| c - u);
    (c, d)
}

/// Compares what an operator adds with `want(c, d, the d of the tick before)`, in every tick.
#[track_caller]
fn adds(plan: &Plan, want: impl Fn(&[f64], &[f64], &[f64]) -> Vec<f64>) {
    let ticks = &plan.timetable.ticks;
    for (guided, _) in run_both(plan, BATCH, &Bindings::default(), Formula::new) {
        for (tick, guided) in guided.iter().enumerate() {
            for sample in 0..BATCH {
                let (c, d) = difference(ticks, tick, sample);
                let before = match tick {
                    0 => vec![0.0; d.len()],
                    _ => difference(ticks, tick - 1, sample).1,
                };
                let want = zip(&c, &want(&c, &d, &before), |c, more| c + more);
                near(&guided.denoise, sample, &want, &format!("tick {tick}"));
            }
        }
    }
}

#[test]
fn friction_damps_what_changes_little() {
    let plan = planned("friction", "friction(2 * d, 40 * d)");
    let mut halved = 0;
    adds(&plan, |_, d, before| {
        let change = zip(d, before, |now, before| 40.0 * (now - before));
        zip(d, &change, |d, change| {
            2.0 * d / (1.0 + (-change.abs()).exp())
        })
    });
    let ticks = &plan.timetable.ticks;
    for tick in 1..ticks.len() {
        let (now, before) = (
            difference(ticks, tick, 0).1,
            difference(ticks, tick - 1, 0).1,
        );
        halved += now
            .iter()
            .zip(&before)
            .filter(|(a, b)| (*a - *b).abs() < 0.01)
            .count();
    }
    assert!(
        halved > 0,
        "no element keeps still, so that nothing is damped much"
    );
}

#[test]
fn the_strongest_elements_are_kept() {
    for share in [0.0, 0.1, 0.33, 1.0] {
        let plan = planned("top_k", &format!("top_k(d, share: {share})"));
        adds(&plan, |_, d, _| {
            let mut sizes: Vec<f64> = d.iter().map(|d| d.abs()).collect();
            sizes.sort_by(|a, b| b.total_cmp(a));
            let kept = 1 + ((sizes.len() - 1) as f64 * share + 1e-9).floor() as usize;
            let least = sizes[kept - 1];
            let kept = d.iter().map(|d| if d.abs() >= least { *d } else { 0.0 });
            kept.collect()
        });
    }
}

#[test]
fn an_update_of_zeros_has_no_strongest_element() {
    let plan = planned("top_k", "top_k(direction(clip(raw(d), 0, 0)), share: 1)");
    adds(&plan, |_, d, _| vec![0.0; d.len()]);
}

#[test]
fn the_strongest_of_each_channel_are_kept() {
    let plan = planned("top_k", "top_k(d, share: 0, over: space)");
    let area = LATENT[1] * LATENT[2];
    adds(&plan, |_, d, _| {
        let strongest = |channel: &[f64]| {
            let most = channel.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
            let kept = channel
                .iter()
                .map(move |d| if d.abs() == most { *d } else { 0.0 });
            kept.collect::<Vec<f64>>()
        };
        d.chunks(area).flat_map(strongest).collect()
    });
}

#[test]
fn a_corrected_direction_is_orthogonal_to_the_other() {
    let other = "x0(predict(null)) - x0(c)";
    let plan = planned("orthogonal_to", &format!("orthogonal_to(d, eps({other}))"));
    let ticks = &plan.timetable.ticks;
    // `null` and `uncond` differ, as a negative prompt is given.
    let against = |tick: usize, sample: usize| {
        let c = said(ticks, tick, sample, "cond");
        zip(&said(ticks, tick, sample, "null"), &c, |n, c| n - c)
    };
    for (guided, _) in run_both(&plan, BATCH, &Bindings::default(), Formula::new) {
        for (tick, guided) in guided.iter().enumerate() {
            for sample in 0..BATCH {
                let (c, d) = difference(ticks, tick, sample);
                let other = against(tick, sample);
                let along = dot(&d, &other) / dot(&other, &other);
                let want = zip(&d, &other, |d, other| d - along * other);
                let whole = zip(&c, &want, |c, more| c + more);
                near(&guided.denoise, sample, &whole, &format!("tick {tick}"));
                let added = zip(&row(&guided.denoise, sample), &c, |g, c| g - c);
                let lengths = dot(&added, &added).sqrt() * dot(&other, &other).sqrt();
                let cosine = dot(&added, &other) / lengths;
                assert!(cosine.abs() < 1e-6, "the cosine is {cosine}");
                assert!(along.abs() > 1e-3, "there was nothing to correct");
            }
        }
    }
}

#[test]
fn a_direction_is_left_alone_by_nothing() {
    adds(
        &planned("orthogonal_to", "orthogonal_to(d, 0 * d)"),
        |_, d, _| d.to_vec(),
    );
}

#[test]
fn a_place_is_shrunk_to_the_largest_length() {
    let most = 0.8;
    let plan = planned("clip_pixels", &format!("clip_pixels(d, most: {most})"));
    let area = LATENT[1] * LATENT[2];
    let length = |d: &[f64], place: usize| {
        let channels = (0..LATENT[0]).map(|channel| d[channel * area + place].powi(2));
        channels.sum::<f64>().sqrt()
    };
    let (mut shrunk, mut left) = (0, 0);
    let ticks = &plan.timetable.ticks;
    for (tick, place) in (0..ticks.len()).flat_map(|t| (0..area).map(move |place| (t, place))) {
        match length(&difference(ticks, tick, 0).1, place) > most {
            true => shrunk += 1,
            false => left += 1,
        }
    }
    assert!(
        shrunk > 20 && left > 20,
        "{shrunk} shrunk, {left} left alone"
    );
    adds(&plan, |_, d, _| {
        let clipped = |i: usize| d[i] * (most / length(d, i % area)).min(1.0);
        (0..d.len()).map(clipped).collect()
    });
}
