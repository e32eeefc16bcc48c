//! Cross-attention less a part of what it gives for another text.

use candle_core::Tensor;

use super::layers::LayerSet;
use super::{Attended, Hook, Site};
use crate::error::Result;

/// Negative-away steer attention (NASA, Nguyen et al. 2024, arXiv 2412.02687): with `p` what the attention
/// gives and `n` what the same queries give for the other text, `p - scale n`.
#[derive(Clone, Debug)]
pub struct SteerAway {
    layers: LayerSet,
    from: Tensor,
    scale: f64,
}

impl SteerAway {
    /// For these cross-attentions; `from` is the other text's states, `[1, L, D]`.
    pub fn new(layers: LayerSet, from: Tensor, scale: f64) -> Self {
        Self {
            layers,
            from,
            scale,
        }
    }
}

impl Hook for SteerAway {
    fn attended(&self, site: Site<'_>, given: Tensor, attend: &Attended<'_>) -> Result<Tensor> {
        if !self.layers.holds(site.layer) {
            return Ok(given);
        }
        Ok((given - (attend(&self.from)? * self.scale)?)?)
    }
}
