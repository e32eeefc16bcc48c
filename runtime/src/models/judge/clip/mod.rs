//! CLIP (Radford et al. 2021, arXiv 2103.00020): its picture tower as a classifier whose classes are texts.

mod config;
mod vision;

use candle_core::{D, DType, Device, Tensor};

pub use config::{DEVIATION, MEAN, TowersConfig, VisionConfig};
pub use vision::Vision;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::models::sd::TextEncoder;
use crate::tokenizer::ClipTokenizer;
use crate::weights::{Source, Weights};

/// Both towers, loaded. They compute in f32.
#[derive(Debug)]
pub struct Towers {
    tokenizer: ClipTokenizer,
    text: TextEncoder,
    /// Of pictures.
    pub vision: Vision,
    scale: f64,
}

impl Towers {
    /// Loads the files of a folder: `config.json`, `model.safetensors`, `vocab.json`, `merges.txt`.
    ///
    /// # Errors
    /// What weights and the tokenizer refuse.
    pub fn load(source: &Source, config: &TowersConfig, device: &Device) -> Result<Self> {
        let weights = Weights::open(source, "", "model", DType::F32, device)?;
        let scale = weights.root().tensor("logit_scale", &[])?;
        Ok(Self {
            tokenizer: ClipTokenizer::read(source, "", config.text.positions)?,
            text: TextEncoder::load(&weights, config.text.clone())?,
            vision: Vision::load(&weights.root(), &config.vision)?,
            scale: f64::from(scale.to_scalar::<f32>()?).exp(),
        })
    }

    /// What texts become, each of length 1, `[K, P]`. A text that is too long is cut, as CLIP was trained.
    ///
    /// # Errors
    /// `BadTokenizer`; what the tensor library reports.
    pub fn texts(&self, texts: &[String]) -> Result<Tensor> {
        let rows = texts.iter().map(|text| {
            let ids = self.tokenizer.padded(text)?;
            self.text.pooled(&ids, &self.text.encode(&ids, 0)?)
        });
        let rows: Vec<Tensor> = rows.collect::<Result<_>>()?;
        unit(&Tensor::cat(&rows, 0)?)
    }

    /// A classifier of pictures by texts; without texts there are only features.
    ///
    /// # Errors
    /// As for [`Towers::texts`].
    pub fn classifier(self, classes: &[String]) -> Result<ByTexts> {
        let texts = match classes {
            [] => None,
            _ => Some((self.texts(classes)?.t()? * self.scale)?.contiguous()?),
        };
        Ok(ByTexts {
            texts,
            vision: self.vision,
        })
    }
}

/// A classifier whose classes are texts: of each the cosine of picture and text, times CLIP's scale.
#[derive(Debug)]
pub struct ByTexts {
    vision: Vision,
    /// `[P, K]`, times the scale.
    texts: Option<Tensor>,
}

impl ByTexts {
    /// Pictures as they are shown to it, `[B, 3, S, S]`, to `[B, K]`.
    ///
    /// # Errors
    /// `NotBound` where it has no texts; what the tensor library reports.
    pub fn forward(&self, shown: &Tensor) -> Result<Tensor> {
        let texts = self.texts.as_ref().ok_or_else(|| {
            RuntimeError::new(ErrorKind::NotBound, "a CLIP model was given no classes")
        })?;
        Ok(unit(&self.vision.embedded(shown)?)?.matmul(texts)?)
    }

    /// What it sees at the patches after its third layer, `[D, N]`: what Yu et al. 2023 (arXiv 2303.09833,
    /// FreeDoM) take for a picture's style.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn features(&self, shown: &Tensor) -> Result<Tensor> {
        const LAYERS: usize = 3;
        let states = self.vision.states(shown, LAYERS)?.squeeze(0)?;
        let patches = states.narrow(0, 1, states.dim(0)? - 1)?;
        Ok(patches.t()?.contiguous()?)
    }
}

/// Each row with length 1.
///
/// # Errors
/// What the tensor library reports.
pub fn unit(rows: &Tensor) -> Result<Tensor> {
    let length = rows.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(rows.broadcast_div(&length)?)
}
