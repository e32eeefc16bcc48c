//! The time that a network is told, as sinusoids.

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// The sinusoids of each time, `[B, channels]`: frequencies `10000^(-i/(half - shift))`, sines then
/// cosines, or the other way round where `flip`.
///
/// Frequencies and angles are rounded to f32, as the networks were trained with.
///
/// # Errors
/// A device without room.
pub fn sinusoids(
    times: &[f64],
    channels: usize,
    flip: bool,
    shift: f64,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let half = channels / 2;
    let rate = -(10000f64.ln()) as f32;
    let span = (half as f64 - shift) as f32;
    let mut rows = Vec::with_capacity(times.len() * channels);
    for time in times {
        let angles = (0..half).map(|i| {
            let exponent = rate * i as f32 / span;
            let frequency = f64::from(exponent).exp() as f32;
            f64::from(*time as f32 * frequency)
        });
        let sines = angles.clone().map(|angle| angle.sin() as f32);
        let cosines = angles.map(|angle| angle.cos() as f32);
        if flip {
            rows.extend(cosines.chain(sines));
        } else {
            rows.extend(sines.chain(cosines));
        }
    }
    Ok(Tensor::from_vec(rows, (times.len(), half * 2), device)?.to_dtype(dtype)?)
}
