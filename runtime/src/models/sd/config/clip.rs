//! `text_encoder/config.json`.

use candle_core::Tensor;
use serde_json::Value;

use crate::error::Result;
use crate::models::fields::Fields;
use crate::weights::Source;

/// The activation in CLIP's feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipActivation {
    /// `x * sigmoid(1.702 x)`
    QuickGelu,
    /// By the error function.
    Gelu,
}

impl ClipActivation {
    /// The field `hidden_act`.
    ///
    /// # Errors
    /// `BadConfig`.
    pub(in crate::models) fn of(fields: &Fields) -> Result<Self> {
        match fields.word("hidden_act", "quick_gelu")?.as_str() {
            "quick_gelu" => Ok(ClipActivation::QuickGelu),
            "gelu" => Ok(ClipActivation::Gelu),
            _ => Err(fields.refuse("hidden_act", "this runtime knows `quick_gelu` and `gelu`")),
        }
    }

    /// Elementwise.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub(in crate::models) fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            ClipActivation::QuickGelu => (x * candle_nn::ops::sigmoid(&(x * 1.702)?)?)?,
            ClipActivation::Gelu => x.gelu_erf()?,
        })
    }
}

/// `text_encoder/config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipConfig {
    /// Size of the vocabulary.
    pub vocab_size: usize,
    /// Width of the states.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Most tokens.
    pub positions: usize,
    /// Epsilon of the layer norms.
    pub norm_eps: f64,
    /// The activation.
    pub activation: ClipActivation,
    /// Width of the projected pooled text, where the encoder has a projection.
    pub projection: usize,
    /// The token that a text is pooled at, where the config names it; else the one with the highest id.
    pub pooled_at: Option<u32>,
}

/// Configs written before transformers 4.28 all say this, whatever the end's id is.
const UNKNOWN_END: u64 = 2;

impl ClipConfig {
    /// Reads `text_encoder/config.json`. Fields about training and generation are not looked at.
    ///
    /// # Errors
    /// `BadConfig`, `ModelIncomplete`.
    pub fn read(source: &Source, folder: &str) -> Result<Self> {
        Self::of(&Fields::read(source, &format!("{folder}/config.json"))?)
    }

    /// The same of fields that were read.
    ///
    /// # Errors
    /// `BadConfig`.
    pub(in crate::models) fn of(fields: &Fields) -> Result<Self> {
        let config = Self {
            vocab_size: fields.count("vocab_size", Some(49408))?,
            hidden_size: fields.count("hidden_size", Some(512))?,
            intermediate_size: fields.count("intermediate_size", Some(2048))?,
            layers: fields.count("num_hidden_layers", Some(12))?,
            heads: fields.count("num_attention_heads", Some(8))?,
            positions: fields.count("max_position_embeddings", Some(77))?,
            norm_eps: fields.number("layer_norm_eps", 1e-5)?,
            projection: fields.count("projection_dim", Some(512))?,
            pooled_at: fields
                .get("eos_token_id")
                .and_then(Value::as_u64)
                .filter(|id| *id != UNKNOWN_END)
                .and_then(|id| u32::try_from(id).ok()),
            activation: ClipActivation::of(fields)?,
        };
        if !config.hidden_size.is_multiple_of(config.heads) {
            return Err(fields.refuse("num_attention_heads", "it must divide `hidden_size`"));
        }
        if config.layers > 256 {
            return Err(fields.refuse("num_hidden_layers", "no text encoder has more than 256"));
        }
        Ok(config)
    }
}
