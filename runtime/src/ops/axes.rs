//! Reductions over channels or over space, of a sample that lies in memory whole.

use guide_compiler::plan::{Axes, ReduceOp};

use super::rank;

/// The second operand of a dot product or cosine, and the level of a quantile.
#[derive(Clone, Copy, Debug, Default)]
pub struct With<'a> {
    /// For `Dot` and `Cosine`, of the same length as the first.
    pub second: &'a [f32],
    /// For `Quantile`.
    pub level: f64,
}

/// Reduces `of`, `channels` planes of `area` elements, into `to`: a value a pixel over channels, a
/// value a channel over space, one value over all.
pub fn reduce(
    op: ReduceOp,
    over: Axes,
    of: &[f32],
    with: With<'_>,
    channels: usize,
    area: usize,
    to: &mut [f32],
) {
    let (count, length) = match over {
        Axes::All => (1, channels * area),
        Axes::Channels => (area, channels),
        Axes::Space => (channels, area),
    };
    let mut first = vec![0f32; length];
    let mut second = vec![0f32; if with.second.is_empty() { 0 } else { length }];
    for (i, out) in to.iter_mut().enumerate().take(count) {
        gather(over, i, of, area, &mut first);
        gather(over, i, with.second, area, &mut second);
        *out = of_list(op, &mut first, &second, with.level) as f32;
    }
}

/// Copies what belongs to result `i`.
fn gather(over: Axes, i: usize, from: &[f32], area: usize, to: &mut [f32]) {
    if from.is_empty() {
        return;
    }
    match over {
        Axes::All => to.copy_from_slice(from),
        Axes::Space => to.copy_from_slice(&from[i * area..(i + 1) * area]),
        Axes::Channels => {
            for (value, source) in to.iter_mut().zip(from[i..].iter().step_by(area)) {
                *value = *source;
            }
        }
    }
}

/// The reduction of a list, in f64. `values` may be reordered.
pub fn of_list(op: ReduceOp, values: &mut [f32], second: &[f32], level: f64) -> f64 {
    match op {
        ReduceOp::Quantile => rank::quantile(values, level),
        op => folded(op, values, second),
    }
}

/// The reduction of a list of f64.
pub fn of_numbers(op: ReduceOp, values: &[f64], second: &[f64], level: f64) -> f64 {
    if op != ReduceOp::Quantile {
        return folded(op, values, second);
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = level * sorted.len().saturating_sub(1) as f64;
    match (
        sorted.get(at.floor() as usize),
        sorted.get(at.ceil() as usize),
    ) {
        (Some(below), Some(above)) => below + (above - below) * at.fract(),
        _ => f64::NAN,
    }
}

/// A reduction that does not need the elements in order.
fn folded<T: Copy + Into<f64>>(op: ReduceOp, values: &[T], second: &[T]) -> f64 {
    let sum = |f: &dyn Fn(f64) -> f64| values.iter().map(|v| f((*v).into())).sum::<f64>();
    let dot = |a: &[T], b: &[T]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| (*a).into() * (*b).into())
            .sum::<f64>()
    };
    let extreme = |better: fn(f64, f64) -> f64, start: f64| {
        values.iter().fold(start, |a, v| better(a, (*v).into()))
    };
    let n = values.len() as f64;
    match op {
        ReduceOp::Sum => sum(&|v| v),
        ReduceOp::Mean => sum(&|v| v) / n,
        ReduceOp::Norm => sum(&|v| v * v).sqrt(),
        ReduceOp::Std => {
            let mean = sum(&|v| v) / n;
            (sum(&|v| (v - mean) * (v - mean)) / (n - 1.0)).sqrt()
        }
        ReduceOp::Dot => dot(values, second),
        ReduceOp::Cosine => cosine(
            dot(values, second),
            dot(values, values),
            dot(second, second),
        ),
        ReduceOp::Largest => extreme(super::scalar::wide::max, f64::NEG_INFINITY),
        ReduceOp::Smallest => extreme(super::scalar::wide::min, f64::INFINITY),
        ReduceOp::LogSumExp => {
            let largest = extreme(super::scalar::wide::max, f64::NEG_INFINITY);
            if largest.is_infinite() {
                largest
            } else {
                sum(&|v| (v - largest).exp()).ln() + largest
            }
        }
        // Needs the elements in order.
        ReduceOp::Quantile => f64::NAN,
    }
}

/// The cosine from three dot products; 0 where one of the two is 0.
pub fn cosine(ab: f64, aa: f64, bb: f64) -> f64 {
    let size = aa.sqrt() * bb.sqrt();
    if size == 0.0 { 0.0 } else { ab / size }
}
