//! What is known of a model before its weights are read: facts from its config files, and those of
//! models that everybody knows.

use serde::Deserialize;

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{ModelFacts, Space};
use crate::timetable::SchedulerConfig;

/// A model without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What a plan says of it.
    pub facts: ModelFacts,
    /// Its noise.
    pub scheduler: SchedulerConfig,
}

/// The names of [`known`] models.
pub const KNOWN: [&str; 4] = ["pocket", "sd15", "sd21", "sdxl"];

/// A model that needs no files to be planned for: the embedded one, and the published Stable
/// Diffusion models.
pub fn known(name: &str) -> Option<Model> {
    let both = |attends: &[bool]| (attends.to_vec(), attends.iter().rev().copied().collect());
    let (space, sample, layers, (down, up), depth) = match name {
        "pocket" => (Space::Eps, 16, 1, both(&[true, true, false]), vec![1, 1, 1]),
        "sd15" => (
            Space::Eps,
            64,
            2,
            both(&[true, true, true, false]),
            vec![1; 4],
        ),
        "sd21" => (
            Space::V,
            96,
            2,
            both(&[true, true, true, false]),
            vec![1; 4],
        ),
        "sdxl" => (
            Space::Eps,
            128,
            2,
            both(&[false, true, true]),
            vec![1, 2, 10],
        ),
        _ => return None,
    };
    let shape = Shape {
        layers: vec![layers; depth.len()],
        down,
        up,
        depth,
    };
    let facts = ModelFacts {
        name: name.to_owned(),
        space,
        latent: [4, sample, sample],
        layers: Some(shape.layers()),
    };
    Some(Model {
        facts,
        scheduler: SchedulerConfig::stable_diffusion(space),
    })
}

/// A model by the texts of its `unet/config.json` and `scheduler/scheduler_config.json`.
///
/// # Errors
/// `G0709` for texts that are no such configs.
pub fn of_configs(name: &str, unet: &str, scheduler: &str) -> Result<Model, Diagnostic> {
    let scheduler = SchedulerConfig::parse(scheduler, None)?;
    let unet: UNet = serde_json::from_str(unet).map_err(|error| {
        Diagnostic::new(
            Code::BadConfig,
            format!("`unet/config.json` of `{name}` cannot be read: {error}"),
        )
    })?;
    let facts = ModelFacts {
        name: name.to_owned(),
        space: scheduler.space,
        latent: [unet.in_channels, unet.sample_size, unet.sample_size],
        layers: unet.shape().map(|shape| shape.layers()),
    };
    Ok(Model { facts, scheduler })
}

/// The most levels of a network, and the most layers of a level, that a config may name.
const MOST: usize = 64;

#[derive(Deserialize)]
struct UNet {
    #[serde(default = "four")]
    in_channels: u32,
    #[serde(default = "sixty_four")]
    sample_size: u32,
    #[serde(default)]
    layers_per_block: Option<OneOrMany>,
    #[serde(default)]
    transformer_layers_per_block: Option<OneOrMany>,
    #[serde(default)]
    down_block_types: Vec<String>,
    #[serde(default)]
    up_block_types: Vec<String>,
}

fn four() -> u32 {
    4
}

fn sixty_four() -> u32 {
    64
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(usize),
    Many(Vec<usize>),
}

impl OneOrMany {
    /// One number a level.
    fn each(&self, levels: usize) -> Option<Vec<usize>> {
        let list = match self {
            OneOrMany::One(one) => vec![*one; levels],
            OneOrMany::Many(list) => list.clone(),
        };
        (list.len() == levels && list.iter().all(|n| *n <= MOST)).then_some(list)
    }
}

impl UNet {
    fn shape(&self) -> Option<Shape> {
        let levels = self.down_block_types.len();
        if levels == 0 || levels > MOST || self.up_block_types.len() != levels {
            return None;
        }
        let attends = |types: &[String]| types.iter().map(|t| t.starts_with("CrossAttn")).collect();
        let per_level = |numbers: &Option<OneOrMany>, default: usize| {
            numbers
                .clone()
                .unwrap_or(OneOrMany::One(default))
                .each(levels)
        };
        Some(Shape {
            layers: per_level(&self.layers_per_block, 2)?,
            depth: per_level(&self.transformer_layers_per_block, 1)?,
            down: attends(&self.down_block_types),
            up: attends(&self.up_block_types),
        })
    }
}

/// The shape of a UNet, as far as it names layers: one entry a level.
struct Shape {
    /// Resnets of a level on the way down.
    layers: Vec<usize>,
    /// Transformer blocks of an attention.
    depth: Vec<usize>,
    /// Whether a level attends, on the way down.
    down: Vec<bool>,
    /// Whether a level attends, in order of the way up.
    up: Vec<bool>,
}

impl Shape {
    /// The names of the layers in order of execution.
    fn layers(&self) -> Vec<String> {
        let levels = self.depth.len();
        let mut names = Vec::new();
        let per_level = self.layers.iter().zip(&self.down).zip(&self.depth);
        for (level, ((count, attends), depth)) in per_level.enumerate() {
            block(
                &mut names,
                &format!("down.{level}"),
                *count,
                attends.then_some(*depth),
            );
        }
        let last = self.depth.last().copied();
        block(&mut names, "mid", 2, last);
        let upwards = (0..levels)
            .rev()
            .filter_map(|level| Some((self.layers.get(level)?, self.depth.get(level)?)));
        for (place, ((count, depth), attends)) in upwards.zip(&self.up).enumerate() {
            block(
                &mut names,
                &format!("up.{place}"),
                count + 1,
                attends.then_some(*depth),
            );
        }
        names
    }
}

fn block(names: &mut Vec<String>, block: &str, count: usize, depth: Option<usize>) {
    for i in 0..count {
        names.push(format!("{block}.resnet.{i}"));
        // The middle has one attention between its two resnets.
        let Some(depth) = depth.filter(|_| block != "mid" || i == 0) else {
            continue;
        };
        for j in 0..depth {
            let inner = if depth == 1 {
                String::new()
            } else {
                format!(".block.{j}")
            };
            names.extend(
                ["self", "cross", "ff"].map(|kind| format!("{block}.attn.{i}{inner}.{kind}")),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timetable::Sampler;

    #[test]
    fn published_models_have_sixteen_attentions() {
        let attentions = |name: &str| {
            let layers = known(name).and_then(|m| m.facts.layers).unwrap_or_default();
            layers
                .iter()
                .filter(|layer| layer.ends_with(".self"))
                .count()
        };
        assert_eq!(attentions("sd15"), 16);
        assert_eq!(attentions("sd21"), 16);
        assert_eq!(attentions("sdxl"), 70);
        assert_eq!(attentions("pocket"), 2 + 1 + 4);
    }

    #[test]
    fn a_config_says_what_the_table_says() {
        let unet = r#"{"in_channels": 4, "sample_size": 64, "layers_per_block": 2,
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                "CrossAttnUpBlock2D"]}"#;
        let scheduler = r#"{"_class_name": "PNDMScheduler", "num_train_timesteps": 1000,
            "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "steps_offset": 1, "set_alpha_to_one": false, "skip_prk_steps": true}"#;
        let mut model = of_configs("sd15", unet, scheduler).expect("a model");
        // The table does not choose for the user.
        assert_eq!(model.scheduler.sampler.take(), Some(Sampler::Pndm));
        assert_eq!(Some(model), known("sd15"));
    }

    #[test]
    fn a_broken_config_is_named() {
        let error = of_configs("mine", "{", "{}").expect_err("no config");
        assert_eq!(error.code, Code::BadConfig);
        assert!(
            error.message.contains("unet/config.json"),
            "{}",
            error.message
        );
    }
}
