//! `unet/config.json`.

use serde_json::json;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::models::fields::Fields;
use crate::weights::Source;

/// `unet/config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct UNetConfig {
    /// Channels of the latents that go in.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Height and width of the latents it was trained on.
    pub sample_size: usize,
    /// Channels of each level, finest first.
    pub block_out_channels: Vec<usize>,
    /// Which levels attend on the way down, finest first.
    pub down_attends: Vec<bool>,
    /// Which levels attend on the way up, coarsest first.
    pub up_attends: Vec<bool>,
    /// Resnets of each level on the way down.
    pub layers_per_block: Vec<usize>,
    /// Transformer blocks of each attention, by level.
    pub transformer_layers: Vec<usize>,
    /// Attention heads of each level.
    pub heads: Vec<usize>,
    /// Width of the text states, by level.
    pub cross_attention_dim: Vec<usize>,
    /// Groups of the group norms.
    pub norm_groups: usize,
    /// Epsilon of the resnets' norms.
    pub norm_eps: f64,
    /// Whether sinusoids are `[cos, sin]`.
    pub flip_sin_to_cos: bool,
    /// Shift in the sinusoids' exponents.
    pub freq_shift: f64,
    /// Padding of the strided convolutions; 0 pads right and bottom by one instead.
    pub downsample_padding: usize,
    /// Whether the projections round an attention are linear (2.x) rather than 1x1 convolutions (1.x).
    pub use_linear_projection: bool,
    /// Whether attention scores are computed in f32 whatever the weights.
    pub upcast_attention: bool,
    /// What the network is told besides the text states, where it is (XL).
    pub added: Option<AddedConfig>,
}

/// What a UNet of SDXL is told besides the text states: a pooled text and six numbers about the picture,
/// each as sinusoids (Podell et al. 2023, arXiv 2307.01952, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedConfig {
    /// Width of the sinusoids of one number.
    pub number_width: usize,
    /// Width of the pooled text.
    pub pooled_width: usize,
}

/// How many numbers about the picture there are.
pub const PICTURE_NUMBERS: usize = 6;

impl UNetConfig {
    /// Reads `unet/config.json`.
    ///
    /// # Errors
    /// `BadConfig`, naming the field and its value; `ModelIncomplete`.
    pub fn read(source: &Source, folder: &str) -> Result<Self> {
        Self::of(&Fields::read(source, &format!("{folder}/config.json"))?)
    }

    /// Takes the config from its fields.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn of(fields: &Fields) -> Result<Self> {
        fields.only("_class_name", &[json!("UNet2DConditionModel")])?;
        refuse_unet_variants(fields)?;
        let channels = fields.counts("block_out_channels")?;
        let levels = channels.len();
        if !(1..=8).contains(&levels) {
            return Err(fields.refuse("block_out_channels", "one to eight levels are needed"));
        }
        let heads = if fields.get("num_attention_heads").is_some() {
            "num_attention_heads"
        } else {
            "attention_head_dim"
        };
        let config = Self {
            in_channels: fields.count("in_channels", Some(4))?,
            out_channels: fields.count("out_channels", Some(4))?,
            sample_size: fields.count("sample_size", Some(64))?,
            down_attends: attends(
                fields,
                "down_block_types",
                ["CrossAttnDownBlock2D", "DownBlock2D"],
                levels,
            )?,
            up_attends: attends(
                fields,
                "up_block_types",
                ["CrossAttnUpBlock2D", "UpBlock2D"],
                levels,
            )?,
            layers_per_block: fields.per_level("layers_per_block", levels, 2)?,
            transformer_layers: fields.per_level("transformer_layers_per_block", levels, 1)?,
            heads: fields.per_level(heads, levels, 8)?,
            cross_attention_dim: fields.per_level("cross_attention_dim", levels, 1280)?,
            norm_groups: fields.count("norm_num_groups", Some(32))?,
            norm_eps: fields.number("norm_eps", 1e-5)?,
            flip_sin_to_cos: fields.flag("flip_sin_to_cos", true)?,
            freq_shift: fields.number("freq_shift", 0.0)?,
            downsample_padding: fields.whole("downsample_padding", 1)?,
            use_linear_projection: fields.flag("use_linear_projection", false)?,
            upcast_attention: fields.flag("upcast_attention", false)?,
            added: added(fields)?,
            block_out_channels: channels,
        };
        config.check(fields, heads)?;
        config.refuse_other_inputs()?;
        Ok(config)
    }

    /// Refuses networks that look at more than latents, by what they are for.
    fn refuse_other_inputs(&self) -> Result<()> {
        let latents = self.out_channels;
        let also = match self.in_channels {
            n if n == 2 * latents + 1 => {
                "an inpainting model: its UNet also takes a mask and the masked picture"
            }
            n if n == 2 * latents => "a model that edits pictures: its UNet also takes a picture",
            n if n == latents + 1 => "a depth model: its UNet also takes a depth map",
            _ => return Ok(()),
        };
        Err(RuntimeError::new(
            ErrorKind::NotYet,
            format!(
                "this is {also} ({} channels in all), which this version does not do",
                self.in_channels
            ),
        )
        .help("use a model of the same family that takes latents alone"))
    }

    fn check(&self, fields: &Fields, heads: &str) -> Result<()> {
        if self.downsample_padding > 1 {
            return Err(fields.refuse("downsample_padding", "this runtime knows `0` and `1`"));
        }
        for (channels, heads_here) in self.block_out_channels.iter().zip(&self.heads) {
            if channels % self.norm_groups != 0 {
                return Err(fields.refuse(
                    "norm_num_groups",
                    "it must divide every entry of `block_out_channels`",
                ));
            }
            if channels % heads_here != 0 {
                return Err(fields.refuse(
                    heads,
                    "it is the number of heads and must divide the channels of its block",
                ));
            }
        }
        if self
            .block_out_channels
            .first()
            .is_some_and(|channels| channels % 2 != 0)
        {
            return Err(fields.refuse("block_out_channels", "the first must be even"));
        }
        if self
            .layers_per_block
            .iter()
            .chain(&self.transformer_layers)
            .any(|n| *n > 64)
        {
            return Err(fields.refuse("layers_per_block", "no block has more than 64 layers"));
        }
        Ok(())
    }
}

/// What the network is told besides the text states.
fn added(fields: &Fields) -> Result<Option<AddedConfig>> {
    fields.only("addition_embed_type", &[json!("text_time")])?;
    let together = "projection_class_embeddings_input_dim";
    if fields.get("addition_embed_type").is_none() {
        fields.only("addition_time_embed_dim", &[])?;
        fields.only(together, &[])?;
        return Ok(None);
    }
    let number_width = fields.count("addition_time_embed_dim", None)?;
    let input = fields.count(together, None)?;
    if number_width % 2 != 0 {
        return Err(fields.refuse("addition_time_embed_dim", "an even number is needed"));
    }
    match input.checked_sub(PICTURE_NUMBERS * number_width) {
        Some(pooled_width) if pooled_width > 0 => Ok(Some(AddedConfig {
            number_width,
            pooled_width,
        })),
        _ => Err(fields.refuse(
            together,
            &format!("it must be above {PICTURE_NUMBERS} times `addition_time_embed_dim`"),
        )),
    }
}

/// Which blocks attend, from their types.
fn attends(
    fields: &Fields,
    field: &str,
    [with, without]: [&str; 2],
    levels: usize,
) -> Result<Vec<bool>> {
    let types = fields.words(field)?;
    if types.len() != levels {
        return Err(fields.refuse(
            field,
            &format!("one entry for each of {levels} entries of `block_out_channels` is needed"),
        ));
    }
    let known = types.iter().map(|name| match name.as_str() {
        name if name == with => Some(true),
        name if name == without => Some(false),
        _ => None,
    });
    known.collect::<Option<Vec<bool>>>().ok_or_else(|| {
        fields.refuse(
            field,
            &format!("this runtime knows `{with}` and `{without}`"),
        )
    })
}

/// Every field that would make another network.
fn refuse_unet_variants(fields: &Fields) -> Result<()> {
    fields.only("act_fn", &[json!("silu"), json!("swish")])?;
    fields.only("attention_type", &[json!("default")])?;
    fields.only("conv_in_kernel", &[json!(3)])?;
    fields.only("conv_out_kernel", &[json!(3)])?;
    fields.only("mid_block_type", &[json!("UNetMidBlock2DCrossAttn")])?;
    fields.only("mid_block_scale_factor", &[json!(1)])?;
    fields.only("resnet_out_scale_factor", &[json!(1)])?;
    fields.only("resnet_time_scale_shift", &[json!("default")])?;
    fields.only("time_embedding_type", &[json!("positional")])?;
    for field in [
        "class_embed_type",
        "cross_attention_norm",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "num_class_embeds",
        "reverse_transformer_layers_per_block",
        "time_cond_proj_dim",
        "time_embedding_act_fn",
        "time_embedding_dim",
        "timestep_post_act",
    ] {
        fields.only(field, &[])?;
    }
    for field in [
        "center_input_sample",
        "class_embeddings_concat",
        "dual_cross_attention",
        "mid_block_only_cross_attention",
        "only_cross_attention",
        "resnet_skip_time_act",
    ] {
        fields.only(field, &[json!(false)])?;
    }
    fields.no_others(&[
        "act_fn",
        "addition_embed_type",
        "addition_embed_type_num_heads",
        "addition_time_embed_dim",
        "attention_head_dim",
        "attention_type",
        "block_out_channels",
        "conv_in_kernel",
        "conv_out_kernel",
        "cross_attention_dim",
        "down_block_types",
        "downsample_padding",
        "dropout",
        "flip_sin_to_cos",
        "freq_shift",
        "in_channels",
        "layers_per_block",
        "mid_block_scale_factor",
        "mid_block_type",
        "norm_eps",
        "norm_num_groups",
        "num_attention_heads",
        "out_channels",
        "projection_class_embeddings_input_dim",
        "resnet_out_scale_factor",
        "resnet_time_scale_shift",
        "sample_size",
        "time_embedding_type",
        "transformer_layers_per_block",
        "up_block_types",
        "upcast_attention",
        "use_linear_projection",
    ])
}
