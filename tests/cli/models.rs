//! Models of several families, as a user runs them.

use crate::sandbox::{CFG, Ended, Sandbox, project};

const SDXL: &str = "tests/oracle/models/tiny-sdxl";

fn sandbox() -> Sandbox {
    Sandbox::new().with("a.guide", CFG)
}

fn run(sandbox: &Sandbox, model: &str, more: &[&str]) -> Ended {
    let model = project(model);
    let args = ["run", "a.guide", "--model", &model, "--steps", "1"];
    sandbox.run(&[&args[..], more].concat())
}

#[test]
fn sdxl_takes_a_second_prompt_and_the_size_and_cut_of_the_picture() {
    let sandbox = sandbox();
    let picture = |out: &str, more: &[&str]| {
        let args = [&["--prompt", "a robot", "--out", out][..], more].concat();
        run(&sandbox, SDXL, &args).with(0);
        std::fs::read(sandbox.path(out)).expect("a picture")
    };
    let plain = picture("plain.png", &[]);
    // What goes without saying changes nothing but what the picture says of itself.
    let said = [
        &["--prompt-2", "a robot", "--original-size", "128x128"][..],
        &["--crop", "0,0", "--target-size", "128x128"],
    ];
    let pixels = |name: &str| {
        image::open(sandbox.path(name))
            .expect("a picture")
            .to_rgb8()
    };
    picture("said.png", &said.concat());
    assert_eq!(pixels("said.png"), pixels("plain.png"));
    let record = guide_runtime::image::read_record(&sandbox.path("said.png")).expect("a picture");
    let record: serde_json::Value = serde_json::from_str(&record.expect("a record")).expect("JSON");
    assert_eq!(record["prompt_2"], "a robot");
    assert_eq!(record["crop"], serde_json::json!([0, 0]));
    for more in [
        &["--prompt-2", "mountains"][..],
        &["--original-size", "64x32"],
        &["--crop", "40,8"],
        &["--target-size", "256x64"],
    ] {
        assert_ne!(picture("other.png", more), plain, "{more:?}");
    }
}

#[test]
fn what_is_for_sdxl_is_refused_elsewhere() {
    let sandbox = sandbox();
    for more in [["--prompt-2", "b"], ["--crop", "1,2"]] {
        run(&sandbox, "tests/oracle/models/tiny-sd15", &more)
            .with(1)
            .says(&["G0708", "the model takes none", "SDXL"]);
    }
    run(&sandbox, SDXL, &["--crop", "1x2"])
        .with(2)
        .says(&["X,Y"]);
    run(&sandbox, SDXL, &["--negative-2", "b"]).with(2);
}

/// A model that is known by name is planned for before it is there.
#[test]
fn the_option_is_heard_for_models_that_are_not_there() {
    let sandbox = sandbox();
    for (word, space) in [("v", "v"), ("x0", "x0")] {
        let args = ["plan", "a.guide", "--model", "sd15", "--prediction", word];
        let plan = sandbox
            .run(&[&args[..], &["--format", "json"]].concat())
            .with(0);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("a plan");
        assert_eq!(plan["head"]["model"]["space"], space);
    }
}

/// A safetensors file of these tensors, all zeros.
fn zeros(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let bytes = 4 * shape.iter().product::<usize>();
        let entry = serde_json::json!({
            "dtype": "F32", "shape": shape, "data_offsets": [end, end + bytes],
        });
        header.insert((*name).to_owned(), entry);
        end += bytes;
    }
    let header = serde_json::Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &vec![0; end]].concat()
}

const SD15: &str = "tests/oracle/models/tiny-sd15";
const LAYER: &str = "lora_unet_mid_block_attentions_0_proj_in";

#[test]
fn parts_from_elsewhere() {
    let down = format!("{LAYER}.lora_down.weight");
    let up = format!("{LAYER}.lora_up.weight");
    let lora = zeros(&[(&down, &[1, 24]), (&up, &[24, 1])]);
    let sandbox = sandbox().with("zero.safetensors", lora);
    let (vae, tokenizer) = (project(SD15), project(SD15));
    let pixels = |name: &str| {
        image::open(sandbox.path(name))
            .expect("a picture")
            .to_rgb8()
    };
    run(&sandbox, SD15, &["--out", "plain.png"]).with(0);
    // A LoRA of zeros, and the model's own parts, change nothing.
    let more = [
        "--lora",
        "zero.safetensors",
        "--lora",
        "zero.safetensors:0.5",
    ];
    let parts = [
        "--vae",
        &vae,
        "--tokenizer",
        &tokenizer,
        "--out",
        "same.png",
    ];
    run(&sandbox, SD15, &[&more[..], &parts].concat()).with(0);
    assert_eq!(pixels("same.png"), pixels("plain.png"));
    let record = guide_runtime::image::read_record(&sandbox.path("same.png")).expect("a picture");
    let record: serde_json::Value = serde_json::from_str(&record.expect("a record")).expect("JSON");
    let loras = serde_json::json!([["zero.safetensors", 1.0], ["zero.safetensors", 0.5]]);
    assert_eq!(record["loras"], loras);
    assert_eq!(record["vae"], vae);
    // Another autoencoder does.
    let other = project("tests/oracle/models/tiny-sd21/vae");
    run(&sandbox, SD15, &["--vae", &other, "--out", "other.png"]).with(0);
    assert_ne!(pixels("other.png"), pixels("plain.png"));
    // What the network predicts is in the plan.
    let model = project(SD15);
    for (word, space) in [("v", "v"), ("epsilon", "eps")] {
        let args = ["plan", "a.guide", "--model", &model, "--prediction", word];
        let plan = sandbox
            .run(&[&args[..], &["--format", "json"]].concat())
            .with(0);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("a plan");
        assert_eq!(plan["head"]["model"]["space"], space);
    }
}

#[test]
fn parts_that_cannot_be_used_are_one_diagnostic_each() {
    let other = format!("{LAYER}.hada_w1_a");
    let down = "lora_unet_no_such_layer.lora_down.weight";
    let sandbox = sandbox()
        .with("loha.safetensors", zeros(&[(&other, &[2, 2])]))
        .with("strange.safetensors", zeros(&[(down, &[1, 24])]))
        .with("unet.safetensors", zeros(&[("conv_in.weight", &[2])]))
        .with("half.safetensors", &zeros(&[(down, &[1, 24])])[..150])
        .with("style.pt", "x")
        .with("empty/README", "");
    let model = project(SD15);
    let refused = |more: &[&str], exit: i32, code: &str| {
        let args = [
            "run", "a.guide", "--model", &model, "--steps", "1", "--out", "new",
        ];
        sandbox.refused(&[&args[..], more].concat(), exit, code)
    };
    refused(&["--lora", "loha.safetensors"], 1, "G0601").says(&["LoHa"]);
    refused(&["--lora", "strange.safetensors:0.7"], 1, "G0708")
        .says(&["which lacks 1 of its", "lora_unet_no_such_layer"]);
    refused(&["--lora", "unet.safetensors"], 1, "G0708").says(&["a LoRA is needed"]);
    refused(&["--lora", "half.safetensors"], 3, "G0703").says(&["cut short"]);
    refused(&["--lora", "style.pt"], 1, "G0705");
    refused(&["--lora", "none.safetensors"], 3, "G0214");
    refused(&["--vae", "unet.safetensors"], 3, "G0702").says(&["an autoencoder is needed"]);
    refused(&["--vae", "empty"], 3, "G0702").says(&["vae/config.json"]);
    refused(&["--tokenizer", "empty"], 1, "G0710").says(&["holds no tokenizer"]);
    refused(&["--config", "empty"], 1, "G0708").says(&["configs of its own"]);
    run(&sandbox, SD15, &["--lora", ":2"])
        .with(2)
        .says(&["FILE:WEIGHT"]);
    run(&sandbox, SD15, &["--prediction", "w"]).with(2);
}

#[test]
fn single_files_that_are_no_model_say_what_they_are() {
    let lora = format!("{LAYER}.alpha");
    let refiner = [
        ("model.diffusion_model.label_emb.0.0.bias", &[4][..]),
        ("conditioner.embedders.0.model.ln_final.bias", &[4]),
    ];
    let sandbox = sandbox()
        .with("lora.safetensors", zeros(&[(&lora, &[1])]))
        .with("refiner.safetensors", zeros(&refiner));
    let refused = |model: &str, exit: i32, code: &str| {
        sandbox.refused(&["run", "a.guide", "--model", model], exit, code)
    };
    refused("lora.safetensors", 3, "G0702").says(&["seems to be a LoRA", "--lora FILE"]);
    refused("refiner.safetensors", 1, "G0601").says(&["the refiner of SDXL"]);
}
