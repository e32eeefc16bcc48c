//! The same layers by the tensor library's own operations: for other devices and other kinds of numbers.

use candle_core::{D, DType, Result, Tensor};

/// Score matrices larger than this many numbers are computed a slice of queries at a time.
const MAX_SCORES: usize = 1 << 23;

/// As [`super::attention`]. The slices depend on one sample's shape only, never on the batch.
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
        x.reshape((batch, length, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()
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
    out.transpose(1, 2)?.reshape((batch, queries, width))
}

/// As [`super::Geglu`], from both halves.
pub fn geglu(both: &Tensor) -> Result<Tensor> {
    let half = both.dim(D::Minus1)? / 2;
    let gate = both
        .narrow(D::Minus1, half, half)?
        .contiguous()?
        .gelu_erf()?;
    both.narrow(D::Minus1, 0, half)?.contiguous()? * gate
}

/// As [`super::to_tokens`].
pub fn to_tokens(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(2)?.transpose(1, D::Minus1)?.contiguous()
}

/// As [`super::add_tokens`].
pub fn add_tokens(x: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    x + tokens.transpose(1, 2)?.reshape(x.shape())?
}

/// Rows and columns of zeros round a map.
pub fn pad(x: &Tensor, [top, left, bottom, right]: [usize; 4]) -> Result<Tensor> {
    x.pad_with_zeros(2, top, bottom)?
        .pad_with_zeros(3, left, right)
}
