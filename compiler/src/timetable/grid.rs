//! Which times a run visits: numpy's and diffusers' arithmetic, step for step.

use super::Spacing;

/// The timesteps of `n` steps, descending, before rounding where `spacing` leaves them whole anyway.
///
/// `extra` is 1 for solvers that spread `n + 1` points and leave out the last (DPM-Solver++), and
/// matters for leading and linspace only.
pub fn timesteps(spacing: Spacing, train: u32, n: u32, offset: u32, extra: u32) -> Vec<f64> {
    let last = f64::from(train.saturating_sub(1));
    let points = n + extra;
    let mut steps: Vec<f64> = match spacing {
        Spacing::Leading => {
            let stride = train / points;
            (0..points)
                .rev()
                .map(|i| f64::from(i * stride + offset).min(last))
                .collect()
        }
        Spacing::Trailing => {
            let stride = f64::from(train) / f64::from(n);
            (0..n)
                .map(|i| (f64::from(train) - f64::from(i) * stride).round_ties_even() - 1.0)
                .collect()
        }
        Spacing::Linspace if points == 1 => vec![0.0],
        Spacing::Linspace => {
            let stride = last / f64::from(points - 1);
            (0..points)
                .rev()
                .map(|i| {
                    if i + 1 == points {
                        last
                    } else {
                        f64::from(i) * stride
                    }
                })
                .collect()
        }
    };
    steps.truncate(n as usize);
    steps
}

/// The table at a fractional index, linear between neighbours, as `numpy.interp`.
pub fn interpolate(table: &[f64], at: f64) -> f64 {
    let last = table.len().saturating_sub(1);
    let low = (at.max(0.0).floor() as usize).min(last);
    let high = (low + 1).min(last);
    match (table.get(low), table.get(high)) {
        (Some(a), Some(b)) => a + (b - a) * (at - low as f64).clamp(0.0, 1.0),
        _ => 0.0,
    }
}

/// The timesteps that a latent consistency model of `original` steps is asked at in `n` steps,
/// descending.
pub fn distilled(train: u32, original: u32, n: u32) -> Vec<f64> {
    let stride = train / original.max(1);
    // As numpy's `linspace`, which multiplies by a rounded step.
    let step = f64::from(original) / f64::from(n);
    let place = |i: u32| (f64::from(i) * step).floor();
    (0..n)
        .map(|i| (f64::from(original) - place(i)) * f64::from(stride) - 1.0)
        .collect()
}
