//! What an optimisation asks of a model besides predictions.

use candle_core::Tensor;

use super::Pipeline;
use crate::error::Result;
use crate::optimise::World;

impl World for Pipeline {
    fn latents_of(&self, pictures: &Tensor) -> Result<Tensor> {
        self.encode(pictures)
    }

    fn back_to_pictures(&self, pictures: &Tensor, by_latents: &Tensor) -> Result<Tensor> {
        let gradients = (0..pictures.dim(0)?).map(|i| {
            let by = by_latents.narrow(0, i, 1)?;
            let picture = pictures.narrow(0, i, 1)?;
            self.autoencoder
                .encode_back(&picture, &|_| Ok(by.contiguous()?))
        });
        Ok(Tensor::cat(&gradients.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
