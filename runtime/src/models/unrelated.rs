//! States of a text that nobody wrote: a condition that has nothing to do with the sample.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::ops::random::Stream;

/// Gaussian states, one for each stream, with the mean and the standard deviation of all elements of
/// `states` (`[1, L, D]`): `[streams, L, D]`, of the same type and on the same device.
///
/// Sadat et al. 2024, arXiv 2407.02687, for models of text.
///
/// # Errors
/// The device fails.
pub fn states(states: &Tensor, drawn: &[Stream]) -> Result<Tensor> {
    let all: Vec<f32> = states.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let count = all.len().max(1) as f64;
    let mean = all.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let squares = all.iter().map(|v| (f64::from(*v) - mean).powi(2));
    let deviation = (squares.sum::<f64>() / (count - 1.0).max(1.0)).sqrt();
    let mut numbers = vec![0f32; all.len() * drawn.len()];
    for (row, stream) in numbers.chunks_mut(all.len().max(1)).zip(drawn) {
        stream.normal(row);
        for value in row {
            *value = (mean + deviation * f64::from(*value)) as f32;
        }
    }
    let (_, length, width) = states.dims3()?;
    let shape = (drawn.len(), length, width);
    let drawn = Tensor::from_vec(numbers, shape, states.device())?;
    Ok(drawn.to_dtype(states.dtype())?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::states;
    use crate::error::Result;
    use crate::ops::random::Stream;

    fn moments(of: &Tensor) -> Result<(f64, f64)> {
        let all: Vec<f32> = of.flatten_all()?.to_vec1()?;
        let mean = all.iter().map(|v| f64::from(*v)).sum::<f64>() / all.len() as f64;
        let squares = all.iter().map(|v| (f64::from(*v) - mean).powi(2));
        Ok((mean, (squares.sum::<f64>() / (all.len() - 1) as f64).sqrt()))
    }

    #[test]
    fn drawn_states_have_the_moments_of_the_text() -> Result<()> {
        let numbers: Vec<f32> = (0..77 * 64)
            .map(|i| 0.3 + (i as f32 * 0.7).sin() * 2.0)
            .collect();
        let text = Tensor::from_vec(numbers, (1, 77, 64), &Device::Cpu)?;
        let streams = [1, 2, 3].map(|seed| Stream::new(seed, 4, "k"));
        let drawn = states(&text, &streams)?;
        assert_eq!(drawn.dims(), [3, 77, 64]);
        let (mean, deviation) = moments(&text)?;
        for row in 0..3 {
            let (m, d) = moments(&drawn.get(row)?)?;
            // Of 4928 draws, four standard errors.
            assert!((m - mean).abs() < 4.0 * deviation / 70.0, "{m} {mean}");
            assert!(
                (d - deviation).abs() < 4.0 * deviation / 99.0,
                "{d} {deviation}"
            );
        }
        let two: Vec<Vec<f32>> = drawn.flatten_from(1)?.to_vec2()?;
        assert!(two[0] != two[1] && two[1] != two[2]);
        Ok(())
    }

    #[test]
    fn a_row_is_its_stream_s_alone() -> Result<()> {
        let text = Tensor::arange(0f32, 12.0, &Device::Cpu)?.reshape((1, 3, 4))?;
        let streams = [5, 6].map(|seed| Stream::new(seed, 0, "k"));
        let both = states(&text.to_dtype(DType::F16)?, &streams)?;
        assert_eq!(both.dtype(), DType::F16);
        let alone = states(&text.to_dtype(DType::F16)?, &streams[1..])?;
        let bits = |of: &Tensor| -> Result<Vec<f32>> {
            Ok(of.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
        };
        assert_eq!(bits(&both.get(1)?)?, bits(&alone)?);
        Ok(())
    }
}
