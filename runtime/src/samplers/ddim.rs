//! DDIM without added noise (Song, Meng and Ermon 2021, equation 12 with eta 0), and Euler's method.
//!
//! Euler's step for `y = x/alpha` over `s = sigma/alpha` is `y + (s' - s)*eps`; with
//! `y = x0 + s*eps` that is `x0 + s'*eps`, and times `alpha'` it is DDIM's step. The two differ in
//! the noise levels that their timetables visit.

use candle_core::Tensor;
use guide_compiler::plan::{Space, Tick};

use super::Solver;
use super::halves::{Halves, ShiftAs};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver; it remembers nothing.
#[derive(Debug)]
pub(super) struct Ddim {
    native: Space,
}

impl Ddim {
    pub fn new(native: Space) -> Self {
        Self { native }
    }
}

impl Solver for Ddim {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        _: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        halves.next(tick, x, |i| {
            tick.alpha_next * halves.x0[i] + tick.sigma_next * halves.eps[i]
        })
    }
}
