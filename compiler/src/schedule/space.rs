//! Conversions between spaces as coefficients. With `x = alpha*x0 + sigma*eps`:
//! `v = alpha*eps - sigma*x0`, `flow = eps - x0`, `eps = -sigma*score`.

use super::scalar::{ScalarId, Scalars};
use crate::plan::Space;

/// The coefficients of `to = linear*from + share*x`, with `alpha` and `sigma` known.
pub struct Coefficients<'a> {
    scalars: &'a mut Scalars,
    alpha: ScalarId,
    sigma: ScalarId,
    /// Whether `alpha^2 + sigma^2` (or `alpha + sigma`) is 1 in every tick.
    circle: bool,
    line: bool,
}

impl<'a> Coefficients<'a> {
    /// For a point of the noise.
    pub fn new(scalars: &'a mut Scalars, alpha: ScalarId, sigma: ScalarId, ticks: usize) -> Self {
        let near = |f: &dyn Fn(f64, f64) -> f64| {
            (0..ticks).all(|t| (f(scalars.at(alpha, t), scalars.at(sigma, t)) - 1.0).abs() < 1e-9)
        };
        let circle = near(&|a, s| a * a + s * s);
        let line = near(&|a, s| a + s);
        Self {
            scalars,
            alpha,
            sigma,
            circle,
            line,
        }
    }

    fn power(&mut self) -> ScalarId {
        if self.circle {
            return self.scalars.literal(1.0);
        }
        let alpha = self.scalars.product(self.alpha, self.alpha);
        let sigma = self.scalars.product(self.sigma, self.sigma);
        self.scalars.sum(alpha, sigma)
    }

    fn length(&mut self) -> ScalarId {
        if self.line {
            return self.scalars.literal(1.0);
        }
        self.scalars.sum(self.alpha, self.sigma)
    }

    fn over(&mut self, top: ScalarId, bottom: ScalarId) -> ScalarId {
        self.scalars.quotient(top, bottom)
    }

    /// The factor of the value.
    pub fn linear(&mut self, from: Space, to: Space) -> ScalarId {
        use Space::{Eps, Flow, Score, V, X0};
        let (alpha, sigma, one) = (self.alpha, self.sigma, self.scalars.literal(1.0));
        let (power, length) = (self.power(), self.length());
        let square = self.scalars.product(sigma, sigma);
        let (positive, value) = match (from, to) {
            (Eps, X0) => (false, self.over(sigma, alpha)),
            (V, X0) => (false, self.over(sigma, power)),
            (Flow, X0) => (false, self.over(sigma, length)),
            (Score, X0) => (true, self.over(square, alpha)),
            (X0, Eps) => (false, self.over(alpha, sigma)),
            (V, Eps) => (true, self.over(alpha, power)),
            (Flow, Eps) => (true, self.over(alpha, length)),
            (Score, Eps) => (false, sigma),
            (Eps, V) => (true, self.over(power, alpha)),
            (X0, V) => (false, self.over(power, sigma)),
            (Flow, V) => (true, self.over(power, length)),
            (Score, V) => {
                let top = self.scalars.product(sigma, power);
                (false, self.over(top, alpha))
            }
            (Eps, Flow) => (true, self.over(length, alpha)),
            (X0, Flow) => (false, self.over(length, sigma)),
            (V, Flow) => (true, self.over(length, power)),
            (Score, Flow) => {
                let top = self.scalars.product(sigma, length);
                (false, self.over(top, alpha))
            }
            (Eps, Score) => (false, self.over(one, sigma)),
            (X0, Score) => (true, self.over(alpha, square)),
            (V, Score) => {
                let bottom = self.scalars.product(sigma, power);
                (false, self.over(alpha, bottom))
            }
            (Flow, Score) => {
                let bottom = self.scalars.product(sigma, length);
                (false, self.over(alpha, bottom))
            }
            (Eps, Eps) | (X0, X0) | (V, V) | (Flow, Flow) | (Score, Score) => (true, one),
        };
        if positive {
            value
        } else {
            self.scalars.negative(value)
        }
    }

    /// The factor of the latent.
    pub fn share(&mut self, from: Space, to: Space) -> ScalarId {
        use Space::{Eps, Flow, Score, V, X0};
        let (alpha, sigma, one) = (self.alpha, self.sigma, self.scalars.literal(1.0));
        let (power, length) = (self.power(), self.length());
        let (positive, value) = match (from, to) {
            (Eps | Score, X0) => (true, self.over(one, alpha)),
            (V, X0) => (true, self.over(alpha, power)),
            (Flow, X0 | Eps) => (true, self.over(one, length)),
            (X0, Eps | Flow) => (true, self.over(one, sigma)),
            (V, Eps) => (true, self.over(sigma, power)),
            (Eps | Score, V) => (false, self.over(sigma, alpha)),
            (X0, V) => (true, self.over(alpha, sigma)),
            (Flow, V) => {
                let top = self.scalars.difference(alpha, sigma);
                (true, self.over(top, length))
            }
            (Eps | Score, Flow) => (false, self.over(one, alpha)),
            (V, Flow) => {
                let top = self.scalars.difference(sigma, alpha);
                (true, self.over(top, power))
            }
            (X0, Score) => {
                let square = self.scalars.product(sigma, sigma);
                (false, self.over(one, square))
            }
            (V, Score) => (false, self.over(one, power)),
            (Flow, Score) => {
                let bottom = self.scalars.product(sigma, length);
                (false, self.over(one, bottom))
            }
            (Eps, Score) | (Score, Eps) => (true, self.scalars.literal(0.0)),
            (Eps, Eps) | (X0, X0) | (V, V) | (Flow, Flow) | (Score, Score) => {
                (true, self.scalars.literal(0.0))
            }
        };
        if positive {
            value
        } else {
            self.scalars.negative(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each space calls a sample of known `x0` and `eps`.
    fn spaces(alpha: f64, sigma: f64, x0: f64, eps: f64) -> [(Space, f64); 5] {
        let v = alpha * eps - sigma * x0;
        let score = -eps / sigma;
        [
            (Space::X0, x0),
            (Space::Eps, eps),
            (Space::V, v),
            (Space::Flow, eps - x0),
            (Space::Score, score),
        ]
    }

    #[test]
    fn every_conversion_agrees_with_the_definitions() {
        for (alpha, sigma) in [(0.8, 0.6), (0.3, 0.7), (0.5, 1.9)] {
            let all = spaces(alpha, sigma, 1.25, -0.4);
            let x = alpha * 1.25 + sigma * -0.4;
            for (from, value) in all {
                for (to, expected) in all {
                    let mut scalars = Scalars::new(1);
                    let (a, s) = (
                        scalars.leaf("alpha", &[alpha]),
                        scalars.leaf("sigma", &[sigma]),
                    );
                    let mut c = Coefficients::new(&mut scalars, a, s, 1);
                    let (linear, share) = (c.linear(from, to), c.share(from, to));
                    let found = scalars.at(linear, 0) * value + scalars.at(share, 0) * x;
                    assert!(
                        (found - expected).abs() < 1e-12,
                        "{from:?} to {to:?}: {found} {expected}"
                    );
                }
            }
        }
    }
}
