//! Latent consistency models (Luo et al. 2023): the network's clean sample, mixed with the latent by
//! the boundary condition, and fresh noise of the next level.

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Method, Space, Tick};

use super::halves::{Halves, ShiftAs};
use super::{Solver, one_prediction};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// What published models were distilled with: the factor of times, and `sigma_data`.
const BOUNDARY: (f64, f64) = (10.0, 0.5);

/// The solver; it remembers nothing.
#[derive(Debug)]
pub(super) struct Lcm {
    native: Space,
    boundary: (f64, f64),
    clip: Clip,
}

impl Lcm {
    pub fn new(native: Space, method: &Method) -> Self {
        Self {
            native,
            boundary: method.boundary.unwrap_or(BOUNDARY),
            clip: method.clip,
        }
    }
}

impl Solver for Lcm {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("lcm", tick, guided)?;
        let mut halves = Halves::new(tick, x, guided, self.native, ShiftAs::Mean)?;
        halves.clip(self.clip);
        let (scale, data) = self.boundary;
        let length = (scale * tick.t).hypot(data);
        let (skip, out) = ((data / length).powi(2), scale * tick.t / length);
        let clean = |i: usize| out * halves.x0[i] + skip * halves.from[i];
        // The last step adds no noise and draws none.
        if tick.sigma_next == 0.0 {
            return halves.next(tick, x, |i| tick.alpha_next * clean(i));
        }
        let fresh = noise.draw(halves.each)?;
        halves.next(tick, x, |i| {
            tick.alpha_next * clean(i) + tick.sigma_next * f64::from(fresh[i])
        })
    }
}
