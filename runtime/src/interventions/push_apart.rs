//! Self-attention that leads samples away from the first of their batch.

use candle_core::{D, DType, Tensor};

use super::layers::LayerSet;
use super::{Hook, Site};
use crate::error::Result;

/// Negative token merging (NegToMe, Singh et al. 2024, arXiv 2412.01339): each token of what a
/// self-attention adds is compared with those of the batch's first sample; where the best match, the one
/// of the largest cosine, exceeds `threshold`, the token `k` becomes `k + strength (k - match)`.
#[derive(Clone, Debug)]
pub struct PushApart {
    layers: LayerSet,
    strength: f64,
    threshold: f64,
}

impl PushApart {
    /// For these self-attentions.
    pub fn new(layers: LayerSet, strength: f64, threshold: f64) -> Self {
        Self {
            layers,
            strength,
            threshold,
        }
    }

    /// The tokens of one sample, `[N, C]`, led away from `reference: [N, C]`.
    fn apart(&self, tokens: &Tensor, reference: &Tensor) -> Result<Tensor> {
        let cosines = unit(tokens)?.matmul(&unit(reference)?.t()?.contiguous()?)?;
        let best = cosines.argmax(D::Minus1)?;
        let matches = reference.index_select(&best, 0)?;
        let near = cosines.max_keepdim(D::Minus1)?.gt(self.threshold)?;
        let moved = (tokens + ((tokens - matches)? * self.strength)?)?;
        Ok(near
            .broadcast_as(tokens.shape())?
            .where_cond(&moved, tokens)?)
    }
}

impl Hook for PushApart {
    fn reads_output(&self, layer: usize) -> bool {
        self.layers.holds(layer)
    }

    fn output(&self, site: Site<'_>, given: Tensor) -> Result<Tensor> {
        if !self.layers.holds(site.layer) {
            return Ok(given);
        }
        let all = given.to_dtype(DType::F32)?;
        let reference = all.get(0)?;
        let mut samples = vec![reference.clone()];
        for sample in 1..all.dim(0)? {
            samples.push(self.apart(&all.get(sample)?, &reference)?);
        }
        Ok(Tensor::stack(&samples, 0)?.to_dtype(given.dtype())?)
    }

    fn couples(&self) -> bool {
        true
    }
}

/// Rows of length 1; a row of zeros stays.
fn unit(tokens: &Tensor) -> Result<Tensor> {
    let lengths = tokens.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(tokens.broadcast_div(&lengths.maximum(f64::from(f32::MIN_POSITIVE))?)?)
}
