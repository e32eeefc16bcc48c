//! Cross-attention that extrapolates from what it gives for another text.

use candle_core::{D, DType, Tensor};

use super::layers::LayerSet;
use super::{Attended, Hook, Site};
use crate::error::{ErrorKind, Result, RuntimeError};

/// The norm in which a token's length is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenNorm {
    /// The sum of absolute values, as in the paper.
    L1,
    /// The root of the sum of squares.
    L2,
}

impl TokenNorm {
    /// The norm of that name.
    ///
    /// # Errors
    /// `BadPlan` for another name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "l1" => Ok(TokenNorm::L1),
            "l2" => Ok(TokenNorm::L2),
            other => Err(RuntimeError::new(
                ErrorKind::BadPlan,
                format!("`norm = {other:?}` of `negative_attention` is neither `l1` nor `l2`"),
            )),
        }
    }

    /// Of each token: `[B, N, C]` to `[B, N, 1]`.
    fn of(self, tokens: &Tensor) -> Result<Tensor> {
        Ok(match self {
            TokenNorm::L1 => tokens.abs()?.sum_keepdim(D::Minus1)?,
            TokenNorm::L2 => tokens.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?,
        })
    }
}

/// Normalized attention guidance (NAG, Chen et al. 2025, arXiv 2505.21179): with `p` what the attention
/// gives and `n` what the same queries give for the other text, `g = p + (scale - 1) (p - n)`; a token of
/// `g` longer than `tau` times that of `p` is cut to that; the result is `mix g + (1 - mix) p`.
#[derive(Clone, Debug)]
pub struct NegativeAttention {
    layers: LayerSet,
    minus: Tensor,
    scale: f64,
    tau: f64,
    mix: f64,
    norm: TokenNorm,
}

impl NegativeAttention {
    /// For these cross-attentions; `minus` is the other text's states, `[1, L, D]`.
    pub fn new(layers: LayerSet, minus: Tensor, numbers: [f64; 3], norm: TokenNorm) -> Self {
        let [scale, tau, mix] = numbers;
        Self {
            layers,
            minus,
            scale,
            tau,
            mix,
            norm,
        }
    }
}

impl Hook for NegativeAttention {
    fn attended(&self, site: Site<'_>, given: Tensor, attend: &Attended<'_>) -> Result<Tensor> {
        if !self.layers.holds(site.layer) {
            return Ok(given);
        }
        let kept = given.dtype();
        let positive = given.to_dtype(DType::F32)?;
        let negative = attend(&self.minus)?.to_dtype(DType::F32)?;
        let guided = ((&positive * self.scale)? - (negative * (self.scale - 1.0))?)?;
        let most = (self.norm.of(&positive)? * self.tau)?;
        // `most / most` is 1 to the bit, so a token that is short enough stays as it is.
        let longest = self.norm.of(&guided)?.maximum(&most)?;
        let cut = (most / longest.maximum(f64::from(f32::MIN_POSITIVE))?)?;
        let guided = guided.broadcast_mul(&cut)?;
        let mixed = ((guided * self.mix)? + (positive * (1.0 - self.mix))?)?;
        Ok(mixed.to_dtype(kept)?)
    }
}
