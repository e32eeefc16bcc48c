//! Between pictures and latents: the autoencoder with what it takes to decode large pictures, and
//! pictures whose numbers are too large for 16 bits.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device, Tensor};

use super::gradient;
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
    /// The same in f32, once it was needed.
    wide: OnceLock<Vae>,
    widened: AtomicBool,
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
            wide: OnceLock::new(),
            widened: AtomicBool::new(false),
        })
    }

    pub fn config(&self) -> &VaeConfig {
        self.vae.config()
    }

    /// Whether a picture had to be decoded again in f32.
    pub fn widened(&self) -> bool {
        self.widened.load(Ordering::Relaxed)
    }

    /// The picture of one sample's latents, `[1, C, h, w]`, to `[1, 3, H, W]` in 0..1, f32.
    ///
    /// # Errors
    /// `NotFinite` for latents that have no picture; what the tensor library reports.
    pub fn decode(&self, latents: &Tensor, tiling: Tiling) -> Result<Tensor> {
        let latents = (latents.to_device(&self.device)? * (1.0 / self.config().scaling_factor))?;
        let again = || {
            if self.dtype == DType::F32 {
                return Ok(None);
            }
            self.widened.store(true, Ordering::Relaxed);
            Ok(Some(self.parts(self.wide()?, &latents, tiling)?))
        };
        let picture = finite(self.parts(&self.vae, &latents, tiling)?, again)?;
        Ok(picture.affine(0.5, 0.5)?.clamp(0.0, 1.0)?)
    }

    /// The gradient by one sample's latents, `[1, C, h, w]`, of a number that hangs on their picture: `by`
    /// is shown the picture, `[1, 3, H, W]` in 0..1, and says the number's gradient by it. The picture is
    /// never taken in tiles. Numbers that are cut off at black or white have no part in it.
    ///
    /// # Errors
    /// [`no_backward`] elsewhere than on a CPU; what `by` or the tensor library reports.
    pub fn decode_back(
        &self,
        latents: &Tensor,
        by: &dyn Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.goes_back()?;
        let factor = 1.0 / self.config().scaling_factor;
        let by_whole = |whole: &Tensor| {
            let picture = |whole: &Tensor| Ok(whole.affine(0.5, 0.5)?.clamp(0.0, 1.0)?);
            gradient::of(&picture, whole.clone(), by(&picture(whole)?)?)
        };
        let gradient = self.vae.decode_back(&(latents * factor)?, &by_whole)?;
        Ok((gradient * factor)?)
    }

    /// The gradient by one picture, `[1, 3, H, W]` in 0..1, of a number that hangs on its most likely
    /// latents: `by` is shown the latents and says the number's gradient by them.
    ///
    /// # Errors
    /// As [`Autoencoder::decode_back`].
    pub fn encode_back(
        &self,
        picture: &Tensor,
        by: &dyn Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.goes_back()?;
        let channels = self.config().latent_channels;
        let factor = self.config().scaling_factor;
        let by_moments = |moments: &Tensor| {
            let mean = (moments.narrow(1, 0, channels)? * factor)?;
            let by = (by(&mean)? * factor)?;
            Ok(Tensor::cat(&[&by, &by.zeros_like()?], 1)?)
        };
        let gradient = self
            .vae
            .moments_back(&picture.affine(2.0, -1.0)?, &by_moments)?;
        Ok((gradient * 2.0)?)
    }

    /// Whether gradients go through it here.
    fn goes_back(&self) -> Result<()> {
        match self.device.is_cpu() {
            true => Ok(()),
            false => Err(no_backward("the autoencoder")),
        }
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
            self.widened.store(true, Ordering::Relaxed);
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

    fn parts(&self, vae: &Vae, latents: &Tensor, tiling: Tiling) -> Result<Tensor> {
        let (_, _, height, width) = latents.dims4()?;
        let factor = self.config().factor();
        let pixels = height * width * factor * factor;
        let in_tiles = match tiling {
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

/// The error for a gradient through a network that is not on a CPU.
pub(super) fn no_backward(what: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::NotYet,
        format!("a gradient goes through {what}, and this runtime takes none there but on a CPU"),
    )
    .help("leave out `--device`")
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
        let autoencoder = Autoencoder::load(&embedded::source(), DType::F32, &Device::Cpu)?;
        let latents = latents(24, 88);
        let whole = autoencoder.decode(&latents, Tiling::Auto)?;
        let tiled = autoencoder.decode(&latents, Tiling::On)?;
        assert_eq!(tiled.dims(), whole.dims());
        let off = (&tiled - &whole)?.abs()?;
        let mean = off.mean_all()?.to_scalar::<f32>()?;
        assert!(mean > 0.0 && mean < 0.02, "off by {mean} in the mean");
        let off = (autoencoder.decode(&latents, Tiling::Off)? - whole)?
            .abs()?
            .max_all()?;
        assert_eq!(off.to_scalar::<f32>()?, 0.0);
        Ok(())
    }

    /// Half of the step of a difference along the gradient: rounding of a picture's 1e-6 by it, and the
    /// square of it, are both below the tolerance.
    const STEP: f64 = 5e-3;
    const TOLERANCE: f64 = 1e-2;

    /// A number's slope along its own gradient, by a difference, is the gradient's length.
    fn holds_along(
        at: &Tensor,
        gradient: &Tensor,
        value: &dyn Fn(&Tensor) -> Result<f64>,
    ) -> Result<()> {
        let square = gradient.sqr()?.sum_all()?.to_scalar::<f32>()?;
        let length = f64::from(square).sqrt();
        assert!(length > 0.0);
        let along = (gradient * (STEP / length))?;
        let slope = (value(&(at + &along)?)? - value(&(at - &along)?)?) / (2.0 * STEP);
        assert!(
            (slope - length).abs() < TOLERANCE * length,
            "the slope is {slope}, and the gradient's length {length}"
        );
        Ok(())
    }

    /// A number that hangs on all of a tensor, and its gradient by it.
    fn weighted(result: &Tensor) -> Result<(f64, Tensor)> {
        let count = result.elem_count();
        let weights = crate::noise::Generator::new(9).normals(count);
        let weights = Tensor::from_vec(weights, result.dims(), &Device::Cpu)?;
        let terms = (result * &weights)?.to_dtype(DType::F64)?;
        Ok((terms.sum_all()?.to_scalar()?, weights))
    }

    #[test]
    fn gradients_go_back_through_the_decoder_and_the_encoder() -> Result<()> {
        let autoencoder = Autoencoder::load(&embedded::source(), DType::F32, &Device::Cpu)?;
        let latents = latents(6, 5);
        let by = |picture: &Tensor| Ok(weighted(picture)?.1);
        let gradient = autoencoder.decode_back(&latents, &by)?;
        holds_along(&latents, &gradient, &|latents| {
            Ok(weighted(&autoencoder.decode(latents, Tiling::Auto)?)?.0)
        })?;
        let picture = autoencoder.decode(&latents, Tiling::Auto)?;
        let gradient = autoencoder.encode_back(&picture, &by)?;
        holds_along(&picture, &gradient, &|picture| {
            Ok(weighted(&autoencoder.distribution(picture)?.mean)?.0)
        })
    }

    #[test]
    fn latents_without_a_picture_are_an_error() -> Result<()> {
        let autoencoder = Autoencoder::load(&embedded::source(), DType::F16, &Device::Cpu)?;
        let error = autoencoder
            .decode(&(latents(16, 16) * f64::NAN)?, Tiling::Auto)
            .expect_err("no picture");
        assert_eq!(error.kind, ErrorKind::NotFinite);
        assert!(!autoencoder.widened());
        Ok(())
    }
}
