//! Layers that are left out.

use super::Hook;
use super::layers::LayerSet;

/// The named layers add nothing: their input is their output.
#[derive(Clone, Debug)]
pub struct SkipLayers {
    layers: LayerSet,
}

impl SkipLayers {
    /// For these layers.
    pub fn new(layers: LayerSet) -> Self {
        Self { layers }
    }
}

impl Hook for SkipLayers {
    fn skips(&self, layer: usize) -> bool {
        self.layers.holds(layer)
    }
}
