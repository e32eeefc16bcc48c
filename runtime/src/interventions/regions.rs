//! The regions of a picture by the tokens of its text: attention to the text, spread by self-attention
//! (Shen et al. 2024, arXiv 2404.05384).

use candle_core::{D, DType, Tensor};

use super::Scores;
use crate::error::{ErrorKind, Result, RuntimeError};

/// The shares of attention, `[B, N, M]`, f32, the mean over the heads.
pub fn shares(scores: &Scores<'_>) -> Result<Tensor> {
    let of = |sample: usize| -> Result<Tensor> {
        let mut sum = scores.shares(sample, 0)?;
        for head in 1..scores.heads {
            sum = (sum + scores.shares(sample, head)?)?;
        }
        Ok((sum / scores.heads as f64)?)
    };
    let samples = (0..scores.queries.dim(0)?).map(of);
    Ok(Tensor::stack(&samples.collect::<Result<Vec<_>>>()?, 0)?)
}

/// A map for each of the tokens, `[B, K, N]`: with `C` the attention to the text, `[B, N, M]`, and `S` the
/// self-attention, `[B, N, N]`, `(S + ... + S^times) C / times`, each map divided by its mean.
pub fn spread(text: &Tensor, own: &Tensor, times: u32, tokens: &[u32]) -> Result<Tensor> {
    if tokens.is_empty() {
        let message = "a text without tokens has no regions";
        return Err(RuntimeError::new(ErrorKind::BadBinding, message));
    }
    let tokens = Tensor::new(tokens, text.device())?;
    // A sample's numbers must not follow what goes through with it.
    let of = |sample: usize| -> Result<Tensor> {
        let own = own.get(sample)?.contiguous()?;
        let mut turn = text.get(sample)?.index_select(&tokens, 1)?.contiguous()?;
        let mut sum = turn.zeros_like()?;
        for _ in 0..times.max(1) {
            turn = own.matmul(&turn)?;
            sum = (sum + &turn)?;
        }
        let means = sum.mean_keepdim(0)?.maximum(f64::from(f32::MIN_POSITIVE))?;
        Ok(sum.broadcast_div(&means)?.t()?.contiguous()?)
    };
    let samples = (0..text.dim(0)?).map(of);
    Ok(Tensor::stack(&samples.collect::<Result<Vec<_>>>()?, 0)?)
}

/// Of the maps of tokens, `[B, K, H, W]`, at each place the token that is largest, by its place in the text:
/// `[B, 1, H, W]`, f32.
pub fn strongest(maps: &Tensor, tokens: &[u32]) -> Result<Tensor> {
    let (rows, _, height, width) = maps.dims4()?;
    let places = maps.permute((0, 2, 3, 1))?.contiguous()?;
    let best = places.argmax(D::Minus1)?.flatten_all()?;
    let numbers: Vec<f32> = tokens.iter().map(|token| *token as f32).collect();
    let numbers = Tensor::new(numbers, maps.device())?;
    let strongest = numbers.index_select(&best, 0)?.to_dtype(DType::F32)?;
    Ok(strongest.reshape((rows, 1, height, width))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use candle_core::Device;

    use super::*;

    const PLACES: usize = 6;
    const WORDS: usize = 5;
    const TOKENS: [u32; 3] = [0, 2, 3];

    /// Rows that add up to 1.
    fn attention(columns: usize, seed: f64) -> Vec<Vec<f64>> {
        let row = |place: usize| -> Vec<f64> {
            let one = |i: usize| (2.0 * ((place * columns + i) as f64 * 1.37 + seed).sin()).exp();
            let all: f64 = (0..columns).map(one).sum();
            (0..columns).map(|i| one(i) / all).collect()
        };
        (0..PLACES).map(row).collect()
    }

    fn tensor(samples: &[Vec<Vec<f64>>]) -> Tensor {
        let columns = samples[0][0].len();
        let numbers = samples.iter().flatten().flatten().map(|v| *v as f32);
        let shape = (samples.len(), PLACES, columns);
        Tensor::from_vec(numbers.collect(), shape, &Device::Cpu).unwrap()
    }

    /// The same by loops: `[token][place]`.
    fn slowly(text: &[Vec<f64>], own: &[Vec<f64>], times: usize) -> Vec<Vec<f64>> {
        let token = |token: &u32| {
            let mut turn: Vec<f64> = text.iter().map(|row| row[*token as usize]).collect();
            let mut sum = [0.0; PLACES];
            for _ in 0..times {
                let spread = |row: &Vec<f64>| row.iter().zip(&turn).map(|(s, c)| s * c).sum();
                turn = own.iter().map(spread).collect();
                sum.iter_mut()
                    .zip(&turn)
                    .for_each(|(sum, more)| *sum += more);
            }
            let mean = sum.iter().sum::<f64>() / PLACES as f64;
            sum.iter().map(|value| value / mean).collect()
        };
        TOKENS.iter().map(token).collect()
    }

    #[test]
    fn maps_of_tokens_and_the_strongest_are_what_loops_give() {
        let texts = [attention(WORDS, 0.3), attention(WORDS, 2.2)];
        let owns = [attention(PLACES, 1.1), attention(PLACES, 4.0)];
        for times in [1, 4] {
            let maps = spread(&tensor(&texts), &tensor(&owns), times, &TOKENS).unwrap();
            let on_grid = maps.reshape((2, TOKENS.len(), 2, 3)).unwrap();
            let best = strongest(&on_grid, &TOKENS).unwrap();
            assert_eq!(best.dims(), [2, 1, 2, 3]);
            let best: Vec<f32> = best.flatten_all().unwrap().to_vec1().unwrap();
            for (sample, (text, own)) in texts.iter().zip(&owns).enumerate() {
                let wanted = slowly(text, own, times as usize);
                let found: Vec<Vec<f32>> = maps.get(sample).unwrap().to_vec2().unwrap();
                for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
                    assert!(
                        (f64::from(*found) - wanted).abs() < 1e-5,
                        "{found} is not {wanted}"
                    );
                }
                for place in 0..PLACES {
                    let largest = (0..TOKENS.len())
                        .max_by(|a, b| wanted[*a][place].total_cmp(&wanted[*b][place]))
                        .unwrap();
                    assert_eq!(best[sample * PLACES + place], TOKENS[largest] as f32);
                }
            }
        }
    }
}
