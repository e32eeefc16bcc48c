//! Linear multistep (Adams and Bashforth's on uneven levels, k-diffusion's `sample_lms`): the slope of
//! `x/alpha` over `sigma/alpha` is the polynomial through the latest four, integrated over the step.
//! Flow models are solved for `x` over `sigma`.

use candle_core::Tensor;
use guide_compiler::plan::{Space, Tick};

use super::halves::{Halves, ShiftAs};
use super::history::History;
use super::{Solver, one_prediction};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// How many slopes the polynomial goes through.
const ORDER: usize = 4;

/// The solver, with earlier slopes.
#[derive(Debug)]
pub(super) struct Lms {
    native: Space,
    flow: bool,
    history: History,
}

impl Lms {
    pub fn new(native: Space, flow: bool) -> Self {
        Self {
            native,
            flow,
            history: History::new(ORDER - 1),
        }
    }
}

impl Solver for Lms {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        _: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("lms", tick, guided)?;
        let halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        let scale = |alpha: f64| if self.flow { 1.0 } else { alpha };
        let (from, to) = (scale(tick.alpha), scale(tick.alpha_next));
        let (level, end) = (tick.sigma / from, tick.sigma_next / to);
        let slopes = halves.slopes(self.flow);
        let ways = self.history.weighted(&slopes, halves.each, |sample| {
            weights(level, end, &self.history.levels(sample))
        });
        self.history.push(level, &slopes, &halves.hold);
        halves.next(tick, x, |i| to * (halves.from[i] / from + ways[i]))
    }
}

/// The integral from `level` to `end` of the polynomials that are 1 at one of the levels and 0 at the
/// others, first that of `level`. An earlier level that is the same as another says nothing, and what
/// lies before it is left out too.
fn weights(level: f64, end: f64, earlier: &[f64]) -> Vec<f64> {
    let mut places = vec![0.0];
    for at in earlier {
        let at = at - level;
        if !at.is_finite() || places.contains(&at) {
            break;
        }
        places.push(at);
    }
    let way = end - level;
    let one = |j: usize| {
        let others = || places.iter().enumerate().filter(move |(k, _)| *k != j);
        // Coefficients, constant first, of the product of `u - place`.
        let mut product = vec![1.0];
        for (_, place) in others() {
            let mut longer = vec![0.0; product.len() + 1];
            for (power, factor) in product.iter().enumerate() {
                longer[power + 1] += factor;
                longer[power] -= factor * place;
            }
            product = longer;
        }
        let scale: f64 = others().map(|(_, place)| places[j] - place).product();
        let integral = product
            .iter()
            .zip(1..)
            .map(|(factor, power)| factor * way.powi(power) / f64::from(power));
        integral.sum::<f64>() / scale
    };
    (0..places.len()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::weights;

    #[test]
    fn cubic_slopes_are_integrated_exactly() {
        let slope = |s: f64| 1.0 - 2.0 * s + 0.5 * s * s - 0.25 * s.powi(3);
        let whole = |s: f64| s - s * s + s.powi(3) / 6.0 - s.powi(4) / 16.0;
        let (level, end, earlier) = (3.0, 1.75, [4.5, 5.0, 9.0]);
        let weights = weights(level, end, &earlier);
        let values = [level, earlier[0], earlier[1], earlier[2]].map(slope);
        let found: f64 = weights.iter().zip(values).map(|(w, v)| w * v).sum();
        assert!(
            (found - (whole(end) - whole(level))).abs() < 1e-12,
            "{found}"
        );
    }

    #[test]
    fn levels_that_say_nothing_lower_the_order() {
        assert_eq!(weights(3.0, 1.0, &[3.0, 4.0]), [-2.0]);
        assert_eq!(weights(3.0, 1.0, &[f64::INFINITY]), [-2.0]);
        assert_eq!(weights(3.0, 1.0, &[]), [-2.0]);
    }
}
