//! `vae/config.json`.

use serde_json::json;

use crate::error::Result;
use crate::models::fields::Fields;
use crate::weights::Source;

/// `vae/config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeConfig {
    /// Channels of a picture.
    pub in_channels: usize,
    /// Channels of a decoded picture.
    pub out_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels of each level, finest first.
    pub block_out_channels: Vec<usize>,
    /// Resnets of each level on the way down; one more on the way up.
    pub layers_per_block: usize,
    /// Groups of the group norms.
    pub norm_groups: usize,
    /// Latents are what the encoder gives times this.
    pub scaling_factor: f64,
    /// Whether the middle attends.
    pub mid_attends: bool,
    /// Whether a 1x1 convolution follows the encoder.
    pub quant_conv: bool,
    /// Whether a 1x1 convolution precedes the decoder.
    pub post_quant_conv: bool,
}

impl VaeConfig {
    /// Reads `vae/config.json`.
    ///
    /// # Errors
    /// `BadConfig`, `ModelIncomplete`.
    pub fn read(source: &Source, folder: &str) -> Result<Self> {
        let fields = &Fields::read(source, &format!("{folder}/config.json"))?;
        fields.only("_class_name", &[json!("AutoencoderKL")])?;
        fields.only("act_fn", &[json!("silu")])?;
        for field in ["latents_mean", "latents_std", "shift_factor"] {
            fields.only(field, &[])?;
        }
        fields.no_others(&[
            "act_fn",
            "block_out_channels",
            "down_block_types",
            "force_upcast",
            "in_channels",
            "latent_channels",
            "layers_per_block",
            "mid_block_add_attention",
            "norm_num_groups",
            "out_channels",
            "sample_size",
            "scaling_factor",
            "up_block_types",
            "use_post_quant_conv",
            "use_quant_conv",
        ])?;
        for (field, known) in [
            ("down_block_types", "DownEncoderBlock2D"),
            ("up_block_types", "UpDecoderBlock2D"),
        ] {
            if fields.words(field)?.iter().any(|name| name != known) {
                return Err(fields.refuse(field, &format!("this runtime knows `{known}`")));
            }
        }
        let config = Self {
            in_channels: fields.count("in_channels", Some(3))?,
            out_channels: fields.count("out_channels", Some(3))?,
            latent_channels: fields.count("latent_channels", Some(4))?,
            block_out_channels: fields.counts("block_out_channels")?,
            layers_per_block: fields.count("layers_per_block", Some(1))?,
            norm_groups: fields.count("norm_num_groups", Some(32))?,
            scaling_factor: fields.number("scaling_factor", 0.18215)?,
            mid_attends: fields.flag("mid_block_add_attention", true)?,
            quant_conv: fields.flag("use_quant_conv", true)?,
            post_quant_conv: fields.flag("use_post_quant_conv", true)?,
        };
        let levels = config.block_out_channels.len();
        for field in ["down_block_types", "up_block_types"] {
            if fields.words(field)?.len() != levels {
                return Err(fields.refuse(
                    field,
                    &format!(
                        "one entry for each of {levels} entries of `block_out_channels` is needed"
                    ),
                ));
            }
        }
        if !(1..=8).contains(&levels) || config.layers_per_block > 64 {
            return Err(fields.refuse(
                "block_out_channels",
                "one to eight levels of at most 64 layers are needed",
            ));
        }
        if config
            .block_out_channels
            .iter()
            .any(|channels| channels % config.norm_groups != 0)
        {
            return Err(fields.refuse(
                "norm_num_groups",
                "it must divide every entry of `block_out_channels`",
            ));
        }
        if config.scaling_factor <= 0.0 {
            return Err(fields.refuse("scaling_factor", "a number above 0 is needed"));
        }
        Ok(config)
    }

    /// Pixels for each latent, along a side.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len().saturating_sub(1))
    }
}
