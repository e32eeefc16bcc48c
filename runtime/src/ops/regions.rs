//! Means over the regions of a map.

use std::collections::HashMap;

/// At each place the mean, in f64, of `of` over the places where `regions` has the same number. Numbers that are
/// none are of one region.
pub fn mean_within(of: &[f32], regions: &[f32], to: &mut [f32]) {
    // 0 and -0 are the same number.
    let key = |region: f32| match region.is_nan() {
        true => f32::NAN.to_bits(),
        false => (region + 0.0).to_bits(),
    };
    let mut sums: HashMap<u32, (f64, u32)> = HashMap::new();
    for (value, region) in of.iter().zip(regions) {
        let (sum, count) = sums.entry(key(*region)).or_default();
        *sum += f64::from(*value);
        *count += 1;
    }
    for (out, region) in to.iter_mut().zip(regions) {
        if let Some((sum, count)) = sums.get(&key(*region)) {
            *out = (sum / f64::from(*count)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mean_within;

    #[test]
    fn each_place_has_the_mean_of_its_region() {
        let mut to = [0.0; 6];
        mean_within(
            &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0],
            &[0.0, 3.0, -0.0, 3.0, f32::NAN, f32::NAN],
            &mut to,
        );
        assert_eq!(to, [2.0, 3.0, 2.0, 3.0, 6.0, 6.0]);
    }
}
