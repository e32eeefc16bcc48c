//! Self-attention whose queries are blurred over space.

use candle_core::Tensor;

use super::layers::LayerSet;
use super::{Hook, Site};
use crate::error::{ErrorKind, Result, RuntimeError};

/// The perturbation of SEG (Hong 2024, arXiv 2408.00760): the queries, laid out as a map, are convolved
/// with a normalised Gaussian of standard deviation `sigma` and as many taps as six of them cover, at
/// most the map's height made odd, with reflect padding; an infinite `sigma` is the mean over space.
#[derive(Clone, Debug)]
pub struct BlurAttention {
    layers: LayerSet,
    sigma: f64,
}

impl BlurAttention {
    /// For these self-attentions; `sigma` in pixels of the map, or infinite.
    ///
    /// # Errors
    /// `BadPlan` for a `sigma` that is not above 0.
    pub fn new(layers: LayerSet, sigma: f64) -> Result<Self> {
        if sigma.is_nan() || sigma <= 0.0 {
            return Err(RuntimeError::new(
                ErrorKind::BadPlan,
                format!("`sigma = {sigma}` of `blur_attention` is not above 0"),
            ));
        }
        Ok(Self { layers, sigma })
    }
}

impl Hook for BlurAttention {
    fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        if !self.layers.holds(site.layer) {
            return Ok(queries);
        }
        if self.sigma.is_infinite() {
            return Ok(queries
                .mean_keepdim(1)?
                .broadcast_as(queries.shape())?
                .contiguous()?);
        }
        let (height, width) = site.grid;
        let taps = taps(self.sigma, height);
        let rows = blur_matrix(height, taps, self.sigma, &queries)?;
        let columns = blur_matrix(width, taps, self.sigma, &queries)?;
        blur(&queries, site.grid, &rows, &columns)
    }
}

/// The number of taps, odd: six standard deviations, but no more than the map is high (one more where
/// that is even).
fn taps(sigma: f64, height: usize) -> usize {
    let wide = (6.0 * sigma).ceil();
    let most = height + (1 - height % 2);
    // A `sigma` of millions saturates here and is cut to the map by `min`.
    let wide = wide as usize;
    wide.saturating_add(1 - wide % 2).min(most).max(1)
}

/// The blur along an axis of `size` pixels as a matrix, `[size, size]`, reflections included.
fn blur_matrix(size: usize, taps: usize, sigma: f64, like: &Tensor) -> Result<Tensor> {
    let half = taps / 2;
    let weight = |tap: usize| {
        let distance = tap as f64 - half as f64;
        (-0.5 * (distance / sigma).powi(2)).exp()
    };
    let total: f64 = (0..taps).map(weight).sum();
    let mut matrix = vec![0f64; size * size];
    for row in 0..size {
        for tap in 0..taps {
            let column = reflect(row as i64 + tap as i64 - half as i64, size as i64);
            matrix[row * size + column] += weight(tap) / total;
        }
    }
    Ok(Tensor::from_vec(matrix, (size, size), like.device())?.to_dtype(like.dtype())?)
}

/// The pixel that stands at `at` beyond an edge, the edge itself not repeated.
fn reflect(at: i64, size: i64) -> usize {
    if size == 1 {
        return 0;
    }
    let period = 2 * (size - 1);
    let inside = at.rem_euclid(period);
    inside.min(period - inside) as usize
}

/// `[B, H*W, C]` blurred along both axes.
fn blur(
    queries: &Tensor,
    (height, width): (usize, usize),
    rows: &Tensor,
    columns: &Tensor,
) -> Result<Tensor> {
    let (batch, tokens, channels) = queries.dims3()?;
    let along_rows = queries.reshape((batch, height, width * channels))?;
    let blurred = rows
        .broadcast_left(batch)?
        .contiguous()?
        .matmul(&along_rows)?;
    let along_columns = blurred.reshape((batch * height, width, channels))?;
    let blurred = columns
        .broadcast_left(batch * height)?
        .contiguous()?
        .matmul(&along_columns)?;
    Ok(blurred.reshape((batch, tokens, channels))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn taps_are_odd_and_fit_the_map() {
        assert_eq!(taps(1.0, 24), 7);
        assert_eq!(taps(10.0, 24), 25);
        assert_eq!(taps(10.0, 3), 3);
        assert_eq!(taps(0.1, 24), 1);
        assert_eq!(taps(1e300, 23), 23);
        assert_eq!(taps(1.0, 1), 1);
    }

    #[test]
    fn a_constant_map_stays_what_it_is() -> Result<()> {
        let queries = Tensor::ones((1, 6 * 5, 2), DType::F32, &Device::Cpu)?;
        let rows = blur_matrix(6, 5, 2.0, &queries)?;
        let columns = blur_matrix(5, 5, 2.0, &queries)?;
        let blurred = blur(&queries, (6, 5), &rows, &columns)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        assert!(blurred.iter().all(|x| (x - 1.0).abs() < 1e-6));
        Ok(())
    }
}
