//! What a prediction is of, written out from `x = alpha*x0 + sigma*eps`.

use guide_compiler::plan::Space;

/// The clean sample that a prediction of `space` speaks of.
pub fn x0_of(space: Space, p: &[f64], x: &[f64], alpha: f64, sigma: f64) -> Vec<f64> {
    let one = |(p, x): (&f64, &f64)| match space {
        Space::X0 => *p,
        Space::Eps => (x - sigma * p) / alpha,
        Space::V => (alpha * x - sigma * p) / (alpha * alpha + sigma * sigma),
        Space::Flow => (x - sigma * p) / (alpha + sigma),
        Space::Score => (x + sigma * sigma * p) / alpha,
    };
    p.iter().zip(x).map(one).collect()
}

/// The prediction of `space` that speaks of the clean sample `x0`.
pub fn of_x0(space: Space, x0: &[f64], x: &[f64], alpha: f64, sigma: f64) -> Vec<f64> {
    let one = |(x0, x): (&f64, &f64)| {
        let eps = (x - alpha * x0) / sigma;
        match space {
            Space::X0 => *x0,
            Space::Eps => eps,
            Space::V => alpha * eps - sigma * x0,
            Space::Flow => eps - x0,
            Space::Score => -eps / sigma,
        }
    };
    x0.iter().zip(x).map(one).collect()
}

/// From one space to another.
pub fn converted(
    (from, to): (Space, Space),
    p: &[f64],
    x: &[f64],
    alpha: f64,
    sigma: f64,
) -> Vec<f64> {
    if from == to {
        return p.to_vec();
    }
    of_x0(to, &x0_of(from, p, x, alpha, sigma), x, alpha, sigma)
}
