//! Ancestral sampling (Ho, Jain and Abbeel 2020, algorithm 2): a draw from the posterior of the step
//! before, given the clean sample that is predicted.
//!
//! With `r = alpha*sigma'/(alpha'*sigma)` its mean is `alpha'*x0 + r*sigma'*eps` and its standard
//! deviation `sqrt(1 - r^2)*sigma'`: Euler's ancestral step, at DDPM's own times.

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Method, Space, Tick};

use super::Solver;
use super::halves::{Halves, ShiftAs, here, there};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver; it remembers nothing.
#[derive(Debug)]
pub(super) struct Ddpm {
    native: Space,
    clip: Clip,
    forward_variance: bool,
}

impl Ddpm {
    pub fn new(native: Space, method: &Method) -> Self {
        Self {
            native,
            clip: method.clip,
            forward_variance: method.forward_variance,
        }
    }

    /// The variance of a step's fresh noise.
    fn variance(&self, tick: &Tick) -> f64 {
        if tick.t <= 0.0 {
            0.0
        } else if self.forward_variance {
            // beta, the variance that the forward step adds.
            1.0 - (tick.alpha / tick.alpha_next).powi(2)
        } else {
            tick.posterior_variance
        }
    }
}

impl Solver for Ddpm {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let mut halves = Halves::new(tick, x, guided, self.native, ShiftAs::Mean)?;
        halves.clip_and_follow(self.clip, tick);
        let fresh = noise.draw(halves.each)?;
        let kept = tick.sigma_next * here(tick).left(there(tick));
        let deviation = self.variance(tick).max(0.0).sqrt();
        halves.next(tick, x, |i| {
            tick.alpha_next * halves.x0[i] + kept * halves.eps[i] + deviation * f64::from(fresh[i])
        })
    }
}
