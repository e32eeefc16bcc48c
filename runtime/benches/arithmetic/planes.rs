//! Blurring and doubling by tensor operations.

use candle_core::{D, Result, Tensor};

/// `[1 4 6 4 1]/16` along both axes, the border mirrored at its pixels.
pub fn blurred(t: &Tensor) -> Result<Tensor> {
    along(&along(t, D::Minus1)?, D::Minus2)
}

fn along(t: &Tensor, axis: D) -> Result<Tensor> {
    let side = t.dim(axis)?;
    let at = |i: usize| t.narrow(axis, i, 1);
    let parts = [at(2)?, at(1)?, t.clone(), at(side - 2)?, at(side - 3)?];
    let padded = Tensor::cat(&parts, axis)?;
    let shifted = |i: usize| padded.narrow(axis, i, side);
    let outer = ((shifted(0)? + shifted(4)?)? * (1.0 / 16.0))?;
    let inner = ((shifted(1)? + shifted(3)?)? * (4.0 / 16.0))?;
    (outer + inner)? + (shifted(2)? * (6.0 / 16.0))?
}

/// Bilinear, between the centres of pixels.
pub fn doubled(t: &Tensor) -> Result<Tensor> {
    let (height, width) = (t.dim(D::Minus2)?, t.dim(D::Minus1)?);
    t.upsample_bilinear2d(2 * height, 2 * width, false)
}
