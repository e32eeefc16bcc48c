//! Norms, activations and changes of layout.

use super::numbers;
use crate::layout::{add_transposed, nearest};
use crate::math;
use crate::norm::{Affine, each, group_norm, layer_norm};
use crate::simd::{Isa, Op, Simd, dispatch_to};

/// The error function in f64: its series, or the continued fraction of its complement.
pub fn erf(x: f64) -> f64 {
    let square = x * x;
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -square / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = x.abs();
    for n in (1..80).rev() {
        fraction = x.abs() + f64::from(n) * 0.5 / fraction;
    }
    (1.0 - (-square).exp() / (fraction * std::f64::consts::PI.sqrt())).copysign(x)
}

struct Apply<'a, F>(&'a [f32], F);

trait Function {
    fn of<S: Simd>(&self, simd: S, x: S::V) -> S::V;
}

impl<F: Function> Op for Apply<'_, F> {
    type Out = Vec<f32>;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut to = vec![0.0; self.0.len()];
        each(simd, self.0, &mut to, |x| self.1.of(simd, x));
        to
    }
}

macro_rules! function {
    ($name:ident, $function:path) => {
        struct $name;
        impl Function for $name {
            #[inline(always)]
            fn of<S: Simd>(&self, simd: S, x: S::V) -> S::V {
                $function(simd, x)
            }
        }
    };
}
function!(Exp, math::exp);
function!(Exp2, math::exp2);
function!(Silu, math::silu);
function!(Gelu, math::gelu);
function!(Erf, math::erf);

/// `found` against `wanted`, off by at most `relative` of it plus `absolute`.
#[track_caller]
fn each_close(
    isa: Isa,
    x: &[f32],
    found: &[f32],
    wanted: impl Fn(f64) -> f64,
    relative: f64,
    absolute: f64,
) {
    for (x, found) in x.iter().zip(found) {
        let wanted = wanted(f64::from(*x));
        let off = (f64::from(*found) - wanted).abs();
        assert!(
            off <= relative * wanted.abs() + absolute,
            "{isa:?}: f({x}) is {found} where {wanted} was wanted"
        );
    }
}

#[test]
fn functions_are_what_f64_gives() {
    let x: Vec<f32> = (-40_000..=40_001).map(|i| i as f32 * 1e-3).collect();
    for isa in Isa::usable() {
        let found = dispatch_to(isa, Apply(&x, Exp));
        each_close(isa, &x, &found, f64::exp, 2e-7, 0.0);
        let found = dispatch_to(isa, Apply(&x, Exp2));
        each_close(isa, &x, &found, f64::exp2, 2e-7, 0.0);
        let found = dispatch_to(isa, Apply(&x, Silu));
        each_close(isa, &x, &found, |x| x / (1.0 + (-x).exp()), 4e-7, 0.0);
        let found = dispatch_to(isa, Apply(&x, Erf));
        each_close(isa, &x, &found, erf, 4e-7, 0.0);
        let found = dispatch_to(isa, Apply(&x, Gelu));
        let gelu = |x: f64| 0.5 * x * (1.0 + erf(x * 0.5f64.sqrt()));
        // Towards minus infinity two halves of up to 2.8 cancel: the last places of 1 remain of each, two
        // of them, and one more where `fma` rounds twice.
        let places = if isa == Isa::Plain { 3.0 } else { 2.0 };
        each_close(isa, &x, &found, gelu, 3e-7, 2.8 * places * 1.2e-7);
    }
}

#[test]
fn the_ends_of_functions_are_theirs() {
    let ends = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -1000.0,
        1000.0,
        0.0,
    ];
    for isa in Isa::usable() {
        let exp = dispatch_to(isa, Apply(&ends, Exp));
        assert!(exp[0].is_nan(), "{isa:?}");
        assert_eq!(exp[1..], [f32::INFINITY, 0.0, 0.0, f32::INFINITY, 1.0]);
        let silu = dispatch_to(isa, Apply(&ends, Silu));
        assert!(silu[0].is_nan(), "{isa:?}");
        assert_eq!(silu[3..], [0.0, 1000.0, 0.0], "{isa:?}");
        let gelu = dispatch_to(isa, Apply(&ends, Gelu));
        assert!(gelu[0].is_nan(), "{isa:?}");
        assert_eq!(gelu[1], f32::INFINITY);
        assert_eq!(gelu[3..], [0.0, 1000.0, 0.0], "{isa:?}");
    }
}

/// Mean and variance in f64.
fn moments(x: &[f32]) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let off = |x: &f32| (f64::from(*x) - mean).powi(2);
    (mean, x.iter().map(off).sum::<f64>() / count)
}

#[test]
fn norms_are_what_loops_give() {
    for isa in Isa::usable() {
        for (batch, channels, groups, places) in [
            (1, 1, 1, 1),
            (2, 6, 3, 35),
            (1, 32, 32, 64),
            (2, 10, 2, 1009),
        ] {
            // A mean far from zero is where a careless variance loses its digits.
            let x: Vec<f32> = numbers(batch * channels * places, 1)
                .iter()
                .map(|x| 50.0 + x)
                .collect();
            let (weight, bias) = (numbers(channels, 2), numbers(channels, 3));
            let affine = Affine {
                weight: &weight,
                bias: &bias,
                eps: 1e-5,
            };
            let plain = group_norm(isa, &x, places, groups, affine, false);
            let silu = group_norm(isa, &x, places, groups, affine, true);
            let of_group = channels / groups * places;
            let mut wanted = Vec::new();
            for (group, x) in x.chunks(of_group).enumerate() {
                let (mean, variance) = moments(x);
                for (i, x) in x.iter().enumerate() {
                    let c = group % groups * (channels / groups) + i / places;
                    let normed = (f64::from(*x) - mean) / (variance + 1e-5).sqrt();
                    wanted.push(normed * f64::from(weight[c]) + f64::from(bias[c]));
                }
            }
            for ((plain, silu), wanted) in plain.iter().zip(&silu).zip(&wanted) {
                // Numbers near 50 with a deviation of half: the last place of 50 is 4e-6.
                assert!(
                    (f64::from(*plain) - wanted).abs() < 3e-5,
                    "{isa:?} {plain} {wanted}"
                );
                let wanted = wanted / (1.0 + (-wanted).exp());
                assert!(
                    (f64::from(*silu) - wanted).abs() < 3e-5,
                    "{isa:?} {silu} {wanted}"
                );
            }

            let rows = layer_norm(isa, &x, affine);
            for (x, found) in x.chunks(channels).zip(rows.chunks(channels)) {
                let (mean, variance) = moments(x);
                for (c, (x, found)) in x.iter().zip(found).enumerate() {
                    let normed = (f64::from(*x) - mean) / (variance + 1e-5).sqrt();
                    let wanted = normed * f64::from(weight[c]) + f64::from(bias[c]);
                    assert!(
                        (f64::from(*found) - wanted).abs() < 5e-5,
                        "{isa:?} {found} {wanted}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_nan_spoils_its_group_and_no_other() {
    for isa in Isa::usable() {
        let mut x = numbers(4 * 77, 4);
        x[77 + 76] = f32::NAN;
        let ones = [1.0; 4];
        let affine = Affine {
            weight: &ones,
            bias: &ones,
            eps: 1e-5,
        };
        let found = group_norm(isa, &x, 77, 2, affine, true);
        assert!(found[..154].iter().all(|x| x.is_nan()), "{isa:?}");
        assert!(found[154..].iter().all(|x| x.is_finite()), "{isa:?}");
    }
}

#[test]
fn tokens_are_added_where_they_belong() {
    for (batch, channels, places) in [(1, 1, 1), (2, 17, 35), (1, 40, 64)] {
        let x = numbers(batch * channels * places, 5);
        let tokens = numbers(x.len(), 6);
        let found = add_transposed(&x, &tokens, channels, places);
        for (i, found) in found.iter().enumerate() {
            let (sample, c, place) = (i / places / channels, i / places % channels, i % places);
            let token = tokens[(sample * places + place) * channels + c];
            assert_eq!(*found, x[i] + token);
        }
    }
}

#[test]
fn maps_grow_by_nearest_neighbours() {
    let x = numbers(2 * 3 * 5, 7);
    for to in [[6, 10], [5, 9], [3, 5], [7, 12]] {
        let found = nearest(&x, [3, 5], to);
        for (i, found) in found.iter().enumerate() {
            let (map, y, column) = (i / to[0] / to[1], i / to[1] % to[0], i % to[1]);
            assert_eq!(
                *found,
                x[(map * 3 + y * 3 / to[0]) * 5 + column * 5 / to[1]]
            );
        }
    }
}
