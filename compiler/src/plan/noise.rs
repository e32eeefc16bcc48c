//! The noise as a function of time: `alpha` and `sigma` at any `t`, and the time of a noise level.

use super::NoiseTable;

/// A [`NoiseTable`] ready to be asked, with the discrete table worked out.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseCurve {
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// `alpha = 1 - sigma`, `sigma = t/1000`.
    Flow,
    /// `(t, alpha, sigma)`, ascending in `t`.
    Points(Vec<(f64, f64, f64)>),
}

impl NoiseTable {
    /// The table worked out.
    pub fn curve(&self) -> NoiseCurve {
        let shape = match self {
            NoiseTable::Flow => Shape::Flow,
            NoiseTable::Points(points) => {
                let mut points = points.clone();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                points.dedup_by(|a, b| a.0 == b.0);
                Shape::Points(points)
            }
            NoiseTable::Betas { .. } => {
                let table = self.alphas_cumprod().unwrap_or_default();
                let point = |(t, a): (usize, f64)| (t as f64, a.sqrt(), (1.0 - a).sqrt());
                Shape::Points(table.into_iter().enumerate().map(point).collect())
            }
        };
        NoiseCurve { shape }
    }

    /// `alpha^2` of each training timestep, where there are such.
    pub fn alphas_cumprod(&self) -> Option<Vec<f64>> {
        match self {
            NoiseTable::Betas {
                schedule,
                start,
                end,
                count,
                zero_terminal_snr,
            } => Some(alphas_cumprod(
                schedule,
                *start,
                *end,
                *count,
                *zero_terminal_snr,
            )),
            NoiseTable::Flow | NoiseTable::Points(_) => None,
        }
    }
}

impl NoiseCurve {
    /// `(alpha, sigma)` at `t`: `log_snr` is linear between neighbouring timesteps, and times
    /// outside the table take its nearest end. `(1, 0)` for an empty table.
    pub fn at(&self, t: f64) -> (f64, f64) {
        let points = match &self.shape {
            Shape::Flow => {
                let sigma = (t / 1000.0).clamp(0.0, 1.0);
                return (1.0 - sigma, sigma);
            }
            Shape::Points(points) => points,
        };
        let after = points.partition_point(|p| p.0 < t);
        match (
            after.checked_sub(1).and_then(|i| points.get(i)),
            points.get(after),
        ) {
            (_, Some(high)) if high.0 == t => (high.1, high.2),
            (Some(low), Some(high)) => between(*low, *high, (t - low.0) / (high.0 - low.0)),
            (None, Some(only)) | (Some(only), None) => (only.1, only.2),
            (None, None) => (1.0, 0.0),
        }
    }

    /// The time at which `sigma/alpha` is `ratio`; the nearest end outside the table.
    pub fn time_of(&self, ratio: f64) -> f64 {
        let points = match &self.shape {
            Shape::Flow if ratio == f64::INFINITY => return 1000.0,
            Shape::Flow => return 1000.0 * (ratio / (1.0 + ratio)).clamp(0.0, 1.0),
            Shape::Points(points) => points,
        };
        let log = |p: &(f64, f64, f64)| (p.2 / p.1).ln();
        let wanted = ratio.ln();
        let after = points.partition_point(|p| log(p) < wanted);
        match (
            after.checked_sub(1).and_then(|i| points.get(i)),
            points.get(after),
        ) {
            (_, Some(high)) if log(high) == wanted => high.0,
            (Some(low), Some(high)) if log(high).is_finite() && log(low).is_finite() => {
                low.0 + (high.0 - low.0) * (wanted - log(low)) / (log(high) - log(low))
            }
            // Beside a point without signal (or without noise) the logarithm says nothing; there
            // `alpha` runs as in `between`.
            (Some(low), Some(high)) => bisect(*low, *high, ratio),
            (None, Some(only)) | (Some(only), None) => only.0,
            (None, None) => 0.0,
        }
    }
}

/// Between two points: `log_snr` linear, on the circle `alpha^2 + sigma^2 = 1` or the line
/// `alpha + sigma = 1` where both ends lie on it.
fn between(low: (f64, f64, f64), high: (f64, f64, f64), weight: f64) -> (f64, f64) {
    let mix = |a: f64, b: f64| a + (b - a) * weight;
    let on_line = |p: (f64, f64, f64)| (p.1 + p.2 - 1.0).abs() < 1e-6;
    let straight = on_line(low) && on_line(high);
    let (a, b) = ((low.2 / low.1).ln(), (high.2 / high.1).ln());
    if !(a.is_finite() && b.is_finite()) {
        let alpha = mix(low.1, high.1);
        let rest = if straight {
            1.0 - alpha
        } else {
            (1.0 - alpha * alpha).max(0.0).sqrt()
        };
        return (alpha, rest);
    }
    let ratio = mix(a, b).exp();
    let alpha = if straight {
        1.0 / (1.0 + ratio)
    } else {
        let power = mix(
            low.1.powi(2) + low.2.powi(2),
            high.1.powi(2) + high.2.powi(2),
        );
        (power / (1.0 + ratio * ratio)).sqrt()
    };
    (alpha, alpha * ratio)
}

/// The time between two points at which `sigma/alpha` is `ratio`, by halving.
fn bisect(low: (f64, f64, f64), high: (f64, f64, f64), ratio: f64) -> f64 {
    let (mut from, mut to) = (0.0, 1.0);
    for _ in 0..64 {
        let middle = 0.5 * (from + to);
        let (alpha, sigma) = between(low, high, middle);
        if sigma < ratio * alpha {
            from = middle
        } else {
            to = middle
        }
    }
    low.0 + (high.0 - low.0) * to
}

/// `prod(1 - beta)` of each training timestep, with betas and products rounded to f32, as in the
/// tables that models are trained and sampled with.
///
/// `schedule` is `linear`, `scaled_linear` (linear in the square root) or `squaredcos_cap_v2`
/// (Nichol and Dhariwal 2021, equation 17, betas capped at 0.999); another name counts as `linear`.
/// With `zero_terminal_snr` the square roots are shifted and scaled so that the last one is 0
/// (Lin et al. 2023, algorithm 1).
fn alphas_cumprod(
    schedule: &str,
    start: f64,
    end: f64,
    count: u32,
    zero_terminal_snr: bool,
) -> Vec<f64> {
    let last = count.saturating_sub(1).max(1) as f64;
    let line = |a: f64, b: f64, i: u32| a + (b - a) * f64::from(i) / last;
    let bar = |i: u32| {
        let u = (f64::from(i) / f64::from(count) + 0.008) / 1.008;
        (u * std::f64::consts::FRAC_PI_2).cos().powi(2)
    };
    let beta = |i: u32| match schedule {
        "scaled_linear" => line(start.sqrt(), end.sqrt(), i).powi(2),
        "squaredcos_cap_v2" => (1.0 - bar(i + 1) / bar(i)).min(0.999),
        _ => line(start, end, i),
    };
    let mut product = 1.0;
    let mut table = Vec::with_capacity(count as usize);
    for i in 0..count {
        product *= f64::from(1.0 - beta(i) as f32);
        table.push(f64::from(product as f32));
    }
    if zero_terminal_snr
        && let (Some(first), Some(end)) = (table.first().copied(), table.last().copied())
    {
        let (first, end) = (first.sqrt(), end.sqrt());
        for a in &mut table {
            *a = f64::from(((a.sqrt() - end) * first / (first - end)).powi(2) as f32);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sd() -> NoiseTable {
        NoiseTable::Betas {
            schedule: "scaled_linear".into(),
            start: 0.00085,
            end: 0.012,
            count: 1000,
            zero_terminal_snr: false,
        }
    }

    #[test]
    fn ends_of_stable_diffusion_are_the_published_ones() {
        let curve = sd().curve();
        let ratio = |t: f64| curve.at(t).1 / curve.at(t).0;
        assert!((ratio(999.0) - 14.614647).abs() < 1e-4);
        assert!((ratio(0.0) - 0.029167535).abs() < 1e-7);
        assert_eq!(curve.at(-3.0), curve.at(0.0));
        assert_eq!(curve.at(2000.0), curve.at(999.0));
    }

    #[test]
    fn log_snr_is_linear_between_neighbours() {
        let curve = sd().curve();
        let log = |t: f64| (curve.at(t).0 / curve.at(t).1).ln();
        let expected = 0.75 * log(500.0) + 0.25 * log(501.0);
        assert!((log(500.25) - expected).abs() < 1e-12);
        let (alpha, sigma) = curve.at(500.25);
        assert!((alpha * alpha + sigma * sigma - 1.0).abs() < 1e-12);
    }

    #[test]
    fn time_of_undoes_at() {
        let mut tables = vec![sd(), NoiseTable::Flow];
        tables.push(NoiseTable::Points(vec![
            (1000.0, 0.0, 1.0),
            (600.0, 0.4, 0.6),
            (0.0, 1.0, 0.0),
        ]));
        if let NoiseTable::Betas {
            schedule,
            start,
            end,
            count,
            ..
        } = sd()
        {
            tables.push(NoiseTable::Betas {
                schedule,
                start,
                end,
                count,
                zero_terminal_snr: true,
            });
        }
        for table in tables {
            let curve = table.curve();
            for t in [0.0, 0.5, 3.25, 500.0, 777.7, 998.0, 998.5, 999.0] {
                let (alpha, sigma) = curve.at(t);
                let back = curve.time_of(sigma / alpha);
                assert!((back - t).abs() < 1e-6, "{table:?} at {t}: {back}");
            }
        }
    }

    #[test]
    fn the_last_timestep_has_no_signal_after_the_rescale() {
        let plain = alphas_cumprod("scaled_linear", 0.00085, 0.012, 1000, false);
        let rescaled = alphas_cumprod("scaled_linear", 0.00085, 0.012, 1000, true);
        assert_eq!(rescaled.last(), Some(&0.0));
        assert!((plain[0] - rescaled[0]).abs() < 1e-7);
    }
}
