//! The embedded model, part by part, against what diffusers computes from the same files:
//! `python train.py reference` of `examples/train_pocket` writes the numbers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use guide_runtime::error::Result;
use guide_runtime::interventions::Hooks;
use guide_runtime::models::embedded;
use guide_runtime::models::sd::{ClipConfig, TextEncoder, UNet, UNetConfig};
use guide_runtime::tokenizer::ClipTokenizer;
use guide_runtime::weights::Weights;

const FILE: &str = "models/pocket/expected_strawberry_seed3_ddim20_cfg7.5.safetensors";
const TEXTS: [&str; 2] = ["strawberry", ""];
/// The time of the recorded evaluation.
const TIME: f64 = 601.0;
/// Rounding of f32 over a few layers of numbers around 1.
const ROUNDING: f64 = 2e-5;

fn expected() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(support::oracle().join(FILE), &Device::Cpu).unwrap()
}

fn open(folder: &str, stem: &str) -> Result<Weights> {
    Weights::open(&embedded::source(), folder, stem, DType::F32, &Device::Cpu)
}

fn tokenizer() -> Result<ClipTokenizer> {
    ClipTokenizer::read(&embedded::source(), "tokenizer", 16)
}

#[track_caller]
fn close(name: &str, got: &Tensor) {
    close_to(name, got, &expected()[name]);
}

#[track_caller]
fn close_to(name: &str, got: &Tensor, expected: &Tensor) {
    let off = support::furthest(got, expected);
    assert!(off <= ROUNDING, "{name}: off by {off:e}");
}

#[test]
fn it_loads() -> Result<()> {
    let pipeline = support::pocket()?;
    assert_eq!(pipeline.latent_size(64, 64)?, (16, 16));
    Ok(())
}

#[test]
fn tokens() -> Result<()> {
    let rows = expected()["tokens"].to_vec2::<i64>()?;
    for (row, text) in rows.iter().zip(TEXTS) {
        let ids: Vec<i64> = tokenizer()?
            .padded(text)?
            .into_iter()
            .map(i64::from)
            .collect();
        assert_eq!(&ids, row, "`{text}`");
    }
    Ok(())
}

#[test]
fn text_states() -> Result<()> {
    let config = ClipConfig::read(&embedded::source(), "text_encoder")?;
    let encoder = TextEncoder::load(&open("text_encoder", "model")?, config)?;
    let states = TEXTS.map(|text| encoder.encode(&tokenizer()?.padded(text)?, 0));
    let states: Result<Vec<Tensor>> = states.into_iter().collect();
    close("text_states", &Tensor::cat(&states?, 0)?);
    Ok(())
}

#[test]
fn one_evaluation_of_the_network() -> Result<()> {
    let config = UNetConfig::read(&embedded::source(), "unet")?;
    let unet = UNet::load(&open("unet", "diffusion_pytorch_model")?, config)?;
    let states = expected()["text_states"].narrow(0, 0, 1)?;
    close(
        "eps",
        &unet.forward(&expected()["init"], &[TIME], &states, Hooks::NONE)?,
    );
    Ok(())
}

#[test]
fn the_decoded_picture() -> Result<()> {
    let picture = expected()["picture"].affine(0.5, 0.5)?.clamp(0.0, 1.0)?;
    close_to(
        "picture",
        &support::pocket()?.decode(&expected()["latents"])?,
        &picture,
    );
    Ok(())
}
