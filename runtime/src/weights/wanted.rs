//! Which files of a repository are needed.

use std::collections::BTreeMap;

use super::find::Kind;
use crate::error::{ErrorKind, Result, RuntimeError};

/// The folders of a pipeline's parts.
const PARTS: [&str; 7] = [
    "unet",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "scheduler",
];

/// The parts that a pipeline cannot be without.
const NEEDED: [&str; 2] = ["unet", "vae"];

/// Says what the parts are; it comes last, when all else is there.
const INDEX: &str = "model_index.json";

/// Says what a network is.
const CONFIG: &str = "config.json";

/// The files to fetch, in order.
///
/// # Errors
/// `ModelIncomplete` for a repository that holds something else, `Pickle` for weights that are pickles
/// only.
pub fn wanted(repository: &str, files: &[String], kind: Kind) -> Result<Vec<String>> {
    match kind {
        Kind::Pipeline { half } => of_pipeline(repository, files, half),
        Kind::Network => of_network(repository, files),
    }
}

/// What stands in the repository itself: texts, then one set of weights, then the config, which makes a
/// folder a classifier.
fn of_network(repository: &str, files: &[String]) -> Result<Vec<String>> {
    let own = || {
        files
            .iter()
            .map(String::as_str)
            .filter(|name| !name.contains('/'))
    };
    if !own().any(|name| name == CONFIG) {
        return Err(RuntimeError::new(
            ErrorKind::ModelIncomplete,
            format!("`{repository}` has no {CONFIG}: it is no network as transformers keeps them"),
        )
        .help("name a repository with config.json and model.safetensors, or give a folder"));
    }
    let weights: Vec<&str> = own().filter(|name| name.contains(".safetensors")).collect();
    if weights.is_empty() {
        return Err(only_pickles(repository, "the network"));
    }
    let is_text = |name: &str| name.ends_with(".json") || name.ends_with(".txt");
    let texts = own().filter(|name| is_text(name) && *name != CONFIG && !weights.contains(name));
    let mut all: Vec<String> = texts.map(str::to_owned).collect();
    all.sort();
    all.extend(one_set(&weights, false).into_iter().map(str::to_owned));
    all.push(CONFIG.to_owned());
    Ok(all)
}

fn only_pickles(repository: &str, part: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::Pickle,
        format!("`{repository}` has the weights of {part} only as pickles, which could run code"),
    )
    .help("look for a copy of the model with .safetensors files")
}

/// Configs and tokenizers, one set of weights for each part, the index.
fn of_pipeline(repository: &str, files: &[String], half: bool) -> Result<Vec<String>> {
    let mut small = Vec::new();
    let mut weights: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        let Some((part, name)) = file.split_once('/') else {
            continue;
        };
        if !PARTS.contains(&part) || name.contains('/') {
            continue;
        }
        if name.contains(".safetensors") {
            weights.entry(part).or_default().push(name);
        } else if name.ends_with(".json") || name.ends_with(".txt") {
            small.push(file.clone());
        }
    }
    let has = |part: &str| {
        files
            .iter()
            .any(|file| file.starts_with(&format!("{part}/")))
    };
    if !files.iter().any(|file| file == INDEX) || NEEDED.iter().any(|part| !has(part)) {
        return Err(RuntimeError::new(
            ErrorKind::ModelIncomplete,
            format!("`{repository}` is no pipeline in diffusers layout"),
        )
        .help(
            "name a repository with model_index.json, unet/ and vae/, or give a folder or file",
        ));
    }
    for part in NEEDED.into_iter().chain(["text_encoder", "text_encoder_2"]) {
        if has(part) && !weights.contains_key(part) {
            return Err(only_pickles(repository, &format!("`{part}`")));
        }
    }
    small.sort();
    for (part, names) in weights {
        let chosen = one_set(&names, half);
        small.extend(chosen.into_iter().map(|name| format!("{part}/{name}")));
    }
    small.push(INDEX.to_owned());
    Ok(small)
}

/// One set of weights out of several: the plain one or that in f16.
fn one_set<'a>(names: &[&'a str], half: bool) -> Vec<&'a str> {
    let of = |variant: Option<&str>| -> Vec<&'a str> {
        let mut set: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| variant_of(name) == variant)
            .collect();
        set.sort_unstable();
        set
    };
    let order = match half {
        true => [Some("fp16"), None],
        false => [None, Some("fp16")],
    };
    let mut sets = order.into_iter().map(of).filter(|set| !set.is_empty());
    sets.next().unwrap_or_else(|| names.to_vec())
}

/// `fp16` of `model.fp16.safetensors`, `model.fp16-00001-of-00002.safetensors`,
/// `model.safetensors.index.fp16.json` and `model.safetensors.index.json`.
fn variant_of(name: &str) -> Option<&str> {
    let (stem, end) = name.split_once(".safetensors")?;
    let in_end = end
        .strip_prefix(".index.")
        .and_then(|end| end.strip_suffix("json"));
    let in_end = in_end.map(|variant| variant.trim_end_matches('.'));
    let in_stem = stem.split_once('.').map(|(_, variant)| {
        let shard = variant.find('-').unwrap_or(variant.len());
        &variant[..shard]
    });
    in_end.or(in_stem).filter(|variant| !variant.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Kind, wanted};
    use crate::error::ErrorKind;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    /// As the repositories of Stable Diffusion 1.5 and XL look.
    const SD15: [&str; 22] = [
        ".gitattributes",
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "model_index.json",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "v1-5-pruned-emaonly.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    const FULL: Kind = Kind::Pipeline { half: false };
    const HALF: Kind = Kind::Pipeline { half: true };

    /// As the repositories of CLIP look.
    #[test]
    fn a_network_and_its_config_last() {
        let clip = [
            ".gitattributes",
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "merges.txt",
            "model.safetensors",
            "onnx/model.safetensors",
            "preprocessor_config.json",
            "pytorch_model.bin",
            "tokenizer.json",
            "vocab.json",
        ];
        let got = wanted("a/b", &names(&clip), Kind::Network).expect("a network");
        let want = [
            "merges.txt",
            "preprocessor_config.json",
            "tokenizer.json",
            "vocab.json",
            "model.safetensors",
            "config.json",
        ];
        assert_eq!(got, want);
        let kind = |files: &[&str]| {
            wanted("a/b", &names(files), Kind::Network).map_err(|error| error.kind)
        };
        let pickles = ["config.json", "pytorch_model.bin"];
        assert_eq!(kind(&pickles), Err(ErrorKind::Pickle));
        assert_eq!(kind(&SD15), Err(ErrorKind::ModelIncomplete));
    }

    #[test]
    fn one_set_of_weights_and_the_index_last() {
        let got = wanted("a/b", &names(&SD15), FULL).expect("a pipeline");
        let want = [
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "vae/config.json",
            "text_encoder/model.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
            "model_index.json",
        ];
        assert_eq!(got, want);
        let half = wanted("a/b", &names(&SD15), HALF).expect("a pipeline");
        assert!(half.contains(&"unet/diffusion_pytorch_model.fp16.safetensors".to_owned()));
        assert_eq!(half.len(), got.len());
    }

    #[test]
    fn shards_come_with_their_index() {
        let sharded = names(&[
            "model_index.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
            "vae/diffusion_pytorch_model.safetensors",
        ]);
        let count = |kind| {
            let files = wanted("a/b", &sharded, kind).expect("a pipeline");
            files.iter().filter(|file| file.contains("unet/d")).count()
        };
        assert_eq!((count(FULL), count(HALF)), (3, 2));
    }

    #[test]
    fn what_is_no_pipeline() {
        let kind = |files: &[&str]| wanted("a/b", &names(files), FULL).map_err(|e| e.kind);
        let lora = ["README.md", "lora.safetensors"];
        assert_eq!(kind(&lora), Err(ErrorKind::ModelIncomplete));
        let pickles = [
            "model_index.json",
            "unet/diffusion_pytorch_model.bin",
            "vae/d.safetensors",
        ];
        assert_eq!(kind(&pickles), Err(ErrorKind::Pickle));
    }
}
