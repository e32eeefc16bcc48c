//! The arithmetic of every rule of the library against the most direct program for it with candle's
//! tensor operations, in one run: `cargo bench -p guide-runtime --bench arithmetic [-- RULE]`. What both
//! give is compared before anything is measured. The last lines are a table for the manual.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

mod direct;
mod given;
#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;
mod planes;

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use direct::{CASES, Case};
use given::{Given, Kept, Ready, STEPS, timetable};
use guide_compiler::plan::{ModelFacts, Plan, Space, Timetable};
use guide_runtime::exec::{Binding, Bindings, Executor};

const SHAPES: [[usize; 4]; 2] = [[2, 4, 64, 64], [2, 4, 128, 128]];

/// The table of `composed`.
const WEIGHTS: [f64; 2] = [5.0, -1.5];
/// The table of `linear_adaptive`: one step is estimated.
const ROW: [f64; 7] = [0.3, 0.1, -0.1, 0.05, 0.6, 0.1, -0.05];

/// How long each side of a ratio is measured, in turns.
const TURNS: u32 = 15;
const TURN: Duration = Duration::from_millis(20);

/// The variance of a step, at a share of the run: what `feedback` takes its heat from.
fn curve(there: f64) -> f64 {
    let variance = |tick: &guide_compiler::plan::Tick| {
        let (s, next) = (tick.sigma / tick.alpha, tick.sigma_next / tick.alpha_next);
        (s * s - next * next) * next * next / (s * s)
    };
    let values: Vec<f64> = preserving().ticks.iter().map(variance).collect();
    let place = there * (values.len() - 1) as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(values.len() - 1);
    values[low] + (values[high] - values[low]) * share
}

fn preserving() -> Timetable {
    timetable(|sigma| (1.0 - sigma * sigma).sqrt())
}

fn plan(case: &Case, shape: &[usize; 4]) -> Plan {
    let [_, channels, height, width] = shape.map(|side| side as u32);
    let facts = ModelFacts {
        name: "bench".into(),
        space: if case.flow { Space::Flow } else { Space::Eps },
        latent: [channels, height, width],
        layers: None,
    };
    let table = if case.flow {
        timetable(|sigma| 1.0 - sigma)
    } else {
        preserving()
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let ask = pipeline::Ask {
        settings: case.set.iter().map(owned).collect(),
        lists: vec![("prompts".to_owned(), 2)],
        ..pipeline::Ask::new(facts, table)
    };
    pipeline::ask(case.name, pipeline::rule(case.name).unwrap(), ask).unwrap()
}

/// What one tick of both sides takes.
struct Measured {
    plan: Duration,
    direct: Duration,
}

fn measure(case: &Case, shape: &[usize; 4]) -> Measured {
    let device = Device::Cpu;
    let plan = plan(case, shape);
    let mut ready = Ready::new(&plan, shape).unwrap();
    let answers = ready.answers.clone();
    let x = Tensor::randn(0f32, 1.0, shape, &device).unwrap();
    let mut bindings = Bindings::default();
    let weights = Binding::Table(WEIGHTS.map(|w| vec![w]).to_vec());
    bindings.inputs.insert("weights".into(), weights);
    let row = Binding::Table(vec![ROW.to_vec()]);
    bindings.inputs.insert("coefficients".into(), row);
    let mut executor = Executor::new(&plan, shape[0], &shape[1..], &device, &bindings).unwrap();
    let mut planned = |i: usize| {
        if i == 0 {
            executor.reset().unwrap();
        }
        executor.tick(i, &x, &mut ready).unwrap().denoise
    };
    let mut kept = Kept::default();
    let mut direct = |i: usize| {
        if i == 0 {
            kept = Kept::default();
        }
        let given = Given {
            x: &x,
            answers: &answers,
            tick: &plan.timetable.ticks[i],
        };
        (case.direct)(&given, &mut kept).unwrap()
    };
    for i in 0..STEPS as usize {
        assert_same(case.name, &planned(i), &direct(i));
    }
    // In turns, so that what else the machine does falls on both.
    let (mut of_plan, mut of_direct) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        of_plan = of_plan.min(turn(&mut planned));
        of_direct = of_direct.min(turn(&mut direct));
    }
    Measured {
        plan: of_plan,
        direct: of_direct,
    }
}

/// The least time of a tick, as the mean over one of many runs of four: what the machine can do
/// undisturbed.
fn turn(tick: &mut impl FnMut(usize) -> Tensor) -> Duration {
    let start = Instant::now();
    let mut least = Duration::MAX;
    while start.elapsed() < TURN {
        let begin = Instant::now();
        for i in 0..STEPS as usize {
            black_box(tick(i));
        }
        least = least.min(begin.elapsed() / STEPS);
    }
    least
}

/// Both sides are f32 and add in orders of their own.
fn assert_same(name: &str, plan: &Tensor, direct: &Tensor) {
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (plan, direct) = (values(plan), values(direct));
    let most = direct.iter().fold(0f32, |most, v| most.max(v.abs()));
    for (a, b) in plan.iter().zip(&direct) {
        assert!((a - b).abs() <= 1e-3 * most, "{name}: {a} is not {b}");
    }
}

/// Rules that do more than combine predictions: they look inside a network, ask a classifier or go along
/// the trajectory of a picture.
const MORE: [&str; 10] = [
    "calibrated_classifier",
    "calibrated_edm",
    "classifier_guidance",
    "experts",
    "gradient_free",
    "gradient_free_auto",
    "inject",
    "sag",
    "semantic",
    "universal",
];

fn main() {
    // As the command line does.
    guide_runtime::device::keep_freed_memory();
    let words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'));
    let wanted: Vec<String> = words.collect();
    let rules = guide_stdlib::files()
        .iter()
        .filter_map(|(path, _)| path.strip_prefix("rules/")?.strip_suffix(".guide"));
    let (mut lines, mut missing) = (Vec::new(), Vec::new());
    for name in rules {
        if MORE.contains(&name) {
            continue;
        }
        if !wanted.is_empty() && wanted.iter().all(|word| !name.contains(word.as_str())) {
            continue;
        }
        let Some(case) = CASES.iter().find(|case| case.name == name) else {
            missing.push(name);
            continue;
        };
        let cells = SHAPES.map(|shape| {
            let Measured { plan, direct } = measure(case, &shape);
            let micros = |t: Duration| t.as_secs_f64() * 1e6;
            let ratio = plan.as_secs_f64() / direct.as_secs_f64();
            format!("{:.0} | {:.0} | {ratio:.2}", micros(plan), micros(direct))
        });
        println!("{name}: {}", cells.join("; "));
        lines.push(format!("| `{name}` | {} |", cells.join(" | ")));
    }
    let [small, large] = SHAPES.map(|shape| format!("{shape:?}"));
    println!(
        "\n| rule | {small}: plan, µs | candle, µs | ratio | {large}: plan, µs | candle, µs | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for line in lines {
        println!("{line}");
    }
    assert!(missing.is_empty(), "without a direct program: {missing:?}");
}
