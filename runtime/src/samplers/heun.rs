//! Heun's method (Karras et al. 2022, algorithm 1 without churn): Euler's step, then the same step
//! again with the mean of the slopes at both ends. The last step has one evaluation.
//!
//! A `shift` moves the slope at each end; where it stays an addition, half of each end's is added. A
//! `move` changes where the step starts, once.
//!
//! Diffusion models are solved for `x/alpha` over `sigma/alpha`, where the slope is `eps`; flow
//! models for `x` over `sigma`, where it is `eps - x0`.

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Method, Space, Tick};

use super::halves::{Halves, ShiftAs};
use super::{Solver, not_begun, one_prediction};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver, with the first half of a step.
#[derive(Debug)]
pub(super) struct Heun {
    native: Space,
    flow: bool,
    clip: Clip,
    start: Option<Start>,
}

/// Where a step started.
#[derive(Debug)]
struct Start {
    tick: Tick,
    slopes: Vec<f64>,
    offset: Vec<f64>,
    y: Vec<f64>,
    hold: Vec<bool>,
}

impl Heun {
    pub fn new(native: Space, flow: bool, method: &Method) -> Self {
        Self {
            native,
            flow,
            clip: method.clip,
            start: None,
        }
    }

    /// What `x` is divided by.
    fn scale(&self, alpha: f64) -> f64 {
        if self.flow { 1.0 } else { alpha }
    }
}

impl Solver for Heun {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        _: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("heun", tick, guided)?;
        let mut halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        halves.clip_and_follow(self.clip, tick);
        let slopes = halves.slopes(self.flow);
        let start = match (tick.substep, self.start.take()) {
            (0, _) => {
                let scale = self.scale(tick.alpha);
                let y = halves.from.iter().map(|x| x / scale).collect();
                Start {
                    tick: *tick,
                    slopes: slopes.clone(),
                    offset: halves.offset.clone(),
                    y,
                    hold: guided.hold.clone(),
                }
            }
            (_, Some(start))
                if start.tick.step == tick.step && start.hold.len() == halves.hold.len() =>
            {
                start
            }
            _ => return Err(not_begun()),
        };
        let (from, to) = (self.scale(start.tick.alpha), self.scale(tick.alpha_next));
        let way = tick.sigma_next / to - start.tick.sigma / from;
        halves.go_on(&start.hold, &start.offset);
        let next = halves.next(tick, x, |i| {
            to * (start.y[i] + way * 0.5 * (start.slopes[i] + slopes[i]))
        })?;
        self.start = Some(start);
        Ok(next)
    }
}
