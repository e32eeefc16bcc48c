//! Vectors, written out.

pub fn mixed(parts: &[(f64, &[f64])]) -> Vec<f64> {
    let size = parts.first().map_or(0, |(_, v)| v.len());
    (0..size)
        .map(|i| parts.iter().map(|(factor, v)| factor * v[i]).sum())
        .collect()
}

/// `u + scale * (c - u)`
pub fn guided(c: &[f64], u: &[f64], scale: f64) -> Vec<f64> {
    c.iter().zip(u).map(|(c, u)| u + scale * (c - u)).collect()
}

pub fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    mixed(&[(1.0, a), (-1.0, b)])
}

pub fn times(factor: f64, a: &[f64]) -> Vec<f64> {
    a.iter().map(|v| factor * v).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (norm(a) * norm(b))
}

pub fn mean(a: &[f64]) -> f64 {
    a.iter().sum::<f64>() / a.len() as f64
}

/// With `n - 1`.
pub fn deviation(a: &[f64]) -> f64 {
    let middle = mean(a);
    let squares: f64 = a.iter().map(|v| (v - middle).powi(2)).sum();
    (squares / (a.len() - 1) as f64).sqrt()
}

pub fn largest_size(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |most: f64, v| most.max(v.abs()))
}

/// Of the absolute values, linear between neighbours.
pub fn quantile_of_sizes(a: &[f64], level: f64) -> f64 {
    let mut sizes: Vec<f64> = a.iter().map(|v| v.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let place = level * (sizes.len() - 1) as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sizes.len() - 1);
    sizes[low] + share * (sizes[high] - sizes[low])
}
