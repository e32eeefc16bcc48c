//! Text states: the tokenizers and the encoders, and what they have encoded so far.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Tensor};

use super::conditions::Words;
use super::fields::Fields;
use super::sd::{ClipConfig, TextEncoder};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::tokenizer::ClipTokenizer;
use crate::weights::{Source, Weights};

/// The text side of a model: one encoder, or the two of SDXL.
#[derive(Debug)]
pub struct TextSide {
    first: Encoder,
    second: Option<Encoder>,
    /// Whether the null condition is zeros rather than the states of the empty text.
    null_is_zero: bool,
    encoded: BTreeMap<Words, Encoded>,
}

/// What a network is conditioned on.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// `[1, L, D]`.
    pub states: Tensor,
    /// The pooled text of SDXL, `[1, P]`.
    pub pooled: Option<Tensor>,
}

#[derive(Debug)]
struct Encoder {
    tokenizer: ClipTokenizer,
    network: TextEncoder,
}

impl Encoder {
    fn load(source: &Source, number: &str, dtype: DType, device: &Device) -> Result<Self> {
        let folder = format!("text_encoder{number}");
        let config = ClipConfig::read(source, &folder)?;
        let tokenizer =
            ClipTokenizer::read(source, &format!("tokenizer{number}"), config.positions)?;
        let weights = Weights::open(source, &folder, "model", dtype, device)?;
        Ok(Self {
            tokenizer,
            network: TextEncoder::load(&weights, config)?,
        })
    }
}

impl TextSide {
    /// Loads `tokenizer/` and `text_encoder/`, and where the UNet takes a pooled text `tokenizer_2/` and
    /// `text_encoder_2/`.
    ///
    /// # Errors
    /// What loading either refuses; `BadConfig` for a second encoder without a projection.
    pub fn load(source: &Source, pooled: bool, dtype: DType, device: &Device) -> Result<Self> {
        let first = Encoder::load(source, "", dtype, device)?;
        let second = pooled
            .then(|| Encoder::load(source, "_2", dtype, device))
            .transpose()?;
        if let Some(second) = &second
            && second.network.projected().is_none()
        {
            return Err(RuntimeError::new(
                ErrorKind::TensorMissing,
                format!(
                    "`{}` has no `text_projection.weight`, which makes the pooled text",
                    source.show("text_encoder_2")
                ),
            )
            .help(
                "check that the text encoder is SDXL's second, a `CLIPTextModelWithProjection`",
            ));
        }
        Ok(Self {
            null_is_zero: second.is_some() && null_is_zero(source)?,
            first,
            second,
            encoded: BTreeMap::new(),
        })
    }

    /// Width of the states.
    pub fn width(&self) -> usize {
        let width = |encoder: &Encoder| encoder.network.config().hidden_size;
        width(&self.first) + self.second.as_ref().map_or(0, width)
    }

    /// Width of the pooled text, where there is one.
    pub fn pooled_width(&self) -> Option<usize> {
        self.second.as_ref()?.network.projected()
    }

    /// Encodes a text, unless that was done before.
    ///
    /// # Errors
    /// `BadTokenizer`; what the tensor library reports.
    pub fn encode(&mut self, words: &Words) -> Result<()> {
        if !self.encoded.contains_key(words) {
            let encoded = match words {
                Words::Null => {
                    let empty = self.encode_texts("", "")?;
                    if self.null_is_zero {
                        empty.zeroed()?
                    } else {
                        empty
                    }
                }
                Words::Text { first, second } => self.encode_texts(first, second)?,
            };
            self.encoded.insert(words.clone(), encoded);
        }
        Ok(())
    }

    /// One encoder gives its last states; of two the states before the last layer stand side by side, and
    /// the second gives the pooled text.
    fn encode_texts(&self, first: &str, second: &str) -> Result<Encoded> {
        let ids = self.first.tokenizer.padded(first)?;
        let Some(two) = &self.second else {
            return Ok(Encoded {
                states: self.first.network.encode(&ids, 0)?,
                pooled: None,
            });
        };
        let first = self.first.network.states(&ids)?.penultimate;
        let ids = two.tokenizer.padded(second)?;
        let second = two.network.states(&ids)?;
        Ok(Encoded {
            states: Tensor::cat(&[&first, &second.penultimate], D::Minus1)?,
            pooled: Some(two.network.pooled(&ids, &second.last)?),
        })
    }

    /// What a text that was encoded has become.
    ///
    /// # Errors
    /// `BadPlan` where it was not.
    pub fn encoded(&self, words: &Words) -> Result<&Encoded> {
        self.encoded.get(words).ok_or_else(|| {
            RuntimeError::new(
                ErrorKind::BadPlan,
                format!("the text `{words}` was not encoded"),
            )
        })
    }
}

impl Encoded {
    fn zeroed(&self) -> Result<Self> {
        Ok(Self {
            states: self.states.zeros_like()?,
            pooled: self.pooled.as_ref().map(Tensor::zeros_like).transpose()?,
        })
    }
}

/// Whether a model of SDXL was trained with zeros for no text.
fn null_is_zero(source: &Source) -> Result<bool> {
    let index = "model_index.json";
    if !source.has(index) {
        return Ok(true);
    }
    Fields::read(source, index)?.flag("force_zeros_for_empty_prompt", true)
}
