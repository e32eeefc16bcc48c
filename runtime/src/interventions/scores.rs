//! The scores of an attention, for what looks at them or counts them in another way.

use candle_core::{D, DType, Tensor};

use crate::error::Result;

/// What attends to what, before the softmax.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// `[B, N, C]`, the channels of all heads.
    pub queries: &'a Tensor,
    /// `[B, M, C]`
    pub keys: &'a Tensor,
    /// How many heads there are.
    pub heads: usize,
    /// What is added to every head's scores, `[B, N, M]`.
    pub bias: Option<&'a Tensor>,
}

impl Scores<'_> {
    /// Channels of a head.
    pub fn width(&self) -> Result<usize> {
        Ok(self.queries.dim(D::Minus1)? / self.heads.max(1))
    }

    /// Of one head of one sample, `[N, M]`, f32: all at once may be too large.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn of(&self, sample: usize, head: usize) -> Result<Tensor> {
        let width = self.width()?;
        let queries = one_head(self.queries, sample, head, width)?;
        let keys = one_head(self.keys, sample, head, width)?;
        let scores = (queries.matmul(&keys.t()?)? / (width as f64).sqrt())?;
        Ok(match self.bias {
            Some(bias) => (scores + bias.get(sample)?.to_dtype(DType::F32)?)?,
            None => scores,
        })
    }

    /// The shares of attention in it, `[N, M]`; each row adds up to 1.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn shares(&self, sample: usize, head: usize) -> Result<Tensor> {
        Ok(candle_nn::ops::softmax(&self.of(sample, head)?, D::Minus1)?)
    }
}

/// What belongs to one head of one sample, f32: of `[B, M, C]` `[M, width]`.
///
/// # Errors
/// What the tensor library reports.
pub fn one_head(of: &Tensor, sample: usize, head: usize, width: usize) -> Result<Tensor> {
    let one = of.get(sample)?.narrow(1, head * width, width)?;
    Ok(one.to_dtype(DType::F32)?.contiguous()?)
}
