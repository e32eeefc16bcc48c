//! Pictures as a classifier is shown them.

use candle_core::{DType, Tensor};
use guide_compiler::plan::Normalise;

use super::config::Showing;
use crate::error::Result;

/// Mean and standard deviation of ImageNet's channels.
const IMAGENET: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// A picture `[1, 3, H, W]` in 0..1, brought to the size, range and mean that a classifier expects.
///
/// # Errors
/// What the tensor library reports.
pub fn shown(picture: &Tensor, showing: &Showing) -> Result<Tensor> {
    let (_, _, height, width) = picture.dims4()?;
    let size = showing.size;
    let mut x = picture.clone();
    if height != size {
        x = along(&x.transpose(2, 3)?.contiguous()?, size)?
            .transpose(2, 3)?
            .contiguous()?;
    }
    if width != size {
        x = along(&x, size)?;
    }
    let (low, high) = showing.range;
    let x = x.affine(high - low, low)?;
    match showing.normalise {
        Normalise::None => Ok(x),
        Normalise::Imagenet => {
            let column = |of: fn(&(f32, f32)) -> f32| {
                let values: Vec<f32> = IMAGENET.iter().map(of).collect();
                Tensor::from_vec(values, (1, 3, 1, 1), x.device())
            };
            let (mean, deviation) = (column(|c| c.0)?, column(|c| c.1)?);
            Ok(x.broadcast_sub(&mean)?.broadcast_div(&deviation)?)
        }
    }
}

/// The last axis brought to `size` places.
fn along(x: &Tensor, size: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let shares = shares(width, size);
    let matrix = Tensor::from_vec(shares, (size, width), x.device())?.to_dtype(DType::F32)?;
    let rows = x.reshape((batch * channels * height, width))?;
    let rows = rows.matmul(&matrix.t()?.contiguous()?)?;
    Ok(rows.reshape((batch, channels, height, size))?)
}

/// How much of each place goes into each new one, `[to, from]`: bilinear, and over as many places as one
/// new place covers where there are fewer of them, as Pillow does it.
fn shares(from: usize, to: usize) -> Vec<f32> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let mut all = Vec::with_capacity(from * to);
    for place in 0..to {
        let middle = (place as f64 + 0.5) * scale;
        let weight = |at: usize| (1.0 - ((at as f64 + 0.5 - middle) / reach).abs()).max(0.0);
        let weights: Vec<f64> = (0..from).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        all.extend(weights.iter().map(|weight| (weight / sum) as f32));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn a_picture_keeps_its_mean_and_its_own_size_is_itself() {
        assert_eq!(shares(2, 2), [1.0, 0.0, 0.0, 1.0]);
        for (from, to) in [(8, 4), (4, 8), (7, 3), (5, 1)] {
            let all = shares(from, to);
            for row in all.chunks(from) {
                assert!(
                    (row.iter().sum::<f32>() - 1.0).abs() < 1e-6,
                    "{from} to {to}"
                );
            }
        }
        // Halved: two places in the middle with 3/8, one at each side with 1/8, cut off at the border.
        let row: Vec<f32> = shares(8, 4)[8..16].to_vec();
        assert_eq!(row[1..5], [0.125, 0.375, 0.375, 0.125]);
    }
}
