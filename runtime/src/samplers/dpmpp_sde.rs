//! DPM-Solver++ for the equation with fresh noise, of second order, with two evaluations a step
//! (k-diffusion's `sample_dpmpp_sde` with eta 1 and r 1/2): an ancestral step to the middle in
//! `log(sigma/alpha)`, and the whole step again from its beginning with the clean sample that is
//! predicted there. The last step is of first order.
//!
//! Both follow one Brownian path over `sigma/alpha`: what the first one drew is a part of the noise of
//! the second, as k-diffusion's noise tree has it.

use candle_core::Tensor;
use guide_compiler::plan::{Space, Tick, Timetable};

use super::halves::{Halves, Point, ShiftAs, here, renewed, there};
use super::{Solver, not_begun, one_prediction};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver, with the first half of a step.
#[derive(Debug)]
pub(super) struct DpmppSde {
    native: Space,
    /// The steps that evaluate twice, and where the second time.
    middles: Vec<(u32, Point)>,
    start: Option<Start>,
}

/// Where a step started.
#[derive(Debug)]
struct Start {
    tick: Tick,
    from: Vec<f64>,
    fresh: Vec<f32>,
    hold: Vec<bool>,
}

impl DpmppSde {
    pub fn new(native: Space, timetable: &Timetable) -> Self {
        let seconds = timetable.ticks.iter().filter(|tick| tick.substep > 0);
        Self {
            native,
            middles: seconds.map(|tick| (tick.step, here(tick))).collect(),
            start: None,
        }
    }

    /// The step's first evaluation: an ancestral step to its middle, or to its end where there is none.
    fn first(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        halves: Halves,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let fresh = noise.draw(halves.each)?;
        let middle = self.middles.iter().find(|(step, _)| *step == tick.step);
        let to = middle.map_or(there(tick), |(_, middle)| *middle);
        let left = here(tick).left(to);
        let (kept, renewed) = (to.sigma * left, to.sigma * renewed(left).sqrt());
        let next = halves.next(tick, x, |i| {
            to.alpha * halves.x0[i] + kept * halves.eps[i] + renewed * f64::from(fresh[i])
        })?;
        self.start = Some(Start {
            tick: *tick,
            from: halves.from,
            fresh,
            hold: halves.hold,
        });
        Ok(next)
    }

    /// The whole step, with what its middle says.
    fn second(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        mut halves: Halves,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let start = self.start.take();
        let Some(start) =
            start.filter(|s| s.tick.step == tick.step && s.from.len() == halves.from.len())
        else {
            return Err(not_begun());
        };
        halves.hold.clone_from(&start.hold);
        let fresh = noise.draw(halves.each)?;
        let (from, middle, to) = (here(&start.tick), here(tick), there(tick));
        let left = from.left(to);
        let kept = to.sigma / from.sigma * left;
        let toward = to.alpha * renewed(left);
        let renewed = to.sigma * renewed(left).sqrt();
        let (old, new) = parts(from, middle, to);
        halves.next(tick, x, |i| {
            let path = old * f64::from(start.fresh[i]) + new * f64::from(fresh[i]);
            kept * start.from[i] + toward * halves.x0[i] + renewed * path
        })
    }
}

/// Factors of what was drawn up to the middle and after it, in the noise of the whole step.
fn parts(from: Point, middle: Point, to: Point) -> (f64, f64) {
    let level = |point: Point| point.sigma / point.alpha;
    let share = (level(from) - level(middle)) / (level(from) - level(to));
    // From no signal at all, every way to the middle is the whole way.
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        1.0
    };
    (share.sqrt(), (1.0 - share).sqrt())
}

impl Solver for DpmppSde {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("dpmpp_sde", tick, guided)?;
        let halves = Halves::new(tick, x, guided, self.native, ShiftAs::Mean)?;
        if tick.substep == 0 {
            self.first(tick, x, halves, noise)
        } else {
            self.second(tick, x, halves, noise)
        }
    }
}
