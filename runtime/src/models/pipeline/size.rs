//! Sizes of pictures and of their latents.

use super::Pipeline;
use crate::error::{ErrorKind, Result, RuntimeError};

/// The longest side of a picture, in pixels.
pub const MAX_SIDE: usize = 8192;

impl Pipeline {
    /// Height and width of the latents of a picture.
    ///
    /// # Errors
    /// `BadSize` where a side is no multiple of what a latent covers, too short for the network to halve
    /// it as often as it does, or too long.
    pub fn latent_size(&self, width: usize, height: usize) -> Result<(usize, usize)> {
        let factor = self.autoencoder.config().factor();
        let bad =
            |why: String, help: String| Err(RuntimeError::new(ErrorKind::BadSize, why).help(help));
        let side = self.main.unet.config().sample_size * factor;
        // The network halves the latents between its levels.
        let least = factor
            << (self
                .main
                .unet
                .config()
                .block_out_channels
                .len()
                .saturating_sub(1));
        if width < least || height < least {
            return bad(
                format!(
                    "a picture of {width}x{height} is not possible: no side may be shorter than {least}"
                ),
                format!("use `--size {side}x{side}`, the model's own size"),
            );
        }
        if !width.is_multiple_of(factor) || !height.is_multiple_of(factor) {
            return bad(
                format!(
                    "a picture of {width}x{height} is not possible: each side must be a multiple of {factor}"
                ),
                format!(
                    "use `--size {}x{}`",
                    near(width, factor),
                    near(height, factor)
                ),
            );
        }
        if width > MAX_SIDE || height > MAX_SIDE {
            return bad(
                format!(
                    "a picture of {width}x{height} is not possible: no side may be longer than {MAX_SIDE}"
                ),
                format!("use `--size {side}x{side}`, the model's own size"),
            );
        }
        Ok((height / factor, width / factor))
    }

    /// Height and width of the picture of latents.
    pub fn picture_size(&self, latent_height: usize, latent_width: usize) -> (usize, usize) {
        let factor = self.autoencoder.config().factor();
        (latent_height * factor, latent_width * factor)
    }
}

/// The multiple of `factor` that is nearest, at least one.
fn near(side: usize, factor: usize) -> usize {
    ((side.min(MAX_SIDE) + factor / 2) / factor).max(1) * factor
}
