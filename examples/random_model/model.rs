//! The files of a model without its weights.

use std::collections::BTreeMap;

use guide_runtime::weights::published::{CLIP_MERGES, Family, clip_vocabulary};
use serde_json::{Value, json};

/// A model to be written.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its JSON files, by path.
    pub configs: BTreeMap<String, Value>,
    family: Family,
}

impl Model {
    /// The published model of that name.
    pub fn named(name: &str) -> Option<Self> {
        let family = match name {
            "sd15" => Family::Sd1,
            "sd21" => Family::Sd2,
            "sdxl" => Family::Sdxl,
            _ => return None,
        };
        let configs = family.files().iter().map(|(path, bytes)| {
            // INVARIANT: a test reads every published config.
            let config = serde_json::from_slice(bytes).unwrap_or(Value::Null);
            ((*path).to_owned(), config)
        });
        Some(Self {
            configs: configs.collect(),
            family,
        })
    }

    /// The same make with few channels, for pictures of 64x64.
    pub fn tiny(mut self) -> Self {
        let xl = self.family == Family::Sdxl;
        let levels = if xl { 3 } else { 4 };
        for (path, config) in &mut self.configs {
            let changes = match path.as_str() {
                "unet/config.json" => json!({
                    "block_out_channels": (&[16, 32, 32, 32][..levels]),
                    "attention_head_dim": (&[1, 2, 2, 4][..levels]),
                    "norm_num_groups": 8,
                    "cross_attention_dim": if xl { 64 } else { 32 },
                    "sample_size": 8,
                }),
                "vae/config.json" => json!({
                    "block_out_channels": [8, 16, 16, 16], "norm_num_groups": 4, "layers_per_block": 1,
                    "sample_size": 64,
                }),
                path if path.starts_with("text_encoder") => json!({
                    "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2,
                    "num_hidden_layers": 2, "projection_dim": 32,
                }),
                _ => continue,
            };
            set(config, &changes);
            if xl && path == "unet/config.json" {
                set(
                    config,
                    &json!({
                        "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 80,
                        "transformer_layers_per_block": [1, 1, 2],
                    }),
                );
            }
        }
        self
    }

    /// Its tokenizers' text files.
    pub fn tokenizer_files(&self) -> Vec<(String, String)> {
        let files = self.family.tokenizers().iter().flat_map(|folder| {
            [
                (format!("{folder}/vocab.json"), clip_vocabulary()),
                (format!("{folder}/merges.txt"), CLIP_MERGES.to_owned()),
            ]
        });
        files.collect()
    }
}

fn set(config: &mut Value, changes: &Value) {
    for (field, value) in changes.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
}
