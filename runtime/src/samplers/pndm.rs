//! Pseudo linear multistep (Liu et al. 2022, equation 12), without Runge-Kutta steps: DDIM's step with
//! a mean of the latest four predictions. The first step is made twice, the second time with the mean
//! of the predictions at both of its ends.
//!
//! What is averaged is what the network says, in its own space, as in diffusers.

use candle_core::Tensor;
use guide_compiler::plan::{NoiseCurve, NoiseTable, Space, Tick, Timetable};

use super::halves::{Halves, Point, ShiftAs, here, there};
use super::history::History;
use super::{Solver, not_begun, one_prediction};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// Weights of the latest predictions, the latest first: Adams and Bashforth's.
const WEIGHTS: [&[f64]; 4] = [
    &[1.0],
    &[3.0 / 2.0, -1.0 / 2.0],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// The solver, with earlier predictions and the beginning of the first step.
#[derive(Debug)]
pub(super) struct Pndm {
    native: Space,
    /// The noise at any time, for models whose steps are whole strides.
    curve: Option<NoiseCurve>,
    history: History,
    start: Option<Start>,
}

/// Where a step began that is made again.
#[derive(Debug)]
struct Start {
    tick: Tick,
    from: Vec<f64>,
    offset: Vec<f64>,
    hold: Vec<bool>,
}

impl Pndm {
    pub fn new(native: Space, timetable: &Timetable) -> Self {
        let discrete = matches!(timetable.noise, NoiseTable::Betas { .. });
        Self {
            native,
            curve: discrete.then(|| timetable.noise.curve()),
            history: History::new(3),
            start: None,
        }
    }

    /// The noise level that a repeated step begins at: one stride above where it leads. With `linspace`
    /// that is not where it began, and diffusers takes it so.
    fn begin(&self, start: &Tick, tick: &Tick) -> Point {
        match &self.curve {
            Some(curve) => {
                let (alpha, sigma) = curve.at(tick.t + start.t - start.t_next);
                Point { alpha, sigma }
            }
            None => here(start),
        }
    }

    /// The step that is made again.
    fn again(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        mut halves: Halves,
        told: Vec<f64>,
    ) -> Result<Tensor> {
        let start = self.start.take();
        let Some(start) = start.filter(|s| s.tick.step == tick.step && s.from.len() == told.len())
        else {
            return Err(not_begun());
        };
        halves.go_on(&start.hold, &start.offset);
        let mean = self.history.weighted(&told, halves.each, |_| [0.5, 0.5]);
        let from = self.begin(&start.tick, tick);
        // What the step leads to is where this evaluation stands.
        let to = here(tick);
        halves.next(tick, x, |i| {
            step(from, to, self.native, start.from[i], mean[i])
        })
    }
}

/// DDIM's step between two noise levels for a prediction in the network's own space.
fn step(from: Point, to: Point, native: Space, x: f64, told: f64) -> f64 {
    to.alpha * from.x0(native, x, told) + to.sigma * from.eps(native, x, told)
}

impl Solver for Pndm {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        _: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("pndm", tick, guided)?;
        let halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        let pairs = halves.x0.iter().zip(&halves.eps);
        let told: Vec<f64> = pairs
            .map(|(x0, eps)| here(tick).told(self.native, *x0, *eps))
            .collect();
        if tick.substep > 0 {
            return self.again(tick, x, halves, told);
        }
        let mean = self.history.weighted(&told, halves.each, |sample| {
            let known = self.history.of(sample).count();
            WEIGHTS[known.min(WEIGHTS.len() - 1)]
        });
        self.history.push(0.0, &told, &halves.hold);
        let (from, to) = (here(tick), there(tick));
        let next = halves.next(tick, x, |i| {
            step(from, to, self.native, halves.from[i], mean[i])
        })?;
        self.start = Some(Start {
            tick: *tick,
            from: halves.from,
            offset: halves.offset,
            hold: halves.hold,
        });
        Ok(next)
    }
}
