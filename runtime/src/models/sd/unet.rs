//! The UNet that predicts (`UNet2DConditionModel`).

use candle_core::{D, DType, Device, Module, Tensor};

use super::blocks::{Down, Given, LayerNames, Middle, Move, Up, Way};
use super::config::{PICTURE_NUMBERS, UNetConfig};
use super::framing::Framing;
use super::span::{Begun, Span};
use super::time::sinusoids;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::interventions::Hooks;
use crate::kernels::{self, Conv2d, GroupNorm, Linear};
use crate::models::nn;
use crate::weights::{Part, Weights};

/// What the samples of a forward pass are conditioned on.
#[derive(Clone, Copy, Debug)]
pub struct Conditioning<'a> {
    /// The text states, `[B, L, D]`.
    pub states: &'a Tensor,
    /// What SDXL is told besides.
    pub added: Option<Added<'a>>,
}

/// What SDXL's UNet is told besides the text states.
#[derive(Clone, Copy, Debug)]
pub struct Added<'a> {
    /// The pooled texts, `[B, P]`.
    pub pooled: &'a Tensor,
    /// The picture of each sample.
    pub framing: &'a [Framing],
}

impl<'a> From<&'a Tensor> for Conditioning<'a> {
    /// Text states alone.
    fn from(states: &'a Tensor) -> Self {
        Self {
            states,
            added: None,
        }
    }
}

/// The network.
#[derive(Debug)]
pub struct UNet {
    config: UNetConfig,
    dtype: DType,
    device: Device,
    time1: Linear,
    time2: Linear,
    added: Option<[Linear; 2]>,
    conv_in: Conv2d,
    down: Vec<Down>,
    middle: Middle,
    up: Vec<Up>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    layers: Vec<String>,
}

impl UNet {
    /// Takes the network's tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(weights: &Weights, config: UNetConfig) -> Result<Self> {
        let part = weights.root();
        let channels = &config.block_out_channels;
        // INVARIANT: `UNetConfig::of` refuses a config without levels.
        let first = channels[0];
        let width = first * 4;
        let levels = channels.len();
        let mut names = LayerNames::default();
        let down = (0..levels)
            .map(|level| {
                Down::load(
                    &part.at(format!("down_blocks.{level}")),
                    &config,
                    level,
                    &mut names,
                )
            })
            .collect::<Result<_>>()?;
        let middle = Middle::load(&part.at("mid_block"), &config, &mut names)?;
        let up = (0..levels)
            .map(|i| Up::load(&part.at(format!("up_blocks.{i}")), &config, i, &mut names))
            .collect::<Result<_>>()?;
        let conv_in = nn::conv(&part.at("conv_in"), config.in_channels, first, 3, 1, 1)?;
        Ok(Self {
            dtype: conv_in.dtype(),
            device: conv_in.device().clone(),
            time1: nn::linear(&part.at("time_embedding.linear_1"), first, width)?,
            time2: nn::linear(&part.at("time_embedding.linear_2"), width, width)?,
            added: load_added(&part.at("add_embedding"), &config, width)?,
            conv_in,
            down,
            middle,
            up,
            norm_out: nn::group_norm(
                &part.at("conv_norm_out"),
                config.norm_groups,
                first,
                config.norm_eps,
            )?,
            conv_out: nn::conv(&part.at("conv_out"), first, config.out_channels, 3, 1, 1)?,
            layers: names.0,
            config,
        })
    }

    /// The config.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The numbers that it computes with.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The names of its layers, in order of execution.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// One forward pass: `x: [B, in, H, W]`, a time for each sample, and what it is conditioned on; gives
    /// `[B, out, H, W]` in f32.
    ///
    /// # Errors
    /// `BadPlan` where these are not of one number, or XL's additions are missing; what the tensor library
    /// or a hook reports.
    pub fn forward<'a>(
        &self,
        x: &Tensor,
        times: &[f64],
        given: impl Into<Conditioning<'a>>,
        hooks: &Hooks,
    ) -> Result<Tensor> {
        let pass = self.pass(x, times, given, hooks, Span::default(), &mut |_, _| {});
        Ok(pass?.0)
    }

    /// A forward pass that may begin where another has come to, and leaves what it has come to before some
    /// layers, in their order.
    ///
    /// # Errors
    /// As [`UNet::forward`].
    pub fn forward_in<'a>(
        &self,
        x: &Tensor,
        times: &[f64],
        given: impl Into<Conditioning<'a>>,
        hooks: &Hooks,
        span: Span<'_>,
    ) -> Result<(Tensor, Vec<Begun>)> {
        self.pass(x, times, given, hooks, span, &mut |_, _| {})
    }

    /// A forward pass that shows the output of each module to `see`, under the module's name in the
    /// weights (`down_blocks.0`).
    ///
    /// # Errors
    /// As [`UNet::forward`].
    pub fn observe<'a>(
        &self,
        x: &Tensor,
        times: &[f64],
        given: impl Into<Conditioning<'a>>,
        hooks: &Hooks,
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor> {
        let pass = self.pass(x, times, given, hooks, Span::default(), see);
        Ok(pass?.0)
    }

    fn pass<'a>(
        &self,
        x: &Tensor,
        times: &[f64],
        given: impl Into<Conditioning<'a>>,
        hooks: &Hooks,
        span: Span<'_>,
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<(Tensor, Vec<Begun>)> {
        let conditioning = given.into();
        fits(x, times, conditioning)?;
        let time = &self.time(times, conditioning, see)?;
        let text = &conditioning.states.to_dtype(self.dtype)?;
        let given = Given { time, text, hooks };

        let moves = self.moves();
        let (from, mut way) = match span.begun {
            Some(begun) => (begun.at, begun.way.clone()),
            None => {
                let x = self.enter(x)?;
                see("conv_in", &x);
                let kept = vec![x.clone()];
                (0, Way { x, kept })
            }
        };
        let mut left = Vec::new();
        for (at, step) in moves.iter().enumerate().skip(from) {
            let here = span
                .leave
                .iter()
                .copied()
                .filter(|layer| step.holds(*layer));
            let before: Vec<usize> = here.collect();
            if !before.is_empty() {
                let way = way.clone();
                left.push(Begun { at, before, way });
            }
            match step {
                Move::Done(module, None) => see(module, &way.x),
                Move::Done(module, Some(number)) => see(&format!("{module}.{number}"), &way.x),
                step => way.go(*step, given)?,
            }
        }
        let x = self.leave(&way.x)?;
        Ok((x.to_dtype(DType::F32)?, left))
    }

    /// Into the first level.
    pub(super) fn enter(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.conv_in.forward(&x.to_dtype(self.dtype)?)?)
    }

    /// Out of the last level.
    pub(super) fn leave(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.conv_out.forward(&self.norm_out.forward_silu(x)?)?)
    }

    /// What is told of the time and of XL's additions, `[B, width]`, its activation applied: every resnet
    /// applies the same one to it, and once is enough.
    pub(super) fn time(
        &self,
        times: &[f64],
        conditioning: Conditioning<'_>,
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor> {
        let waves = self.waves(times, self.config.block_out_channels[0])?;
        see("time_proj", &waves);
        let time = self.time1.forward(&waves)?;
        let mut time = self.time2.forward(&kernels::silu(&time)?)?;
        see("time_embedding", &time);
        if let Some(layers) = &self.added {
            let added = self.added(layers, conditioning.added, times.len())?;
            see("add_embedding", &added);
            time = (time + added)?;
        }
        Ok(kernels::silu(&time)?)
    }

    /// What a forward pass does between its first and its last convolution.
    pub(super) fn moves(&self) -> Vec<Move<'_>> {
        let mut moves = Vec::new();
        for (level, block) in self.down.iter().enumerate() {
            block.moves(&mut moves);
            moves.push(Move::Done("down_blocks", Some(level)));
        }
        self.middle.moves(&mut moves);
        moves.push(Move::Done("mid_block", None));
        for (i, block) in self.up.iter().enumerate() {
            block.moves(&mut moves);
            moves.push(Move::Done("up_blocks", Some(i)));
        }
        moves
    }

    /// Sinusoids as this network was trained with.
    fn waves(&self, numbers: &[f64], width: usize) -> Result<Tensor> {
        let UNetConfig {
            flip_sin_to_cos,
            freq_shift,
            ..
        } = self.config;
        sinusoids(
            numbers,
            width,
            flip_sin_to_cos,
            freq_shift,
            self.dtype,
            &self.device,
        )
    }

    /// The embedding of XL's additions, `[B, width]`.
    fn added(
        &self,
        [first, second]: &[Linear; 2],
        given: Option<Added<'_>>,
        samples: usize,
    ) -> Result<Tensor> {
        let (Some(config), Some(given)) = (self.config.added, given) else {
            return Err(RuntimeError::new(
                ErrorKind::BadPlan,
                "the network wants a pooled text, and none was given",
            ));
        };
        let numbers: Vec<f64> = given.framing.iter().flat_map(Framing::numbers).collect();
        let waves = self
            .waves(&numbers, config.number_width)?
            .reshape((given.framing.len(), ()))?;
        if given.framing.len() != samples || given.pooled.dim(0)? != samples {
            return Err(RuntimeError::new(
                ErrorKind::BadPlan,
                format!(
                    "{samples} samples were given {} pooled texts and {} sizes",
                    given.pooled.dim(0)?,
                    given.framing.len()
                ),
            ));
        }
        let both = Tensor::cat(&[&given.pooled.to_dtype(self.dtype)?, &waves], D::Minus1)?;
        Ok(second.forward(&kernels::silu(&first.forward(&both)?)?)?)
    }
}

/// Whether there are as many times and texts as samples.
pub(super) fn fits(x: &Tensor, times: &[f64], given: Conditioning<'_>) -> Result<()> {
    let (samples, texts) = (x.dim(0)?, given.states.dim(0)?);
    if times.len() == samples && texts == samples {
        return Ok(());
    }
    Err(RuntimeError::new(
        ErrorKind::BadPlan,
        format!(
            "{samples} samples were given {} times and {texts} texts",
            times.len()
        ),
    ))
}

/// The two layers that embed XL's additions.
fn load_added(part: &Part<'_>, config: &UNetConfig, width: usize) -> Result<Option<[Linear; 2]>> {
    let Some(added) = config.added else {
        return Ok(None);
    };
    let input = added.pooled_width + PICTURE_NUMBERS * added.number_width;
    Ok(Some([
        nn::linear(&part.at("linear_1"), input, width)?,
        nn::linear(&part.at("linear_2"), width, width)?,
    ]))
}

/// The names of the layers of a UNet with this config, in order of execution, without its weights.
pub fn layer_names(config: &UNetConfig) -> Vec<String> {
    let levels = config.block_out_channels.len();
    let mut names = LayerNames::default();
    let mut block = |block: &str, count: usize, attends: bool, level: usize| {
        for i in 0..count {
            names.resnet(block, i);
            // The middle has one attention between its two resnets.
            if attends && (block != "mid" || i == 0) {
                names.transformer(block, i, config.transformer_layers[level]);
            }
        }
    };
    for level in 0..levels {
        block(
            &format!("down.{level}"),
            config.layers_per_block[level],
            config.down_attends[level],
            level,
        );
    }
    block("mid", 2, true, levels - 1);
    for i in 0..levels {
        let level = levels - 1 - i;
        block(
            &format!("up.{i}"),
            config.layers_per_block[level] + 1,
            config.up_attends[i],
            level,
        );
    }
    names.0
}
