//! States of a text that nobody wrote: a condition that has nothing to do with the sample.

use candle_core::{DType, Tensor};

use super::text::Encoded;
use crate::error::Result;
use crate::ops::random::Stream;

/// Gaussian states, one for each stream, with the mean and the standard deviation of all elements of the
/// text's states, and a pooled text likewise: `[streams, L, D]` and `[streams, P]`, of the same type and
/// on the same device. A stream's first numbers become the states, the next the pooled text.
///
/// Sadat et al. 2024, arXiv 2407.02687, for models of text.
///
/// # Errors
/// The device fails.
pub fn encoded(text: &Encoded, drawn: &[Stream]) -> Result<Encoded> {
    let taken = text.states.elem_count();
    Ok(Encoded {
        states: like(&text.states, drawn, 0)?,
        pooled: text
            .pooled
            .as_ref()
            .map(|pooled| like(pooled, drawn, taken))
            .transpose()?,
    })
}

/// Gaussian numbers with the moments of `one`, `[1, …]`, from each stream after its first `skip` numbers.
fn like(one: &Tensor, drawn: &[Stream], skip: usize) -> Result<Tensor> {
    let all: Vec<f32> = one.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let count = all.len().max(1) as f64;
    let mean = all.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let squares = all.iter().map(|v| (f64::from(*v) - mean).powi(2));
    let deviation = (squares.sum::<f64>() / (count - 1.0).max(1.0)).sqrt();
    let mut numbers = Vec::with_capacity(all.len() * drawn.len());
    for stream in drawn {
        let mut row = vec![0f32; skip + all.len()];
        stream.normal(&mut row);
        let normal = row.iter().skip(skip);
        numbers.extend(normal.map(|value| (mean + deviation * f64::from(*value)) as f32));
    }
    let mut shape = one.dims().to_vec();
    if let Some(rows) = shape.first_mut() {
        *rows = drawn.len();
    }
    let drawn = Tensor::from_vec(numbers, shape, one.device())?;
    Ok(drawn.to_dtype(one.dtype())?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::{Encoded, encoded, like};
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
        let drawn = like(&text, &streams, 0)?;
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
        let both = like(&text.to_dtype(DType::F16)?, &streams, 0)?;
        assert_eq!(both.dtype(), DType::F16);
        let alone = like(&text.to_dtype(DType::F16)?, &streams[1..], 0)?;
        let bits = |of: &Tensor| -> Result<Vec<f32>> {
            Ok(of.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
        };
        assert_eq!(bits(&both.get(1)?)?, bits(&alone)?);
        Ok(())
    }

    #[test]
    fn a_pooled_text_has_moments_and_numbers_of_its_own() -> Result<()> {
        let text = Encoded {
            states: Tensor::arange(0f32, 12.0, &Device::Cpu)?.reshape((1, 3, 4))?,
            pooled: Some(Tensor::arange(100f32, 108.0, &Device::Cpu)?.unsqueeze(0)?),
        };
        let streams = [5, 6].map(|seed| Stream::new(seed, 0, "k"));
        let drawn = encoded(&text, &streams)?;
        let pooled: Vec<Vec<f32>> = drawn.pooled.as_ref().map_or(Ok(vec![]), Tensor::to_vec2)?;
        let mut numbers = vec![0f32; 20];
        streams[1].normal(&mut numbers);
        // 100..108 have the mean 103.5 and the standard deviation sqrt(6).
        for (got, normal) in pooled[1].iter().zip(&numbers[12..]) {
            assert!((got - (103.5 + 6f32.sqrt() * normal)).abs() < 1e-4);
        }
        assert_eq!(drawn.states.dims(), [2, 3, 4]);
        Ok(())
    }
}
