//! Loops over one block of elements.
//!
//! INVARIANT: what a loop gives depends on its operands alone, not on the width of the machine's
//! vectors: elements are independent, sums run in [`LANES`] lanes that are folded by halves, and no
//! multiplication is fused with an addition.

use super::wide::widest;
use crate::ops::scalar::narrow;

/// Lanes of a sum.
const LANES: usize = 16;

/// An operand in a block: elements, or one number for all of them.
#[derive(Clone, Copy, Debug)]
pub enum In<'a> {
    /// As many as the block has.
    Many(&'a [f32]),
    /// The same everywhere.
    One(f32),
}

/// `out = f(a)`
#[inline(always)]
pub fn map(out: &mut [f32], a: In<'_>, f: impl Fn(f32) -> f32) {
    match a {
        In::One(a) => out.fill(f(a)),
        In::Many(a) => {
            for (out, a) in out.iter_mut().zip(a) {
                *out = f(*a);
            }
        }
    }
}

/// `out = f(a, b)`
#[inline(always)]
pub fn map2(out: &mut [f32], a: In<'_>, b: In<'_>, f: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (In::One(a), b) => map(out, b, |b| f(a, b)),
        (a, In::One(b)) => map(out, a, |a| f(a, b)),
        (In::Many(a), In::Many(b)) => {
            for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                *out = f(*a, *b);
            }
        }
    }
}

/// `out = a / b`, where `0/0 = 0`. One number for all divides without a look at each element.
#[inline(always)]
pub fn divide(out: &mut [f32], a: In<'_>, b: In<'_>) {
    match b {
        In::One(b) if b != 0.0 => map(out, a, |a| a / b),
        b => map2(out, a, b, narrow::div),
    }
}

/// `out = f(a, b, c)`
#[inline(always)]
pub fn map3(out: &mut [f32], a: In<'_>, b: In<'_>, c: In<'_>, f: impl Fn(f32, f32, f32) -> f32) {
    match (a, b, c) {
        (In::One(a), b, c) => map2(out, b, c, |b, c| f(a, b, c)),
        (a, In::One(b), c) => map2(out, a, c, |a, c| f(a, b, c)),
        (a, b, In::One(c)) => map2(out, a, b, |a, b| f(a, b, c)),
        (In::Many(a), In::Many(b), In::Many(c)) => {
            for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
                *out = f(*a, *b, *c);
            }
        }
    }
}

/// `out = k0*a0 + k1*a1 + …`, the sums from the left. Not for an empty list.
#[inline(always)]
pub fn linear(out: &mut [f32], terms: &[(f32, In<'_>)]) {
    let rest = match terms {
        [
            (k, In::Many(a)),
            (l, In::Many(b)),
            (m, In::Many(c)),
            (n, In::Many(d)),
            rest @ ..,
        ] => {
            for ((((out, a), b), c), d) in out.iter_mut().zip(*a).zip(*b).zip(*c).zip(*d) {
                *out = k * a + l * b + m * c + n * d;
            }
            rest
        }
        [
            (k, In::Many(a)),
            (l, In::Many(b)),
            (m, In::Many(c)),
            rest @ ..,
        ] => {
            for (((out, a), b), c) in out.iter_mut().zip(*a).zip(*b).zip(*c) {
                *out = k * a + l * b + m * c;
            }
            rest
        }
        [(k, In::Many(a)), (l, In::Many(b)), rest @ ..] => {
            for ((out, a), b) in out.iter_mut().zip(*a).zip(*b) {
                *out = k * a + l * b;
            }
            rest
        }
        [(k, a), rest @ ..] => {
            map(out, *a, |a| k * a);
            rest
        }
        [] => return,
    };
    for (k, a) in rest {
        map_add(out, *a, *k);
    }
}

/// `out += k*a`
#[inline(always)]
pub fn map_add(out: &mut [f32], a: In<'_>, k: f32) {
    match a {
        In::One(a) => {
            let add = k * a;
            out.iter_mut().for_each(|out| *out += add);
        }
        In::Many(a) => {
            for (out, a) in out.iter_mut().zip(a) {
                *out += k * a;
            }
        }
    }
}

/// The sum over `i` of `f(a[i], b[i])`, in f64.
#[inline(always)]
fn sum2(a: &[f32], b: &[f32], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0f64; LANES];
    let (a_whole, a_rest) = a.as_chunks::<LANES>();
    let (b_whole, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for i in 0..LANES {
            lanes[i] += f(f64::from(a[i]), f64::from(b[i]));
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += f(f64::from(*a), f64::from(*b));
    }
    folded(lanes)
}

/// The sum of all lanes, by halves: in order from the first, the compiler turns the lanes of the
/// whole loop around to suit this end of it.
#[inline(always)]
fn folded(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

// Reductions and checks are functions of their own, not parts of the loop over a pass: there the
// compiler has so much in hand that it leaves the lanes of a sum in memory.
widest! {
    /// Sum.
    pub fn sum(a: &[f32]) -> f64 = sum_in_lanes;
}

widest! {
    /// Sum of products.
    pub fn dot(a: &[f32], b: &[f32]) -> f64 = dot_in_lanes;
}

widest! {
    /// Sum of the distances from `from`, and of their squares.
    pub fn moments(a: &[f32], from: f64) -> (f64, f64) = moments_in_lanes;
}

widest! {
    /// Whether all are finite.
    pub fn finite(values: &[f32]) -> bool = finite_in_lanes;
}

#[inline(always)]
fn sum_in_lanes(a: &[f32]) -> f64 {
    sum2(a, a, |a, _| a)
}

#[inline(always)]
fn dot_in_lanes(a: &[f32], b: &[f32]) -> f64 {
    sum2(a, b, |a, b| a * b)
}

#[inline(always)]
fn moments_in_lanes(a: &[f32], from: f64) -> (f64, f64) {
    let (mut sums, mut squares) = ([0f64; LANES], [0f64; LANES]);
    let (whole, rest) = a.as_chunks::<LANES>();
    for a in whole {
        for i in 0..LANES {
            let far = f64::from(a[i]) - from;
            sums[i] += far;
            squares[i] += far * far;
        }
    }
    for ((sum, square), a) in sums.iter_mut().zip(&mut squares).zip(rest) {
        let far = f64::from(*a) - from;
        *sum += far;
        *square += far * far;
    }
    (folded(sums), folded(squares))
}

#[inline(always)]
fn finite_in_lanes(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    values.iter().fold(0u32, |bad, v| {
        bad | u32::from(v.to_bits() & EXPONENT == EXPONENT)
    }) == 0
}
