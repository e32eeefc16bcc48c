//! The autoencoder between pictures and latents (`AutoencoderKL`).

use candle_core::{DType, Module, Tensor};

use super::config::VaeConfig;
use super::resnet::{Downsample, Resnet, ResnetShape, Upsample};
use crate::error::Result;
use crate::kernels::{self, Conv2d, GroupNorm, Linear};
use crate::models::gradient::{self, Stretch};
use crate::models::nn;
use crate::weights::{Part, Weights};

/// Epsilon of every norm.
const EPS: f64 = 1e-6;

/// The autoencoder.
#[derive(Debug)]
pub struct Vae {
    config: VaeConfig,
    encoder: Encoder,
    quant: Option<Conv2d>,
    post_quant: Option<Conv2d>,
    decoder: Decoder,
}

#[derive(Debug)]
struct Encoder {
    conv_in: Conv2d,
    levels: Vec<(Vec<Resnet>, Option<Downsample>)>,
    middle: Middle,
    norm: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Debug)]
struct Decoder {
    conv_in: Conv2d,
    middle: Middle,
    levels: Vec<(Vec<Resnet>, Option<Upsample>)>,
    norm: GroupNorm,
    conv_out: Conv2d,
}

impl Vae {
    /// Takes the network's tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(weights: &Weights, config: VaeConfig) -> Result<Self> {
        let part = weights.root();
        let latent = config.latent_channels;
        let quant = config
            .quant_conv
            .then(|| nn::conv(&part.at("quant_conv"), 2 * latent, 2 * latent, 1, 1, 0));
        let post_quant = config
            .post_quant_conv
            .then(|| nn::conv(&part.at("post_quant_conv"), latent, latent, 1, 1, 0));
        Ok(Self {
            encoder: Encoder::load(&part.at("encoder"), &config)?,
            quant: quant.transpose()?,
            post_quant: post_quant.transpose()?,
            decoder: Decoder::load(&part.at("decoder"), &config)?,
            config,
        })
    }

    /// The config.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Latents as the decoder takes them (the scaling factor undone), `[B, C, h, w]`, to a picture in
    /// about -1..1, `[B, 3, H, W]`, f32.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let z = latents.to_dtype(self.decoder.conv_in.dtype())?;
        let picture = gradient::forward(&self.decoding(), &z)?;
        Ok(picture.to_dtype(DType::F32)?)
    }

    /// The gradient by latents of a number that hangs on their picture: `by` is shown the picture as
    /// [`Vae::decode`] gives it and says the number's gradient by it. Of an autoencoder of f32.
    ///
    /// # Errors
    /// What `by` or the tensor library reports.
    pub fn decode_back(
        &self,
        latents: &Tensor,
        by: &dyn Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        gradient::through(&self.decoding(), latents, by)
    }

    fn decoding(&self) -> Vec<Stretch<'_>> {
        let first = self.post_quant.iter().map(|conv| stretch(conv));
        first.chain(self.decoder.stretches()).collect()
    }

    /// A picture in -1..1, `[B, 3, H, W]`, to the mean and the log-variance of its latents, before the
    /// scaling factor: `[B, 2C, h, w]`, f32.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn moments(&self, picture: &Tensor) -> Result<Tensor> {
        let picture = picture.to_dtype(self.encoder.conv_in.dtype())?;
        let moments = gradient::forward(&self.encoding(), &picture)?;
        Ok(moments.to_dtype(DType::F32)?)
    }

    /// The gradient by a picture of a number that hangs on its moments, as [`Vae::decode_back`].
    ///
    /// # Errors
    /// What `by` or the tensor library reports.
    pub fn moments_back(
        &self,
        picture: &Tensor,
        by: &dyn Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        gradient::through(&self.encoding(), picture, by)
    }

    fn encoding(&self) -> Vec<Stretch<'_>> {
        let last = self.quant.iter().map(|conv| stretch(conv));
        self.encoder.stretches().into_iter().chain(last).collect()
    }
}

/// A layer as a stretch of its own.
fn stretch(layer: &Conv2d) -> Stretch<'_> {
    Box::new(|x| Ok(layer.forward(x)?))
}

/// Each resnet as a stretch of its own.
fn stretches(resnets: &[Resnet]) -> impl Iterator<Item = Stretch<'_>> {
    resnets
        .iter()
        .map(|resnet| -> Stretch<'_> { Box::new(|x| resnet.forward(x, None)) })
}

/// The last norm and convolution.
fn last<'a>(norm: &'a GroupNorm, conv: &'a Conv2d) -> Stretch<'a> {
    Box::new(|x| Ok(conv.forward(&norm.forward_silu(x)?)?))
}

fn shape(config: &VaeConfig, input: usize, output: usize) -> ResnetShape {
    ResnetShape {
        input,
        output,
        time: None,
        groups: config.norm_groups,
        eps: EPS,
    }
}

/// `count` resnets, the first of which changes the number of channels.
fn resnets(
    part: &Part<'_>,
    config: &VaeConfig,
    count: usize,
    input: usize,
    output: usize,
) -> Result<Vec<Resnet>> {
    (0..count)
        .map(|i| {
            let input = if i == 0 { input } else { output };
            Resnet::load(
                &part.at(format!("resnets.{i}")),
                shape(config, input, output),
            )
        })
        .collect()
}

impl Encoder {
    fn load(part: &Part<'_>, config: &VaeConfig) -> Result<Self> {
        let channels = &config.block_out_channels;
        // INVARIANT: `VaeConfig::read` refuses a config without levels.
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let levels = channels.iter().enumerate().map(|(level, output)| {
            let part = part.at(format!("down_blocks.{level}"));
            let input = channels[level.saturating_sub(1)];
            let down = (level + 1 != channels.len()).then(|| Downsample::load(&part, *output, 0));
            Ok((
                resnets(&part, config, config.layers_per_block, input, *output)?,
                down.transpose()?,
            ))
        });
        Ok(Self {
            conv_in: nn::conv(&part.at("conv_in"), config.in_channels, first, 3, 1, 1)?,
            levels: levels.collect::<Result<_>>()?,
            middle: Middle::load(&part.at("mid_block"), config, last)?,
            norm: nn::group_norm(&part.at("conv_norm_out"), config.norm_groups, last, EPS)?,
            conv_out: nn::conv(
                &part.at("conv_out"),
                last,
                2 * config.latent_channels,
                3,
                1,
                1,
            )?,
        })
    }

    /// What it does, in order.
    fn stretches(&self) -> Vec<Stretch<'_>> {
        let mut all = vec![stretch(&self.conv_in)];
        for (resnets, down) in &self.levels {
            all.extend(stretches(resnets));
            if let Some(down) = down {
                all.push(Box::new(|x| down.forward(x)));
            }
        }
        all.extend(self.middle.stretches());
        all.push(last(&self.norm, &self.conv_out));
        all
    }
}

impl Decoder {
    fn load(part: &Part<'_>, config: &VaeConfig) -> Result<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let levels = channels.iter().enumerate().map(|(i, output)| {
            let part = part.at(format!("up_blocks.{i}"));
            let input = channels[i.saturating_sub(1)];
            let up = (i + 1 != channels.len()).then(|| Upsample::load(&part, *output));
            Ok((
                resnets(&part, config, config.layers_per_block + 1, input, *output)?,
                up.transpose()?,
            ))
        });
        Ok(Self {
            conv_in: nn::conv(&part.at("conv_in"), config.latent_channels, first, 3, 1, 1)?,
            middle: Middle::load(&part.at("mid_block"), config, first)?,
            levels: levels.collect::<Result<_>>()?,
            norm: nn::group_norm(&part.at("conv_norm_out"), config.norm_groups, last, EPS)?,
            conv_out: nn::conv(&part.at("conv_out"), last, config.out_channels, 3, 1, 1)?,
        })
    }

    /// What it does, in order.
    fn stretches(&self) -> Vec<Stretch<'_>> {
        let mut all = vec![stretch(&self.conv_in)];
        all.extend(self.middle.stretches());
        for (resnets, up) in &self.levels {
            all.extend(stretches(resnets));
            if let Some(up) = up {
                all.push(Box::new(|x| {
                    let size = (x.dim(2)? * 2, x.dim(3)? * 2);
                    up.forward(x, size)
                }));
            }
        }
        all.push(last(&self.norm, &self.conv_out));
        all
    }
}

/// Two resnets, an attention between them.
#[derive(Debug)]
struct Middle {
    first: Resnet,
    attention: Option<Attention>,
    second: Resnet,
}

impl Middle {
    fn load(part: &Part<'_>, config: &VaeConfig, channels: usize) -> Result<Self> {
        let resnet = |i: usize| {
            Resnet::load(
                &part.at(format!("resnets.{i}")),
                shape(config, channels, channels),
            )
        };
        let attention = config
            .mid_attends
            .then(|| Attention::load(&part.at("attentions.0"), config, channels));
        Ok(Self {
            first: resnet(0)?,
            attention: attention.transpose()?,
            second: resnet(1)?,
        })
    }

    fn stretches(&self) -> Vec<Stretch<'_>> {
        let mut all: Vec<Stretch<'_>> = vec![Box::new(|x| self.first.forward(x, None))];
        if let Some(attention) = &self.attention {
            all.push(Box::new(|x| attention.forward(x)));
        }
        all.push(Box::new(|x| self.second.forward(x, None)));
        all
    }
}

/// Attention with one head over all places of the map.
#[derive(Debug)]
struct Attention {
    norm: GroupNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
}

impl Attention {
    fn load(part: &Part<'_>, config: &VaeConfig, channels: usize) -> Result<Self> {
        // Files written before diffusers 0.12 call the projections `query`, `key`, `value`, `proj_attn`.
        let old = part.has("query.weight");
        let projection = |name: &str, old_name: &str| {
            nn::linear(
                &part.at(if old { old_name } else { name }),
                channels,
                channels,
            )
        };
        Ok(Self {
            norm: nn::group_norm(&part.at("group_norm"), config.norm_groups, channels, EPS)?,
            q: projection("to_q", "query")?,
            k: projection("to_k", "key")?,
            v: projection("to_v", "value")?,
            out: projection("to_out.0", "proj_attn")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = kernels::to_tokens(&self.norm.forward(x)?)?;
        let mixed = kernels::attention(
            &self.q.forward(&h)?,
            &self.k.forward(&h)?,
            &self.v.forward(&h)?,
            1,
            None,
            false,
        )?;
        Ok(kernels::add_tokens(x, &self.out.forward(&mixed)?)?)
    }
}
