//! A tiny pipeline's tensors under other names, as converters of the ecosystem rename them: by tables of
//! what replaces what. Our own code goes the other way, name by name.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use serde_json::{Value, json};

pub type Tensors = BTreeMap<String, Tensor>;

/// The folder of a tiny pipeline.
pub fn folder(model: &str) -> PathBuf {
    crate::support::oracle().join("models").join(model)
}

pub fn read(model: &str, file: &str) -> Tensors {
    let all = safetensors::load(folder(model).join(file), &Device::Cpu).unwrap();
    all.into_iter().collect()
}

pub const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
pub const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

pub fn config(model: &str, part: &str) -> Value {
    let text = fs::read_to_string(folder(model).join(part).join("config.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A copy of a pipeline's folder, without the reference's numbers.
pub fn copy(model: &str) -> tempfile::TempDir {
    fn copied(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() {
                copied(&path, &target);
            } else if !entry.file_name().to_string_lossy().starts_with("expected") {
                fs::copy(path, target).unwrap();
            }
        }
    }
    let target = tempfile::tempdir().unwrap();
    copied(&folder(model), target.path());
    target
}

pub fn save(tensors: &Tensors, file: &Path) {
    let all: HashMap<String, Tensor> = tensors.clone().into_iter().collect();
    safetensors::save(&all, file).unwrap();
}

/// Says something in a file's header.
pub fn say(file: &Path, key: &str, value: &str) {
    let bytes = fs::read(file).unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk::<8>().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header["__metadata__"] = json!({ key: value });
    let header = header.to_string();
    let start = (header.len() as u64).to_le_bytes();
    let changed = [&start, header.as_bytes(), &bytes[8 + length..]].concat();
    fs::write(file, changed).unwrap();
}

/// Every name with the first entry that it begins with exchanged.
fn exchanged(name: &str, table: &[(String, String)]) -> String {
    let entry = table
        .iter()
        .find(|(from, _)| name.starts_with(from.as_str()));
    let (from, to) = entry.unwrap_or_else(|| panic!("no entry for `{name}`"));
    format!("{to}{}", &name[from.len()..])
}

/// A UNet in latent diffusion's names. Every tiny UNet has two resnets a level.
pub fn latent_unet(model: &str) -> Tensors {
    let config = config(model, "unet");
    let ups = config["up_block_types"].as_array().unwrap();
    let mut table: Vec<(String, String)> = [
        ("time_embedding.linear_1.", "time_embed.0."),
        ("time_embedding.linear_2.", "time_embed.2."),
        ("add_embedding.linear_1.", "label_emb.0.0."),
        ("add_embedding.linear_2.", "label_emb.0.2."),
        ("conv_in.", "input_blocks.0.0."),
        ("conv_norm_out.", "out.0."),
        ("conv_out.", "out.2."),
        ("mid_block.resnets.0.", "middle_block.0."),
        ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.1.", "middle_block.2."),
    ]
    .map(|(from, to)| (from.to_owned(), to.to_owned()))
    .into();
    let mut add = |from: String, to: String| table.push((from, to));
    for (i, up) in ups.iter().enumerate() {
        for j in 0..2 {
            let place = 3 * i + j + 1;
            add(
                format!("down_blocks.{i}.resnets.{j}."),
                format!("input_blocks.{place}.0."),
            );
            add(
                format!("down_blocks.{i}.attentions.{j}."),
                format!("input_blocks.{place}.1."),
            );
        }
        for j in 0..3 {
            let place = 3 * i + j;
            add(
                format!("up_blocks.{i}.resnets.{j}."),
                format!("output_blocks.{place}.0."),
            );
            add(
                format!("up_blocks.{i}.attentions.{j}."),
                format!("output_blocks.{place}.1."),
            );
        }
        let after = if up == "UpBlock2D" { 1 } else { 2 };
        add(
            format!("down_blocks.{i}.downsamplers.0.conv."),
            format!("input_blocks.{}.0.op.", 3 * (i + 1)),
        );
        add(
            format!("up_blocks.{i}.upsamplers.0.conv."),
            format!("output_blocks.{}.{after}.conv.", 3 * i + 2),
        );
    }
    let resnet = [
        (".norm1.", ".in_layers.0."),
        (".conv1.", ".in_layers.2."),
        (".norm2.", ".out_layers.0."),
        (".conv2.", ".out_layers.3."),
        (".time_emb_proj.", ".emb_layers.1."),
        (".conv_shortcut.", ".skip_connection."),
    ];
    let renamed = read(model, UNET).into_iter().map(|(name, tensor)| {
        let mut name_there = exchanged(&name, &table);
        if name.contains("resnets") {
            for (from, to) in resnet {
                name_there = name_there.replace(from, to);
            }
        }
        (name_there, tensor)
    });
    renamed.collect()
}

/// An autoencoder in latent diffusion's names, its projections as 1x1 convolutions.
pub fn latent_vae(model: &str) -> Tensors {
    let levels = config(model, "vae")["block_out_channels"]
        .as_array()
        .unwrap()
        .len();
    let renamed = read(model, VAE).into_iter().map(|(name, tensor)| {
        let mut there = name.clone();
        for i in 0..levels {
            let last = levels - 1 - i;
            for (from, to) in [
                (
                    format!("encoder.down_blocks.{i}."),
                    format!("encoder.down.{i}."),
                ),
                (
                    format!("decoder.up_blocks.{i}."),
                    format!("decoder.up.{last}."),
                ),
            ] {
                there = there.replace(&from, &to);
            }
        }
        for (from, to) in [
            ("mid_block.resnets.0.", "mid.block_1."),
            ("mid_block.resnets.1.", "mid.block_2."),
            ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
            ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
            ("mid_block.attentions.0.to_", "mid.attn_1."),
            (".resnets.", ".block."),
            ("downsamplers.0.", "downsample."),
            ("upsamplers.0.", "upsample."),
            ("conv_shortcut", "nin_shortcut"),
            ("conv_norm_out", "norm_out"),
        ] {
            there = there.replace(from, to);
        }
        let tensor = match tensor.dims() {
            [rows, columns] if there.contains("attn_1") => {
                tensor.reshape((*rows, *columns, 1, 1)).unwrap()
            }
            _ => tensor,
        };
        (there, tensor)
    });
    renamed.collect()
}

/// A text encoder in OpenCLIP's names: queries, keys and values in one tensor, the projection turned.
pub fn open_clip(model: &str, part: &str) -> Tensors {
    let all = read(model, &format!("{part}/model.safetensors"));
    let mut there = Tensors::new();
    for (name, tensor) in &all {
        if name == "text_projection.weight" {
            let turned = tensor.t().unwrap().contiguous().unwrap();
            there.insert("text_projection".into(), turned);
            continue;
        }
        let name = name.strip_prefix("text_model.").unwrap();
        if let Some((layer, kind)) = name.split_once(".self_attn.q_proj.") {
            let three = ["q", "k", "v"]
                .map(|which| &all[&format!("text_model.{layer}.self_attn.{which}_proj.{kind}")]);
            let number = layer.rsplit('.').next().unwrap();
            there.insert(
                format!("transformer.resblocks.{number}.attn.in_proj_{kind}"),
                Tensor::cat(&three, 0).unwrap(),
            );
            continue;
        }
        if name.contains(".k_proj.") || name.contains(".v_proj.") {
            continue;
        }
        let mut renamed = name.to_owned();
        for (from, to) in [
            ("embeddings.token_embedding.", "token_embedding."),
            (
                "embeddings.position_embedding.weight",
                "positional_embedding",
            ),
            ("encoder.layers.", "transformer.resblocks."),
            ("self_attn.out_proj.", "attn.out_proj."),
            ("layer_norm1", "ln_1"),
            ("layer_norm2", "ln_2"),
            ("mlp.fc1", "mlp.c_fc"),
            ("mlp.fc2", "mlp.c_proj"),
            ("final_layer_norm", "ln_final"),
        ] {
            renamed = renamed.replace(from, to);
        }
        there.insert(renamed, tensor.clone());
    }
    there
}

/// A whole pipeline as a single file holds it; `bare` leaves out `text_model.`.
pub fn single(model: &str, bare: bool) -> Tensors {
    let clip = || {
        let tensors = read(model, "text_encoder/model.safetensors").into_iter();
        let named = tensors.map(|(name, tensor)| match name.strip_prefix("text_model.") {
            Some(rest) if bare => (rest.to_owned(), tensor),
            _ => (name, tensor),
        });
        named.collect::<Tensors>()
    };
    let mut parts = vec![
        ("model.diffusion_model.", latent_unet(model)),
        ("first_stage_model.", latent_vae(model)),
    ];
    match model {
        "tiny-sd15" => parts.push(("cond_stage_model.transformer.", clip())),
        "tiny-sd21" => {
            parts.push(("cond_stage_model.model.", open_clip(model, "text_encoder")));
        }
        _ => {
            parts.push(("conditioner.embedders.0.transformer.", clip()));
            parts.push((
                "conditioner.embedders.1.model.",
                open_clip(model, "text_encoder_2"),
            ));
        }
    }
    let named = parts.into_iter().flat_map(|(prefix, tensors)| {
        let tensors = tensors.into_iter();
        tensors.map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
    });
    named.collect()
}
