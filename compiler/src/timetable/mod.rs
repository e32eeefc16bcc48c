//! When a rule is evaluated: a model's noise, a sampler, a spacing and a number of steps give the
//! ticks of a run.
//!
//! Everything is in the variance-preserving form `x = alpha*x0 + sigma*eps`. Solvers that were
//! written for `x/alpha` (k-diffusion's) visit the same noise levels `sigma/alpha`.

mod config;
mod grid;
mod inverse;
mod levels;
mod method;
mod points;
mod raw;
mod sampler;
mod turns;

pub use config::{Ignored, SchedulerConfig, Shift};
pub use inverse::inverse;
pub use sampler::{Levels, Sampler, SolverFacts, Spacing};
pub use turns::turns;

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{NoiseTable, Tick, Timetable};
use points::{Middles, Point};
use sampler::Family;

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
    shortened(config, sampler, spacing, steps, 0)
}

/// The ticks of a run of `steps` steps without its first `skipped` ones: for a start from a picture.
/// Steps count from 0 again.
///
/// # Errors
/// As [`timetable`].
pub fn shortened(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Option<Spacing>,
    steps: u32,
    skipped: u32,
) -> Result<Timetable, Diagnostic> {
    let spacing = spacing.or(config.spacing).unwrap_or(Spacing::Leading);
    // The class that this sampler is has no spacing to choose.
    let spacing = match sampler {
        Sampler::Dpmpp2s => Spacing::Linspace,
        _ => spacing,
    };
    check_steps(config, sampler, spacing, steps)?;
    let ways = ways(config, sampler, spacing, steps)?;
    let init_scale = init_scale(config, sampler, spacing, ways.first());
    let left = ways.get(skipped as usize..).unwrap_or(&[]);
    let mut method = method::method(config, sampler, steps);
    method
        .orders
        .drain(..method.orders.len().min(skipped as usize));
    Ok(Timetable {
        ticks: ticks(sampler, config, left),
        init_scale,
        noise: config.noise.clone(),
        skipped,
        method,
    })
}

/// Where each step begins and where it leads.
fn ways(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Spacing,
    steps: u32,
) -> Result<Vec<(Point, Point)>, Diagnostic> {
    match &config.noise {
        NoiseTable::Flow => points::flow(config, sampler, steps),
        NoiseTable::Betas { .. } => {
            let table = config.noise.alphas_cumprod().unwrap_or_default();
            Ok(match sampler.family() {
                Family::Strides => points::strides(config, spacing, steps, &table),
                Family::Chain => points::chain(config, spacing, steps, &table),
                Family::Distilled => points::distilled(config, steps, &table),
                Family::Levels | Family::Inner => {
                    points::levels(config, sampler, spacing, steps, &table)
                }
            })
        }
        NoiseTable::Points(_) => Err(Diagnostic::new(
            Code::UnknownSampler,
            "a recording's times are its own, no sampler spreads them",
        )),
    }
}

fn check_steps(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Spacing,
    steps: u32,
) -> Result<(), Diagnostic> {
    let extra = u32::from(sampler.family() == Family::Inner && spacing == Spacing::Leading);
    let most = match sampler {
        Sampler::Lcm => config.original_steps.min(config.train_steps),
        _ => config.train_steps - extra,
    };
    if (1..=most).contains(&steps) {
        return Ok(());
    }
    Err(Diagnostic::new(
        Code::StepsOutOfRange,
        format!(
            "{steps} steps are not possible with {}{}",
            sampler.called(config.levels),
            match sampler {
                Sampler::Lcm => String::new(),
                _ => format!(", {}", spacing.name()),
            }
        ),
    )
    .help(format!("choose `--steps` from 1 to {most}")))
}

/// k-diffusion's solvers start from noise of their first level; with leading spacing diffusers adds
/// the unit variance of the data. In the variance-preserving form that is `sigma`, and 1.
fn init_scale(
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Spacing,
    first: Option<&(Point, Point)>,
) -> f64 {
    let one = spacing == Spacing::Leading
        || sampler.family() != Family::Levels
        || config.noise == NoiseTable::Flow;
    if one {
        1.0
    } else {
        first.map_or(1.0, |(from, _)| from.sigma)
    }
}

/// The evaluations of steps.
fn ticks(sampler: Sampler, config: &SchedulerConfig, ways: &[(Point, Point)]) -> Vec<Tick> {
    let middles = (sampler == Sampler::DpmppSde).then(|| Middles::new(&config.noise));
    let mut ticks = Vec::new();
    for (step, (from, to)) in ways.iter().enumerate() {
        let first = tick(step, *from, *to);
        ticks.push(first);
        let next = ways.get(step + 1).map(|(next, _)| *next);
        let second = match sampler {
            Sampler::Heun => next.map(|_| *to),
            Sampler::DpmppSde => middles
                .as_ref()
                .filter(|_| next.is_some())
                .map(|middles| middles.between(*from, *to)),
            // What its first step leads to is seen from where the second one begins.
            Sampler::Pndm if step == 0 => next,
            _ => None,
        };
        ticks.extend(second.map(|at| Tick {
            substep: 1,
            t: at.t,
            t1000: at.t,
            alpha: at.alpha,
            sigma: at.sigma,
            ..first
        }));
    }
    ticks
}

fn tick(step: usize, from: Point, to: Point) -> Tick {
    // Ho et al. 2020, equation 7, for any alpha and sigma.
    let kept = from.alpha * to.sigma / (to.alpha * from.sigma);
    let share = if from.sigma > 0.0 {
        (1.0 - kept * kept).max(0.0)
    } else {
        0.0
    };
    Tick {
        step: step as u32,
        substep: 0,
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
