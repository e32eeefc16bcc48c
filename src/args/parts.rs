//! Parts of a model that come from elsewhere, and what is added to it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use guide_compiler::plan::Space;
use guide_runtime::weights::Predicts;

const MODEL: &str = "Parts of the model";

/// What is changed of `--model`.
#[derive(Clone, Debug, Default, Args)]
pub struct Parts {
    /// Adds a LoRA, as FILE or FILE:WEIGHT; may be repeated
    #[arg(long = "lora", value_name = "FILE[:WEIGHT]", value_parser = lora, help_heading = MODEL)]
    pub loras: Vec<(PathBuf, f64)>,
    /// The autoencoder in place of the model's: a folder in diffusers layout or a .safetensors file
    #[arg(long, value_name = "DIR|FILE", help_heading = MODEL)]
    pub vae: Option<PathBuf>,
    /// The tokenizer in place of the model's: a folder with vocab.json and merges.txt, or with
    /// tokenizer.json
    #[arg(long, value_name = "DIR", help_heading = MODEL)]
    pub tokenizer: Option<PathBuf>,
    /// What the network predicts, where the model does not say it or says it wrongly
    #[arg(long, value_name = "SPACE", help_heading = MODEL)]
    pub prediction: Option<Prediction>,
    /// The configs and the tokenizer of a single file whose networks do not have the published sizes:
    /// a folder in diffusers layout
    #[arg(long, value_name = "DIR", help_heading = MODEL)]
    pub config: Option<PathBuf>,
}

/// What a network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Prediction {
    /// The noise
    #[value(alias = "epsilon")]
    Eps,
    /// alpha*eps - sigma*x0
    #[value(alias = "v_prediction")]
    V,
    /// The picture
    #[value(alias = "sample")]
    X0,
}

impl Prediction {
    /// The same as a space of the language, and as the weights' own word.
    pub fn both(self) -> (Space, Predicts) {
        match self {
            Prediction::Eps => (Space::Eps, Predicts::Eps),
            Prediction::V => (Space::V, Predicts::V),
            Prediction::X0 => (Space::X0, Predicts::X0),
        }
    }
}

fn lora(text: &str) -> Result<(PathBuf, f64), String> {
    let weighted = text.rsplit_once(':').and_then(|(file, weight)| {
        let weight: f64 = weight.parse().ok()?;
        Some((file, weight))
    });
    let (file, weight) = weighted.unwrap_or((text, 1.0));
    if file.is_empty() || !weight.is_finite() {
        return Err("write FILE or FILE:WEIGHT, as in style.safetensors:0.8".to_owned());
    }
    Ok((PathBuf::from(file), weight))
}
