//! The model inside the program: `pocket`, Stable Diffusion in miniature.

use crate::weights::{Embedded, Source};

/// Its name.
pub const NAME: &str = "pocket";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../models/pocket/", $path)))),*]
    };
}

const FILES: Embedded = files![
    "README.md",
    "judge/clean/config.json",
    "judge/clean/diffusion_pytorch_model.safetensors",
    "judge/noisy/config.json",
    "judge/noisy/diffusion_pytorch_model.safetensors",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "weak/unet/config.json",
    "weak/unet/diffusion_pytorch_model.safetensors",
];

/// Its files.
pub fn source() -> Source {
    Source::Embedded {
        name: NAME,
        files: FILES,
        below: String::new(),
    }
}
