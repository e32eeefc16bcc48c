//! `config.json` of a CLIP model with both of its towers (`CLIPModel`).

use serde_json::json;

use crate::error::Result;
use crate::models::fields::Fields;
use crate::models::sd::{ClipActivation, ClipConfig};
use crate::weights::Source;

/// What is written beside the config on how pictures are brought to the network.
const PICTURES: &str = "preprocessor_config.json";

/// The two towers.
#[derive(Clone, Debug, PartialEq)]
pub struct TowersConfig {
    /// Of texts.
    pub text: ClipConfig,
    /// Of pictures.
    pub vision: VisionConfig,
}

/// The tower of pictures: a transformer over square patches (Dosovitskiy et al. 2020, arXiv 2010.11929).
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    /// Width of the states.
    pub width: usize,
    /// Width inside the feed-forward layers.
    pub inner: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Height and width of the pictures.
    pub size: usize,
    /// Height and width of a patch.
    pub patch: usize,
    /// Epsilon of the layer norms.
    pub norm_eps: f64,
    /// The activation.
    pub activation: ClipActivation,
    /// Width of what both towers give.
    pub projection: usize,
}

impl TowersConfig {
    /// Whether the fields of a `config.json` are those of such a model.
    pub fn fits(fields: &Fields) -> bool {
        fields.get("model_type").and_then(|kind| kind.as_str()) == Some("clip")
    }

    /// Reads the fields of `config.json`, and looks whether pictures are prepared as CLIP's are.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn of(fields: &Fields, source: &Source) -> Result<Self> {
        let projection = fields.count("projection_dim", Some(512))?;
        let text = ClipConfig {
            projection,
            ..ClipConfig::of(&fields.inside("text_config")?)?
        };
        if source.has(PICTURES) {
            let pictures = Fields::read(source, PICTURES)?;
            pictures.only("image_mean", &[json!(MEAN)])?;
            pictures.only("image_std", &[json!(DEVIATION)])?;
        }
        Ok(Self {
            text,
            vision: VisionConfig::of(&fields.inside("vision_config")?, projection)?,
        })
    }
}

/// Mean of the channels of the pictures that CLIP was trained on.
pub const MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Their standard deviation.
pub const DEVIATION: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

impl VisionConfig {
    fn of(fields: &Fields, projection: usize) -> Result<Self> {
        fields.only("num_channels", &[json!(3)])?;
        let config = Self {
            width: fields.count("hidden_size", Some(768))?,
            inner: fields.count("intermediate_size", Some(3072))?,
            layers: fields.count("num_hidden_layers", Some(12))?,
            heads: fields.count("num_attention_heads", Some(12))?,
            size: fields.count("image_size", Some(224))?,
            patch: fields.count("patch_size", Some(32))?,
            norm_eps: fields.number("layer_norm_eps", 1e-5)?,
            activation: ClipActivation::of(fields)?,
            projection,
        };
        if !config.width.is_multiple_of(config.heads) {
            return Err(fields.refuse("num_attention_heads", "it must divide `hidden_size`"));
        }
        if config.patch > config.size {
            return Err(fields.refuse("patch_size", "a patch is no larger than the picture"));
        }
        if config.layers > 256 {
            return Err(fields.refuse("num_hidden_layers", "no CLIP has more than 256"));
        }
        Ok(config)
    }

    /// Patches along a side. What is left at the end is not looked at.
    pub fn side(&self) -> usize {
        self.size / self.patch
    }

    /// Numbers that a gradient through it keeps for a picture.
    pub fn kept(&self) -> usize {
        /// Of a layer, in maps of its states: norms, queries, keys, values, what attention gives, sums.
        const STATES: usize = 16;
        /// In maps of the feed-forward layer: before, during and after the activation.
        const INNER: usize = 4;
        /// In maps of the scores: scores, their exponents and the quotients.
        const SCORES: usize = 5;
        let tokens = self.side() * self.side() + 1;
        let states = STATES * tokens * self.width + INNER * tokens * self.inner;
        self.layers * (states + SCORES * self.heads * tokens * tokens)
    }
}
