//! The arithmetic of plans against the same rules written with candle's tensor operations, in one
//! run: `cargo bench -p guide-runtime --bench arithmetic`. The last lines are the ratios.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

#[path = "../tests/pipeline/mod.rs"]
mod pipeline;

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor};
use criterion::Criterion;
use guide_compiler::plan::{ModelFacts, NoiseTable, Space, Tick, Timetable};
use guide_runtime::exec::{Bindings, Executor};
use guide_runtime::predictor::{Predictor, Question};

const SHAPE: [usize; 4] = [4, 4, 64, 64];

/// Answers that are there already.
struct Ready {
    facts: ModelFacts,
    answers: [Tensor; 2],
}

impl Predictor for Ready {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        _: usize,
        _: &Tick,
        questions: &[Question<'_>],
    ) -> guide_runtime::error::Result<Vec<Tensor>> {
        let pick =
            |q: &Question<'_>| self.answers[usize::from(q.prediction.label != "cond")].clone();
        Ok(questions.iter().map(pick).collect())
    }
}

fn timetable() -> Timetable {
    let ticks = (0..4)
        .map(|step| {
            let sigma: f64 = 0.9 - 0.2 * f64::from(step);
            let alpha = (1.0 - sigma * sigma).sqrt();
            Tick {
                step,
                substep: 0,
                t: 999.0 * sigma,
                t1000: 999.0 * sigma,
                alpha,
                sigma,
                t_next: 0.0,
                alpha_next: 1.0,
                sigma_next: 0.0,
                posterior_variance: 0.0,
            }
        })
        .collect();
    Timetable {
        ticks,
        init_scale: 1.0,
        noise: NoiseTable::Points(Vec::new()),
    }
}

fn cfg(c: &Tensor, u: &Tensor) -> Result<Tensor> {
    u + ((c - u)? * 7.5)?
}

fn per_sample(t: Tensor) -> Result<Tensor> {
    t.reshape(((), 1, 1, 1))
}

fn std(t: &Tensor) -> Result<Tensor> {
    let n = t.elem_count() / t.dim(0)?;
    let t = t.flatten_from(1)?;
    let mean = t.mean_keepdim(1)?;
    per_sample((t.broadcast_sub(&mean)?.sqr()?.sum(1)? / (n - 1) as f64)?.sqrt()?)
}

fn cfg_rescale(c: &Tensor, u: &Tensor) -> Result<Tensor> {
    let g = cfg(c, u)?;
    let factor = (((std(c)? / std(&g)?)? * 0.7)? + 0.3)?;
    g.broadcast_mul(&factor)
}

fn norm(t: &Tensor) -> Result<Tensor> {
    per_sample(t.sqr()?.flatten_from(1)?.sum(1)?.sqrt()?)
}

/// The prediction that comes out is in x0, as that of the rule.
fn apg(
    c: &Tensor,
    u: &Tensor,
    x: &Tensor,
    before: &mut Option<Tensor>,
    tick: &Tick,
) -> Result<Tensor> {
    let x0 = |p: &Tensor| -> Result<Tensor> { (x - (p * tick.sigma)?)? / tick.alpha };
    let (c, u) = (x0(c)?, x0(u)?);
    let d = (&c - &u)?;
    let m = match before {
        Some(before) => (d + (&*before * -0.5)?)?,
        None => d,
    };
    *before = Some(m.clone());
    let share = (norm(&m)?.recip()? * 15.0)?.minimum(1.0)?;
    let d = m.broadcast_mul(&share)?;
    let axis = c.broadcast_div(&norm(&c)?)?;
    let along = per_sample((&d * &axis)?.flatten_from(1)?.sum(1)?)?;
    let orthogonal = (&d - axis.broadcast_mul(&along)?)?;
    c + (orthogonal * 6.5)?
}

/// The least of many runs, each of `rounds` ticks: what the machine can do undisturbed.
fn least(rounds: u32, mut tick: impl FnMut(usize)) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..60 {
        let start = Instant::now();
        for i in 0..rounds {
            tick(i as usize % 4);
        }
        best = best.min(start.elapsed() / rounds);
    }
    best
}

fn main() {
    let device = Device::Cpu;
    let make = |scale: f64| Tensor::randn(0f32, scale as f32, &SHAPE, &device).unwrap();
    let (x, c) = (make(1.0), make(1.0));
    let u = (&c + make(0.3)).unwrap();
    let facts = ModelFacts {
        name: "bench".into(),
        space: Space::Eps,
        latent: [4, 64, 64],
        layers: None,
    };
    let timetable = timetable();
    let mut predictor = Ready {
        facts: facts.clone(),
        answers: [c.clone(), u.clone()],
    };
    let mut criterion = Criterion::default().configure_from_args();
    let mut ratios = Vec::new();
    for name in ["cfg", "cfg_rescale", "apg"] {
        let text = pipeline::rule(name).unwrap();
        let plan = pipeline::planned(
            name,
            text,
            Vec::new(),
            facts.clone(),
            timetable.clone(),
            None,
        )
        .unwrap();
        let mut executor =
            Executor::new(&plan, SHAPE[0], &SHAPE[1..], &device, &Bindings::default()).unwrap();
        let mut planned = |i: usize| {
            black_box(executor.tick(i, &x, &mut predictor).unwrap());
        };
        let mut before = None;
        let ticks = timetable.ticks.clone();
        let mut direct = |i: usize| {
            if i == 0 {
                before = None;
            }
            black_box(match name {
                "cfg" => cfg(&c, &u).unwrap(),
                "cfg_rescale" => cfg_rescale(&c, &u).unwrap(),
                _ => apg(&c, &u, &x, &mut before, &ticks[i]).unwrap(),
            });
        };
        let mut group = criterion.benchmark_group(name);
        let mut i = 0;
        group.bench_function("plan", |b| {
            b.iter(|| {
                planned(i % 4);
                i += 1;
            });
        });
        group.bench_function("candle", |b| {
            b.iter(|| {
                direct(i % 4);
                i += 1;
            });
        });
        group.finish();
        ratios.push((name, least(40, &mut planned), least(40, &mut direct)));
    }
    for (name, plan, candle) in ratios {
        let ratio = plan.as_secs_f64() / candle.as_secs_f64();
        println!("{name}: plan {plan:?}, candle {candle:?}, ratio {ratio:.2}");
    }
}
