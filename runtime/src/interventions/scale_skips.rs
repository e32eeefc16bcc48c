//! Features scaled where the way up meets what the way down has kept.

use candle_core::{D, DType, Tensor};

use super::{Hook, Joint};
use crate::error::{ErrorKind, Result, RuntimeError};

/// By what half of the channels that come up are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backbone {
    /// The same everywhere.
    Constant,
    /// More where the mean over the channels is large.
    Mean,
}

/// What says which pair of numbers is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The level: the coarsest has the first, the next the second.
    Level,
    /// The channels that come up: four times those of the finest level have the first, twice the second.
    Width,
}

/// FreeU (Si et al. 2023, arXiv 2309.11497): the first half of the channels that come up is multiplied by
/// `b`, and of what the way down has kept the lowest Fourier coefficients, those of the frequencies 0 and
/// -1 of both axes, by `s`; the real part goes on. With `Mean` the factor is `1 + (b - 1) m` at each
/// place, `m` the mean over the channels, scaled to 0..1 over the map.
#[derive(Clone, Debug)]
pub struct ScaleSkips {
    backbone: [f64; 2],
    skip: [f64; 2],
    scaled: Backbone,
    by: By,
}

impl ScaleSkips {
    /// With `b1, b2` and `s1, s2`.
    ///
    /// # Errors
    /// `BadPlan` for a word that is not known.
    pub fn new(backbone: [f64; 2], skip: [f64; 2], scaled: &str, by: &str) -> Result<Self> {
        let odd = |parameter: &str, word: &str| {
            let message =
                format!("`{parameter} = {word:?}` of `scale_skips` is a word that is not known");
            RuntimeError::new(ErrorKind::BadPlan, message)
        };
        Ok(Self {
            backbone,
            skip,
            scaled: match scaled {
                "constant" => Backbone::Constant,
                "mean" => Backbone::Mean,
                other => return Err(odd("backbone", other)),
            },
            by: match by {
                "level" => By::Level,
                "width" => By::Width,
                other => return Err(odd("by", other)),
            },
        })
    }

    /// Which pair of numbers works here.
    fn pair(&self, joint: Joint) -> Option<usize> {
        match self.by {
            By::Level => (joint.level < 2).then_some(joint.level),
            By::Width if joint.widths == 4.0 => Some(0),
            By::Width if joint.widths == 2.0 => Some(1),
            By::Width => None,
        }
    }

    fn scale(&self, way: Tensor, by: f64) -> Result<Tensor> {
        if by == 1.0 {
            return Ok(way);
        }
        let half = way.dim(1)? / 2;
        let first = way.narrow(1, 0, half)?;
        let rest = way.narrow(1, half, way.dim(1)? - half)?;
        let first = match self.scaled {
            Backbone::Constant => (first * by)?,
            Backbone::Mean => {
                let factor = ((relative_mean(&way)? * (by - 1.0))? + 1.0)?;
                first.broadcast_mul(&factor.to_dtype(way.dtype())?)?
            }
        };
        Ok(Tensor::cat(&[&first, &rest], 1)?)
    }
}

impl Hook for ScaleSkips {
    fn joined(&self, joint: Joint, way: Tensor, kept: Tensor) -> Result<(Tensor, Tensor)> {
        let Some(pair) = self.pair(joint) else {
            return Ok((way, kept));
        };
        let kept = match self.skip[pair] {
            1.0 => kept,
            by => {
                let low = lowest(&kept.to_dtype(DType::F32)?)?;
                (&kept + (low * (by - 1.0))?.to_dtype(kept.dtype())?)?
            }
        };
        Ok((self.scale(way, self.backbone[pair])?, kept))
    }
}

/// The mean over the channels, scaled to 0..1 over each map: `[B, 1, H, W]`, f32.
fn relative_mean(maps: &Tensor) -> Result<Tensor> {
    let means = maps.to_dtype(DType::F32)?.mean_keepdim(1)?;
    let (samples, _, height, width) = means.dims4()?;
    let flat = means.reshape((samples, height * width))?;
    let least = flat.min_keepdim(D::Minus1)?;
    let most = flat.max_keepdim(D::Minus1)?;
    let range = (most - &least)?.maximum(f64::from(f32::MIN_POSITIVE))?;
    let flat = flat.broadcast_sub(&least)?.broadcast_div(&range)?;
    Ok(flat.reshape((samples, 1, height, width))?)
}

/// The real part of what the frequencies 0 and -1 of both axes hold of maps, `[B, C, H, W]`.
///
/// With `K = R + iJ` the projection of an axis on those frequencies, it is `R x R^T - J x J^T`.
fn lowest(maps: &Tensor) -> Result<Tensor> {
    let (samples, channels, height, width) = maps.dims4()?;
    let planes = samples * channels;
    let flat = maps.reshape((planes, height, width))?;
    let along = |part: fn(f64) -> f64| -> Result<Tensor> {
        let rows = projection(height, part, maps)?.broadcast_left(planes)?;
        let columns = projection(width, part, maps)?.t()?.broadcast_left(planes)?;
        let rows = rows.contiguous()?.matmul(&flat.contiguous()?)?;
        Ok(rows.matmul(&columns.contiguous()?)?)
    };
    let low = (along(f64::cos)? - along(f64::sin)?)?;
    Ok(low.reshape((samples, channels, height, width))?)
}

/// A part of the projection of an axis of `size` places on the frequencies 0 and -1, `[size, size]`.
fn projection(size: usize, part: fn(f64) -> f64, like: &Tensor) -> Result<Tensor> {
    let turn = std::f64::consts::TAU / size as f64;
    let entry = |at: usize| {
        let lag = (at / size) as f64 - (at % size) as f64;
        // One place has one frequency.
        let constant = part(0.0);
        let slow = if size == 1 { 0.0 } else { part(-turn * lag) };
        (constant + slow) / size as f64
    };
    let all: Vec<f64> = (0..size * size).map(entry).collect();
    Ok(Tensor::from_vec(all, (size, size), like.device())?.to_dtype(like.dtype())?)
}
