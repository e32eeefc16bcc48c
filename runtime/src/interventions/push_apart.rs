//! Self-attention that leads samples away from the first of their batch, or from another evaluation.

use std::collections::BTreeMap;

use candle_core::{D, DType, Tensor};

use super::layers::LayerSet;
use super::{Hook, Site};
use crate::error::Result;

/// Negative token merging (NegToMe, Singh et al. 2024, arXiv 2412.01339): each token of what a
/// self-attention adds is compared with those of the batch's first sample, or with what the layer added in another
/// evaluation; where the best match, the one
/// of the largest cosine, exceeds `threshold`, the token `k` becomes `k + strength (k - match)`.
#[derive(Clone, Debug)]
pub struct PushApart {
    layers: LayerSet,
    strength: f64,
    threshold: f64,
    /// By layer what another evaluation added, `[B, N, C]`, a row for each sample; `None` where it is the first
    /// sample of the batch that they are led away from.
    other: Option<BTreeMap<usize, Tensor>>,
}

impl PushApart {
    /// For these self-attentions, away from the batch's first sample.
    pub fn new(layers: LayerSet, strength: f64, threshold: f64) -> Self {
        Self {
            layers,
            strength,
            threshold,
            other: None,
        }
    }

    /// Away from another evaluation: by layer what it added, `[B, N, C]`, a row for each sample.
    pub fn from(self, outputs: BTreeMap<usize, Tensor>) -> Self {
        Self {
            other: Some(outputs),
            ..self
        }
    }

    /// What the samples, `[B, N, C]`, are led away from, and which the first is that is led.
    fn references(&self, layer: usize, all: &Tensor) -> Result<(Vec<Tensor>, usize)> {
        let rows = all.dim(0)?;
        let Some(others) = &self.other else {
            return Ok((vec![all.get(0)?; rows], 1));
        };
        let Some(other) = others.get(&layer) else {
            return Ok((Vec::new(), rows));
        };
        let each = (0..rows).map(|row| Ok(other.get(row)?.to_dtype(DType::F32)?));
        Ok((each.collect::<Result<_>>()?, 0))
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
        let (references, first) = self.references(site.layer, &all)?;
        let mut samples = Vec::with_capacity(all.dim(0)?);
        for sample in 0..all.dim(0)? {
            let own = all.get(sample)?;
            samples.push(match references.get(sample).filter(|_| sample >= first) {
                Some(reference) => self.apart(&own, reference)?,
                None => own,
            });
        }
        Ok(Tensor::stack(&samples, 0)?.to_dtype(given.dtype())?)
    }

    fn couples(&self) -> bool {
        self.other.is_none()
    }
}

/// Rows of length 1; a row of zeros stays.
fn unit(tokens: &Tensor) -> Result<Tensor> {
    let lengths = tokens.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(tokens.broadcast_div(&lengths.maximum(f64::from(f32::MIN_POSITIVE))?)?)
}
