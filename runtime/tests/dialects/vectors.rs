//! Arithmetic on lists of f64, written out.

/// The sum of `factor * vector`.
pub fn mix(terms: &[(f64, &[f64])]) -> Vec<f64> {
    let size = terms[0].1.len();
    let at = |i: usize| terms.iter().map(|(factor, v)| factor * v[i]).sum();
    (0..size).map(at).collect()
}

pub fn sub(a: &[f64], b: &[f64]) -> Vec<f64> {
    mix(&[(1.0, a), (-1.0, b)])
}

pub fn times(factor: f64, v: &[f64]) -> Vec<f64> {
    v.iter().map(|v| factor * v).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

pub fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len() as f64
}

/// As `torch.std`: divided by n - 1.
pub fn std(v: &[f64]) -> f64 {
    let centre = mean(v);
    let sum: f64 = v.iter().map(|v| (v - centre).powi(2)).sum();
    (sum / (v.len() - 1) as f64).sqrt()
}

/// As `torch.quantile` of the absolute values.
pub fn quantile_of_abs(v: &[f64], level: f64) -> f64 {
    let mut sorted: Vec<f64> = v.iter().map(|v| v.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let place = level * (sorted.len() - 1) as f64;
    let low = sorted[place.floor() as usize];
    let high = sorted[place.ceil() as usize];
    low + place.fract() * (high - low)
}

pub fn largest_of_abs(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |most, v| v.abs().max(most))
}

/// The parts of `v` along `onto` and across it.
pub fn split(v: &[f64], onto: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let axis = times(1.0 / norm(onto).max(1e-12), onto);
    let parallel = times(dot(v, &axis), &axis);
    let orthogonal = sub(v, &parallel);
    (parallel, orthogonal)
}

/// `phi` of `g` with the standard deviation of `c`, the rest as it is.
pub fn rescaled(g: &[f64], c: &[f64], phi: f64) -> Vec<f64> {
    times(phi * std(c) / std(g) + 1.0 - phi, g)
}

/// The part of `u` along the leading right-singular vector of the rows `c` and `u`, which is found by the
/// angle that makes the rotated rows orthogonal (Jacobi).
pub fn along_leading(c: &[f64], u: &[f64]) -> Vec<f64> {
    let angle = 0.5 * (2.0 * dot(c, u)).atan2(dot(c, c) - dot(u, u));
    let leading = mix(&[(angle.cos(), c), (angle.sin(), u)]);
    split(u, &leading).0
}
