//! Noise levels that are spread by a formula of their own: Karras', exponential, beta.

use super::Levels;

/// The exponent of Karras et al. 2022, equation 5.
const RHO: f64 = 7.0;
/// Both parameters of the beta distribution.
const BETA: f64 = 0.6;

/// `n` noise levels from `largest` to `smallest`, both included; nothing where the timesteps say them.
pub fn spread(levels: Levels, largest: f64, smallest: f64, n: u32) -> Option<Vec<f64>> {
    let along = |i: u32| {
        if n > 1 {
            f64::from(i) / f64::from(n - 1)
        } else {
            0.0
        }
    };
    let at = |u: f64| match levels {
        Levels::Timesteps => None,
        Levels::Karras => {
            let (from, to) = (largest.powf(1.0 / RHO), smallest.powf(1.0 / RHO));
            Some((from + u * (to - from)).powf(RHO))
        }
        Levels::Exponential => {
            let (from, to) = (largest.ln(), smallest.ln());
            Some((from + u * (to - from)).exp())
        }
        Levels::Beta => Some(smallest + quantile(1.0 - u) * (largest - smallest)),
    };
    (0..n).map(|i| at(along(i))).collect()
}

/// The quantile of a beta distribution with both parameters [`BETA`].
fn quantile(share: f64) -> f64 {
    if share > 0.5 {
        return 1.0 - quantile(1.0 - share);
    }
    let half = below(0.5);
    let (mut from, mut to) = (0.0, 0.5);
    // Each turn is one bit of the answer.
    for _ in 0..80 {
        let middle = 0.5 * (from + to);
        if below(middle) < 2.0 * share * half {
            from = middle;
        } else {
            to = middle;
        }
    }
    if share > 0.0 { 0.5 * (from + to) } else { 0.0 }
}

/// The distribution's weight below `x`, up to a factor, for `x` up to 1/2: the continued fraction of
/// the incomplete beta function (Abramowitz and Stegun 26.5.8), from its end.
fn below(x: f64) -> f64 {
    let (a, b) = (BETA, BETA);
    let mut fraction = 1.0;
    for m in (1..=64).rev() {
        let m = f64::from(m);
        let odd =
            -(a + m - 1.0) * (a + b + m - 1.0) * x / ((a + 2.0 * m - 2.0) * (a + 2.0 * m - 1.0));
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        fraction = 1.0 + odd / (1.0 + even / fraction);
    }
    (x.ln() * a + (-x).ln_1p() * b).exp() / fraction
}

/// The fractional timestep of a noise level: linear in the logarithm between neighbours of the
/// ascending table.
pub fn time_of(table: &[f64], sigma: f64) -> f64 {
    let wanted = sigma.max(1e-10).ln();
    let after = table.partition_point(|s| s.ln() <= wanted);
    let low = after.saturating_sub(1).min(table.len().saturating_sub(2));
    match (table.get(low), table.get(low + 1)) {
        (Some(a), Some(b)) => low as f64 + ((wanted - a.ln()) / (b.ln() - a.ln())).clamp(0.0, 1.0),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simpson's rule in the variable `x = u^(1/0.6)`, in which the density has no pole at 0.
    fn weight(x: f64) -> f64 {
        let end = x.powf(BETA);
        let f = |u: f64| (1.0 - u.powf(1.0 / BETA)).powf(BETA - 1.0) / BETA;
        let n = 20_000;
        let h = end / f64::from(n);
        let inner = (1..n).map(|i| f(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 });
        (f(0.0) + f(end) + inner.sum::<f64>()) * h / 3.0
    }

    #[test]
    fn quantiles_undo_the_distribution() {
        let half = weight(0.5);
        for share in [0.0, 0.01, 0.1, 0.25, 0.4, 0.5] {
            let x = quantile(share);
            let found = 0.5 * weight(x) / half;
            assert!(
                (found - share).abs() < 1e-9,
                "{share}: {x} has {found} below"
            );
            assert!((quantile(1.0 - share) - (1.0 - x)).abs() < 1e-15);
        }
    }

    #[test]
    fn all_levels_run_from_end_to_end() {
        for levels in [Levels::Karras, Levels::Exponential, Levels::Beta] {
            let found = spread(levels, 14.6, 0.03, 9).expect("levels");
            assert!((found[0] - 14.6).abs() < 1e-12 && (found[8] - 0.03).abs() < 1e-12);
            assert!(found.windows(2).all(|w| w[0] > w[1]), "{found:?}");
        }
        assert_eq!(spread(Levels::Timesteps, 14.6, 0.03, 9), None);
    }
}
