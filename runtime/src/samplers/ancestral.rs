//! Euler's method with fresh noise in every step (k-diffusion's `sample_euler_ancestral`).
//!
//! With `r = alpha*sigma'/(alpha'*sigma)`, the ratio of the noise levels, its `sigma_down` is
//! `r*sigma'` and its `sigma_up` is `sqrt(1 - r^2)*sigma'`, the standard deviation of the ancestral
//! step of Ho, Jain and Abbeel 2020.

use candle_core::Tensor;
use guide_compiler::plan::{Space, Tick};

use super::Solver;
use super::halves::{Halves, ShiftAs, here, renewed, there};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver; it remembers nothing.
#[derive(Debug)]
pub(super) struct Ancestral {
    native: Space,
}

impl Ancestral {
    pub fn new(native: Space) -> Self {
        Self { native }
    }
}

impl Solver for Ancestral {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let halves = Halves::new(tick, x, guided, self.native, ShiftAs::Mean)?;
        // Drawn in every step, the last and held ones too, so that the stream never shifts.
        let fresh = noise.draw(halves.each)?;
        let left = here(tick).left(there(tick));
        let down = tick.sigma_next * left;
        let up = tick.sigma_next * renewed(left).sqrt();
        halves.next(tick, x, |i| {
            tick.alpha_next * halves.x0[i] + down * halves.eps[i] + up * f64::from(fresh[i])
        })
    }
}
