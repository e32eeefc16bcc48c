//! What makes pictures of latents, apart from the rest of a model.

use std::sync::Arc;

use candle_core::Tensor;

use super::autoencoder::{Autoencoder, Tiling};
use crate::error::Result;

/// The decoder of a model, to be held while the model itself is asked: a run that shows pictures on its
/// way needs both.
#[derive(Clone)]
pub struct Decoder {
    autoencoder: Arc<Autoencoder>,
    tiling: Tiling,
}

impl Decoder {
    pub(super) fn new(autoencoder: Arc<Autoencoder>, tiling: Tiling) -> Self {
        Self {
            autoencoder,
            tiling,
        }
    }

    /// Pictures `[B, 3, H, W]` in 0..1, f32, of latents `[B, C, h, w]`, each decoded by itself.
    ///
    /// # Errors
    /// `NotFinite` for latents that have no picture; what the tensor library reports.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let pictures = (0..latents.dim(0)?).map(|row| {
            let latents = latents.narrow(0, row, 1)?;
            self.autoencoder.decode(&latents, self.tiling)
        });
        Ok(Tensor::cat(&pictures.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// Pixels along a side for each place of the latents.
    pub fn factor(&self) -> usize {
        self.autoencoder.config().factor()
    }
}
