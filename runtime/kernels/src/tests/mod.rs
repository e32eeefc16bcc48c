//! Each kernel against a plain loop in f64, on shapes that fit no tile; with every instruction set that the
//! processor has.

mod attention;
mod backward;
mod bits;
mod conv;
mod elementwise;
mod linear;
mod weight;

use super::simd::Isa;

/// A product's sum may be off by this much of the sum of its terms' sizes: a few roundings of each.
const OF_TERMS: f64 = 1e-6;

/// Numbers in -1..1 without a pattern.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
    };
    (0..count).map(|_| next()).collect()
}

/// A sum and the sum of its terms' sizes.
#[derive(Clone, Copy, Default)]
struct Terms {
    sum: f64,
    size: f64,
}

impl Terms {
    fn add(&mut self, term: f64) {
        self.sum += term;
        self.size += term.abs();
    }
}

#[track_caller]
fn close(isa: Isa, found: &[f32], wanted: &[Terms], what: &str) {
    assert_eq!(found.len(), wanted.len());
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let off = (f64::from(*found) - wanted.sum).abs();
        assert!(
            off <= OF_TERMS * wanted.size + 1e-40,
            "{isa:?} {what}: number {i} is {found} where {} was wanted",
            wanted.sum
        );
    }
}
