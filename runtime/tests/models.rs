//! Networks against reference numbers: tiny pipelines that diffusers computed, and the embedded model.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Tensor};
use guide_runtime::error::Result;
use guide_runtime::interventions::Hooks;
use guide_runtime::models::sd::{ClipConfig, TextEncoder, UNet, UNetConfig, Vae, VaeConfig};
use guide_runtime::models::{Pipeline, embedded};
use guide_runtime::tokenizer::ClipTokenizer;
use guide_runtime::weights::{Source, Weights};

use support::{Expected, hooks};

const MODELS: [&str; 2] = ["tiny-sd15", "tiny-sd21"];

fn open(source: &Source, folder: &str, stem: &str) -> Result<Weights> {
    Weights::open(source, folder, stem, DType::F32, &Device::Cpu)
}

fn unet(source: &Source) -> Result<UNet> {
    UNet::load(
        &open(source, "unet", "diffusion_pytorch_model")?,
        UNetConfig::read(source, "unet")?,
    )
}

#[test]
fn the_embedded_model_loads() -> Result<()> {
    let pipeline = Pipeline::load(
        &embedded::source(),
        embedded::NAME,
        DType::F32,
        &Device::Cpu,
    )?;
    assert_eq!(pipeline.latent_size(64, 64)?, (16, 16));
    Ok(())
}

#[test]
fn token_ids_are_those_of_the_reference() -> Result<()> {
    for model in MODELS {
        let expected = Expected::read(model);
        let tokenizer = ClipTokenizer::read(&expected.source(), "tokenizer", 77)?;
        for case in expected.list("token_cases") {
            let text = case["text"].as_str().unwrap();
            let ids: Vec<u32> = case["ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_u64().unwrap() as u32)
                .collect();
            assert_eq!(tokenizer.ids(text)?, ids, "{model}: `{text}`");
        }
        for (name, texts) in [("ids.cond", "prompts"), ("ids.uncond", "negative_prompts")] {
            let rows = expected
                .tensor(name)
                .to_dtype(DType::I64)?
                .to_vec2::<i64>()?;
            for (row, text) in rows.iter().zip(expected.texts(texts)) {
                let ids: Vec<i64> = tokenizer
                    .padded(&text)?
                    .into_iter()
                    .map(i64::from)
                    .collect();
                assert_eq!(&ids, row, "{model}: `{text}`");
            }
        }
    }
    Ok(())
}

#[test]
fn text_states_are_those_of_the_reference() -> Result<()> {
    for model in MODELS {
        let expected = Expected::read(model);
        let source = expected.source();
        let tokenizer = ClipTokenizer::read(&source, "tokenizer", 77)?;
        let encoder = TextEncoder::load(
            &open(&source, "text_encoder", "model")?,
            ClipConfig::read(&source, "text_encoder")?,
        )?;
        for (name, texts, skip) in [
            ("text.cond.last_hidden_state", "prompts", 0),
            ("text.uncond.last_hidden_state", "negative_prompts", 0),
            ("text.cond.clip_skip1", "prompts", 1),
        ] {
            let states: Result<Vec<Tensor>> = expected
                .texts(texts)
                .iter()
                .map(|text| encoder.encode(&tokenizer.padded(text)?, skip))
                .collect();
            expected.close(name, &Tensor::cat(&states?, 0)?);
        }
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
                let text = expected.tensor(&format!("text.{condition}.last_hidden_state"));
                let t = time.as_f64().unwrap();
                let out = unet.forward(&latents, &[t, t], &text, Hooks::NONE)?;
                expected.close(&format!("unet.t{time}.{condition}"), &out);
            }
        }
    }
    Ok(())
}

#[test]
fn each_module_gives_what_the_reference_module_gives() -> Result<()> {
    for model in MODELS {
        let expected = Expected::read(model);
        let unet = unet(&expected.source())?;
        let latents = expected.tensor("latents.init").narrow(0, 0, 1)?;
        let text = expected
            .tensor("text.cond.last_hidden_state")
            .narrow(0, 0, 1)?;
        let t = expected.list("model_timesteps")[0].as_f64().unwrap();
        let mut seen = 0;
        unet.observe(&latents, &[t], &text, Hooks::NONE, &mut |module, out| {
            seen += 1;
            // The sinusoids have no tolerance of their own; their last bits are those of `exp` and `cos`.
            if module == "time_proj" {
                expected.within("unet.debug.time_proj", out, 1e-4);
            } else {
                expected.close(&format!("unet.debug.{module}"), out);
            }
        })?;
        assert_eq!(seen, 12);
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
        let pipeline = Pipeline::load(&expected.source(), model, DType::F32, &Device::Cpu)?;
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
