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
