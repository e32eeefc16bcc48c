//! Networks against reference numbers: tiny pipelines that diffusers computed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "models/backward.rs"]
mod backward;
#[path = "models/features.rs"]
mod features;
#[path = "models/forms.rs"]
mod forms;
#[path = "models/inside.rs"]
mod inside;
#[path = "models/lora.rs"]
mod lora;
#[path = "models/regions.rs"]
mod regions;
#[path = "models/rewrite.rs"]
mod rewrite;
#[path = "models/slow.rs"]
mod slow;
mod support;

use candle_core::{DType, Device, Tensor};
use guide_runtime::error::{ErrorKind, Result};
use guide_runtime::interventions::Hooks;
use guide_runtime::models::embedded;
use guide_runtime::models::sd::{
    ClipConfig, TextEncoder, UNet, UNetConfig, Vae, VaeConfig, facts, layer_names,
};
use guide_runtime::tokenizer::ClipTokenizer;
use guide_runtime::weights::{Source, Weights};

use support::{Expected, furthest, hooks};

const MODELS: [&str; 3] = ["tiny-sd15", "tiny-sd21", "tiny-sdxl"];

fn open(source: &Source, folder: &str, stem: &str) -> Result<Weights> {
    Weights::open(source, folder, stem, DType::F32, &Device::Cpu)
}

fn unet(source: &Source) -> Result<UNet> {
    UNet::load(
        &open(source, "unet", "diffusion_pytorch_model")?,
        UNetConfig::read(source, "unet")?,
    )
}

/// A model's tokenizers, the ends of their folders' names and of the reference's: SDXL has two.
fn text_sides(expected: &Expected) -> Vec<&'static str> {
    match expected.source().has("tokenizer_2/vocab.json") {
        true => vec!["", "_2"],
        false => vec![""],
    }
}

fn tokenizer(source: &Source, side: &str) -> Result<ClipTokenizer> {
    ClipTokenizer::read(source, &format!("tokenizer{side}"), 77)
}

fn encoder(source: &Source, side: &str) -> Result<TextEncoder> {
    let folder = format!("text_encoder{side}");
    TextEncoder::load(
        &open(source, &folder, "model")?,
        ClipConfig::read(source, &folder)?,
    )
}

#[test]
fn token_ids_are_those_of_the_reference() -> Result<()> {
    for model in MODELS {
        let expected = Expected::read(model);
        for side in text_sides(&expected) {
            let tokenizer = tokenizer(&expected.source(), side)?;
            for case in expected.list(&format!("token_cases{side}")) {
                let text = case["text"].as_str().unwrap();
                let ids: Vec<u32> = case["ids"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|id| id.as_u64().unwrap() as u32)
                    .collect();
                assert_eq!(tokenizer.ids(text)?, ids, "{model}{side}: `{text}`");
            }
            for (name, texts) in [("cond", "prompts"), ("uncond", "negative_prompts")] {
                let rows = expected
                    .tensor(&format!("ids{side}.{name}"))
                    .to_dtype(DType::I64)?
                    .to_vec2::<i64>()?;
                for (row, text) in rows.iter().zip(expected.texts(texts)) {
                    let ids: Vec<i64> = tokenizer
                        .padded(&text)?
                        .into_iter()
                        .map(i64::from)
                        .collect();
                    assert_eq!(&ids, row, "{model}{side}: `{text}`");
                }
            }
        }
    }
    Ok(())
}

/// Every tensor about texts that a reference holds is compared: the last states, those before the last
/// layer, those with a layer left out, and the pooled text with and without its projection.
#[test]
fn text_states_are_those_of_the_reference() -> Result<()> {
    for (model, wanted) in MODELS.into_iter().zip([4, 4, 8]) {
        let expected = Expected::read(model);
        let source = expected.source();
        let mut compared = 0;
        for side in text_sides(&expected) {
            let (tokenizer, encoder) = (tokenizer(&source, side)?, encoder(&source, side)?);
            for (condition, texts) in [("cond", "prompts"), ("uncond", "negative_prompts")] {
                for name in expected.names(&format!("text{side}.{condition}.")) {
                    let one = |text: &String| -> Result<Tensor> {
                        let ids = tokenizer.padded(text)?;
                        let states = encoder.states(&ids)?;
                        match name.rsplit('.').next().unwrap() {
                            "last_hidden_state" => encoder.encode(&ids, 0),
                            "clip_skip1" => encoder.encode(&ids, 1),
                            "penultimate" => Ok(states.penultimate),
                            "pooled" | "text_embeds" => encoder.pooled(&ids, &states.last),
                            other => panic!("`{other}` is not compared"),
                        }
                    };
                    let all: Result<Vec<Tensor>> = expected.texts(texts).iter().map(one).collect();
                    expected.close(&name, &Tensor::cat(&all?, 0)?);
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, wanted, "{model}");
    }
    Ok(())
}

#[test]
fn predictions_are_those_of_the_reference_at_every_recorded_time() -> Result<()> {
    for model in MODELS {
        let expected = Expected::read(model);
        let unet = unet(&expected.source())?;
        let latents = expected.tensor("latents.init");
        for time in expected.list("model_timesteps") {
            for condition in ["cond", "uncond"] {
                let told = expected.told(condition);
                let t = time.as_f64().unwrap();
                let out = unet.forward(&latents, &[t, t], &told, Hooks::NONE)?;
                expected.close(&format!("unet.t{time}.{condition}"), &out);
            }
        }
    }
    Ok(())
}

#[test]
fn each_module_gives_what_the_reference_module_gives() -> Result<()> {
    for (model, wanted) in MODELS.into_iter().zip([12, 12, 9]) {
        let expected = Expected::read(model);
        let unet = unet(&expected.source())?;
        let latents = expected.tensor("latents.init").narrow(0, 0, 1)?;
        let told = expected.told("cond").of(0);
        let t = expected.list("model_timesteps")[0].as_f64().unwrap();
        let recorded = expected.names("unet.debug.");
        let mut seen = 0;
        unet.observe(&latents, &[t], &told, Hooks::NONE, &mut |module, out| {
            let name = format!("unet.debug.{module}");
            if !recorded.contains(&name) {
                return;
            }
            seen += 1;
            // The sinusoids have no tolerance of their own; their last bits are those of `exp` and `cos`.
            if module == "time_proj" {
                expected.within(&name, out, 1e-4);
            } else {
                expected.close(&name, out);
            }
        })?;
        assert_eq!((seen, recorded.len()), (wanted, wanted), "{model}");
    }
    Ok(())
}

#[test]
fn the_autoencoder_gives_what_the_reference_gives() -> Result<()> {
    for model in MODELS {
        let expected = Expected::read(model);
        let source = expected.source();
        let vae = Vae::load(
            &open(&source, "vae", "diffusion_pytorch_model")?,
            VaeConfig::read(&source, "vae")?,
        )?;
        expected.close(
            "vae.decode.out",
            &vae.decode(&expected.tensor("vae.decode.in"))?,
        );
        expected.close(
            "vae.encode.moments",
            &vae.moments(&expected.tensor("vae.encode.in"))?,
        );
    }
    Ok(())
}

#[test]
fn a_picture_is_that_of_the_reference() -> Result<()> {
    for model in MODELS {
        let expected = Expected::read(model);
        let pipeline = expected.pipeline()?;
        let from = expected.text("image_from");
        let latents = expected
            .tensor(from.split(',').next().unwrap())
            .narrow(0, 0, 1)?;
        let picture = pipeline
            .decode(&latents)?
            .squeeze(0)?
            .permute((1, 2, 0))?
            .contiguous()?;
        expected.close(
            "image.float.crop",
            &picture.narrow(0, 8, 48)?.narrow(1, 8, 48)?,
        );
        let rounded = (picture * 255.0)?.round()?;
        expected.close("image.uint8", &rounded);
    }
    Ok(())
}

#[test]
fn perturbed_predictions_are_those_of_the_reference() -> Result<()> {
    let expected = Expected::read("tiny-sd15");
    let unet = unet(&expected.source())?;
    let latents = expected.tensor("perturbed.latents");
    let text = expected
        .tensor("text.cond.last_hidden_state")
        .narrow(0, 0, 1)?;
    let layers = [
        ("mid", vec!["mid"]),
        ("down2_up1", vec!["down.2.attn.0", "up.1.attn.2"]),
    ];
    let kinds = [
        ("pag", "identity_attention", None),
        ("seg_sigma1.0", "blur_attention", Some(1.0)),
        ("seg_sigma10.0", "blur_attention", Some(10.0)),
        ("seg_sigmainf", "blur_attention", Some(f64::INFINITY)),
    ];
    for t in [801.0, 201.0] {
        expected.close(
            &format!("perturbed.t{t}.base"),
            &unet.forward(&latents, &[t], &text, Hooks::NONE)?,
        );
        for (layers_name, chosen) in &layers {
            for (kind, intervention, sigma) in kinds {
                let hooks = hooks(intervention, chosen, sigma, unet.layers())?;
                expected.close(
                    &format!("perturbed.t{t}.{kind}.{layers_name}"),
                    &unet.forward(&latents, &[t], &text, &hooks)?,
                );
            }
        }
    }
    Ok(())
}

#[test]
fn the_names_of_layers_need_no_weights() -> Result<()> {
    let tiny = MODELS.map(|model| Expected::read(model).source());
    for source in tiny.into_iter().chain([embedded::source()]) {
        let unet = unet(&source)?;
        assert_eq!(layer_names(unet.config()), unet.layers());
    }
    Ok(())
}

#[test]
fn layers_that_are_skipped_give_what_they_are_given() -> Result<()> {
    let expected = Expected::read("tiny-sd15");
    let unet = unet(&expected.source())?;
    let latents = expected.tensor("latents.init").narrow(0, 0, 1)?;
    let text = expected
        .tensor("text.cond.last_hidden_state")
        .narrow(0, 0, 1)?;
    let seen = |hooks: &Hooks| -> Result<std::collections::BTreeMap<String, Tensor>> {
        let mut seen = std::collections::BTreeMap::new();
        unet.observe(&latents, &[500.0], &text, hooks, &mut |module, out| {
            seen.insert(module.to_owned(), out.clone());
        })?;
        Ok(seen)
    };
    let skipped = seen(&hooks("skip_layers", &["mid"], None, unet.layers())?)?;
    let plain = seen(Hooks::NONE)?;
    assert_eq!(
        furthest(&skipped["mid_block"], &skipped["down_blocks.3"]),
        0.0
    );
    assert!(furthest(&plain["mid_block"], &plain["down_blocks.3"]) > 1.0);
    // One layer left out changes what comes after it, and nothing before.
    let one = seen(&hooks(
        "skip_layers",
        &["down.1.attn.0.ff"],
        None,
        unet.layers(),
    )?)?;
    assert_eq!(
        furthest(&one["down_blocks.0"], &plain["down_blocks.0"]),
        0.0
    );
    assert!(furthest(&one["down_blocks.1"], &plain["down_blocks.1"]) > 1e-3);
    // A resnet that changes the number of channels keeps its shortcut, so that shapes fit.
    seen(&hooks("skip_layers", &["all"], None, unet.layers())?)?;
    Ok(())
}

#[test]
fn interventions_that_cannot_be_done_are_refused() {
    let names: Vec<String> = vec!["mid.resnet.0".into(), "mid.attn.0.cross".into()];
    let error = hooks("identity_attention", &["mid"], None, &names).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchLayers);
    assert_eq!(
        error.message,
        "the layers `mid` hold no self-attention, which `identity_attention` works on"
    );
    let error = hooks("steer", &["mid"], None, &names).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotYet);
    let error = hooks("blur_attention", &["mid"], None, &names).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadPlan);
}

#[test]
fn sizes_that_the_model_cannot_make_are_refused() -> Result<()> {
    let pipeline = support::pocket()?;
    assert_eq!(pipeline.latent_size(96, 64)?, (16, 24));
    assert_eq!(pipeline.picture_size(16, 24), (64, 96));
    assert_eq!(pipeline.latent_size(16, 16)?, (4, 4));
    for (width, height, help) in [
        (65, 64, "use `--size 64x64`"),
        (0, 64, "use `--size 64x64`, the model's own size"),
        (64, 15, "use `--size 64x64`, the model's own size"),
        (64, usize::MAX, "use `--size 64x8192`"),
        (64, 8196, "use `--size 64x64`, the model's own size"),
    ] {
        let error = pipeline.latent_size(width, height).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadSize);
        assert_eq!(error.help.as_deref(), Some(help));
    }
    Ok(())
}

/// What a selector may name is found twice: by the compiler, before there are weights, and by the
/// network itself.
#[test]
fn the_compiler_names_the_layers_that_networks_have() -> Result<()> {
    let tiny = MODELS.map(|model| Source::Folder(support::oracle().join("models").join(model)));
    for source in tiny.into_iter().chain([embedded::source()]) {
        let configs = ["unet/config.json", "scheduler/scheduler_config.json"];
        let [config, scheduler] = configs.map(|path| source.text(path).unwrap());
        let changes = [
            serde_json::json!({}),
            serde_json::json!({"layers_per_block": 3}),
            serde_json::json!({"transformer_layers_per_block": 2}),
        ];
        for change in changes {
            let mut fields: serde_json::Value = serde_json::from_str(&config).unwrap();
            for (name, value) in change.as_object().unwrap() {
                fields[name] = value.clone();
            }
            let folder = tempfile::tempdir().unwrap();
            let texts = [fields.to_string(), scheduler.clone()];
            for (path, text) in configs.iter().zip(&texts) {
                let file = folder.path().join(path);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, text).unwrap();
            }
            let network = facts(&Source::Folder(folder.path().to_owned()), "one")?;
            let compiler = guide_compiler::model::of_configs("one", &texts[0], &texts[1]);
            assert_eq!(compiler.unwrap().facts, network, "{change}");
        }
    }
    Ok(())
}
