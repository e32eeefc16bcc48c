//! The networks of classifiers.

use candle_core::{DType, Device, Tensor};

use super::clip::{ByTexts, Towers};
use super::config::{JudgeConfig, NetworkConfig, PlainConfig, ResNetConfig};
use super::layers::{Activation, Conv, Dense, Fixed, Groups, Window};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::weights::{Part, Source, Weights};

/// A network, loaded.
#[derive(Debug)]
pub enum Network {
    /// See [`PlainConfig`].
    Plain(Plain),
    /// See [`ResNetConfig`].
    ResNet(ResNet),
    /// CLIP's picture tower.
    Clip(ByTexts),
}

impl Network {
    /// Loads the weights of a source.
    ///
    /// # Errors
    /// What weights refuse.
    pub fn load(source: &Source, config: &JudgeConfig, device: &Device) -> Result<Self> {
        let weights = || {
            let named = |stem: &&str| source.has(&format!("{stem}.safetensors"));
            let stem = STEMS.into_iter().find(named).unwrap_or(STEMS[0]);
            Weights::open(source, "", stem, DType::F32, device)
        };
        let (channels, classes) = (config.channels, config.labels.len());
        Ok(match &config.network {
            NetworkConfig::Plain(plain) => {
                Network::Plain(Plain::load(&weights()?.root(), plain, channels, classes)?)
            }
            NetworkConfig::ResNet(resnet) => {
                Network::ResNet(ResNet::load(&weights()?.root(), resnet, channels, classes)?)
            }
            NetworkConfig::Clip(towers) => {
                let towers = Towers::load(source, towers, device)?;
                Network::Clip(towers.classifier(&config.labels)?)
            }
        })
    }

    /// The logits of what is shown, `[B, C, H, W]` to `[B, K]`; only a network that is told the time looks
    /// at it.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, shown: &Tensor, time: f64, act: Activation) -> Result<Tensor> {
        match self {
            Network::Plain(plain) => plain.forward(shown, time, act),
            Network::ResNet(resnet) => resnet.forward(shown, act),
            Network::Clip(clip) => clip.forward(shown),
        }
    }

    /// What it sees in pictures on the way, each as `[C, places]`: after every block of a stack, after every
    /// level of a ResNet, after CLIP's third layer.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn features(&self, shown: &Tensor) -> Result<Vec<Tensor>> {
        let maps = match self {
            Network::Plain(plain) => plain.maps(shown, 0.0, Activation::Relu)?,
            Network::ResNet(resnet) => resnet.maps(shown, Activation::Relu)?,
            Network::Clip(clip) => return Ok(vec![clip.features(shown)?]),
        };
        let flat = maps.iter().map(|map| Ok(map.squeeze(0)?.flatten_from(1)?));
        flat.collect()
    }
}

/// The names that weights may have, in a folder.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// The embedded model's judges; `examples/train_pocket` trains them.
#[derive(Debug)]
pub struct Plain {
    time: Option<(usize, [Dense; 2])>,
    blocks: Vec<PlainBlock>,
    head: Dense,
}

#[derive(Debug)]
struct PlainBlock {
    conv: Conv,
    norm: Groups,
    time: Option<Dense>,
}

impl Plain {
    fn load(
        part: &Part<'_>,
        config: &PlainConfig,
        channels: usize,
        classes: usize,
    ) -> Result<Self> {
        let time = match config.time_width {
            None => None,
            Some(width) => {
                let layer = |at: usize| Dense::load(&part.at("time").at(at), width, width);
                Some((width, [layer(0)?, layer(1)?]))
            }
        };
        let mut blocks = Vec::new();
        let mut before = channels;
        for (at, (channels, stride)) in config.channels.iter().zip(&config.strides).enumerate() {
            let part = part.at("blocks").at(at);
            let window = Window {
                kernel: config.kernel,
                stride: *stride,
                padding: config.padding,
            };
            let time = config
                .time_width
                .map(|width| Dense::load(&part.at("time"), width, *channels));
            blocks.push(PlainBlock {
                conv: Conv::load(&part.at("conv"), (before, *channels), window, true)?,
                norm: Groups::load(&part.at("norm"), config.groups, *channels, config.eps)?,
                time: time.transpose()?,
            });
            before = *channels;
        }
        Ok(Self {
            time,
            blocks,
            head: Dense::load(&part.at("head"), before, classes)?,
        })
    }

    fn forward(&self, shown: &Tensor, time: f64, act: Activation) -> Result<Tensor> {
        let maps = self.maps(shown, time, act)?;
        let last = maps.last().unwrap_or(shown);
        self.head.forward(&last.mean((2, 3))?)
    }

    /// What every block gives.
    fn maps(&self, shown: &Tensor, time: f64, act: Activation) -> Result<Vec<Tensor>> {
        let told = self
            .time
            .as_ref()
            .map(|(width, layers)| -> Result<Tensor> {
                let mut told = features(time, *width, shown)?;
                for layer in layers {
                    told = layer.forward(&told)?.relu()?;
                }
                Ok(told)
            })
            .transpose()?;
        let mut x = shown.clone();
        let mut maps = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            x = block.norm.forward(&block.conv.forward(&x)?)?;
            if let (Some(layer), Some(told)) = (&block.time, &told) {
                let bias = layer.forward(told)?;
                let channels = bias.dim(1)?;
                x = x.broadcast_add(&bias.reshape((1, channels, 1, 1))?)?;
            }
            x = act.of(&x)?;
            maps.push(x.clone());
        }
        Ok(maps)
    }
}

/// The time as cosines then sines at falling frequencies, `[1, width]`.
fn features(time: f64, width: usize, like: &Tensor) -> Result<Tensor> {
    let half = width / 2;
    let angle = |i: usize| time * (-(10000f64.ln()) * i as f64 / half as f64).exp();
    let cosines = (0..half).map(|i| angle(i).cos() as f32);
    let sines = (0..half).map(|i| angle(i).sin() as f32);
    let row: Vec<f32> = cosines.chain(sines).collect();
    Ok(Tensor::from_vec(row, (1, 2 * half), like.device())?)
}

/// He et al. 2015, with the names of torchvision.
#[derive(Debug)]
pub struct ResNet {
    stem: (Conv, Fixed),
    levels: Vec<Vec<ResBlock>>,
    head: Dense,
}

#[derive(Debug)]
struct ResBlock {
    layers: Vec<(Conv, Fixed)>,
    shortcut: Option<(Conv, Fixed)>,
}

impl ResNet {
    fn load(
        part: &Part<'_>,
        config: &ResNetConfig,
        channels: usize,
        classes: usize,
    ) -> Result<Self> {
        let first = Window {
            kernel: 7,
            stride: 2,
            padding: 3,
        };
        let stem = (
            Conv::load(&part.at("conv1"), (channels, config.width), first, false)?,
            Fixed::load(&part.at("bn1"), config.width)?,
        );
        let widen = if config.bottleneck { 4 } else { 1 };
        let mut levels = Vec::new();
        let mut before = config.width;
        for (level, depth) in config.depths.iter().enumerate() {
            let width = config.width << level;
            let mut blocks = Vec::new();
            for at in 0..*depth {
                let stride = if level > 0 && at == 0 { 2 } else { 1 };
                let part = part.at(format!("layer{}", level + 1)).at(at);
                let size = ResBlockSize {
                    before,
                    width,
                    after: width * widen,
                    stride,
                };
                blocks.push(ResBlock::load(&part, size, config.bottleneck)?);
                before = width * widen;
            }
            levels.push(blocks);
        }
        Ok(Self {
            stem,
            levels,
            head: Dense::load(&part.at("fc"), before, classes)?,
        })
    }

    fn forward(&self, shown: &Tensor, act: Activation) -> Result<Tensor> {
        let maps = self.maps(shown, act)?;
        let last = maps.last().unwrap_or(shown);
        self.head.forward(&last.mean((2, 3))?)
    }

    /// What every level gives.
    fn maps(&self, shown: &Tensor, act: Activation) -> Result<Vec<Tensor>> {
        let (conv, norm) = &self.stem;
        let x = act.of(&norm.forward(&conv.forward(shown)?)?)?;
        let mut x = largest_of_nine(&x)?;
        let mut maps = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            for block in level {
                x = block.forward(&x, act)?;
            }
            maps.push(x.clone());
        }
        Ok(maps)
    }
}

/// The largest of 3x3 places, at every second one. What lies outside is smaller than anything.
fn largest_of_nine(x: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    if height < 2 || width < 2 {
        return Err(RuntimeError::new(
            ErrorKind::BadConfig,
            "a ResNet is shown pictures that are too small for it",
        )
        .help("raise `image_size` in its config"));
    }
    // After an activation nothing is below 0, so that zeros change no largest.
    let padded = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
    Ok(larger(&larger(&padded, 2, height)?, 3, width)?)
}

/// The largest of three neighbours along an axis of `side + 2` places, at every second one.
fn larger(x: &Tensor, axis: usize, side: usize) -> candle_core::Result<Tensor> {
    let count = side.div_ceil(2);
    let every_second = |from: u32| -> candle_core::Result<Tensor> {
        let places: Vec<u32> = (0..count as u32).map(|i| from + 2 * i).collect();
        x.index_select(&Tensor::new(places, x.device())?, axis)
    };
    let [a, b, c] = [0, 1, 2].map(every_second);
    a?.maximum(&b?)?.maximum(&c?)
}

#[derive(Clone, Copy)]
struct ResBlockSize {
    before: usize,
    width: usize,
    after: usize,
    stride: usize,
}

impl ResBlock {
    fn load(part: &Part<'_>, size: ResBlockSize, bottleneck: bool) -> Result<Self> {
        let ResBlockSize {
            before,
            width,
            after,
            stride,
        } = size;
        let wide = |stride| Window {
            kernel: 3,
            stride,
            padding: 1,
        };
        let point = |stride| Window {
            kernel: 1,
            stride,
            padding: 0,
        };
        let sizes = match bottleneck {
            true => vec![
                (before, width, point(1)),
                (width, width, wide(stride)),
                (width, after, point(1)),
            ],
            false => vec![(before, width, wide(stride)), (width, after, wide(1))],
        };
        let mut layers = Vec::new();
        for (at, (input, output, window)) in sizes.into_iter().enumerate() {
            let conv = part.at(format!("conv{}", at + 1));
            let norm = part.at(format!("bn{}", at + 1));
            layers.push((
                Conv::load(&conv, (input, output), window, false)?,
                Fixed::load(&norm, output)?,
            ));
        }
        let shortcut = if stride != 1 || before != after {
            let part = part.at("downsample");
            Some((
                Conv::load(&part.at(0), (before, after), point(stride), false)?,
                Fixed::load(&part.at(1), after)?,
            ))
        } else {
            None
        };
        Ok(Self { layers, shortcut })
    }

    fn forward(&self, x: &Tensor, act: Activation) -> Result<Tensor> {
        let aside = match &self.shortcut {
            None => x.clone(),
            Some((conv, norm)) => norm.forward(&conv.forward(x)?)?,
        };
        let mut y = x.clone();
        for (at, (conv, norm)) in self.layers.iter().enumerate() {
            y = norm.forward(&conv.forward(&y)?)?;
            if at + 1 < self.layers.len() {
                y = act.of(&y)?;
            }
        }
        act.of(&(y + aside)?)
    }
}
