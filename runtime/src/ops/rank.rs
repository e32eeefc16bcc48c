//! Quantiles, which need a whole sample in order.

/// The quantile of `level` in `0..=1`, interpolated linearly between the two values around place
/// `level * (n - 1)`, as torch's `quantile` does. NaN if any value is; `values` is reordered.
pub fn quantile(values: &mut [f32], level: f64) -> f64 {
    if values.is_empty() || level.is_nan() || values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let place = level.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let below = place.floor() as usize;
    let share = place - below as f64;
    let (_, low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let low = f64::from(*low);
    // The next in order is the smallest of those behind.
    let high = above
        .iter()
        .copied()
        .min_by(f32::total_cmp)
        .map_or(low, f64::from);
    // Two equal infinities have no difference.
    if share == 0.0 || low == high {
        low
    } else {
        low + share * (high - low)
    }
}

#[cfg(test)]
mod tests {
    use super::quantile;

    /// Sorts, then interpolates.
    fn slow(values: &[f32], level: f64) -> f64 {
        let mut sorted: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        sorted.sort_by(f64::total_cmp);
        let place = level * (sorted.len() - 1) as f64;
        let (i, j) = (place.floor() as usize, place.ceil() as usize);
        sorted[i] * (1.0 - (place - i as f64)) + sorted[j] * (place - i as f64)
    }

    #[test]
    fn equals_the_sorted_one() {
        let values: Vec<f32> = (0..257)
            .map(|i| ((i * 7919) % 263) as f32 * 0.37 - 20.0)
            .collect();
        for level in [0.0, 0.1, 0.5, 0.995, 0.9999, 1.0] {
            let got = quantile(&mut values.clone(), level);
            assert!((got - slow(&values, level)).abs() < 1e-12, "{level}: {got}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!(quantile(&mut [3.0], 0.7), 3.0);
        assert!(quantile(&mut [3.0, f32::NAN], 0.0).is_nan());
        assert_eq!(quantile(&mut [1.0, 2.0, f32::INFINITY], 0.25), 1.5);
    }
}
