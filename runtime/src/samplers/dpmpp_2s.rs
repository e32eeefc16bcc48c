//! DPM-Solver++ 2S (Lu et al. 2022, algorithm 1), as diffusers counts it: a step of first order, then
//! one of second order from where the first began, that takes its place. Configs may ask for a third.

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Method, Second, Space, Tick};

use super::exponential::Equation;
use super::halves::{Halves, ShiftAs, here, there};
use super::history::History;
use super::{Solver, one_prediction};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver, with where each sample's cycle began.
#[derive(Debug)]
pub(super) struct Dpmpp2s {
    native: Space,
    orders: Vec<u32>,
    second: Second,
    clip: Clip,
    /// Clean samples at the levels of `lambda` since the cycle began.
    history: History,
    /// The latents that the cycles began with.
    bases: Vec<f64>,
    /// Their `sigma`, for each sample.
    sigmas: Vec<f64>,
}

impl Dpmpp2s {
    pub fn new(native: Space, method: &Method) -> Self {
        Self {
            native,
            orders: method.orders.clone(),
            second: method.second,
            clip: method.clip,
            history: History::new(2),
            bases: Vec::new(),
            sigmas: Vec::new(),
        }
    }

    /// The order of a step; without a list every second one is of second order.
    fn order(&self, tick: &Tick) -> usize {
        let listed = self.orders.get(tick.step as usize).copied();
        let order = listed.unwrap_or(tick.step % 2 + 1);
        // A step without end in `lambda` has no second difference.
        if tick.sigma_next == 0.0 {
            1
        } else {
            order.min(3) as usize
        }
    }
}

impl Solver for Dpmpp2s {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        _: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("dpmpp_2s", tick, guided)?;
        if guided.moves.is_some() {
            return Err(RuntimeError::new(
                ErrorKind::BadPlan,
                "the plan's outcome is more than `dpmpp_2s` can follow",
            ));
        }
        let mut halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        halves.clip_and_follow(self.clip, tick);
        let order = self.order(tick);
        let (to, each) = (there(tick), halves.each.max(1));
        self.bases.resize(halves.from.len(), 0.0);
        self.sigmas.resize(halves.hold.len(), 1.0);
        let mut next = vec![0.0; halves.from.len()];
        for (sample, next) in next.chunks_exact_mut(each).enumerate() {
            let here_on = sample * each..(sample + 1) * each;
            let levels = self.history.levels(sample);
            let base = &mut self.bases[here_on.clone()];
            let (x0, eps) = (&halves.x0[here_on.clone()], &halves.eps[here_on.clone()]);
            // What is missing because the chain was broken, or says nothing, lowers the order.
            let says = |back: &&[f64]| {
                back.iter()
                    .all(|level| level.is_finite() && *level != here(tick).lambda())
            };
            let back = (1..order).rev().find_map(|n| levels.get(..n).filter(says));
            match back.and_then(|back| Some((back, back.last()?))) {
                Some((back, start)) => {
                    let mut weights = Equation::Clean.since_the_beginning(self.second, tick, back);
                    // The first order of the whole way from where the cycle began.
                    weights[back.len()] -= to.alpha * (start - to.lambda()).exp_m1();
                    let kept = to.sigma / self.sigmas[sample];
                    for ((next, base), x0) in next.iter_mut().zip(&*base).zip(x0) {
                        *next = kept * base + weights[0] * x0;
                    }
                    self.history.add(sample, &weights[1..], next);
                }
                None => {
                    base.copy_from_slice(&halves.from[here_on]);
                    self.sigmas[sample] = tick.sigma;
                    for ((next, x0), eps) in next.iter_mut().zip(x0).zip(eps) {
                        *next = to.alpha * x0 + to.sigma * eps;
                    }
                }
            }
        }
        self.history
            .push(here(tick).lambda(), &halves.x0, &halves.hold);
        halves.next(tick, x, |i| next[i])
    }
}
