//! Attention.

use super::numbers;
use crate::attention::{Sizes, apply};
use crate::simd::Isa;

fn sizes(batch: usize, queries: usize, keys: usize, heads: usize, head: usize) -> Sizes {
    Sizes {
        batch,
        queries,
        keys,
        heads,
        width: heads * head,
    }
}

/// Each result, and how large the values are that it is a mean of.
fn by_hand(sizes: Sizes, q: &[f32], k: &[f32], v: &[f32]) -> Vec<(f64, f64)> {
    let Sizes {
        batch,
        queries,
        keys,
        heads,
        width,
    } = sizes;
    let head = width / heads;
    let mut all = vec![(0.0, 0.0); batch * queries * width];
    for i in 0..batch * queries * heads {
        let (row, h) = (i / heads, i % heads);
        let sample = row / queries;
        let q = &q[row * width + h * head..][..head];
        let place = |key: usize| (sample * keys + key) * width + h * head;
        let score = |key: usize| -> f64 {
            let k = &k[place(key)..][..head];
            let dot: f64 = q
                .iter()
                .zip(k)
                .map(|(q, k)| f64::from(*q) * f64::from(*k))
                .sum();
            dot / (head as f64).sqrt()
        };
        let scores: Vec<f64> = (0..keys).map(score).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        for d in 0..head {
            let (mut sum, mut size) = (0.0, 0.0);
            for (key, weight) in weights.iter().enumerate() {
                let value = f64::from(v[place(key) + d]);
                sum += weight / total * value;
                size += weight / total * value.abs();
            }
            all[row * width + h * head + d] = (sum, size);
        }
    }
    all
}

#[test]
fn attention_is_what_loops_give() {
    let shapes = [
        sizes(1, 1, 1, 1, 1),
        sizes(2, 5, 77, 4, 40),
        sizes(1, 300, 257, 1, 13),
        sizes(1, 33, 600, 2, 80),
        sizes(2, 97, 97, 3, 7),
        sizes(1, 64, 64, 2, 160),
        sizes(1, 70, 253, 1, 512),
    ];
    for isa in Isa::usable() {
        for shape in shapes {
            let q = numbers(shape.batch * shape.queries * shape.width, 1);
            let q: Vec<f32> = q.iter().map(|x| 4.0 * x).collect();
            let k = numbers(shape.batch * shape.keys * shape.width, 2);
            let v = numbers(k.len(), 3);
            let found = apply(isa, shape, &q, &k, &v);
            let wanted = by_hand(shape, &q, &k, &v);
            assert_eq!(found.len(), wanted.len());
            for (found, (wanted, size)) in found.iter().zip(wanted) {
                // Scores of up to 20 keep six digits, and so do their exponentials.
                let off = (f64::from(*found) - wanted).abs();
                assert!(off <= 4e-6 * size, "{isa:?} {shape:?}: {found}, {wanted}");
            }
        }
    }
}

#[test]
fn large_scores_choose_one_value_and_equal_ones_the_mean() {
    for isa in Isa::usable() {
        let shape = sizes(1, 40, 500, 1, 8);
        let v = numbers(500 * 8, 4);
        // Every key but number 411 points away from the queries.
        let q = vec![1e4; 40 * 8];
        let k: Vec<f32> = (0..500 * 8)
            .map(|i| if i / 8 == 411 { 1e4 } else { -1e4 })
            .collect();
        let found = apply(isa, shape, &q, &k, &v);
        for row in found.chunks(8) {
            assert_eq!(row, &v[411 * 8..412 * 8], "{isa:?}");
        }
        let mean = apply(isa, shape, &q, &vec![1e-30; 500 * 8], &v);
        for d in 0..8 {
            let wanted: f64 = (0..500).map(|i| f64::from(v[i * 8 + d]) / 500.0).sum();
            assert!((f64::from(mean[d]) - wanted).abs() < 1e-6, "{isa:?}");
        }
    }
}

#[test]
fn nan_and_infinity_are_not_hidden() {
    for isa in Isa::usable() {
        let shape = sizes(1, 40, 300, 2, 8);
        let (mut q, k, v) = (numbers(640, 5), numbers(4800, 6), numbers(4800, 7));
        q[7 * 16 + 3] = f32::NAN;
        let found = apply(isa, shape, &q, &k, &v);
        for (i, x) in found.iter().enumerate() {
            assert_eq!(x.is_nan(), i / 16 == 7 && i % 16 < 8, "{isa:?} {i}");
        }
        // A key that nobody can weigh: every query of its head is lost.
        let (q, mut k) = (numbers(640, 5), k);
        k[288 * 16 + 9] = f32::NAN;
        let found = apply(isa, shape, &q, &k, &v);
        for (i, x) in found.iter().enumerate() {
            assert_eq!(x.is_nan(), i % 16 >= 8, "{isa:?} {i}");
        }
    }
}
