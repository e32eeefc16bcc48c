//! Cross-attention that extrapolates to what only its largest scores give.

use candle_core::{DType, Tensor};

use super::layers::LayerSet;
use super::scores::{Scores, one_head};
use super::{Hook, Site};
use crate::error::Result;

/// PLADIS (Kim and Sim 2025, arXiv 2503.07677): with `d` what the attention gives and `s` what it gives with
/// alpha-entmax in place of the softmax, the result is `d + scale (s - d)`.
#[derive(Clone, Debug)]
pub struct SparseAttention {
    layers: LayerSet,
    scale: f64,
    alpha: f64,
}

impl SparseAttention {
    /// For these cross-attentions; `alpha` lies above 1 and is 2 at most, where it is the sparsemax.
    pub fn new(layers: LayerSet, scale: f64, alpha: f64) -> Self {
        Self {
            layers,
            scale,
            alpha,
        }
    }
}

impl Hook for SparseAttention {
    fn weighed(
        &self,
        site: Site<'_>,
        scores: &Scores<'_>,
        values: &Tensor,
        given: Tensor,
    ) -> Result<Tensor> {
        if !self.layers.holds(site.layer) {
            return Ok(given);
        }
        let width = scores.width()?;
        let mut samples = Vec::with_capacity(given.dim(0)?);
        for sample in 0..given.dim(0)? {
            let mut heads = Vec::with_capacity(scores.heads);
            for head in 0..scores.heads {
                let of = scores.of(sample, head)?;
                let (places, tokens) = of.dims2()?;
                let mut shares = of.flatten_all()?.to_vec1::<f32>()?;
                for row in shares.chunks_mut(tokens.max(1)) {
                    entmax(row, self.alpha);
                }
                let shares = Tensor::from_vec(shares, (places, tokens), of.device())?;
                heads.push(shares.matmul(&one_head(values, sample, head, width)?)?);
            }
            samples.push(Tensor::cat(&heads, 1)?);
        }
        let sparse = Tensor::stack(&samples, 0)?;
        let dense = given.to_dtype(DType::F32)?;
        let result = (&dense + ((sparse - &dense)? * self.scale)?)?;
        Ok(result.to_dtype(given.dtype())?)
    }
}

/// Halvings of the interval in which the threshold lies: as many as a double can tell apart.
const HALVINGS: usize = 60;

/// Replaces scores `z` by their alpha-entmax, `p = max(0, (alpha - 1) z - tau)^(1/(alpha - 1))`, with `tau` such
/// that they add up to 1 (Peters, Niculae and Martins 2019, arXiv 1905.05702); `tau` is found by halving.
fn entmax(row: &mut [f32], alpha: f64) {
    let power = 1.0 / (alpha - 1.0);
    let scaled: Vec<f64> = row.iter().map(|z| f64::from(*z) * (alpha - 1.0)).collect();
    let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let share = |z: f64, tau: f64| {
        let above = (z - tau).max(0.0);
        if power == 2.0 {
            above * above
        } else {
            above.powf(power)
        }
    };
    // Between these the shares add up to 1 or more and to 1 or less.
    let (mut low, mut high) = (largest - 1.0, largest);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        let sum: f64 = scaled.iter().map(|z| share(*z, middle)).sum();
        if sum >= 1.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let sum: f64 = scaled.iter().map(|z| share(*z, low)).sum();
    for (out, z) in row.iter_mut().zip(&scaled) {
        *out = (share(*z, low) / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::entmax;

    fn of(scores: &[f32], alpha: f64) -> Vec<f32> {
        let mut row = scores.to_vec();
        entmax(&mut row, alpha);
        row
    }

    /// The projection onto the simplex, by sorting.
    fn sparsemax(scores: &[f32]) -> Vec<f32> {
        let mut sorted: Vec<f64> = scores.iter().map(|z| f64::from(*z)).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (mut sum, mut tau) = (0.0, 0.0);
        for (at, z) in sorted.iter().enumerate() {
            sum += z;
            if 1.0 + (at + 1) as f64 * z > sum {
                tau = (sum - 1.0) / (at + 1) as f64;
            }
        }
        scores
            .iter()
            .map(|z| (f64::from(*z) - tau).max(0.0) as f32)
            .collect()
    }

    #[test]
    fn alpha_2_is_the_projection_onto_the_simplex() {
        for scores in [
            &[0.1f32, 1.3, 0.9, -4.0][..],
            &[5.0, 1.0],
            &[0.0, 0.0, 0.0],
            &[7.5],
        ] {
            for (found, wanted) in of(scores, 2.0).iter().zip(sparsemax(scores)) {
                assert!(
                    (found - wanted).abs() < 1e-6,
                    "{scores:?}: {found}, not {wanted}"
                );
            }
        }
    }

    #[test]
    fn between_it_and_the_softmax_shares_add_up_and_the_least_are_none() {
        let scores = [2.0f32, 1.5, 0.2, -3.0, -5.0];
        for alpha in [1.05, 1.3, 1.5, 1.9] {
            let shares = of(&scores, alpha);
            let sum: f32 = shares.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6);
            assert!(shares.windows(2).all(|pair| pair[0] >= pair[1]));
        }
        assert_eq!(of(&scores, 1.5)[3..], [0.0, 0.0]);
        let all: f64 = scores.iter().map(|z| f64::from(*z).exp()).sum();
        for (found, z) in of(&scores, 1.0001).iter().zip(scores) {
            let softmax = f64::from(z).exp() / all;
            assert!((f64::from(*found) - softmax).abs() < 1e-3);
        }
    }
}
