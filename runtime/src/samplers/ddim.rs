//! DDIM (Song, Meng and Ermon 2021, equation 12), and Euler's method, which is DDIM without fresh
//! noise.
//!
//! Euler's step for `y = x/alpha` over `s = sigma/alpha` is `y + (s' - s)*eps`; with
//! `y = x0 + s*eps` that is `x0 + s'*eps`, and times `alpha'` it is DDIM's step. The two differ in
//! the noise levels that their timetables visit.

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Method, Space, Tick};

use super::Solver;
use super::halves::{Halves, ShiftAs};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver; it remembers nothing.
#[derive(Debug)]
pub(super) struct Ddim {
    native: Space,
    eta: f64,
    clip: Clip,
}

impl Ddim {
    pub fn new(native: Space, method: &Method) -> Self {
        Self {
            native,
            eta: method.eta,
            clip: method.clip,
        }
    }
}

impl Solver for Ddim {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let stochastic = self.eta > 0.0;
        let shift = if stochastic {
            ShiftAs::Mean
        } else {
            ShiftAs::Score
        };
        let mut halves = Halves::new(tick, x, guided, self.native, shift)?;
        halves.clip(self.clip);
        if !stochastic {
            return halves.next(tick, x, |i| {
                tick.alpha_next * halves.x0[i] + tick.sigma_next * halves.eps[i]
            });
        }
        let fresh = noise.draw(halves.each)?;
        let variance = self.eta * self.eta * tick.posterior_variance;
        let kept = (tick.sigma_next * tick.sigma_next - variance)
            .max(0.0)
            .sqrt();
        halves.next(tick, x, |i| {
            tick.alpha_next * halves.x0[i]
                + kept * halves.eps[i]
                + variance.sqrt() * f64::from(fresh[i])
        })
    }
}
