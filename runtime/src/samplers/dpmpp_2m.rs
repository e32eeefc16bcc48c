//! DPM-Solver++ 2M (Lu et al. 2022, algorithm 2), with the history of CFG++ (Chung et al. 2024): the
//! step goes toward `denoise`, and what is remembered is `renoise`'s clean sample. Configs may ask for
//! other orders, or for DPM-Solver, which remembers the noise.

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Form, Method, Second, Space, Tick};

use super::exponential::Equation;
use super::halves::{Halves, ShiftAs, here};
use super::history::History;
use super::{Solver, order};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver, with two remembered steps for each sample.
#[derive(Debug)]
pub(super) struct Dpmpp2m {
    native: Space,
    orders: Vec<u32>,
    equation: Equation,
    second: Second,
    clip: Clip,
    history: History,
}

impl Dpmpp2m {
    pub fn new(native: Space, method: &Method) -> Self {
        Self {
            native,
            orders: method.orders.clone(),
            equation: match method.form {
                Form::Clean => Equation::Clean,
                Form::Noise => Equation::Noise,
            },
            second: method.second,
            clip: method.clip,
            history: History::new(2),
        }
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
        let mut halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        halves.clip_and_follow(self.clip, tick);
        let (now, kept) = match self.equation {
            Equation::Noise => (&halves.eps, &halves.eps),
            _ => (&halves.x0, &halves.renoised_x0),
        };
        let order = order(&self.orders, tick);
        let further = self.history.weighted(now, halves.each, |sample| {
            let levels = self.history.levels(sample);
            self.equation
                .looking_back(self.second, tick, order, &levels)
        });
        let next = halves.next(tick, x, |i| {
            tick.alpha_next * halves.x0[i] + tick.sigma_next * halves.eps[i] + further[i]
        })?;
        self.history.push(here(tick).lambda(), kept, &halves.hold);
        Ok(next)
    }
}
