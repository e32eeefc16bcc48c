//! Files that cannot be used: each is refused with its class and a sentence that names what is wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use guide_runtime::error::{ErrorKind, RuntimeError};
use guide_runtime::models::Pipeline;
use guide_runtime::weights::{Bytes, Source, Stored, Weights, WeightsFile};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// A copy of the tiny pipeline, to be broken.
fn copy() -> TempDir {
    let target = tempfile::tempdir().unwrap();
    copy_folder(&support::oracle().join("models/tiny-sd21"), target.path());
    target
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else if !entry.file_name().to_string_lossy().starts_with("expected") {
            fs::write(target, fs::read(path).unwrap()).unwrap();
        }
    }
}

fn refused(folder: &Path, kind: ErrorKind, part: &str) -> RuntimeError {
    let loaded = Pipeline::load(
        &Source::Folder(folder.to_owned()),
        "tiny",
        DType::F32,
        &Device::Cpu,
    );
    let error = loaded.expect_err("the model should be refused");
    assert_eq!(error.kind, kind, "{}", error.message);
    assert!(
        error.message.contains(part),
        "`{}` lacks `{part}`",
        error.message
    );
    assert!(!error.message.ends_with('.'));
    error
}

fn edit(file: PathBuf, change: impl FnOnce(&mut Value)) {
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut config);
    fs::write(file, config.to_string()).unwrap();
}

/// The file with another header, its length as `length` says.
fn with_header(file: &Path, header: &[u8], length: u64) -> Vec<u8> {
    let bytes = fs::read(file).unwrap();
    let old = u64::from_le_bytes(*bytes.first_chunk::<8>().unwrap()) as usize;
    [&length.to_le_bytes()[..], header, &bytes[8 + old..]].concat()
}

/// The file with its header changed as JSON.
fn edit_header(file: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(file).unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk::<8>().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    fs::write(
        file,
        with_header(file, header.as_bytes(), header.len() as u64),
    )
    .unwrap();
}

#[test]
fn a_whole_copy_loads() {
    let folder = copy();
    Pipeline::load(
        &Source::Folder(folder.path().to_owned()),
        "tiny",
        DType::F32,
        &Device::Cpu,
    )
    .unwrap();
}

#[test]
fn a_folder_without_a_part() {
    for (file, named) in [
        ("unet/config.json", "unet/config.json"),
        (UNET, UNET),
        ("vae/config.json", "vae/config.json"),
        ("text_encoder/config.json", "text_encoder/config.json"),
        (
            "text_encoder/model.safetensors",
            "text_encoder/model.safetensors",
        ),
        ("tokenizer/vocab.json", "tokenizer/vocab.json"),
        ("tokenizer/merges.txt", "tokenizer/merges.txt"),
        (
            "scheduler/scheduler_config.json",
            "scheduler/scheduler_config.json",
        ),
    ] {
        let folder = copy();
        fs::remove_file(folder.path().join(file)).unwrap();
        let error = refused(folder.path(), ErrorKind::ModelIncomplete, named);
        assert!(error.help.unwrap().contains("diffusers layout"));
    }
}

#[test]
fn a_file_that_is_cut_short() {
    for left in [0, 7, 8, 500, 900_000] {
        let folder = copy();
        let file = folder.path().join(UNET);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..left]).unwrap();
        refused(folder.path(), ErrorKind::WeightsDamaged, "is cut short");
    }
}

#[test]
fn a_damaged_header() {
    let folder = copy();
    let file = folder.path().join(UNET);
    for (header, length) in [
        (&b"{\"a\":"[..], 5),
        (b"[]", 2),
        (b"\xff\xfe", 2),
        (
            b"{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[4,2]}}",
            53,
        ),
    ] {
        let bytes = with_header(&file, header, length);
        let fresh = copy();
        fs::write(fresh.path().join(UNET), bytes).unwrap();
        refused(fresh.path(), ErrorKind::WeightsDamaged, "");
    }
}

#[test]
fn absurd_sizes_in_a_header() {
    for change in [
        json!({"dtype": "F16", "shape": [u64::MAX, u64::MAX], "data_offsets": [0, 32]}),
        json!({"dtype": "F16", "shape": [1u64 << 40], "data_offsets": [0, 1u64 << 41]}),
        json!({"dtype": "F16", "shape": [16], "data_offsets": [u64::MAX - 4, u64::MAX]}),
        json!({"dtype": "F16", "shape": [16], "data_offsets": [0, u64::MAX]}),
    ] {
        let folder = copy();
        edit_header(&folder.path().join(UNET), |header| {
            header["conv_in.bias"] = change
        });
        refused(folder.path(), ErrorKind::WeightsDamaged, "");
    }
    // Together their offsets reach the end of what a number can hold.
    let eighth = u64::MAX / 64;
    let many: serde_json::Map<String, Value> = (0..64)
        .map(|i| (format!("t{i:02}"), json!({"dtype": "U8", "shape": [eighth], "data_offsets": [i * eighth, (i + 1) * eighth]})))
        .collect();
    let folder = copy();
    edit_header(&folder.path().join(UNET), |header| {
        *header = Value::Object(many)
    });
    refused(folder.path(), ErrorKind::WeightsDamaged, "");
    let folder = copy();
    let file = folder.path().join(UNET);
    fs::write(&file, with_header(&file, b"{}", u64::MAX)).unwrap();
    refused(
        folder.path(),
        ErrorKind::WeightsDamaged,
        "is cut short or no safetensors file",
    );
}

#[test]
fn a_tensor_of_the_wrong_shape_is_named_with_both_shapes() {
    let folder = copy();
    edit_header(&folder.path().join(UNET), |header| {
        header["conv_in.bias"]["shape"] = json!([4, 4])
    });
    refused(
        folder.path(),
        ErrorKind::TensorShape,
        "tensor `conv_in.bias` of",
    );
    refused(
        folder.path(),
        ErrorKind::TensorShape,
        "has shape [4, 4] where the config asks for [16]",
    );
}

#[test]
fn a_tensor_that_is_missing_is_named_with_what_the_file_seems_to_be() {
    let folder = copy();
    fs::copy(
        folder
            .path()
            .join("vae/diffusion_pytorch_model.safetensors"),
        folder.path().join(UNET),
    )
    .unwrap();
    refused(
        folder.path(),
        ErrorKind::TensorMissing,
        "which seems to be an autoencoder",
    );
    fs::copy(
        folder.path().join("text_encoder/model.safetensors"),
        folder.path().join(UNET),
    )
    .unwrap();
    let error = refused(
        folder.path(),
        ErrorKind::TensorMissing,
        "which seems to be a CLIP text encoder",
    );
    assert!(
        error
            .message
            .starts_with("tensor `down_blocks.0.resnets.0.norm1.weight` is missing"),
        "{}",
        error.message
    );
}

#[test]
fn a_tensor_of_whole_numbers() {
    let folder = copy();
    edit_header(&folder.path().join(UNET), |header| {
        header["conv_in.bias"]["dtype"] = json!("I16")
    });
    refused(
        folder.path(),
        ErrorKind::WeightsDamaged,
        "tensor `conv_in.bias` of",
    );
}

#[test]
fn pickles_are_refused_with_the_reason() {
    for (part, stem) in [
        ("unet", "diffusion_pytorch_model"),
        ("text_encoder", "pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
    ] {
        let folder = copy();
        let part = folder.path().join(part);
        for name in ["diffusion_pytorch_model.safetensors", "model.safetensors"] {
            let _ = fs::remove_file(part.join(name));
        }
        fs::write(part.join(format!("{stem}.bin")), b"not even a pickle").unwrap();
        let error = refused(
            folder.path(),
            ErrorKind::Pickle,
            "is a pickle, and opening one runs whatever code it holds",
        );
        assert!(error.help.unwrap().contains(".safetensors"));
    }
}

#[test]
fn configs_with_values_that_would_make_another_network() {
    for (file, field, value, part) in [
        ("unet", "act_fn", json!("gelu"), "`act_fn` in"),
        (
            "unet",
            "act_fn",
            json!("gelu"),
            "is `gelu`, and this runtime knows `silu` and `swish`",
        ),
        (
            "unet",
            "mid_block_type",
            json!("UNetMidBlock2DSimpleCrossAttn"),
            "`mid_block_type` in",
        ),
        (
            "unet",
            "class_embed_type",
            json!("timestep"),
            "is `timestep`, and this runtime knows no such part",
        ),
        (
            "unet",
            "addition_embed_type",
            json!("text_image"),
            "is `text_image`, and this runtime knows `text_time`",
        ),
        (
            "unet",
            "addition_embed_type",
            json!("text_time"),
            "`addition_time_embed_dim` in",
        ),
        (
            "unet",
            "resnet_time_scale_shift",
            json!("scale_shift"),
            "`resnet_time_scale_shift` in",
        ),
        (
            "unet",
            "down_block_types",
            json!([
                "DownBlock2D",
                "DownBlock2D",
                "DownBlock2D",
                "AttnDownBlock2D"
            ]),
            "`down_block_types` in",
        ),
        (
            "unet",
            "down_block_types",
            json!(["DownBlock2D"]),
            "one entry for each of 4",
        ),
        (
            "unet",
            "block_out_channels",
            json!([16, -1, 24, 24]),
            "`block_out_channels` in",
        ),
        (
            "unet",
            "block_out_channels",
            json!([]),
            "`block_out_channels` in",
        ),
        (
            "unet",
            "block_out_channels",
            json!([1u64 << 60, 16, 24, 24]),
            "`block_out_channels` in",
        ),
        (
            "unet",
            "attention_head_dim",
            json!(0),
            "`attention_head_dim` in",
        ),
        (
            "unet",
            "attention_head_dim",
            json!([3, 4, 4, 8]),
            "must divide the channels",
        ),
        ("unet", "norm_num_groups", json!(7), "`norm_num_groups` in"),
        (
            "unet",
            "layers_per_block",
            json!(100_000),
            "no block has more than 64 layers",
        ),
        (
            "unet",
            "downsample_padding",
            json!(3),
            "`downsample_padding` in",
        ),
        ("unet", "cross_attention_dim", json!(64), "shape"),
        (
            "unet",
            "some_new_field",
            json!("on"),
            "this runtime does not know the field",
        ),
        (
            "vae",
            "down_block_types",
            json!(["X", "X", "X", "X"]),
            "this runtime knows `DownEncoderBlock2D`",
        ),
        ("vae", "shift_factor", json!(0.1), "`shift_factor` in"),
        ("vae", "scaling_factor", json!(0.0), "`scaling_factor` in"),
        ("vae", "latent_channels", json!(16), "latent_channels"),
        (
            "text_encoder",
            "hidden_act",
            json!("relu"),
            "is `relu`, and this runtime knows `quick_gelu` and `gelu`",
        ),
        (
            "text_encoder",
            "num_attention_heads",
            json!(3),
            "must divide `hidden_size`",
        ),
    ] {
        let folder = copy();
        edit(folder.path().join(file).join("config.json"), |config| {
            config[field] = value.clone()
        });
        let kind = if field == "cross_attention_dim" {
            ErrorKind::TensorShape
        } else {
            ErrorKind::BadConfig
        };
        refused(folder.path(), kind, part);
    }
    let folder = copy();
    edit(
        folder.path().join("scheduler/scheduler_config.json"),
        |config| config["prediction_type"] = json!("flow"),
    );
    refused(
        folder.path(),
        ErrorKind::BadConfig,
        "is `flow`, and this runtime knows `epsilon`, `v_prediction` and `sample`",
    );
    let folder = copy();
    edit(folder.path().join("model_index.json"), |index| {
        index["_class_name"] = json!("FluxPipeline")
    });
    refused(
        folder.path(),
        ErrorKind::NotYet,
        "is a `FluxPipeline`, which this version cannot run",
    );
    let folder = copy();
    edit(folder.path().join("unet/config.json"), |config| {
        config["in_channels"] = json!(9)
    });
    let error = refused(folder.path(), ErrorKind::NotYet, "an inpainting model");
    assert!(error.message.contains("(9 channels in all)"));
    for text in ["", "{", "[1, 2]", "\u{0}"] {
        let folder = copy();
        fs::write(folder.path().join("unet/config.json"), text).unwrap();
        refused(folder.path(), ErrorKind::BadConfig, "unet/config.json");
    }
}

#[test]
fn tokenizers_that_cannot_be_used() {
    type Break = fn(&Path);
    let cases: [(Break, &str); 6] = [
        (
            |folder| fs::write(folder.join("vocab.json"), "[]").unwrap(),
            "`vocab.json` is not a JSON object",
        ),
        (
            |folder| fs::write(folder.join("vocab.json"), "{").unwrap(),
            "`vocab.json` is not JSON",
        ),
        (
            |folder| fs::write(folder.join("merges.txt"), "#version\nzz qq\n").unwrap(),
            "do not fit",
        ),
        (
            |folder| fs::write(folder.join("merges.txt"), "lonely\n").unwrap(),
            "do not fit",
        ),
        (
            |folder| {
                edit(folder.join("vocab.json"), |vocab| {
                    drop(vocab.as_object_mut().unwrap().remove("<|endoftext|>"))
                })
            },
            "lacks the special token `<|endoftext|>`",
        ),
        (
            |folder| {
                edit(folder.join("tokenizer_config.json"), |config| {
                    config["model_max_length"] = json!(512)
                })
            },
            "`model_max_length` is 512",
        ),
    ];
    for (break_it, part) in cases {
        let folder = copy();
        break_it(&folder.path().join("tokenizer"));
        refused(folder.path(), ErrorKind::BadTokenizer, part);
    }
}

/// A small file: two tensors.
fn small_file() -> Vec<u8> {
    let header = r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"F16","shape":[4],"data_offsets":[24,32]}}"#;
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &[7u8; 32],
    ]
    .concat()
}

/// Opens a file and asks for its tensors; what comes back does not matter, only that it does.
fn ask(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let Ok(mapped) = Bytes::map(file.path()) else {
        return;
    };
    let Ok(opened) = WeightsFile::open("small", mapped) else {
        return;
    };
    let names: Vec<String> = opened.names().map(str::to_owned).collect();
    for name in &names {
        let _ = opened.tensor(&Stored::whole(name.clone()), DType::F32, &Device::Cpu);
    }
    let weights = Weights::of(opened, DType::F32, &Device::Cpu);
    for name in names {
        let _ = weights.root().tensor(&name, &[2, 3]);
    }
}

proptest! {
    #[test]
    fn no_file_is_a_panic(changes in prop::collection::vec((0usize..160, any::<u8>()), 0..8), length in 0usize..200) {
        let mut bytes = small_file();
        for (place, byte) in changes {
            if let Some(old) = bytes.get_mut(place) {
                *old = byte;
            }
        }
        bytes.truncate(length);
        ask(&bytes);
    }

    #[test]
    fn no_header_is_a_panic(shape in prop::collection::vec(any::<u64>(), 0..4), from in any::<u64>(), to in any::<u64>(), dtype in "F32|F16|BF16|F64|I64|U8|BOOL|F8_E4M3|X") {
        let header = json!({"a": {"dtype": dtype, "shape": shape, "data_offsets": [from, to]}}).to_string();
        ask(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[1u8; 64]].concat());
    }
}
