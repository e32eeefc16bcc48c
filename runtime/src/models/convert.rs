//! A network's answer, told in another space.

use candle_core::Tensor;
use guide_compiler::plan::Space;

use crate::error::Result;

/// What a space's quantity is: `eps*(.0) + x0*(.1)`.
fn parts(space: Space, alpha: f64, sigma: f64) -> (f64, f64) {
    match space {
        Space::Eps => (1.0, 0.0),
        Space::X0 => (0.0, 1.0),
        Space::V => (alpha, -sigma),
        Space::Flow => (1.0, -1.0),
        Space::Score => (-1.0 / sigma, 0.0),
    }
}

/// Converts `answer` at `x = alpha*x0 + sigma*eps` from one space to another. Both factors are
/// computed in f64 and rounded once.
///
/// # Errors
/// What the tensor library reports.
pub fn convert(
    answer: &Tensor,
    from: Space,
    to: Space,
    x: &Tensor,
    alpha: f64,
    sigma: f64,
) -> Result<Tensor> {
    if from == to {
        return Ok(answer.clone());
    }
    let (by_answer, by_x) = factors(from, to, alpha, sigma);
    Ok(((answer * by_answer)? + (x * by_x)?)?)
}

/// `to = .0*from + .1*x`, from `from = f1*eps + f2*x0` and `x = sigma*eps + alpha*x0` by Cramer's rule.
pub fn factors(from: Space, to: Space, alpha: f64, sigma: f64) -> (f64, f64) {
    let (f1, f2) = parts(from, alpha, sigma);
    let (t1, t2) = parts(to, alpha, sigma);
    let determinant = f1 * alpha - f2 * sigma;
    (
        (t1 * alpha - t2 * sigma) / determinant,
        (f1 * t2 - f2 * t1) / determinant,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_spaces_agrees_with_the_definitions() {
        let (x0, eps, alpha, sigma) = (0.7, -1.3, 0.6, 0.8);
        let x = alpha * x0 + sigma * eps;
        let told = [
            (Space::Eps, eps),
            (Space::X0, x0),
            (Space::V, alpha * eps - sigma * x0),
            (Space::Flow, eps - x0),
            (Space::Score, -eps / sigma),
        ];
        for (from, answer) in told {
            for (to, wanted) in told {
                let (by_answer, by_x) = factors(from, to, alpha, sigma);
                let got = by_answer * answer + by_x * x;
                assert!(
                    (got - wanted).abs() < 1e-12,
                    "{from:?} to {to:?}: {got}, not {wanted}"
                );
            }
        }
    }
}
