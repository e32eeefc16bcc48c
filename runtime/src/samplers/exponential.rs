//! The terms of second and third order of DPM-Solver and DPM-Solver++ (Lu et al. 2022, 2023): weights
//! of what is predicted now and of what was predicted before.

use guide_compiler::plan::{Second, Tick};

use super::halves::{here, there};

/// Which equation is integrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Equation {
    /// That of the clean sample, without fresh noise.
    Clean,
    /// That of the noise.
    Noise,
    /// That of the clean sample, with fresh noise.
    Stochastic,
}

/// Weights of the value now and of the two before it, the latest first.
pub(super) type Weights = [f64; 3];

/// Factors of the differences of values in a step of length `h`.
struct Factors {
    /// Of the first difference, by the midpoint.
    middle: f64,
    /// Of the first difference, by the integral.
    first: f64,
    /// Of the second difference.
    second: f64,
}

impl Equation {
    fn factors(self, tick: &Tick, h: f64) -> Factors {
        let to = there(tick);
        match self {
            Equation::Clean => {
                let e = (-h).exp_m1();
                Factors {
                    middle: -0.5 * to.alpha * e,
                    first: to.alpha * (e / h + 1.0),
                    second: -to.alpha * ((e + h) / (h * h) - 0.5),
                }
            }
            Equation::Noise => {
                let e = h.exp_m1();
                Factors {
                    middle: -0.5 * to.sigma * e,
                    first: -to.sigma * (e / h - 1.0),
                    second: -to.sigma * ((e - h) / (h * h) - 0.5),
                }
            }
            Equation::Stochastic => {
                let (e, h) = ((-2.0 * h).exp_m1(), 2.0 * h);
                Factors {
                    middle: -0.5 * to.alpha * e,
                    first: to.alpha * (e / h + 1.0),
                    second: -to.alpha * ((e + h) / (h * h) + 0.5),
                }
            }
        }
    }

    /// What a step that looks back at values at these levels of `lambda` adds to the one of first
    /// order. Levels that say nothing of the slope, because they are one or infinitely far, lower the
    /// order.
    pub fn looking_back(self, second: Second, tick: &Tick, order: u32, levels: &[f64]) -> Weights {
        let lambda = here(tick).lambda();
        let h = there(tick).lambda() - lambda;
        let ratio = |from: f64, to: Option<&f64>| {
            let ratio = (from - to?) / h;
            (ratio.is_finite() && ratio != 0.0).then_some(ratio)
        };
        let Some(r0) = ratio(lambda, levels.first()).filter(|_| order > 1) else {
            return [0.0; 3];
        };
        let factors = self.factors(tick, h);
        let r1 = levels.first().and_then(|from| ratio(*from, levels.get(1)));
        match r1.filter(|_| order > 2) {
            None => {
                let factor = match second {
                    Second::Heun => factors.first,
                    _ => factors.middle,
                };
                [factor / r0, -factor / r0, 0.0]
            }
            Some(r1) => {
                // Divided differences of the three values, of first and second order.
                let share = r0 / (r0 + r1);
                let near = factors.first * (1.0 + share) + factors.second / (r0 + r1);
                let far = -factors.first * share - factors.second / (r0 + r1);
                let (near, far) = (near / r0, far / r1);
                [near, far - near, -far]
            }
        }
    }

    /// What a step that begins where an earlier one did adds to that one's first order: `levels` are
    /// those of the values between, the latest first and the beginning's last. `tick` is the latest.
    pub fn since_the_beginning(self, second: Second, tick: &Tick, levels: &[f64]) -> Weights {
        let Some(start) = levels.last() else {
            return [0.0; 3];
        };
        let h = there(tick).lambda() - start;
        let r0 = (here(tick).lambda() - start) / h;
        let factors = self.factors(tick, h);
        match levels {
            [_] => {
                let factor = match second {
                    Second::Heun => factors.first,
                    _ => factors.middle,
                };
                [factor / r0, -factor / r0, 0.0]
            }
            [between, _] if second == Second::Heun => {
                let r1 = (between - start) / h;
                let now = (factors.first * -r1 + 2.0 * factors.second) / (r0 - r1) / r0;
                let before = (factors.first * r0 - 2.0 * factors.second) / (r0 - r1) / r1;
                [now, before, -now - before]
            }
            _ => [factors.first / r0, 0.0, -factors.first / r0],
        }
    }
}
