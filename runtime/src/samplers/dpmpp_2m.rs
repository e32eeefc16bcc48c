//! DPM-Solver++ 2M (Lu et al. 2022, algorithm 2, midpoint), with the history of CFG++ (Chung et
//! al. 2024): the step goes toward `denoise`, and what is remembered is `renoise`'s clean sample.

use candle_core::Tensor;
use guide_compiler::plan::{Space, Tick};

use super::Solver;
use super::halves::{Halves, ShiftAs};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// Below so many steps the last one is of first order, as in diffusers.
const FEW_STEPS: u32 = 15;

/// The solver, with one remembered step for each sample.
#[derive(Debug)]
pub(super) struct Dpmpp2m {
    native: Space,
    steps: u32,
    earlier: Vec<Option<Earlier>>,
}

#[derive(Debug)]
struct Earlier {
    /// Half the logarithm of the signal-to-noise ratio.
    lambda: f64,
    x0: Vec<f64>,
}

impl Dpmpp2m {
    pub fn new(native: Space, steps: u32) -> Self {
        Self {
            native,
            steps,
            earlier: Vec::new(),
        }
    }

    /// The factor of the second-order term for a sample; 0 is a step of first order.
    fn second(&self, tick: &Tick, sample: usize) -> f64 {
        let last =
            tick.step + 1 == self.steps && (tick.sigma_next == 0.0 || self.steps < FEW_STEPS);
        let Some(Some(earlier)) = self.earlier.get(sample) else {
            return 0.0;
        };
        if last {
            return 0.0;
        }
        let here = lambda(tick.alpha, tick.sigma);
        let (h, before) = (
            lambda(tick.alpha_next, tick.sigma_next) - here,
            here - earlier.lambda,
        );
        // Two ticks at one noise level say nothing about the slope.
        if before == 0.0 || h == 0.0 {
            return 0.0;
        }
        tick.alpha_next * -(-h).exp_m1() * h / (2.0 * before)
    }
}

impl Solver for Dpmpp2m {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        _: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        let second: Vec<f64> = (0..halves.hold.len())
            .map(|b| self.second(tick, b))
            .collect();
        let next = halves.next(tick, x, |i| {
            let first = tick.alpha_next * halves.x0[i] + tick.sigma_next * halves.eps[i];
            let (b, at) = (i / halves.each, i % halves.each);
            match self.earlier.get(b) {
                Some(Some(earlier)) if second[b] != 0.0 => {
                    first + second[b] * (halves.x0[i] - earlier.x0[at])
                }
                _ => first,
            }
        })?;
        // A step that holds breaks the chain: the next one is of first order.
        let lambda = lambda(tick.alpha, tick.sigma);
        let remember = |(b, x0): (usize, &[f64])| {
            (!halves.hold[b]).then(|| Earlier {
                lambda,
                x0: x0.to_vec(),
            })
        };
        self.earlier = halves
            .renoised_x0
            .chunks_exact(halves.each.max(1))
            .enumerate()
            .map(remember)
            .collect();
        Ok(next)
    }
}

fn lambda(alpha: f64, sigma: f64) -> f64 {
    (alpha / sigma).ln()
}
