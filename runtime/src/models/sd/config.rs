//! The configs of Stable Diffusion's three networks: every field that 1.x and 2.x use; any value that
//! would change a network in a way this runtime does not know is refused.

use serde_json::json;

use crate::error::Result;
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
}

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
            block_out_channels: channels,
        };
        config.check(fields, heads)?;
        Ok(config)
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
        "addition_embed_type",
        "addition_time_embed_dim",
        "class_embed_type",
        "cross_attention_norm",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "num_class_embeds",
        "projection_class_embeddings_input_dim",
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
        "addition_embed_type_num_heads",
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

/// The activation in CLIP's feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipActivation {
    /// `x * sigmoid(1.702 x)`
    QuickGelu,
    /// By the error function.
    Gelu,
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
}

impl ClipConfig {
    /// Reads `text_encoder/config.json`. Fields about training and generation are not looked at.
    ///
    /// # Errors
    /// `BadConfig`, `ModelIncomplete`.
    pub fn read(source: &Source, folder: &str) -> Result<Self> {
        let fields = &Fields::read(source, &format!("{folder}/config.json"))?;
        let config = Self {
            vocab_size: fields.count("vocab_size", Some(49408))?,
            hidden_size: fields.count("hidden_size", Some(512))?,
            intermediate_size: fields.count("intermediate_size", Some(2048))?,
            layers: fields.count("num_hidden_layers", Some(12))?,
            heads: fields.count("num_attention_heads", Some(8))?,
            positions: fields.count("max_position_embeddings", Some(77))?,
            norm_eps: fields.number("layer_norm_eps", 1e-5)?,
            activation: match fields.word("hidden_act", "quick_gelu")?.as_str() {
                "quick_gelu" => ClipActivation::QuickGelu,
                "gelu" => ClipActivation::Gelu,
                _ => {
                    return Err(
                        fields.refuse("hidden_act", "this runtime knows `quick_gelu` and `gelu`")
                    );
                }
            },
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
