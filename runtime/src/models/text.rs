//! Text states: the tokenizer and the encoder, and what they have encoded so far.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::sd::{ClipConfig, TextEncoder};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::tokenizer::ClipTokenizer;
use crate::weights::{Source, Weights};

/// The text side of a model.
#[derive(Debug)]
pub struct TextSide {
    tokenizer: ClipTokenizer,
    encoder: TextEncoder,
    encoded: BTreeMap<String, Tensor>,
}

impl TextSide {
    /// Loads `tokenizer/` and `text_encoder/`.
    ///
    /// # Errors
    /// What loading either refuses.
    pub fn load(source: &Source, dtype: DType, device: &Device) -> Result<Self> {
        let config = ClipConfig::read(source, "text_encoder")?;
        let tokenizer = ClipTokenizer::read(source, "tokenizer", config.positions)?;
        let weights = Weights::open(source, "text_encoder", "model", dtype, device)?;
        Ok(Self {
            tokenizer,
            encoder: TextEncoder::load(&weights, config)?,
            encoded: BTreeMap::new(),
        })
    }

    /// Width of the states.
    pub fn width(&self) -> usize {
        self.encoder.config().hidden_size
    }

    /// Encodes a text, unless that was done before.
    ///
    /// # Errors
    /// `BadTokenizer`; what the tensor library reports.
    pub fn encode(&mut self, text: &str) -> Result<()> {
        if !self.encoded.contains_key(text) {
            let states = self.encoder.encode(&self.tokenizer.padded(text)?, 0)?;
            self.encoded.insert(text.to_owned(), states);
        }
        Ok(())
    }

    /// The states of a text that was encoded, `[1, L, D]`.
    ///
    /// # Errors
    /// `BadPlan` where it was not.
    pub fn states(&self, text: &str) -> Result<&Tensor> {
        self.encoded.get(text).ok_or_else(|| {
            RuntimeError::new(
                ErrorKind::BadPlan,
                format!("the text `{text}` was not encoded"),
            )
        })
    }
}
