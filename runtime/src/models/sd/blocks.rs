//! The UNet's blocks: a level on the way down, the middle, a level on the way up.

use candle_core::Tensor;

use super::config::UNetConfig;
use super::resnet::{Downsample, Resnet, ResnetShape, Upsample};
use super::transformer::{Transformer, TransformerLayers, TransformerShape};
use crate::error::Result;
use crate::interventions::{Hooks, Joint};
use crate::weights::Part;

/// The names of the layers, in order of execution, given out while the network is built.
#[derive(Debug, Default)]
pub struct LayerNames(pub Vec<String>);

impl LayerNames {
    fn add(&mut self, name: String) -> usize {
        self.0.push(name);
        self.0.len() - 1
    }

    /// A resnet's layer.
    pub fn resnet(&mut self, block: &str, i: usize) -> usize {
        self.add(format!("{block}.resnet.{i}"))
    }

    /// The layers of the attention `block.attn.i`: `self`, `cross` and `ff`, below `block.j` where it has
    /// several transformer blocks.
    pub fn transformer(&mut self, block: &str, i: usize, blocks: usize) -> TransformerLayers {
        let layers = (0..blocks).map(|j| {
            let inner = if blocks == 1 {
                String::new()
            } else {
                format!(".block.{j}")
            };
            ["self", "cross", "ff"].map(|kind| self.add(format!("{block}.attn.{i}{inner}.{kind}")))
        });
        layers.collect()
    }
}

/// What every layer of a forward pass reads besides the map.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The time embedding, its activation applied, `[B, width]`.
    pub time: &'a Tensor,
    /// The text states, `[B, L, D]`.
    pub text: &'a Tensor,
    /// What is changed inside.
    pub hooks: &'a Hooks,
}

/// A resnet and the transformer after it, where there is one.
#[derive(Debug)]
struct Layer {
    place: usize,
    resnet: Resnet,
    transformer: Option<Transformer>,
}

impl Layer {
    fn moves<'a>(&'a self, moves: &mut Vec<Move<'a>>) {
        moves.push(Move::Resnet(&self.resnet, self.place));
        moves.extend(self.transformer.as_ref().map(Move::Transformer));
    }
}

/// A move of a forward pass.
#[derive(Clone, Copy, Debug)]
pub enum Move<'a> {
    /// Through a resnet, by its place in the list of layers.
    Resnet(&'a Resnet, usize),
    /// Through a transformer.
    Transformer(&'a Transformer),
    /// What has come so far is kept for the way up.
    Keep,
    /// Down a level.
    Down(&'a Downsample),
    /// What was kept last joins what comes up: on this level, 0 being the coarsest; and the channels of
    /// the finest.
    Join {
        /// The level.
        level: usize,
        /// Channels of the finest level.
        narrowest: usize,
    },
    /// Up a level.
    Up(&'a Upsample),
    /// A module of the weights is through, by its name and number.
    Done(&'static str, Option<usize>),
}

impl Move<'_> {
    /// Whether the layer at this place of the network's list is worked here.
    pub fn holds(&self, layer: usize) -> bool {
        match self {
            Move::Resnet(_, place) => *place == layer,
            Move::Transformer(transformer) => transformer.holds(layer),
            _ => false,
        }
    }
}

/// A forward pass under way.
#[derive(Clone, Debug)]
pub struct Way {
    /// What has come so far.
    pub x: Tensor,
    /// What is kept for the way up.
    pub kept: Vec<Tensor>,
}

impl Way {
    /// Makes a move.
    ///
    /// # Errors
    /// What the tensor library or a hook reports.
    pub fn go(&mut self, step: Move<'_>, given: Given<'_>) -> Result<()> {
        match step {
            Move::Resnet(resnet, place) => {
                self.x = forward_resnet(resnet, place, &self.x, given)?;
            }
            Move::Transformer(transformer) => {
                self.x = transformer.forward(&self.x, given.text, given.hooks)?;
            }
            Move::Keep => self.kept.push(self.x.clone()),
            Move::Down(downsample) => self.x = downsample.forward(&self.x)?,
            Move::Join { level, narrowest } => {
                // INVARIANT: the way down keeps one tensor for each layer of the way up.
                if let Some(from_below) = self.kept.pop() {
                    let widths = self.x.dim(1)? as f64 / narrowest as f64;
                    let joint = Joint { level, widths };
                    let (way, below) = given.hooks.joined(joint, self.x.clone(), from_below)?;
                    self.x = Tensor::cat(&[&way, &below], 1)?;
                }
            }
            Move::Up(upsample) => {
                // The next level's own size, which is odd where the way down has rounded.
                let size = match self.kept.last() {
                    Some(next) => (next.dim(2)?, next.dim(3)?),
                    None => (self.x.dim(2)? * 2, self.x.dim(3)? * 2),
                };
                self.x = upsample.forward(&self.x, size)?;
            }
            Move::Done(..) => {}
        }
        Ok(())
    }
}

fn forward_resnet(resnet: &Resnet, place: usize, x: &Tensor, given: Given<'_>) -> Result<Tensor> {
    let hooks = given.hooks;
    if hooks.skips(place) {
        return resnet.skip(x);
    }
    if hooks.sees_residual(place) {
        let residual = resnet.residual(x, Some(given.time))?;
        if let Some(instead) = hooks.residual(place, &residual)? {
            return Ok((resnet.skip(x)? + instead)?);
        }
    }
    resnet.forward(x, Some(given.time))
}

/// The shape of the transformers of a level.
fn transformer_shape(config: &UNetConfig, level: usize) -> TransformerShape {
    TransformerShape {
        channels: config.block_out_channels[level],
        heads: config.heads[level],
        text: config.cross_attention_dim[level],
        groups: config.norm_groups,
        linear: config.use_linear_projection,
        upcast: config.upcast_attention,
    }
}

fn resnet_shape(config: &UNetConfig, input: usize, output: usize) -> ResnetShape {
    ResnetShape {
        input,
        output,
        time: Some(config.block_out_channels[0] * 4),
        groups: config.norm_groups,
        eps: config.norm_eps,
    }
}

/// A level on the way down.
#[derive(Debug)]
pub struct Down {
    layers: Vec<Layer>,
    downsample: Option<Downsample>,
}

impl Down {
    /// Takes the tensors of level `level`, finest first.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(
        part: &Part<'_>,
        config: &UNetConfig,
        level: usize,
        names: &mut LayerNames,
    ) -> Result<Self> {
        let output = config.block_out_channels[level];
        let mut input = if level == 0 {
            output
        } else {
            config.block_out_channels[level - 1]
        };
        let mut layers = Vec::new();
        for i in 0..config.layers_per_block[level] {
            layers.push(load_layer(
                part,
                config,
                level,
                i,
                (input, output),
                config.down_attends[level],
                &format!("down.{level}"),
                names,
            )?);
            input = output;
        }
        let last = level + 1 == config.block_out_channels.len();
        let downsample = (!last)
            .then(|| Downsample::load(part, output, config.downsample_padding))
            .transpose()?;
        Ok(Self { layers, downsample })
    }

    /// Goes down a level, keeping each layer's output for the way up.
    pub fn moves<'a>(&'a self, moves: &mut Vec<Move<'a>>) {
        for layer in &self.layers {
            layer.moves(moves);
            moves.push(Move::Keep);
        }
        if let Some(downsample) = &self.downsample {
            moves.extend([Move::Down(downsample), Move::Keep]);
        }
    }
}

/// The middle: two resnets with a transformer between.
#[derive(Debug)]
pub struct Middle {
    first: Layer,
    place: usize,
    second: Resnet,
}

impl Middle {
    /// Takes the tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(part: &Part<'_>, config: &UNetConfig, names: &mut LayerNames) -> Result<Self> {
        let level = config.block_out_channels.len() - 1;
        let channels = config.block_out_channels[level];
        let first = load_layer(
            part,
            config,
            level,
            0,
            (channels, channels),
            true,
            "mid",
            names,
        )?;
        let place = names.resnet("mid", 1);
        let second = Resnet::load(
            &part.at("resnets.1"),
            resnet_shape(config, channels, channels),
        )?;
        Ok(Self {
            first,
            place,
            second,
        })
    }

    /// Through both resnets and what stands between.
    pub fn moves<'a>(&'a self, moves: &mut Vec<Move<'a>>) {
        self.first.moves(moves);
        moves.push(Move::Resnet(&self.second, self.place));
    }
}

/// A level on the way up.
#[derive(Debug)]
pub struct Up {
    /// Its place on the way up; 0 is the coarsest level.
    level: usize,
    /// Channels of the finest level.
    narrowest: usize,
    layers: Vec<Layer>,
    upsample: Option<Upsample>,
}

impl Up {
    /// Takes the tensors of the `i`th block on the way up, coarsest first.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(
        part: &Part<'_>,
        config: &UNetConfig,
        i: usize,
        names: &mut LayerNames,
    ) -> Result<Self> {
        let channels = &config.block_out_channels;
        let level = channels.len() - 1 - i;
        let output = channels[level];
        let below = channels[(level + 1).min(channels.len() - 1)];
        let above = channels[level.saturating_sub(1)];
        let count = config.layers_per_block[level] + 1;
        let mut layers = Vec::new();
        for j in 0..count {
            // Each layer reads what lies on its way and one output of the way down; the last of a level
            // reads what the level above gave down.
            let way = if j == 0 { below } else { output };
            let kept = if j + 1 == count { above } else { output };
            layers.push(load_layer(
                part,
                config,
                level,
                j,
                (way + kept, output),
                config.up_attends[i],
                &format!("up.{i}"),
                names,
            )?);
        }
        let upsample = (level != 0)
            .then(|| Upsample::load(part, output))
            .transpose()?;
        Ok(Self {
            level: i,
            narrowest: channels[0],
            layers,
            upsample,
        })
    }

    /// Goes up a level, taking what the way down has kept.
    pub fn moves<'a>(&'a self, moves: &mut Vec<Move<'a>>) {
        let (level, narrowest) = (self.level, self.narrowest);
        for layer in &self.layers {
            moves.push(Move::Join { level, narrowest });
            layer.moves(moves);
        }
        moves.extend(self.upsample.as_ref().map(Move::Up));
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "a private constructor; a struct for one call would say no more"
)]
fn load_layer(
    part: &Part<'_>,
    config: &UNetConfig,
    level: usize,
    i: usize,
    (input, output): (usize, usize),
    attends: bool,
    block: &str,
    names: &mut LayerNames,
) -> Result<Layer> {
    let place = names.resnet(block, i);
    let resnet = Resnet::load(
        &part.at(format!("resnets.{i}")),
        resnet_shape(config, input, output),
    )?;
    let transformer = attends.then(|| {
        let layers = names.transformer(block, i, config.transformer_layers[level]);
        Transformer::load(
            &part.at(format!("attentions.{i}")),
            transformer_shape(config, level),
            layers,
        )
    });
    Ok(Layer {
        place,
        resnet,
        transformer: transformer.transpose()?,
    })
}
