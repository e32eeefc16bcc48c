//! Text states: the tokenizers and the encoders, and what they have encoded so far.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Tensor};

use super::conditions::Words;
use super::fields::Fields;
use super::sd::{ClipConfig, TextEncoder};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::prompt::{self, Part, Reading};
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

impl Encoded {
    /// A text for each row, `[rows, L, D]` and `[rows, P]`.
    ///
    /// # Errors
    /// `BadBinding` for texts that take another number of parts each.
    pub fn of_rows(rows: &[&Encoded]) -> Result<Self> {
        let lengths = |one: &&Encoded| one.states.dim(1);
        let lengths: Vec<usize> = rows
            .iter()
            .map(lengths)
            .collect::<candle_core::Result<_>>()?;
        if lengths.windows(2).any(|pair| pair.first() != pair.last()) {
            return Err(RuntimeError::new(
                ErrorKind::BadBinding,
                "the texts that samples are conditioned on in one evaluation are of different lengths",
            )
            .help("give prompts of the same number of parts, without `BREAK`"));
        }
        let states: Vec<&Tensor> = rows.iter().map(|one| &one.states).collect();
        let pooled: Option<Vec<&Tensor>> = rows.iter().map(|one| one.pooled.as_ref()).collect();
        Ok(Self {
            states: Tensor::cat(&states, 0)?,
            pooled: match pooled {
                Some(pooled) if !pooled.is_empty() => Some(Tensor::cat(&pooled, 0)?),
                _ => None,
            },
        })
    }
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

    /// Encodes a text, unless that was done before. All texts of a run are read in one way.
    ///
    /// # Errors
    /// `BadTokenizer`; what the tensor library reports.
    pub fn encode(&mut self, words: &Words, reading: Reading) -> Result<()> {
        if !self.encoded.contains_key(words) {
            let encoded = match words {
                Words::Null => {
                    let empty = self.encode_texts("", "", reading)?;
                    if self.null_is_zero {
                        empty.zeroed()?
                    } else {
                        empty
                    }
                }
                Words::Text { first, second } => self.encode_texts(first, second, reading)?,
            };
            self.encoded.insert(words.clone(), encoded);
        }
        Ok(())
    }

    /// One encoder gives its last states; of two the states before the last layer stand side by side, and
    /// the second gives the pooled text, of its first part.
    fn encode_texts(&self, first: &str, second: &str, reading: Reading) -> Result<Encoded> {
        let mut parts = prompt::read(first, reading, &self.first.tokenizer)?;
        let Some(two) = &self.second else {
            let last = |part: &Part| self.first.network.encode(&part.ids, 0);
            return Ok(Encoded {
                states: in_a_row(&parts, last)?,
                pooled: None,
            });
        };
        let mut others = prompt::read(second, reading, &two.tokenizer)?;
        let longest = parts.len().max(others.len());
        parts.resize_with(longest, || prompt::empty(&self.first.tokenizer));
        others.resize_with(longest, || prompt::empty(&two.tokenizer));
        let penultimate = |part: &Part| Ok(self.first.network.states(&part.ids)?.penultimate);
        let first = in_a_row(&parts, penultimate)?;
        let mut pooled = None;
        let second = in_a_row(&others, |part| {
            let states = two.network.states(&part.ids)?;
            if pooled.is_none() {
                pooled = Some(two.network.pooled(&part.ids, &states.last)?);
            }
            Ok(states.penultimate)
        })?;
        Ok(Encoded {
            states: Tensor::cat(&[&first, &second], D::Minus1)?,
            pooled,
        })
    }

    /// The places of the tokens of `words` in a text, wherever they stand in it.
    ///
    /// # Errors
    /// `BadBinding` where the text does not hold them.
    pub fn places(&self, text: &Words, words: &str, reading: Reading) -> Result<Vec<u32>> {
        let missing = || {
            let message = format!("`{words}` is looked at, and the text `{text}` does not hold it");
            RuntimeError::new(ErrorKind::BadBinding, message)
                .help("name words of the prompt, as they stand there")
        };
        let Words::Text { first, .. } = text else {
            return Err(missing());
        };
        let tokenizer = &self.first.tokenizer;
        let wanted = tokenizer.tokens(words)?;
        let parts = prompt::read(first, reading, tokenizer)?;
        let all: Vec<u32> = parts.iter().flat_map(|part| part.ids.clone()).collect();
        let starts = all.windows(wanted.len().max(1)).enumerate();
        let found = starts.filter(|(_, some)| *some == wanted.as_slice());
        let places: Vec<u32> = found
            .flat_map(|(start, some)| start..start + some.len())
            .map(|place| place as u32)
            .collect();
        if places.is_empty() {
            return Err(missing());
        }
        Ok(places)
    }

    /// The places of all tokens of a text: its start and its words, without the end and what fills it up.
    ///
    /// # Errors
    /// `BadTokenizer`; `BadBinding` for too long a text.
    pub fn all_places(&self, text: &Words, reading: Reading) -> Result<Vec<u32>> {
        let first = match text {
            Words::Text { first, .. } => first.as_str(),
            Words::Null => "",
        };
        let tokenizer = &self.first.tokenizer;
        let (mut places, mut begins) = (Vec::new(), 0);
        for part in prompt::read(first, reading, tokenizer)? {
            let mut after = part.ids.iter().skip(1);
            let words = after.position(|id| *id == tokenizer.end());
            let words = words.unwrap_or(part.ids.len().saturating_sub(1));
            places.extend((begins..=begins + words).map(|place| place as u32));
            begins += part.ids.len();
        }
        Ok(places)
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

/// The states of each part by `encode`, `[1, L, D]`, one after another, the weights applied.
fn in_a_row(parts: &[Part], mut encode: impl FnMut(&Part) -> Result<Tensor>) -> Result<Tensor> {
    let states = parts.iter().map(|part| weighted(encode(part)?, part));
    Ok(Tensor::cat(&states.collect::<Result<Vec<_>>>()?, 1)?)
}

/// Each token's state times its weight, and all by one factor so that their mean is what it was.
fn weighted(states: Tensor, part: &Part) -> Result<Tensor> {
    if part.weights.iter().all(|weight| *weight == 1.0) {
        return Ok(states);
    }
    let weights = Tensor::from_slice(&part.weights, (1, part.weights.len(), 1), states.device())?;
    let changed = states.broadcast_mul(&weights.to_dtype(states.dtype())?)?;
    let mean = |of: &Tensor| -> Result<f64> {
        let values = of.to_dtype(DType::F64)?.mean_all()?;
        Ok(values.to_scalar::<f64>()?)
    };
    let (before, after) = (mean(&states)?, mean(&changed)?);
    // Where the weights leave a mean of nothing there is no such factor.
    let factor = if after == 0.0 { 1.0 } else { before / after };
    Ok((changed * factor)?)
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

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::{TextSide, Words};
    use crate::error::Result;
    use crate::models::embedded;
    use crate::prompt::Reading;

    fn states(text: &str, reading: Reading) -> Result<Vec<Vec<f32>>> {
        let source = embedded::source();
        let mut side = TextSide::load(&source, false, DType::F32, &Device::Cpu)?;
        let words = Words::Text {
            first: text.to_owned(),
            second: text.to_owned(),
        };
        side.encode(&words, reading)?;
        let states = side.encoded(&words)?.states.clone();
        Ok(states.squeeze(0)?.to_vec2()?)
    }

    fn mean(states: &[Vec<f32>]) -> f64 {
        let all = || states.iter().flatten().map(|v| f64::from(*v));
        all().sum::<f64>() / all().count() as f64
    }

    /// Each part by itself: its states times the weights, brought back to the mean that they had.
    #[test]
    fn parts_are_encoded_apart_and_weighted_apart() -> Result<()> {
        let got = states("red (apple:1.5) BREAK pear", Reading::Weighted)?;
        let (first, second) = (
            states("red apple", Reading::Literal)?,
            states("pear", Reading::Literal)?,
        );
        assert_eq!(got.len(), first.len() + second.len());
        assert_eq!(
            got[first.len()..],
            second,
            "a part without weights is as it was"
        );
        // Start, `red`, and then the tokens of `apple`, whose states alone are longer than their mean says.
        let before = mean(&first);
        let ratios: Vec<f64> = got
            .iter()
            .zip(&first)
            .map(|(got, was)| {
                let dot = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter()
                        .zip(b)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum()
                };
                dot(got, was) / dot(was, was)
            })
            .collect();
        let base = ratios[0];
        let weighted = ratios
            .iter()
            .filter(|r| (*r / base - 1.5).abs() < 1e-4)
            .count();
        let plain = ratios
            .iter()
            .filter(|r| (*r / base - 1.0).abs() < 1e-4)
            .count();
        assert!(
            weighted >= 1 && weighted + plain == first.len(),
            "{ratios:?}"
        );
        assert!((mean(&got[..first.len()]) - before).abs() < 1e-5 * before.abs().max(1e-3));
        Ok(())
    }
}
