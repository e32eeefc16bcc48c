//! Tokens in another order.

use candle_core::Tensor;

use super::layers::LayerSet;
use super::{Hook, Operands, Site};
use crate::error::Result;
use crate::ops::random::Stream;

/// Token perturbation (TPG, Rajabi et al. 2025, arXiv 2506.10036): the tokens that enter a transformer
/// block are put in an order drawn at random, and stay in it when they leave. Each sample, step and block
/// has an order of its own, keyed by the seed, the step, the salt and the layer's name.
#[derive(Clone, Debug)]
pub struct ShuffleTokens {
    layers: LayerSet,
    names: Vec<String>,
    salt: String,
    step: u32,
    seeds: Vec<u64>,
}

impl ShuffleTokens {
    /// For the blocks with these self-attentions, of a network with layers of these names.
    pub fn new(layers: LayerSet, names: &[String], salt: &str, operands: &Operands<'_>) -> Self {
        Self {
            layers,
            names: names.to_vec(),
            salt: salt.to_owned(),
            step: operands.step,
            seeds: operands.seeds.to_vec(),
        }
    }
}

impl Hook for ShuffleTokens {
    fn enter(&self, site: Site<'_>, tokens: Tensor) -> Result<Tensor> {
        if !self.layers.holds(site.layer) {
            return Ok(tokens);
        }
        let name = self.names.get(site.layer).map_or("", String::as_str);
        let key = format!("{}/shuffle_tokens/{name}", self.salt);
        let (samples, count, _) = tokens.dims3()?;
        let shuffled = (0..samples).map(|sample| {
            let row = site.rows.get(sample).copied().unwrap_or(sample);
            let seed = self.seeds.get(row).copied().unwrap_or_default();
            let order = Stream::new(seed, self.step, &key).permutation(count);
            let order = Tensor::from_vec(order, count, tokens.device())?;
            Ok(tokens.narrow(0, sample, 1)?.index_select(&order, 1)?)
        });
        Ok(Tensor::cat(&shuffled.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
