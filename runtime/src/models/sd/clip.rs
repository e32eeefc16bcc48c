//! CLIP's text encoder (`CLIPTextModel`, `CLIPTextModelWithProjection`).

use candle_core::{DType, Device, Module, Tensor};

use super::config::ClipConfig;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::kernels::{self, LayerNorm, Linear};
use crate::models::nn;
use crate::weights::{Part, Weights};

/// The text encoder.
#[derive(Debug)]
pub struct TextEncoder {
    config: ClipConfig,
    tokens: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
    mask: Tensor,
    projection: Option<Linear>,
}

/// What an encoder makes of a text.
#[derive(Clone, Debug)]
pub struct States {
    /// After the last layer and the final norm, `[1, L, D]`.
    pub last: Tensor,
    /// Before the last layer, without a norm, `[1, L, D]`.
    pub penultimate: Tensor,
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl TextEncoder {
    /// Takes the network's tensors, which stand below `text_model` or at the top.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(weights: &Weights, config: ClipConfig) -> Result<Self> {
        let root = weights.root();
        let bare = root.has("embeddings.token_embedding.weight");
        let part = if bare { root } else { root.at("text_model") };
        let width = config.hidden_size;
        let tokens = part.tensor(
            "embeddings.token_embedding.weight",
            &[config.vocab_size, width],
        )?;
        let positions = part.tensor(
            "embeddings.position_embedding.weight",
            &[config.positions, width],
        )?;
        let layers = (0..config.layers)
            .map(|i| Layer::load(&part.at(format!("encoder.layers.{i}")), &config));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            norm: nn::layer_norm(&part.at("final_layer_norm"), width, config.norm_eps)?,
            mask: causal(config.positions, tokens.dtype(), tokens.device())?,
            projection: projection(&weights.root(), &config)?,
            tokens,
            positions,
            config,
        })
    }

    /// The config.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Width of a projected pooled text, where the encoder has a projection.
    pub fn projected(&self) -> Option<usize> {
        self.projection.as_ref().map(|_| self.config.projection)
    }

    /// The states of a text, `[1, L, D]`, through the final norm. `skip` leaves out that many layers at
    /// the end.
    ///
    /// # Errors
    /// `BadTokenizer` for more tokens than there are positions or for one outside of the vocabulary;
    /// what the tensor library reports.
    pub fn encode(&self, ids: &[u32], skip: usize) -> Result<Tensor> {
        let layers = self.layers.len().saturating_sub(skip);
        let states = self.through(self.embed(ids)?, &self.layers[..layers])?;
        Ok(self.norm.forward(&states)?)
    }

    /// The states of a text before and after the last layer.
    ///
    /// # Errors
    /// As [`TextEncoder::encode`].
    pub fn states(&self, ids: &[u32]) -> Result<States> {
        let before = self.layers.len().saturating_sub(1);
        let penultimate = self.through(self.embed(ids)?, &self.layers[..before])?;
        let last = self.through(penultimate.clone(), &self.layers[before..])?;
        Ok(States {
            last: self.norm.forward(&last)?,
            penultimate,
        })
    }

    /// The last state at the end of the text, `[1, D]`; through the projection where there is one, `[1, P]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn pooled(&self, ids: &[u32], last: &Tensor) -> Result<Tensor> {
        let end = match self.config.pooled_at {
            Some(end) => ids.iter().position(|id| *id == end).unwrap_or(0),
            None => highest(ids),
        };
        let pooled = last.narrow(1, end, 1)?.squeeze(1)?;
        match &self.projection {
            Some(projection) => Ok(projection.forward(&pooled)?),
            None => Ok(pooled),
        }
    }

    /// Tokens and their positions, `[1, L, D]`.
    fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        let length = ids.len();
        if length > self.config.positions || length == 0 {
            return Err(RuntimeError::new(
                ErrorKind::BadTokenizer,
                format!(
                    "the tokenizer gives {length} tokens where the text encoder takes 1 to {}",
                    self.config.positions
                ),
            ));
        }
        if let Some(id) = ids
            .iter()
            .find(|id| **id as usize >= self.config.vocab_size)
        {
            return Err(RuntimeError::new(
                ErrorKind::BadTokenizer,
                format!(
                    "the tokenizer gives token {id} where the text encoder knows {}",
                    self.config.vocab_size
                ),
            )
            .help("check that the tokenizer and the text encoder belong to one model"));
        }
        let ids = Tensor::from_slice(ids, length, self.tokens.device())?;
        let tokens = self.tokens.index_select(&ids, 0)?;
        Ok((tokens + self.positions.narrow(0, 0, length)?)?.unsqueeze(0)?)
    }

    fn through(&self, mut h: Tensor, layers: &[Layer]) -> Result<Tensor> {
        let length = h.dim(1)?;
        let mask = self.mask.narrow(0, 0, length)?.narrow(1, 0, length)?;
        for layer in layers {
            h = layer.forward(&h, &self.config, &mask)?;
        }
        Ok(h)
    }
}

/// The place of the highest id, the first of several: the end, which has the last id of CLIP's vocabulary.
fn highest(ids: &[u32]) -> usize {
    let most = ids.iter().max();
    ids.iter().position(|id| Some(id) == most).unwrap_or(0)
}

/// The projection of a pooled text, where the weights have one.
fn projection(root: &Part<'_>, config: &ClipConfig) -> Result<Option<Linear>> {
    let part = root.at("text_projection");
    part.has("weight")
        .then(|| nn::linear_no_bias(&part, config.hidden_size, config.projection))
        .transpose()
}

impl Layer {
    fn load(part: &Part<'_>, config: &ClipConfig) -> Result<Self> {
        let width = config.hidden_size;
        let attention = |name: &str| nn::linear(&part.at("self_attn").at(name), width, width);
        Ok(Self {
            norm1: nn::layer_norm(&part.at("layer_norm1"), width, config.norm_eps)?,
            q: attention("q_proj")?,
            k: attention("k_proj")?,
            v: attention("v_proj")?,
            out: attention("out_proj")?,
            norm2: nn::layer_norm(&part.at("layer_norm2"), width, config.norm_eps)?,
            fc1: nn::linear(&part.at("mlp.fc1"), width, config.intermediate_size)?,
            fc2: nn::linear(&part.at("mlp.fc2"), config.intermediate_size, width)?,
        })
    }

    fn forward(&self, h: &Tensor, config: &ClipConfig, mask: &Tensor) -> Result<Tensor> {
        let normed = self.norm1.forward(h)?;
        let (q, k, v) = (
            self.q.forward(&normed)?,
            self.k.forward(&normed)?,
            self.v.forward(&normed)?,
        );
        let h = (self.out.forward(&kernels::attention(
            &q,
            &k,
            &v,
            config.heads,
            Some(mask),
            false,
        )?)? + h)?;
        let inner = self.fc1.forward(&self.norm2.forward(&h)?)?;
        let inner = config.activation.apply(&inner)?;
        Ok((self.fc2.forward(&inner)? + h)?)
    }
}

/// `[L, L]`: 0 where a token may look, else minus infinity. Padding is not masked.
fn causal(length: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let mut mask = vec![0f32; length * length];
    for (row, looks) in mask.chunks_mut(length).enumerate() {
        looks[row + 1..].fill(f32::NEG_INFINITY);
    }
    Ok(Tensor::from_vec(mask, (length, length), device)?.to_dtype(dtype)?)
}
