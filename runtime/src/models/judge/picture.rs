//! Pictures as a classifier is shown them.

use candle_core::{DType, Tensor};
use guide_compiler::plan::Normalise;

use super::clip;
use super::config::Showing;
use crate::error::Result;

/// Mean and standard deviation of ImageNet's channels.
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// A picture `[1, 3, H, W]` in 0..1, brought to the size, range and mean that a classifier expects.
///
/// # Errors
/// What the tensor library reports.
pub fn shown(picture: &Tensor, showing: &Showing) -> Result<Tensor> {
    let x = match showing.middle {
        true => middle(picture, showing.size)?,
        false => resized(picture, (showing.size, showing.size), triangle)?,
    };
    let (low, high) = showing.range;
    let x = x.affine(high - low, low)?;
    let (mean, deviation) = match showing.normalise {
        Normalise::None => return Ok(x),
        Normalise::Imagenet => IMAGENET,
        Normalise::Clip => (clip::MEAN, clip::DEVIATION),
    };
    let column = |values: [f64; 3]| {
        Tensor::from_vec(values.map(|v| v as f32).to_vec(), (1, 3, 1, 1), x.device())
    };
    Ok(x.broadcast_sub(&column(mean)?)?
        .broadcast_div(&column(deviation)?)?)
}

/// The shorter side brought to `size`, and the middle of the longer one.
fn middle(picture: &Tensor, size: usize) -> Result<Tensor> {
    let (_, _, height, width) = picture.dims4()?;
    let short = height.min(width);
    let sides = (size * height / short, size * width / short);
    let x = resized(picture, sides, cubic)?;
    let x = x.narrow(2, (sides.0 - size) / 2, size)?;
    Ok(x.narrow(3, (sides.1 - size) / 2, size)?.contiguous()?)
}

/// A picture brought to that height and width.
fn resized(picture: &Tensor, (to_height, to_width): (usize, usize), by: Filter) -> Result<Tensor> {
    let (_, _, height, width) = picture.dims4()?;
    let mut x = picture.clone();
    if height != to_height {
        x = along(&x.transpose(2, 3)?.contiguous()?, to_height, by)?
            .transpose(2, 3)?
            .contiguous()?;
    }
    if width != to_width {
        x = along(&x, to_width, by)?;
    }
    Ok(x)
}

/// How much a place counts, by its distance in new places.
type Filter = fn(f64) -> f64;

/// Bilinear.
fn triangle(distance: f64) -> f64 {
    (1.0 - distance.abs()).max(0.0)
}

/// Keys' cubic with a = -1/2, as Pillow and PyTorch's `antialias` have it.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let d = distance.abs();
    if d < 1.0 {
        ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        A * (((d - 5.0) * d + 8.0) * d - 4.0)
    } else {
        0.0
    }
}

/// The last axis brought to `size` places.
fn along(x: &Tensor, size: usize, by: Filter) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let shares = shares(width, size, by);
    let matrix = Tensor::from_vec(shares, (size, width), x.device())?.to_dtype(DType::F32)?;
    let rows = x.reshape((batch * channels * height, width))?;
    let rows = rows.matmul(&matrix.t()?.contiguous()?)?;
    Ok(rows.reshape((batch, channels, height, size))?)
}

/// How much of each place goes into each new one, `[to, from]`: by a filter, which is stretched over as many
/// places as one new place covers where there are fewer of them, as Pillow does it.
fn shares(from: usize, to: usize, by: Filter) -> Vec<f32> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let mut all = Vec::with_capacity(from * to);
    for place in 0..to {
        let middle = (place as f64 + 0.5) * scale;
        let weight = |at: usize| by((at as f64 + 0.5 - middle) / reach);
        let weights: Vec<f64> = (0..from).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        all.extend(weights.iter().map(|weight| (weight / sum) as f32));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{cubic, shares, triangle};

    #[test]
    fn a_picture_keeps_its_mean_and_its_own_size_is_itself() {
        assert_eq!(shares(2, 2, triangle), [1.0, 0.0, 0.0, 1.0]);
        for (from, to) in [(8, 4), (4, 8), (7, 3), (5, 1)] {
            for by in [triangle, cubic] {
                for row in shares(from, to, by).chunks(from) {
                    let sum: f32 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-6, "{from} to {to}");
                }
            }
        }
        // Halved: two places in the middle with 3/8, one at each side with 1/8, cut off at the border.
        let row: Vec<f32> = shares(8, 4, triangle)[8..16].to_vec();
        assert_eq!(row[1..5], [0.125, 0.375, 0.375, 0.125]);
    }
}
