//! `config.json` of a classifier: which network it is, and what it is shown.

use guide_compiler::plan::{Normalise, Seen, Shown};
use serde_json::json;

use super::clip::TowersConfig;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::models::fields::Fields;
use crate::weights::Source;

/// The most classes, so that an absurd config asks for no absurd memory.
const MOST_CLASSES: usize = guide_compiler::plan::MOST_CLASSES as usize;
/// Tensors that a block of a network keeps for the backward pass, in its own size: the convolution and its
/// bias, the norm's distances, squares, quotients and its two changes, the sum with the time and the
/// activation.
const KEPT_A_BLOCK: usize = 9;

/// What a classifier is.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeConfig {
    /// What it was trained to see.
    pub sees: Seen,
    /// Channels of that.
    pub channels: usize,
    /// Height and width of that.
    pub size: usize,
    /// What the darkest and the lightest number of a picture become.
    pub range: (f64, f64),
    /// What is then done to its channels.
    pub normalise: Normalise,
    /// The names of its classes, in order; none yet of a CLIP model that was given no texts.
    pub labels: Vec<String>,
    /// The network.
    pub network: NetworkConfig,
}

/// The networks that are known.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkConfig {
    /// A stack of convolutions, as the embedded model's judges.
    Plain(PlainConfig),
    /// He et al. 2015, arXiv 1512.03385, with the names of torchvision.
    ResNet(ResNetConfig),
    /// Radford et al. 2021, arXiv 2103.00020, with the names of transformers; its classes are texts.
    Clip(TowersConfig),
}

/// Convolution, group norm, bias from the time and activation, over and over; the mean over space and a
/// linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainConfig {
    /// Channels of each block.
    pub channels: Vec<usize>,
    /// Stride of each block.
    pub strides: Vec<usize>,
    /// Width of what the time becomes, where it is told.
    pub time_width: Option<usize>,
    /// Side of the convolutions' kernels.
    pub kernel: usize,
    /// Their padding.
    pub padding: usize,
    /// Groups of the norms.
    pub groups: usize,
    /// What keeps the norms from dividing by 0.
    pub eps: f64,
}

/// The sizes of a ResNet.
#[derive(Clone, Debug, PartialEq)]
pub struct ResNetConfig {
    /// Blocks of each of the four levels.
    pub depths: Vec<usize>,
    /// Whether a block has three convolutions, the outer two of them 1x1.
    pub bottleneck: bool,
    /// Channels after the first convolution; 64 in the published networks.
    pub width: usize,
}

impl JudgeConfig {
    /// Reads `config.json` of a source. `classes` are texts for a CLIP model to tell apart.
    ///
    /// # Errors
    /// `ModelIncomplete` without the file, `BadConfig`; `BadBinding` for texts where the network has classes
    /// of its own.
    pub fn read(source: &Source, classes: &[String]) -> Result<Self> {
        let fields = &Fields::read(source, "config.json")?;
        if TowersConfig::fits(fields) {
            return clip(fields, source, classes);
        }
        if !classes.is_empty() {
            let message = format!("`{}` has classes of its own", source.show(""));
            return Err(RuntimeError::new(ErrorKind::BadBinding, message)
                .help("bind no classes to it; a CLIP model takes texts as classes"));
        }
        fields.only("_class_name", &[json!("Judge"), json!("ResNet")])?;
        match fields.word("_class_name", "Judge")?.as_str() {
            "ResNet" => resnet(fields),
            _ => plain(fields),
        }
    }

    /// How it is shown what it sees: what the rule says, else as it was trained.
    pub fn shown(&self, asked: Shown) -> Showing {
        Showing {
            size: asked.size.map_or(self.size, |size| size as usize),
            range: asked.range.unwrap_or(self.range),
            normalise: asked.normalise.unwrap_or(self.normalise),
            softplus: asked.softplus,
            middle: matches!(self.network, NetworkConfig::Clip(_)),
        }
    }

    /// Bytes that a gradient through it holds at once for each sample.
    pub fn backward(&self) -> u64 {
        let mut side = self.size;
        let mut kept = self.channels * side * side;
        match &self.network {
            NetworkConfig::Plain(plain) => {
                for (channels, stride) in plain.channels.iter().zip(&plain.strides) {
                    side = side.div_ceil(*stride);
                    kept += KEPT_A_BLOCK * channels * side * side;
                }
            }
            NetworkConfig::ResNet(resnet) => {
                side = side.div_ceil(4);
                for (level, depth) in resnet.depths.iter().enumerate() {
                    side = side.div_ceil(if level == 0 { 1 } else { 2 });
                    let channels = resnet.width << level;
                    kept += depth * KEPT_A_BLOCK * channels * side * side;
                }
            }
            NetworkConfig::Clip(towers) => kept += towers.vision.kept(),
        }
        4 * kept as u64
    }
}

/// How a classifier is shown what it sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Showing {
    /// Height and width of pictures.
    pub size: usize,
    /// What 0 and 1 of a picture become.
    pub range: (f64, f64),
    /// What is then done to its channels.
    pub normalise: Normalise,
    /// `ln(1 + exp(b*x))/b` in place of each ReLU.
    pub softplus: Option<f64>,
    /// Whether the middle is cut out of a picture that is no square, by Pillow's bicubic filter; else all of
    /// it is squeezed to one, bilinearly.
    pub middle: bool,
}

fn plain(fields: &Fields) -> Result<JudgeConfig> {
    fields.only("act_fn", &[json!("relu")])?;
    fields.only("pool", &[json!("mean")])?;
    fields.no_others(&[
        "act_fn",
        "channels",
        "in_channels",
        "kernel",
        "labels",
        "norm_eps",
        "norm_num_groups",
        "normalise",
        "padding",
        "pool",
        "range",
        "sample_size",
        "sees",
        "strides",
        "time_width",
    ])?;
    let channels = fields.counts("channels")?;
    let strides = fields.counts("strides")?;
    let groups = fields.count("norm_num_groups", Some(8))?;
    if strides.len() != channels.len() {
        return Err(fields.refuse("strides", "one for each of `channels` is needed"));
    }
    if channels.iter().any(|count| !count.is_multiple_of(groups)) {
        return Err(fields.refuse("norm_num_groups", "it must divide each of `channels`"));
    }
    let time_width = match fields.get("time_width") {
        None => None,
        Some(_) => Some(fields.count("time_width", None)?),
    };
    if time_width.is_some_and(|width| width % 2 == 1) {
        return Err(fields.refuse("time_width", "an even number is needed"));
    }
    let network = PlainConfig {
        channels,
        strides,
        time_width,
        kernel: fields.count("kernel", Some(3))?,
        padding: fields.whole("padding", 1)?,
        groups,
        eps: fields.number("norm_eps", 1e-5)?,
    };
    common(
        fields,
        ("in_channels", "sample_size"),
        ((-1.0, 1.0), Normalise::None),
        NetworkConfig::Plain(network),
    )
}

fn resnet(fields: &Fields) -> Result<JudgeConfig> {
    fields.only("layer_type", &[json!("basic"), json!("bottleneck")])?;
    fields.no_others(&[
        "depths",
        "embedding_size",
        "image_size",
        "labels",
        "layer_type",
        "normalise",
        "num_channels",
        "range",
        "sees",
    ])?;
    let depths = fields.counts("depths")?;
    if depths.len() != 4 {
        return Err(fields.refuse("depths", "four numbers are needed"));
    }
    let network = ResNetConfig {
        depths,
        bottleneck: fields.word("layer_type", "bottleneck")? == "bottleneck",
        width: fields.count("embedding_size", Some(64))?,
    };
    common(
        fields,
        ("num_channels", "image_size"),
        ((0.0, 1.0), Normalise::Imagenet),
        NetworkConfig::ResNet(network),
    )
}

/// A CLIP model: `labels` may stand in its config, as in those of the other networks.
fn clip(fields: &Fields, source: &Source, classes: &[String]) -> Result<JudgeConfig> {
    let towers = TowersConfig::of(fields, source)?;
    let labels = match fields.get("labels") {
        _ if !classes.is_empty() => classes.to_vec(),
        Some(_) => fields.words("labels")?,
        None => Vec::new(),
    };
    if labels.len() > MOST_CLASSES {
        return Err(fields.refuse("labels", "there are too many classes"));
    }
    Ok(JudgeConfig {
        sees: Seen::Image,
        channels: 3,
        size: towers.vision.size,
        range: (0.0, 1.0),
        normalise: Normalise::Clip,
        labels,
        network: NetworkConfig::Clip(towers),
    })
}

/// What the networks of fixed classes say.
fn common(
    fields: &Fields,
    (channels, size): (&str, &str),
    (range, normalise): ((f64, f64), Normalise),
    network: NetworkConfig,
) -> Result<JudgeConfig> {
    let sees = fields.word("sees", "image")?;
    let sees = Seen::find(&sees)
        .ok_or_else(|| fields.refuse("sees", "`noisy`, `x0` or `image` is needed"))?;
    let labels = fields.words("labels")?;
    if !(2..=MOST_CLASSES).contains(&labels.len()) {
        return Err(fields.refuse("labels", "the names of at least two classes are needed"));
    }
    let normalise = match fields.get("normalise") {
        None => normalise,
        Some(_) => Normalise::find(&fields.word("normalise", "none")?)
            .ok_or_else(|| fields.refuse("normalise", "`none`, `imagenet` or `clip` is needed"))?,
    };
    let channels = fields.count(channels, Some(3))?;
    if normalise != Normalise::None && channels != 3 {
        let wanted = format!("`{}` is for three channels", normalise.name());
        return Err(fields.refuse("normalise", &wanted));
    }
    Ok(JudgeConfig {
        sees,
        channels,
        size: fields.count(size, Some(224))?,
        range: self::range(fields, range)?,
        normalise,
        labels,
        network,
    })
}

fn range(fields: &Fields, default: (f64, f64)) -> Result<(f64, f64)> {
    let Some(value) = fields.get("range") else {
        return Ok(default);
    };
    let ends: Option<Vec<f64>> = value
        .as_array()
        .and_then(|ends| ends.iter().map(serde_json::Value::as_f64).collect());
    match ends.as_deref() {
        Some([low, high]) if low < high => Ok((*low, *high)),
        _ => Err(fields.refuse("range", "two numbers, the smaller first, are needed")),
    }
}
