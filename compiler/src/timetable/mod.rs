//! When a rule is evaluated: a model's noise, a sampler, a spacing and a number of steps give the
//! ticks of a run.
//!
//! Everything is in the variance-preserving form `x = alpha*x0 + sigma*eps`. Solvers that were
//! written for `x/alpha` (k-diffusion's) visit the same noise levels `sigma/alpha`.

mod config;
mod grid;
mod sampler;

pub use config::{SchedulerConfig, Shift};
pub use sampler::{Sampler, SolverFacts, Spacing};

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{NoiseTable, Tick, Timetable, alphas_cumprod};

/// A point of the way: the time that the network is told, and the noise there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    t: f64,
    alpha: f64,
    sigma: f64,
}

/// The noise of a last timestep without signal, where a solver needs a finite `sigma/alpha`
/// (diffusers' choice, sigma/alpha of about 4096).
const LEAST_ALPHA_SQUARED: f64 = 1.0 / 16_777_216.0;

/// The ticks of a run.
///
/// # Errors
/// `G0608` for a number of steps that the model's timesteps cannot give; `G0609` for a sampler
/// that does not fit the model's noise.
pub fn timetable(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Option<Spacing>,
    steps: u32,
) -> Result<Timetable, Diagnostic> {
    let spacing = spacing.or(config.spacing).unwrap_or(Spacing::Leading);
    check_steps(config, sampler, spacing, steps)?;
    let (points, init_scale) = match &config.noise {
        NoiseTable::Flow => (flow(config, sampler, steps)?, 1.0),
        NoiseTable::Betas {
            schedule,
            start,
            end,
            count,
            zero_terminal_snr,
        } => {
            let table = alphas_cumprod(schedule, *start, *end, *count, *zero_terminal_snr);
            if sampler == Sampler::Ddim {
                return Ok(ddim(config, spacing, steps, &table));
            }
            let points = discrete(config, sampler, spacing, steps, &table);
            let leading = spacing == Spacing::Leading;
            (points.clone(), init_scale(sampler, leading, points.first()))
        }
        NoiseTable::Points(_) => {
            return Err(Diagnostic::new(
                Code::UnknownSampler,
                "a recording's times are its own, no sampler spreads them",
            ));
        }
    };
    let mut ticks = Vec::new();
    for (step, pair) in points.windows(2).enumerate() {
        let &[from, to] = pair else { continue };
        let first = tick(step, 0, from, to);
        ticks.push(first);
        let corrected = sampler.evaluations(2) > 2 && step + 2 < points.len();
        if corrected {
            ticks.push(Tick {
                posterior_variance: first.posterior_variance,
                ..tick(step, 1, to, to)
            });
        }
    }
    Ok(Timetable {
        ticks,
        init_scale,
        noise: config.noise.clone(),
    })
}

fn check_steps(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Spacing,
    steps: u32,
) -> Result<(), Diagnostic> {
    let extra = u32::from(is_dpmpp(sampler) && spacing == Spacing::Leading);
    let most = config.train_steps - extra;
    if (1..=most).contains(&steps) {
        return Ok(());
    }
    Err(Diagnostic::new(
        Code::StepsOutOfRange,
        format!(
            "{steps} steps are not possible with {sampler}, {}",
            spacing.name()
        ),
    )
    .help(format!("choose `--steps` from 1 to {most}")))
}

fn is_dpmpp(sampler: Sampler) -> bool {
    matches!(sampler, Sampler::Dpmpp2m | Sampler::Dpmpp2mKarras)
}

/// k-diffusion's solvers start from noise of their first level; with leading spacing diffusers adds
/// the unit variance of the data. In the variance-preserving form that is `sigma`, and 1.
fn init_scale(sampler: Sampler, leading: bool, first: Option<&Point>) -> f64 {
    if leading || is_dpmpp(sampler) {
        1.0
    } else {
        first.map_or(1.0, |p| p.sigma)
    }
}

fn tick(step: usize, substep: u32, from: Point, to: Point) -> Tick {
    // Ho et al. 2020, equation 7, for any alpha and sigma.
    let kept = from.alpha * to.sigma / (to.alpha * from.sigma);
    let share = if from.sigma > 0.0 {
        (1.0 - kept * kept).max(0.0)
    } else {
        0.0
    };
    Tick {
        step: step as u32,
        substep,
        t: from.t,
        t1000: from.t,
        alpha: from.alpha,
        sigma: from.sigma,
        t_next: to.t,
        alpha_next: to.alpha,
        sigma_next: to.sigma,
        posterior_variance: to.sigma * to.sigma * share,
    }
}

/// DDIM steps to the timestep one whole stride below, whatever the spacing.
fn ddim(config: &SchedulerConfig, spacing: Spacing, steps: u32, table: &[f64]) -> Timetable {
    let point = |t: f64| {
        let a = grid::interpolate(table, t);
        Point {
            t,
            alpha: a.sqrt(),
            sigma: (1.0 - a).sqrt(),
        }
    };
    let last = if config.last_without_noise {
        Point {
            t: 0.0,
            alpha: 1.0,
            sigma: 0.0,
        }
    } else {
        point(0.0)
    };
    let stride = f64::from(config.train_steps / steps);
    let times = grid::timesteps(spacing, config.train_steps, steps, config.steps_offset, 0);
    let ticks = times
        .into_iter()
        .map(f64::round_ties_even)
        .enumerate()
        .map(|(step, t)| {
            let next = if t - stride >= 0.0 {
                point(t - stride)
            } else {
                last
            };
            tick(step, 0, point(t), next)
        });
    Timetable {
        ticks: ticks.collect(),
        init_scale: 1.0,
        noise: config.noise.clone(),
    }
}

/// The points of the Euler family and of DPM-Solver++ on a discrete table, the end included.
fn discrete(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Spacing,
    steps: u32,
    table: &[f64],
) -> Vec<Point> {
    let ratio = |a: &f64| ((1.0 - a.max(LEAST_ALPHA_SQUARED)) / a.max(LEAST_ALPHA_SQUARED)).sqrt();
    let sigmas: Vec<f64> = table.iter().map(ratio).collect();
    let dpmpp = is_dpmpp(sampler);
    let mut times = grid::timesteps(
        spacing,
        config.train_steps,
        steps,
        config.steps_offset,
        u32::from(dpmpp),
    );
    if dpmpp {
        times.iter_mut().for_each(|t| *t = t.round_ties_even());
    }
    let mut levels: Vec<f64> = times
        .iter()
        .map(|t| grid::interpolate(&sigmas, *t))
        .collect();
    if sampler.is_karras() || config.karras {
        // DPM-Solver++ spreads over the whole table, the others over what the spacing gave.
        let whole = (sigmas.last(), sigmas.first());
        let given = (levels.first(), levels.last());
        let (largest, smallest) = if dpmpp { whole } else { given };
        levels = grid::karras(
            largest.copied().unwrap_or(1.0),
            smallest.copied().unwrap_or(0.0),
            steps,
        );
        times = levels.iter().map(|s| grid::time_of(&sigmas, *s)).collect();
        if dpmpp {
            times.iter_mut().for_each(|t| *t = t.round_ties_even());
        }
    }
    let end = if config.final_sigma_zero {
        0.0
    } else {
        sigmas.first().copied().unwrap_or(0.0)
    };
    let point = |(t, s): (f64, f64)| {
        let alpha = 1.0 / (1.0 + s * s).sqrt();
        Point {
            t,
            alpha,
            sigma: s * alpha,
        }
    };
    times
        .into_iter()
        .zip(levels)
        .chain([(0.0, end)])
        .map(point)
        .collect()
}

/// The points of a flow model, the end included.
fn flow(config: &SchedulerConfig, sampler: Sampler, steps: u32) -> Result<Vec<Point>, Diagnostic> {
    if sampler.is_karras() {
        let plain = sampler.name().trim_end_matches("_karras");
        return Err(Diagnostic::new(
            Code::UnknownSampler,
            format!("`{sampler}` spreads the noise levels of a diffusion model, and this is a flow model"),
        )
        .help(format!("use `--sampler {plain}`")));
    }
    let n = f64::from(steps);
    let levels: Vec<f64> = match config.shift {
        // diffusers runs from end to end of the table that is shifted already, and shifts again.
        Shift::Fixed(s) => {
            let shift = |u: f64| s * u / (1.0 + (s - 1.0) * u);
            let smallest = shift(1.0 / f64::from(config.train_steps));
            let line = |i: u32| {
                if steps > 1 {
                    1.0 + (smallest - 1.0) * f64::from(i) / (n - 1.0)
                } else {
                    1.0
                }
            };
            (0..steps).map(|i| shift(line(i))).collect()
        }
        Shift::Dynamic { mu, exponential } => {
            let m = if exponential { mu.exp() } else { mu };
            (0..steps)
                .map(|i| 1.0 - f64::from(i) / n)
                .map(|u| m / (m + 1.0 / u - 1.0))
                .collect()
        }
    };
    let point = |s: f64| Point {
        t: 1000.0 * s,
        alpha: 1.0 - s,
        sigma: s,
    };
    Ok(levels.into_iter().chain([0.0]).map(point).collect())
}
