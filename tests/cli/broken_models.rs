//! Model folders that cannot be used, as a user meets them. What else can be wrong with a model is
//! in `runtime/tests/broken_models.rs`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::sandbox::{CFG, Ended, Sandbox, project};

/// The weights of the network in a model's folder.
pub const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// A guide beside a whole copy of a tiny model.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    copy(&sandbox.path("tiny"));
    sandbox
}

/// Copies the tiny model.
pub fn copy(to: &Path) {
    copy_folder(Path::new(&project("tests/oracle/models/tiny-sd15")), to);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let target = to.join(&*name);
        if path.is_dir() {
            copy_folder(&path, &target);
        } else if !name.starts_with("expected") {
            fs::copy(&path, target).expect("a copy");
        }
    }
}

/// Gives a list of numbers in a safetensors file another shape.
pub fn reshape(file: &Path, tensor: &str, shape: impl Fn(u64) -> Vec<u64>) {
    let bytes = fs::read(file).expect("the weights");
    let length = u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let side = header[tensor]["shape"][0].as_u64().expect("a side");
    header[tensor]["shape"] = shape(side).into();
    let header = header.to_string();
    let start = (header.len() as u64).to_le_bytes();
    let changed = [&start, header.as_bytes(), &bytes[8 + length..]].concat();
    fs::write(file, changed).expect("other weights");
}

/// Runs with the model, which is refused before anything is sampled or written.
#[track_caller]
fn refused(sandbox: &Sandbox, exit: i32, code: &str) -> Ended {
    let args = ["run", "a.guide", "--model", "tiny", "--steps", "2"];
    let more = ["--out", "new/pictures", "--record", "r/r.safetensors"];
    let ended = sandbox.refused(&[&args[..], &more].concat(), exit, code);
    assert!(!ended.stderr.contains("step 1"), "{}", ended.stderr);
    ended
}

#[test]
fn the_whole_copy_runs() {
    let args = ["run", "a.guide", "--model", "tiny", "--steps", "1"];
    sandbox().run(&args).with(0);
}

#[test]
fn weights_that_are_cut_short() {
    let sandbox = sandbox();
    let whole = fs::read(sandbox.path("tiny").join(UNET)).expect("the weights");
    for left in [0, 7, 300, whole.len() / 2, whole.len() - 1] {
        fs::write(sandbox.path("tiny").join(UNET), &whole[..left]).expect("a part of them");
        refused(&sandbox, 3, "G0703").says(&[UNET, "cut short"]);
    }
}

#[test]
fn a_tensor_of_the_wrong_shape() {
    let sandbox = sandbox();
    let file = sandbox.path("tiny").join(UNET);
    reshape(&file, "conv_in.bias", |side| vec![2, side / 2]);
    let ended = refused(&sandbox, 3, "G0704");
    ended.says(&["`conv_in.bias`", "shape [2, 8]", "[16]"]);
}

#[test]
fn a_folder_without_its_unet() {
    let sandbox = sandbox();
    fs::remove_file(sandbox.path("tiny").join(UNET)).expect("it was there");
    refused(&sandbox, 3, "G0702").says(&[UNET]);
    fs::remove_dir_all(sandbox.path("tiny/unet")).expect("it was there");
    refused(&sandbox, 3, "G0702").says(&["unet/config.json"]);
    let plan = ["plan", "a.guide", "--model", "tiny"];
    sandbox
        .refused(&plan, 3, "G0702")
        .says(&["unet/config.json"]);
}

#[test]
fn a_pickle() {
    let sandbox = sandbox().with("m.ckpt", b"\x80\x02}q\x00.");
    for name in ["m.ckpt", "./m.ckpt"] {
        let args = ["run", "a.guide", "--model", name, "--out", "new"];
        let ended = sandbox.refused(&args, 1, "G0705");
        ended.says(&["m.ckpt", ".safetensors"]);
    }
    fs::remove_file(sandbox.path("tiny").join(UNET)).expect("it was there");
    let bin = "tiny/unet/diffusion_pytorch_model.bin";
    let sandbox = sandbox.with(bin, b"\x80\x02}q\x00.");
    refused(&sandbox, 1, "G0705").says(&["diffusion_pytorch_model.bin", ".safetensors"]);
}

#[test]
fn a_config_that_is_no_config() {
    let mut sandbox = sandbox();
    let unet = sandbox.read("tiny/unet/config.json");
    for text in ["", "{", "[]", "{\"block_out_channels\": \"many\"}"] {
        sandbox = sandbox.with("tiny/unet/config.json", text);
        refused(&sandbox, 1, "G0709").says(&["unet/config.json"]);
    }
    let sandbox = sandbox
        .with("tiny/unet/config.json", unet)
        .with("tiny/tokenizer/vocab.json", "{");
    refused(&sandbox, 1, "G0710").says(&["tiny/tokenizer", "vocab.json"]);
}
