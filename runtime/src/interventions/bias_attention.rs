//! Cross-attention whose scores depend on where a place lies.

use candle_core::{DType, Tensor};

use super::layers::LayerSet;
use super::{Hook, Site};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::image::area_resize;

/// What a region does to the scores of its tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bias {
    /// Each place's number, times this, is added (paint with words; Balaji et al. 2022, arXiv 2211.01324).
    Added(f64),
    /// Each place's share, 0 to 1, multiplies the attention before it is made to add up to 1: where it is 0
    /// the tokens are not seen.
    Seen,
}

/// The least share that a place has of tokens that it does not see. It keeps a place that sees no token at
/// all from dividing by nothing.
const LEAST: f64 = 1e-30;

/// Changes the scores of some tokens by a region of the picture, which is brought to each layer's map by the
/// mean over what a place covers.
#[derive(Clone, Debug)]
pub struct BiasAttention {
    layers: LayerSet,
    tokens: Vec<u32>,
    region: Option<Tensor>,
    bias: Bias,
}

impl BiasAttention {
    /// For these cross-attentions and tokens; `region` is `[rows, 1, H, W]`, for each row of the question, or
    /// nothing where only the arguments are looked at.
    pub fn new(layers: LayerSet, tokens: Vec<u32>, region: Option<Tensor>, bias: Bias) -> Self {
        Self {
            layers,
            tokens,
            region,
            bias,
        }
    }

    /// What is added to a place's scores.
    fn score(&self, share: f64) -> f32 {
        match self.bias {
            Bias::Added(strength) => (strength * share) as f32,
            Bias::Seen => share.clamp(LEAST, 1.0).ln() as f32,
        }
    }
}

impl Hook for BiasAttention {
    fn bias(&self, site: Site<'_>, tokens: usize) -> Result<Option<Tensor>> {
        let Some(region) = self
            .region
            .as_ref()
            .filter(|_| self.layers.holds(site.layer))
        else {
            return Ok(None);
        };
        super::seen_tokens(&self.tokens, tokens)?;
        let (_, _, height, width) = region.dims4()?;
        let device = region.device();
        let mut all = Vec::with_capacity(site.rows.len());
        for row in site.rows {
            let values = region.get(*row)?.flatten_all()?.to_dtype(DType::F64)?;
            let values = area_resize(&values.to_vec1()?, (height, width), site.grid);
            let mut scores = vec![0f32; values.len() * tokens];
            for (place, share) in scores.chunks_mut(tokens.max(1)).zip(&values) {
                for token in &self.tokens {
                    if let Some(score) = place.get_mut(*token as usize) {
                        *score = self.score(*share);
                    }
                }
            }
            all.push(Tensor::from_vec(scores, (values.len(), tokens), device)?);
        }
        if all.is_empty() {
            let message = "a region was given for no sample";
            return Err(RuntimeError::new(ErrorKind::BadPlan, message));
        }
        Ok(Some(Tensor::stack(&all, 0)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use candle_core::Device;
    use guide_compiler::plan::{LayerTerm, Layers};

    use super::*;
    use crate::interventions::layers::select;

    fn scores(bias: Bias, rows: &[usize], grid: (usize, usize)) -> Result<Vec<f32>> {
        let names = ["mid.attn.0.self".to_owned(), "mid.attn.0.cross".to_owned()];
        let layers = select(&Layers::of(LayerTerm::Cross), &names)?;
        let region: Vec<f32> = vec![0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.5, 0.25];
        let region = Tensor::from_vec(region, (2, 1, 2, 2), &Device::Cpu)?;
        let hook = BiasAttention::new(layers, vec![2], Some(region), bias);
        let site = |layer| Site { layer, grid, rows };
        assert!(hook.bias(site(0), 3)?.is_none(), "not one of its layers");
        let scores = hook.bias(site(1), 3)?.unwrap();
        assert_eq!(scores.dims(), [rows.len(), grid.0 * grid.1, 3]);
        Ok(scores.flatten_all()?.to_vec1()?)
    }

    #[test]
    fn a_region_adds_to_its_tokens_at_its_places() -> Result<()> {
        let found = scores(Bias::Added(4.0), &[1, 0], (2, 2))?;
        let wanted = [4.0, 0.0, 2.0, 1.0, 0.0, 0.0, 4.0, 4.0];
        for (place, score) in found.chunks(3).zip(wanted) {
            assert_eq!(place, [0.0, 0.0, score]);
        }
        let small = scores(Bias::Added(4.0), &[0], (1, 2))?;
        assert_eq!(small, [0.0, 0.0, 2.0, 0.0, 0.0, 2.0]);
        Ok(())
    }

    #[test]
    fn what_is_not_seen_keeps_a_finite_score() -> Result<()> {
        let found = scores(Bias::Seen, &[1], (2, 2))?;
        let shares: Vec<f32> = found.chunks(3).map(|place| place[2].exp()).collect();
        for (found, wanted) in shares.iter().zip([1.0, 0.0, 0.5, 0.25]) {
            assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
        }
        assert!(found.iter().all(|score| score.is_finite()));
        Ok(())
    }
}
