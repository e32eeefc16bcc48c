//! What Stable Diffusion was published with besides its weights: the configs of each family, and CLIP's
//! vocabulary.
//!
//! The vocabulary is OpenAI's (MIT, `runtime/models/clip/LICENSE`): byte-pair merges in order, from which
//! every token's id follows.

use serde_json::{Map, Value};

use super::Embedded;

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1.x.
    Sd1,
    /// Stable Diffusion 2.x; the configs are those of 2.1.
    Sd2,
    /// The base of SDXL.
    Sdxl,
}

macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../models/published/", $folder, "/", $path)))),*]
    };
}

const SD1: Embedded = files!["sd15":
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "unet/config.json",
    "vae/config.json",
];

const SD2: Embedded = files!["sd21":
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "unet/config.json",
    "vae/config.json",
];

const SDXL: Embedded = files!["sdxl":
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder_2/config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer_2/special_tokens_map.json",
    "tokenizer_2/tokenizer_config.json",
    "unet/config.json",
    "vae/config.json",
];

impl Family {
    /// All.
    pub const ALL: [Family; 3] = [Family::Sd1, Family::Sd2, Family::Sdxl];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Family::Sd1 => "Stable Diffusion 1.x",
            Family::Sd2 => "Stable Diffusion 2.x",
            Family::Sdxl => "SDXL",
        }
    }

    /// Its text files, without the vocabulary: paths in diffusers layout and contents.
    pub fn files(self) -> Embedded {
        match self {
            Family::Sd1 => SD1,
            Family::Sd2 => SD2,
            Family::Sdxl => SDXL,
        }
    }

    /// The folders of its tokenizers.
    pub fn tokenizers(self) -> &'static [&'static str] {
        match self {
            Family::Sd1 | Family::Sd2 => &["tokenizer"],
            Family::Sdxl => &["tokenizer", "tokenizer_2"],
        }
    }
}

/// CLIP's `merges.txt`.
pub const CLIP_MERGES: &str = include_str!("../../models/clip/merges.txt");

/// CLIP's `vocab.json`: 256 bytes, the same at the end of a word, each merge's token, the start and the
/// end.
pub fn clip_vocabulary() -> String {
    let bytes: Vec<String> = byte_letters().iter().map(char::to_string).collect();
    let ends = bytes.iter().map(|letter| format!("{letter}</w>"));
    let merged = CLIP_MERGES
        .lines()
        .skip(1)
        .map(|pair| pair.replace(' ', ""));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let tokens = bytes
        .iter()
        .cloned()
        .chain(ends)
        .chain(merged)
        .chain(special);
    let vocabulary: Map<String, Value> = tokens
        .enumerate()
        .map(|(id, token)| (token, Value::from(id)))
        .collect();
    Value::Object(vocabulary).to_string()
}

/// The letter that stands for each byte in byte-level BPE, in the order of their ids: those that can be
/// seen stand for themselves, the others for letters from U+0100 on.
fn byte_letters() -> Vec<char> {
    let seen = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let visible = (0..256).filter(|byte| seen(*byte));
    let hidden = (0..256).filter(|byte| !seen(*byte)).enumerate();
    visible
        .chain(hidden.map(|(place, _)| 256 + place as u32))
        .filter_map(char::from_u32)
        .collect()
}
