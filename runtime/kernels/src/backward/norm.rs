//! Gradients of norms. With `y = w n + b`, `n = (x - m) s` over a group of `N` numbers and `d` the gradient by
//! `n`, that by `x` is `s (d - mean(d) - n mean(d n))`; the sums are of f64.
#![allow(unsafe_code, reason = "tasks write parts of one result, each its own")]

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::super::memory::{Output, filled};
use super::super::norm::{Affine, Factors, each, moments};
use super::super::simd::{Isa, Op, Simd, dispatch_to};
use super::super::{math, with_numbers};

/// Of a norm over groups of channels, and of SiLU after it.
pub fn group_norm(factors: &Factors, silu: bool, x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
    let affine = factors.affine();
    let places: usize = x.dims()[2..].iter().product();
    let of_group = affine.weight.len() / factors.groups;
    let length = (of_group * places).max(1);
    let numbers = with_numbers(x, |x| {
        with_numbers(by_result, |by_result| {
            let fill = |out: &Output<'_>| {
                let groups = x.par_chunks(length).zip(by_result.par_chunks(length));
                groups.enumerate().for_each(|(i, (x, by_result))| {
                    let first = i % factors.groups * of_group;
                    let group = Group {
                        x,
                        by_result,
                        // SAFETY: no other task has this group of this sample.
                        to: unsafe { out.slice(i * length, x.len()) },
                        affine: Affine {
                            weight: &affine.weight[first..first + of_group],
                            bias: &affine.bias[first..first + of_group],
                            ..affine
                        },
                        silu,
                    };
                    dispatch_to(Isa::of_this_processor(), group);
                });
            };
            // SAFETY: the groups of all samples are all of the numbers.
            Ok(unsafe { filled(x.len(), fill) })
        })
    })?;
    super::tensor(numbers, x.shape())
}

/// Of a norm over the last axis.
pub fn layer_norm(factors: &Factors, x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
    const ROWS: usize = 64;
    let affine = factors.affine();
    let length = (affine.weight.len() * ROWS).max(1);
    let numbers = with_numbers(x, |x| {
        with_numbers(by_result, |by_result| {
            let fill = |out: &Output<'_>| {
                let rows = x.par_chunks(length).zip(by_result.par_chunks(length));
                rows.enumerate().for_each(|(i, (x, by_result))| {
                    let rows = Rows {
                        x,
                        by_result,
                        // SAFETY: no other task has these rows.
                        to: unsafe { out.slice(i * length, x.len()) },
                        affine,
                    };
                    dispatch_to(Isa::of_this_processor(), rows);
                });
            };
            // SAFETY: the chunks are all of the numbers.
            Ok(unsafe { filled(x.len(), fill) })
        })
    })?;
    super::tensor(numbers, x.shape())
}

/// A group of channels of a sample.
struct Group<'a> {
    x: &'a [f32],
    by_result: &'a [f32],
    to: &'a mut [f32],
    affine: Affine<'a>,
    silu: bool,
}

impl Op for Group<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (mean, scale) = moments(simd, self.x, self.affine.eps);
        let middle = simd.splat(mean as f32);
        let places = (self.x.len() / self.affine.weight.len()).max(1);
        let rows = self
            .x
            .chunks_exact(places)
            .zip(self.by_result.chunks_exact(places))
            .zip(self.to.chunks_exact_mut(places));
        for (i, ((x, by_result), to)) in rows.enumerate() {
            let weight = self.affine.weight[i];
            if self.silu {
                let factor = simd.splat((f64::from(weight) * scale) as f32);
                let bias = simd.splat(self.affine.bias[i]);
                let normed = |x| simd.fma(simd.sub(x, middle), factor, bias);
                each(simd, x, to, |x| math::silu_slope(simd, normed(x)));
            } else {
                to.fill(1.0);
            }
            to.iter_mut()
                .zip(by_result)
                .for_each(|(to, by)| *to *= by * weight);
        }
        finish(self.x, self.to, mean, scale);
    }
}

/// Some rows.
struct Rows<'a> {
    x: &'a [f32],
    by_result: &'a [f32],
    to: &'a mut [f32],
    affine: Affine<'a>,
}

impl Op for Rows<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let weight = self.affine.weight;
        let rows = self
            .x
            .chunks_exact(weight.len())
            .zip(self.by_result.chunks_exact(weight.len()))
            .zip(self.to.chunks_exact_mut(weight.len()));
        for ((x, by_result), to) in rows {
            let (mean, scale) = moments(simd, x, self.affine.eps);
            let products = by_result.iter().zip(weight);
            to.iter_mut()
                .zip(products)
                .for_each(|(to, (by, weight))| *to = by * weight);
            finish(x, to, mean, scale);
        }
    }
}

/// Numbers that are summed beside one another.
const LANES: usize = 8;

/// From the gradient by what is normed, in `to`, to that by `x`.
#[inline(always)]
fn finish(x: &[f32], to: &mut [f32], mean: f64, scale: f64) {
    let (mut plain, mut along) = ([0f64; LANES], [0f64; LANES]);
    for (x, by) in x.chunks(LANES).zip(to.chunks(LANES)) {
        for (i, (x, by)) in x.iter().zip(by).enumerate() {
            plain[i] += f64::from(*by);
            along[i] += f64::from(*by) * (f64::from(*x) - mean);
        }
    }
    let count = x.len() as f64;
    let plain = plain.iter().sum::<f64>() / count;
    let along = along.iter().sum::<f64>() / count * scale * scale;
    for (x, to) in x.iter().zip(to) {
        let apart = f64::from(*x) - mean;
        *to = (scale * (f64::from(*to) - plain - apart * along)) as f32;
    }
}
