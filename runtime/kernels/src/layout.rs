//! Between maps, `[B, C, H, W]`, and tokens, `[B, H*W, C]`, and to other sizes.
#![allow(unsafe_code, reason = "tasks write parts of one result, each its own")]

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::memory::{Output, filled};
use super::transpose::transpose;
use super::{backward, has_kernels, otherwise, slice};

/// `[B, C, H, W]` to `[B, H*W, C]`.
///
/// # Errors
/// What the tensor library reports.
pub fn to_tokens(x: &Tensor) -> Result<Tensor> {
    otherwise::to_tokens(x)
}

/// A map and tokens, `[B, H*W, C]`, added to it, each at its place.
///
/// # Errors
/// What the tensor library reports.
pub fn add_tokens(x: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    if has_kernels(x) && has_kernels(tokens) {
        x.contiguous()?.apply_op2(&tokens.contiguous()?, AddTokens)
    } else {
        otherwise::add_tokens(x, tokens)
    }
}

struct AddTokens;

impl CustomOp2 for AddTokens {
    fn name(&self) -> &'static str {
        "add-tokens"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        tokens: &CpuStorage,
        tokens_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, height, width) = layout.shape().dims4()?;
        if tokens_layout.dims() != [batch, height * width, channels] {
            candle_core::bail!(
                "tokens {:?} have no place in a map {:?}",
                tokens_layout.dims(),
                layout.dims()
            );
        }
        let (x, tokens) = (slice(x, layout)?, slice(tokens, tokens_layout)?);
        let numbers = add_transposed(x, tokens, channels, height * width);
        Ok((CpuStorage::F32(numbers), layout.shape().clone()))
    }
    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        by_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(by_result.clone()), Some(to_tokens(by_result)?)))
    }
}

/// `x: [B, channels, places]` and `tokens: [B, places, channels]`.
///
/// # Panics
/// Where the lengths do not fit.
pub fn add_transposed(x: &[f32], tokens: &[f32], channels: usize, places: usize) -> Vec<f32> {
    /// Channels of a task, and so numbers of a token that are read at once: a cache line.
    const BLOCK: usize = 16;
    assert_eq!(x.len(), tokens.len());
    let map = channels * places;
    assert!(map == 0 || x.len().is_multiple_of(map));
    let fill = |out: &Output<'_>| {
        let blocks: Vec<_> = (0..x.len() / map.max(1))
            .flat_map(|sample| (0..channels).step_by(BLOCK).map(move |c| (sample, c)))
            .collect();
        blocks.into_par_iter().for_each(|(sample, first)| {
            let count = BLOCK.min(channels - first);
            let start = sample * map + first * places;
            let x = &x[start..start + count * places];
            // SAFETY: no other task has these channels of this sample.
            let to = unsafe { out.slice(start, count * places) };
            let tokens = &tokens[sample * map..(sample + 1) * map];
            transpose(&tokens[first..], channels, [places, count], to, places);
            to.iter_mut().zip(x).for_each(|(to, x)| *to += x);
        });
    };
    // SAFETY: the blocks are all channels of all samples.
    unsafe { filled(x.len(), fill) }
}

/// `[B, C, h, w]` to `[B, C, height, width]` by nearest neighbours.
///
/// # Errors
/// What the tensor library reports.
pub fn upsample(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (_, _, from_height, from_width) = x.dims4()?;
    if has_kernels(x) && from_height > 0 && from_width > 0 {
        x.contiguous()?.apply_op1(Upsample([height, width]))
    } else {
        x.upsample_nearest2d(height, width)
    }
}

struct Upsample([usize; 2]);

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }
    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let numbers = nearest(slice(x, layout)?, [height, width], self.0);
        let shape = Shape::from((batch, channels, self.0[0], self.0[1]));
        Ok((CpuStorage::F32(numbers), shape))
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, by_result: &Tensor) -> Result<Option<Tensor>> {
        backward::upsample(x, by_result).map(Some)
    }
}

/// Maps of size `from` enlarged to size `to`: place `i` shows place `floor(i from / to)`.
///
/// # Panics
/// Where the lengths do not fit.
pub fn nearest(x: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let (small, large) = (from[0] * from[1], to[0] * to[1]);
    assert!(small > 0 && x.len().is_multiple_of(small));
    let columns: Vec<usize> = (0..to[1]).map(|x| x * from[1] / to[1]).collect();
    let fill = |out: &Output<'_>| {
        x.par_chunks_exact(small).enumerate().for_each(|(i, map)| {
            // SAFETY: no other task has this map.
            let out = unsafe { out.slice(i * large, large) };
            for y in 0..to[0] {
                let source = y * from[0] / to[0];
                if y > 0 && source == (y - 1) * from[0] / to[0] {
                    out.copy_within((y - 1) * to[1]..y * to[1], y * to[1]);
                    continue;
                }
                let row = &map[source * from[1]..(source + 1) * from[1]];
                let out = &mut out[y * to[1]..(y + 1) * to[1]];
                out.iter_mut()
                    .zip(&columns)
                    .for_each(|(to, from)| *to = row[*from]);
            }
        });
    };
    // SAFETY: the maps are all of the result.
    unsafe { filled(x.len() / small * large, fill) }
}
