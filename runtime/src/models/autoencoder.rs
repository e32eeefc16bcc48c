//! Between pictures and latents: the autoencoder with what it takes to decode large pictures, and
//! pictures whose numbers are too large for 16 bits.

use std::cell::{Cell, OnceCell};

use candle_core::{DType, Device, Tensor};

use super::sd::{Vae, VaeConfig};
use super::tiles::Tiles;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::run::Distribution;
use crate::weights::{Source, Weights};

/// Above so many pixels a picture is decoded in tiles: 1024x1024.
pub const WHOLE_PIXELS: usize = 1 << 20;
/// A side of a tile, and what neighbours share, in latents: as diffusers', 512 and 128 pixels of Stable
/// Diffusion.
const TILES: Tiles = Tiles {
    side: 64,
    shared: 16,
};

/// Whether pictures are decoded in tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tiling {
    /// Where they are larger than [`WHOLE_PIXELS`].
    #[default]
    Auto,
    /// Where they are larger than a tile.
    On,
    /// Never.
    Off,
}

/// An autoencoder, loaded.
#[derive(Debug)]
pub(super) struct Autoencoder {
    vae: Vae,
    source: Source,
    device: Device,
    dtype: DType,
    tiling: Tiling,
    /// The same in f32, once it was needed.
    wide: OnceCell<Vae>,
    widened: Cell<bool>,
}

impl Autoencoder {
    /// Loads `vae/` of a model.
    ///
    /// # Errors
    /// What loading refuses.
    pub fn load(source: &Source, dtype: DType, device: &Device) -> Result<Self> {
        // A CPU computes in f32, whatever the weights are stored as.
        let dtype = if device.is_cpu() { DType::F32 } else { dtype };
        Ok(Self {
            vae: vae(source, dtype, device)?,
            source: source.clone(),
            device: device.clone(),
            dtype,
            tiling: Tiling::Auto,
            wide: OnceCell::new(),
            widened: Cell::new(false),
        })
    }

    pub fn config(&self) -> &VaeConfig {
        self.vae.config()
    }

    pub fn set_tiling(&mut self, tiling: Tiling) {
        self.tiling = tiling;
    }

    /// Whether a picture had to be decoded again in f32.
    pub fn widened(&self) -> bool {
        self.widened.get()
    }

    /// The picture of one sample's latents, `[1, C, h, w]`, to `[1, 3, H, W]` in 0..1, f32.
    ///
    /// # Errors
    /// `NotFinite` for latents that have no picture; what the tensor library reports.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let latents = (latents.to_device(&self.device)? * (1.0 / self.config().scaling_factor))?;
        let again = || {
            if self.dtype == DType::F32 {
                return Ok(None);
            }
            self.widened.set(true);
            Ok(Some(self.parts(self.wide()?, &latents)?))
        };
        let picture = finite(self.parts(&self.vae, &latents)?, again)?;
        Ok(picture.affine(0.5, 0.5)?.clamp(0.0, 1.0)?)
    }

    /// The distribution of the latents of a picture, `[1, 3, H, W]` in 0..1.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn distribution(&self, picture: &Tensor) -> Result<Distribution> {
        let picture = picture.to_device(&self.device)?.affine(2.0, -1.0)?;
        let again = || {
            if self.dtype == DType::F32 {
                return Ok(None);
            }
            self.widened.set(true);
            Ok(Some(self.wide()?.moments(&picture)?))
        };
        let moments = finite(self.vae.moments(&picture)?, again)?;
        let config = self.config();
        let channels = config.latent_channels;
        let scaled = |part: Tensor| -> Result<Tensor> { Ok((part * config.scaling_factor)?) };
        let log_variance = moments.narrow(1, channels, channels)?.clamp(-30.0, 20.0)?;
        Ok(Distribution {
            mean: scaled(moments.narrow(1, 0, channels)?)?,
            deviation: scaled((log_variance * 0.5)?.exp()?)?,
        })
    }

    fn parts(&self, vae: &Vae, latents: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = latents.dims4()?;
        let factor = self.config().factor();
        let pixels = height * width * factor * factor;
        let in_tiles = match self.tiling {
            Tiling::Auto => pixels > WHOLE_PIXELS,
            Tiling::On => height.max(width) > TILES.side,
            Tiling::Off => false,
        };
        if in_tiles {
            TILES.blend(latents, factor, &|part| vae.decode(part))
        } else {
            vae.decode(latents)
        }
    }

    fn wide(&self) -> Result<&Vae> {
        if self.wide.get().is_none() {
            let wide = vae(&self.source, DType::F32, &self.device)?;
            return Ok(self.wide.get_or_init(|| wide));
        }
        self.wide.get().ok_or_else(nothing)
    }
}

fn vae(source: &Source, dtype: DType, device: &Device) -> Result<Vae> {
    let weights = Weights::open(source, "vae", "diffusion_pytorch_model", dtype, device)?;
    Vae::load(&weights, VaeConfig::read(source, "vae")?)
}

/// The tensor if all of its numbers are finite, else the one that is made again, if that is.
fn finite(first: Tensor, again: impl FnOnce() -> Result<Option<Tensor>>) -> Result<Tensor> {
    if is_finite(&first)? {
        return Ok(first);
    }
    let second = again()?.ok_or_else(nothing)?;
    if is_finite(&second)? {
        return Ok(second);
    }
    Err(nothing())
}

fn nothing() -> RuntimeError {
    RuntimeError::new(
        ErrorKind::NotFinite,
        "the autoencoder gives numbers that are not finite",
    )
    .help("try a smaller guidance scale, or another sampler")
}

/// A sum over all numbers is finite just where they are: none is large enough to reach the end of f64.
fn is_finite(tensor: &Tensor) -> Result<bool> {
    let sum = tensor.to_dtype(DType::F64)?.sum_all()?;
    Ok(sum.to_scalar::<f64>()?.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::embedded;

    fn tensor(numbers: [f32; 3]) -> Tensor {
        Tensor::new(&numbers, &Device::Cpu).expect("a tensor")
    }

    #[test]
    fn what_is_not_finite_is_made_again() {
        let good = || tensor([1.0, -2.0, 0.5]);
        let never = || panic!("it was finite");
        assert!(finite(good(), never).is_ok());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bad = || tensor([1.0, bad, 0.0]);
            assert!(finite(bad(), || Ok(Some(good()))).is_ok());
            for again in [None, Some(bad())] {
                let error = finite(bad(), || Ok(again)).expect_err("nothing finite");
                assert_eq!(error.kind, ErrorKind::NotFinite);
            }
        }
    }

    fn latents(height: usize, width: usize) -> Tensor {
        let numbers: Vec<f32> = crate::noise::Generator::new(5).normals(4 * height * width);
        Tensor::from_vec(numbers, (1, 4, height, width), &Device::Cpu).expect("latents")
    }

    /// Tiles differ from the whole as far as the norms see less of the picture: by little in the mean.
    #[test]
    fn tiles_show_what_the_whole_shows() -> Result<()> {
        let mut autoencoder = Autoencoder::load(&embedded::source(), DType::F32, &Device::Cpu)?;
        let latents = latents(24, 88);
        let whole = autoencoder.decode(&latents)?;
        autoencoder.set_tiling(Tiling::On);
        let tiled = autoencoder.decode(&latents)?;
        assert_eq!(tiled.dims(), whole.dims());
        let off = (&tiled - &whole)?.abs()?;
        let mean = off.mean_all()?.to_scalar::<f32>()?;
        assert!(mean > 0.0 && mean < 0.02, "off by {mean} in the mean");
        autoencoder.set_tiling(Tiling::Off);
        let off = (autoencoder.decode(&latents)? - whole)?.abs()?.max_all()?;
        assert_eq!(off.to_scalar::<f32>()?, 0.0);
        Ok(())
    }

    #[test]
    fn latents_without_a_picture_are_an_error() -> Result<()> {
        let autoencoder = Autoencoder::load(&embedded::source(), DType::F16, &Device::Cpu)?;
        let error = autoencoder
            .decode(&(latents(16, 16) * f64::NAN)?)
            .expect_err("no picture");
        assert_eq!(error.kind, ErrorKind::NotFinite);
        assert!(!autoencoder.widened());
        Ok(())
    }
}
