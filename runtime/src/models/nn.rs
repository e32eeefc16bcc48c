//! The layers that all networks are made of, each loaded with the shape that it must have.

use candle_core::{D, DType, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, GroupNorm, LayerNorm, Linear};

use crate::error::Result;
use crate::weights::Part;

/// `y = x w^T + b`, `w: [output, input]`.
pub fn linear(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    let weight = part.tensor("weight", &[output, input])?;
    Ok(Linear::new(weight, Some(part.tensor("bias", &[output])?)))
}

/// A linear layer without bias.
pub fn linear_no_bias(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    Ok(Linear::new(part.tensor("weight", &[output, input])?, None))
}

/// A 1x1 convolution, as the linear layer that it is.
pub fn pointwise(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    let weight = part
        .tensor("weight", &[output, input, 1, 1])?
        .reshape((output, input))?;
    Ok(Linear::new(weight, Some(part.tensor("bias", &[output])?)))
}

/// A convolution with square kernel.
pub fn conv(
    part: &Part<'_>,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<Conv2d> {
    let weight = part.tensor("weight", &[output, input, kernel, kernel])?;
    let config = Conv2dConfig {
        stride,
        padding,
        ..Conv2dConfig::default()
    };
    Ok(Conv2d::new(
        weight,
        Some(part.tensor("bias", &[output])?),
        config,
    ))
}

/// A norm over groups of channels.
pub fn group_norm(part: &Part<'_>, groups: usize, channels: usize, eps: f64) -> Result<GroupNorm> {
    let weight = part.tensor("weight", &[channels])?;
    Ok(GroupNorm::new(
        weight,
        part.tensor("bias", &[channels])?,
        channels,
        groups,
        eps,
    )?)
}

/// A norm over the last axis.
pub fn layer_norm(part: &Part<'_>, width: usize, eps: f64) -> Result<LayerNorm> {
    let weight = part.tensor("weight", &[width])?;
    Ok(LayerNorm::new(weight, part.tensor("bias", &[width])?, eps))
}

/// Score matrices larger than this many numbers are computed a slice of queries at a time.
const MAX_SCORES: usize = 1 << 23;

/// Softmax attention. `q: [B, N, heads*d]`, `k, v: [B, M, heads*d]`; gives `[B, N, heads*d]`.
/// `mask: [N, M]` is added to the scores; `upcast` computes them in f32.
///
/// The slices depend on one sample's shape only, never on the batch.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: Option<&Tensor>,
    upcast: bool,
) -> Result<Tensor> {
    let (batch, queries, width) = q.dims3()?;
    let keys = k.dim(1)?;
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    let split = |x: &Tensor, length: usize| -> Result<Tensor> {
        Ok(x.reshape((batch, length, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()?)
    };
    let dtype = q.dtype();
    let raise = |x: Tensor| {
        if upcast {
            x.to_dtype(DType::F32)
        } else {
            Ok(x)
        }
    };
    let q = raise((split(q, queries)? * scale)?)?;
    let k = raise(split(k, keys)?.transpose(2, 3)?.contiguous()?)?;
    let v = split(v, keys)?;
    let slice = (MAX_SCORES / (heads * keys).max(1)).clamp(1, queries.max(1));
    let mut parts = Vec::with_capacity(queries.div_ceil(slice));
    for start in (0..queries).step_by(slice) {
        let length = slice.min(queries - start);
        let mut scores = q.narrow(2, start, length)?.contiguous()?.matmul(&k)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(&mask.narrow(0, start, length)?)?;
        }
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(dtype)?;
        parts.push(weights.matmul(&v)?);
    }
    let out = if parts.len() == 1 {
        parts.remove(0)
    } else {
        Tensor::cat(&parts, 2)?
    };
    Ok(out.transpose(1, 2)?.reshape((batch, queries, width))?)
}

/// `[B, C, H, W]` to tokens, `[B, H*W, C]`.
pub fn to_tokens(x: &Tensor) -> Result<Tensor> {
    Ok(x.flatten_from(2)?.transpose(1, D::Minus1)?.contiguous()?)
}

/// Tokens, `[B, H*W, C]`, to `[B, C, H, W]`.
pub fn to_map(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (batch, _, channels) = x.dims3()?;
    Ok(x.transpose(1, 2)?
        .reshape((batch, channels, height, width))?
        .contiguous()?)
}

/// One row of zeros at the right and at the bottom.
pub fn pad_right_bottom(x: &Tensor) -> Result<Tensor> {
    Ok(x.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?)
}
