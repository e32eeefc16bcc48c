//! Where each step of a run begins and where it leads, for each way of spreading steps.

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::NoiseTable;

use super::sampler::Family;
use super::{Levels, Sampler, SchedulerConfig, Shift, Spacing, grid, levels as formulas};

/// A point of the way: the time that the network is told, and the noise there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub t: f64,
    pub alpha: f64,
    pub sigma: f64,
}

/// Where a run ends that takes all noise away.
const CLEAN: Point = Point {
    t: 0.0,
    alpha: 1.0,
    sigma: 0.0,
};

/// The noise of a last timestep without signal, where a solver needs a finite `sigma/alpha`
/// (diffusers' choice, sigma/alpha of about 4096).
const LEAST_ALPHA_SQUARED: f64 = 1.0 / 16_777_216.0;

/// DDIM and its kin step to the timestep one whole stride below, whatever the spacing.
pub fn strides(
    config: &SchedulerConfig,
    spacing: Spacing,
    steps: u32,
    table: &[f64],
) -> Vec<(Point, Point)> {
    let last = if config.last_without_noise {
        CLEAN
    } else {
        of_table(table, 0.0)
    };
    let stride = f64::from(config.train_steps / steps);
    let next = |t: f64| {
        if t - stride >= 0.0 {
            of_table(table, t - stride)
        } else {
            last
        }
    };
    whole(config, spacing, steps)
        .map(|t| (of_table(table, t), next(t)))
        .collect()
}

/// DDPM steps from each timestep to the next one.
pub fn chain(
    config: &SchedulerConfig,
    spacing: Spacing,
    steps: u32,
    table: &[f64],
) -> Vec<(Point, Point)> {
    let points = whole(config, spacing, steps).map(|t| of_table(table, t));
    pairs(points.chain([CLEAN]).collect())
}

/// The timesteps of a spacing, whole.
fn whole(config: &SchedulerConfig, spacing: Spacing, steps: u32) -> impl Iterator<Item = f64> {
    grid::timesteps(spacing, config.train_steps, steps, config.steps_offset, 0)
        .into_iter()
        .map(f64::round_ties_even)
}

/// The steps of a latent consistency model.
pub fn distilled(config: &SchedulerConfig, steps: u32, table: &[f64]) -> Vec<(Point, Point)> {
    let original = config.original_steps.min(config.train_steps);
    let times = grid::distilled(config.train_steps, original, steps);
    let points = times.into_iter().map(|t| of_table(table, t));
    pairs(points.chain([CLEAN]).collect())
}

/// The steps of k-diffusion's solvers and of DPM-Solver++ on a discrete table.
pub fn levels(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Spacing,
    steps: u32,
    table: &[f64],
) -> Vec<(Point, Point)> {
    let sigmas = ratios(table);
    let inner = sampler.family() == Family::Inner;
    let mut times = grid::timesteps(
        spacing,
        config.train_steps,
        steps,
        config.steps_offset,
        u32::from(inner),
    );
    if inner {
        times.iter_mut().for_each(|t| *t = t.round_ties_even());
    }
    let mut levels: Vec<f64> = times
        .iter()
        .map(|t| grid::interpolate(&sigmas, *t))
        .collect();
    // DPM-Solver++ spreads over the whole table, the others over what the spacing gave.
    let whole = (sigmas.last(), sigmas.first());
    let given = (levels.first(), levels.last());
    let (largest, smallest) = if inner { whole } else { given };
    let largest = largest.copied().unwrap_or(1.0);
    let smallest = smallest.copied().unwrap_or(0.0);
    if let Some(spread) = formulas::spread(config.levels, largest, smallest, steps) {
        times = spread
            .iter()
            .map(|s| formulas::time_of(&sigmas, *s))
            .collect();
        levels = spread;
        if inner {
            times.iter_mut().for_each(|t| *t = t.round_ties_even());
        }
    }
    let end = if config.final_sigma_zero {
        0.0
    } else {
        sigmas.first().copied().unwrap_or(0.0)
    };
    let ends = times.into_iter().zip(levels).chain([(0.0, end)]);
    pairs(ends.map(|(t, ratio)| of_ratio(t, ratio)).collect())
}

/// The steps of a flow model.
///
/// # Errors
/// `G0609` for noise levels that are those of a diffusion model.
pub fn flow(
    config: &SchedulerConfig,
    sampler: Sampler,
    steps: u32,
) -> Result<Vec<(Point, Point)>, Diagnostic> {
    if sampler.takes_levels() && config.levels != Levels::Timesteps {
        return Err(Diagnostic::new(
            Code::UnknownSampler,
            format!(
                "`{}` spreads the noise levels of a diffusion model, and this is a flow model",
                sampler.called(config.levels)
            ),
        )
        .help(format!("use `--sampler {sampler}`")));
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
    Ok(pairs(
        levels.into_iter().chain([0.0]).map(of_flow).collect(),
    ))
}

/// Points between others, for solvers that look at the middle of a step.
pub struct Middles<'a> {
    noise: &'a NoiseTable,
    ratios: Vec<f64>,
}

impl<'a> Middles<'a> {
    pub fn new(noise: &'a NoiseTable) -> Self {
        let table = noise.alphas_cumprod();
        Self {
            noise,
            ratios: table.map_or_else(Vec::new, |table| ratios(&table)),
        }
    }

    /// Halfway in `log(sigma/alpha)` from a point to another one that has noise.
    pub fn between(&self, from: Point, to: Point) -> Point {
        let ratio = (from.sigma / from.alpha * to.sigma / to.alpha).sqrt();
        match self.noise {
            // From no signal at all every level is infinitely far; half of the time is as good.
            NoiseTable::Flow if from.alpha == 0.0 => of_flow(0.5 * (from.sigma + to.sigma)),
            NoiseTable::Flow => of_flow(ratio / (1.0 + ratio)),
            _ => of_ratio(formulas::time_of(&self.ratios, ratio), ratio),
        }
    }
}

fn pairs(points: Vec<Point>) -> Vec<(Point, Point)> {
    let ends = points.iter().skip(1).copied();
    points.iter().copied().zip(ends).collect()
}

/// `sigma/alpha` of each training timestep.
fn ratios(table: &[f64]) -> Vec<f64> {
    let ratio = |a: &f64| ((1.0 - a.max(LEAST_ALPHA_SQUARED)) / a.max(LEAST_ALPHA_SQUARED)).sqrt();
    table.iter().map(ratio).collect()
}

fn of_table(table: &[f64], t: f64) -> Point {
    let a = grid::interpolate(table, t);
    Point {
        t,
        alpha: a.sqrt(),
        sigma: (1.0 - a).sqrt(),
    }
}

fn of_ratio(t: f64, ratio: f64) -> Point {
    let alpha = 1.0 / (1.0 + ratio * ratio).sqrt();
    Point {
        t,
        alpha,
        sigma: ratio * alpha,
    }
}

fn of_flow(sigma: f64) -> Point {
    Point {
        t: 1000.0 * sigma,
        alpha: 1.0 - sigma,
        sigma,
    }
}
