//! Norms: over groups of channels, with the activation that follows, and over the last axis.
//!
//! Means and variances are of f64 sums over runs that are summed in f32, with the mean taken off before
//! squares are.
#![allow(unsafe_code, reason = "tasks write parts of one result, each its own")]

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Module, Result, Shape, Tensor};
use rayon::prelude::*;

use super::gemm::{get, put};
use super::memory::{Output, filled};
use super::simd::{Isa, Op, Simd, dispatch_to};
use super::{backward, math, slice};

/// A norm over groups of channels (Wu and He 2018, arXiv 1803.08494).
#[derive(Debug)]
pub struct GroupNorm {
    plain: candle_nn::GroupNorm,
    packed: Option<Arc<Factors>>,
}

/// What a norm multiplies with and adds.
#[derive(Debug)]
pub struct Factors {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f64,
    /// Of the channels; a norm of rows has one.
    pub groups: usize,
}

impl Factors {
    /// Of a layer that is computed here.
    fn of(weight: &Tensor, bias: &Tensor, groups: usize, eps: f64) -> Result<Option<Arc<Self>>> {
        if !super::has_kernels(weight) {
            return Ok(None);
        }
        Ok(Some(Arc::new(Self {
            weight: weight.to_vec1()?,
            bias: bias.to_vec1()?,
            eps,
            groups,
        })))
    }

    /// As the kernels take them.
    pub fn affine(&self) -> Affine<'_> {
        Affine {
            weight: &self.weight,
            bias: &self.bias,
            eps: self.eps,
        }
    }
}

impl GroupNorm {
    /// `weight, bias: [channels]`
    ///
    /// # Errors
    /// Groups that do not divide the channels.
    pub fn new(weight: Tensor, bias: Tensor, groups: usize, eps: f64) -> Result<Self> {
        let channels = weight.dim(0)?;
        Ok(Self {
            packed: Factors::of(&weight, &bias, groups, eps)?,
            plain: candle_nn::GroupNorm::new(weight, bias, channels, groups, eps)?,
        })
    }

    /// The norm, and SiLU of it.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward_silu(&self, x: &Tensor) -> Result<Tensor> {
        match &self.packed {
            Some(factors) => groups(factors, x, true),
            None => self.plain.forward(x)?.silu(),
        }
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.packed {
            Some(factors) => groups(factors, x, false),
            None => self.plain.forward(x),
        }
    }
}

struct Groups {
    factors: Arc<Factors>,
    silu: bool,
}

fn groups(factors: &Arc<Factors>, x: &Tensor, silu: bool) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Groups {
        factors: factors.clone(),
        silu,
    })
}

impl CustomOp1 for Groups {
    fn name(&self) -> &'static str {
        "group-norm"
    }
    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (dims, affine) = (layout.dims(), self.factors.affine());
        if dims.len() < 2 || dims[1] != affine.weight.len() {
            candle_core::bail!("a norm was given a map {dims:?} with other channels");
        }
        let numbers = group_norm(
            Isa::of_this_processor(),
            slice(x, layout)?,
            dims[2..].iter().product(),
            self.factors.groups,
            affine,
            self.silu,
        );
        Ok((CpuStorage::F32(numbers), layout.shape().clone()))
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, by_result: &Tensor) -> Result<Option<Tensor>> {
        backward::group_norm(&self.factors, self.silu, x, by_result).map(Some)
    }
}

/// A norm over the last axis.
#[derive(Debug)]
pub struct LayerNorm {
    plain: candle_nn::LayerNorm,
    packed: Option<Arc<Factors>>,
}

impl LayerNorm {
    /// `weight, bias: [width]`
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Result<Self> {
        Ok(Self {
            packed: Factors::of(&weight, &bias, 1, eps)?,
            plain: candle_nn::LayerNorm::new(weight, bias, eps),
        })
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.packed {
            Some(factors) => x.contiguous()?.apply_op1(Rows(factors.clone())),
            None => self.plain.forward(x),
        }
    }
}

struct Rows(Arc<Factors>);

impl CustomOp1 for Rows {
    fn name(&self) -> &'static str {
        "layer-norm"
    }
    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let affine = self.0.affine();
        if layout.dims().last() != Some(&affine.weight.len()) {
            candle_core::bail!(
                "a norm was given rows of another width, {:?}",
                layout.dims()
            );
        }
        let numbers = layer_norm(Isa::of_this_processor(), slice(x, layout)?, affine);
        Ok((CpuStorage::F32(numbers), layout.shape().clone()))
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, by_result: &Tensor) -> Result<Option<Tensor>> {
        backward::layer_norm(&self.0, x, by_result).map(Some)
    }
}

/// What follows the norm: a factor and a summand for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Factors.
    pub weight: &'a [f32],
    /// Summands.
    pub bias: &'a [f32],
    /// What is added to the variance.
    pub eps: f64,
}

/// The norm of maps, `[B, channels, places]`, over `groups` groups of channels; SiLU of it where `silu`.
///
/// # Panics
/// Where the lengths do not fit.
pub fn group_norm(
    isa: Isa,
    x: &[f32],
    places: usize,
    groups: usize,
    affine: Affine<'_>,
    silu: bool,
) -> Vec<f32> {
    let channels = affine.weight.len();
    assert!(groups > 0 && channels.is_multiple_of(groups) && affine.bias.len() == channels);
    let of_group = channels / groups;
    let length = of_group * places;
    assert!(length == 0 || x.len().is_multiple_of(length * groups));
    let fill = |out: &Output<'_>| {
        x.par_chunks_exact(length.max(1))
            .enumerate()
            .for_each(|(i, x)| {
                // SAFETY: no other task has this group of this sample.
                let to = unsafe { out.slice(i * length, length) };
                let first = i % groups * of_group;
                let affine = Affine {
                    weight: &affine.weight[first..first + of_group],
                    bias: &affine.bias[first..first + of_group],
                    ..affine
                };
                dispatch_to(
                    isa,
                    Group {
                        x,
                        to,
                        affine,
                        silu,
                    },
                );
            });
    };
    // SAFETY: the groups of all samples are all of the numbers.
    unsafe { filled(x.len(), fill) }
}

/// The norm of rows of as many numbers as there are weights.
///
/// # Panics
/// Where the lengths do not fit.
pub fn layer_norm(isa: Isa, x: &[f32], affine: Affine<'_>) -> Vec<f32> {
    /// Rows of a task.
    const ROWS: usize = 64;
    let width = affine.weight.len();
    assert!(affine.bias.len() == width && (width == 0 || x.len().is_multiple_of(width)));
    let length = (width * ROWS).max(1);
    let fill = |out: &Output<'_>| {
        x.par_chunks(length).enumerate().for_each(|(i, x)| {
            // SAFETY: no other task has these rows.
            let to = unsafe { out.slice(i * length, x.len()) };
            dispatch_to(isa, LayerRows { x, to, affine });
        });
    };
    // SAFETY: the chunks are all of the numbers.
    unsafe { filled(x.len(), fill) }
}

/// A group of channels of a sample.
struct Group<'a> {
    x: &'a [f32],
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
        let places = self.x.len() / self.affine.weight.len();
        let rows = self
            .x
            .chunks_exact(places)
            .zip(self.to.chunks_exact_mut(places));
        for (i, (x, to)) in rows.enumerate() {
            let factor = simd.splat((f64::from(self.affine.weight[i]) * scale) as f32);
            let bias = simd.splat(self.affine.bias[i]);
            // The mean comes off first: far from zero, a sum of two products would lose digits.
            let normed = |x| simd.fma(simd.sub(x, middle), factor, bias);
            if self.silu {
                each(simd, x, to, |x| math::silu(simd, normed(x)));
            } else {
                each(simd, x, to, normed);
            }
        }
    }
}

struct LayerRows<'a> {
    x: &'a [f32],
    to: &'a mut [f32],
    affine: Affine<'a>,
}

impl Op for LayerRows<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Affine { weight, bias, eps } = self.affine;
        let width = weight.len();
        let rows = self
            .x
            .chunks_exact(width)
            .zip(self.to.chunks_exact_mut(width));
        for (x, to) in rows {
            let (mean, scale) = moments(simd, x, eps);
            let (mean, scale) = (simd.splat(mean as f32), simd.splat(scale as f32));
            for at in (0..width).step_by(S::LANES) {
                let count = S::LANES.min(width - at);
                // SAFETY: `count` numbers are left of `x`, `to`, `weight` and `bias`, all of one width.
                unsafe {
                    let x = simd.sub(get(simd, x.as_ptr().add(at), count), mean);
                    let weight = get(simd, weight.as_ptr().add(at), count);
                    let bias = get(simd, bias[..width].as_ptr().add(at), count);
                    let y = simd.fma(simd.mul(x, scale), weight, bias);
                    put(simd, to.as_mut_ptr().add(at), count, y);
                }
            }
        }
    }
}

/// `to = f(x)`
#[inline(always)]
pub fn each<S: Simd>(simd: S, x: &[f32], to: &mut [f32], f: impl Fn(S::V) -> S::V) {
    assert_eq!(x.len(), to.len());
    for at in (0..x.len()).step_by(S::LANES) {
        let count = S::LANES.min(x.len() - at);
        // SAFETY: `count` numbers are left of both.
        unsafe {
            let y = f(get(simd, x.as_ptr().add(at), count));
            put(simd, to.as_mut_ptr().add(at), count, y);
        }
    }
}

/// The mean, and one over the root of the variance with `eps`.
#[inline(always)]
pub fn moments<S: Simd>(simd: S, x: &[f32], eps: f64) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = sum(simd, x, |x| x) / count;
    let middle = simd.splat(mean as f32);
    let variance = sum(simd, x, |x| {
        let off = simd.sub(x, middle);
        simd.mul(off, off)
    }) / count;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// The sum of `f(x)`, in f32 over runs of 4096 numbers and in f64 over the runs.
#[inline(always)]
fn sum<S: Simd>(simd: S, x: &[f32], f: impl Fn(S::V) -> S::V) -> f64 {
    let mut total = 0.0;
    for run in x.chunks(4096) {
        let mut sums = [simd.splat(0.0); 4];
        let mut fours = run.chunks_exact(4 * S::LANES);
        for four in fours.by_ref() {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: four vectors lie in `four`.
                let x = unsafe { simd.load(four.as_ptr().add(i * S::LANES)) };
                *sum = simd.add(*sum, f(x));
            }
        }
        let whole = simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3]));
        let mut vectors = fours.remainder().chunks_exact(S::LANES);
        let mut rest = whole;
        for vector in vectors.by_ref() {
            // SAFETY: one vector lies in `vector`.
            rest = simd.add(rest, f(unsafe { simd.load(vector.as_ptr()) }));
        }
        total += f64::from(simd.sum(rest));
        for x in vectors.remainder() {
            // One number in every lane, of which the mean is taken: `f` knows only vectors.
            total += f64::from(simd.sum(f(simd.splat(*x)))) / S::LANES as f64;
        }
    }
    total
}
