//! Self-attention that attends to itself alone: each token keeps its own value.

use candle_core::Tensor;

use super::layers::LayerSet;
use super::{Hook, Site};
use crate::error::Result;

/// The perturbation of PAG (Ahn et al. 2024, arXiv 2403.17377, eq. 16): the attention map becomes the
/// identity, so the layer gives `to_out(to_v(h))`.
#[derive(Clone, Debug)]
pub struct IdentityAttention {
    layers: LayerSet,
}

impl IdentityAttention {
    /// For these self-attentions.
    pub fn new(layers: LayerSet) -> Self {
        Self { layers }
    }
}

impl Hook for IdentityAttention {
    fn mixed(&self, site: Site<'_>, values: &dyn Fn() -> Result<Tensor>) -> Result<Option<Tensor>> {
        if self.layers.holds(site.layer) {
            values().map(Some)
        } else {
            Ok(None)
        }
    }
}
