//! DPM-Solver++ 2M for the equation with fresh noise (Lu et al. 2022, appendix; k-diffusion's
//! `sample_dpmpp_2m_sde` with eta 1).

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Method, Second, Space, Tick};

use super::exponential::Equation;
use super::halves::{Halves, ShiftAs, here, renewed, there};
use super::history::History;
use super::{Solver, one_prediction, order};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver, with two remembered steps for each sample.
#[derive(Debug)]
pub(super) struct Dpmpp2mSde {
    native: Space,
    orders: Vec<u32>,
    second: Second,
    clip: Clip,
    history: History,
}

impl Dpmpp2mSde {
    pub fn new(native: Space, method: &Method) -> Self {
        Self {
            native,
            orders: method.orders.clone(),
            second: method.second,
            clip: method.clip,
            history: History::new(2),
        }
    }
}

impl Solver for Dpmpp2mSde {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("dpmpp_2m_sde", tick, guided)?;
        let mut halves = Halves::new(tick, x, guided, self.native, ShiftAs::Mean)?;
        halves.clip(self.clip);
        let fresh = noise.draw(halves.each)?;
        let order = order(&self.orders, tick);
        let further = self.history.weighted(&halves.x0, halves.each, |sample| {
            let levels = self.history.levels(sample);
            Equation::Stochastic.looking_back(self.second, tick, order, &levels)
        });
        // `exp(-h)`, with `h` the step in `log(alpha/sigma)`.
        let left = here(tick).left(there(tick));
        let renewed = renewed(left);
        let kept = tick.sigma_next / tick.sigma * left;
        let deviation = tick.sigma_next * renewed.sqrt();
        let next = halves.next(tick, x, |i| {
            kept * halves.from[i]
                + tick.alpha_next * renewed * halves.x0[i]
                + further[i]
                + deviation * f64::from(fresh[i])
        })?;
        self.history
            .push(here(tick).lambda(), &halves.x0, &halves.hold);
        Ok(next)
    }
}
