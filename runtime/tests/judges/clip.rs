//! CLIP as a classifier, and losses that ask a network, against what the transformers library says of a small
//! random CLIP (`tests/oracle/models/tiny-clip`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::Shown;
use guide_runtime::error::{ErrorKind, Result};
use guide_runtime::models::judge::{Judge, JudgeConfig, Sight};
use guide_runtime::weights::Source;

use super::support;

/// Rounding of f32 over four layers, as a share of the largest number.
const ROUNDING: f64 = 2e-5;
/// The same there and back.
const ROUNDING_BACK: f64 = 2e-4;
const PROMPTS: [&str; 3] = ["red apple", "a glossy lemon", "panda"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn expected() -> HashMap<String, Tensor> {
    let file = root().join("../tests/oracle/models/tiny-clip/expected.safetensors");
    candle_core::safetensors::load(file, &Device::Cpu).unwrap()
}

fn prompts() -> Vec<String> {
    PROMPTS.map(str::to_owned).to_vec()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let wide = tensor.to_dtype(DType::F64).unwrap();
    wide.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn near(got: &[f64], wanted: &[f64], share: f64) {
    assert_eq!(got.len(), wanted.len());
    let most = wanted.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    for (at, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let off = (got - wanted).abs();
        assert!(
            off <= share * most,
            "{at}: {got} is not {wanted}, the largest is {most}"
        );
    }
}

#[test]
fn its_logits_and_their_gradient() -> Result<()> {
    let expected = expected();
    let judge = Judge::load(
        &Source::Folder(support::tiny_clip()),
        &prompts(),
        &Device::Cpu,
    )?;
    assert_eq!(judge.config().labels, PROMPTS);
    let showing = judge.config().shown(Shown::default());
    let picture = &expected["picture"];
    let got = judge.logits(Sight::Picture(picture), 0.0, &showing)?;
    near(&got, &numbers(&expected["logits"]), ROUNDING);
    let by = numbers(&expected["by"]);
    let got = judge.gradient(Sight::Picture(picture), 0.0, &showing, &by)?;
    assert_eq!(got.dims(), picture.dims());
    near(
        &numbers(&got),
        &numbers(&expected["gradient"]),
        ROUNDING_BACK,
    );
    Ok(())
}

/// The patches after the third layer are what a picture's style is taken from.
#[test]
fn its_features() -> Result<()> {
    let expected = expected();
    let judge = Judge::load(&Source::Folder(support::tiny_clip()), &[], &Device::Cpu)?;
    let features = judge.features(&expected["picture"])?;
    assert_eq!(features.len(), 1);
    let third = expected["third"]
        .squeeze(0)?
        .narrow(0, 1, 16)?
        .t()?
        .contiguous()?;
    near(&numbers(&features[0]), &numbers(&third), ROUNDING);
    Ok(())
}

#[test]
fn what_it_refuses() -> Result<()> {
    let source = Source::Folder(support::tiny_clip());
    let judge = Judge::load(&source, &[], &Device::Cpu)?;
    let showing = judge.config().shown(Shown::default());
    let error = judge
        .logits(Sight::Picture(&expected()["picture"]), 0.0, &showing)
        .expect_err("no classes");
    assert_eq!(error.kind, ErrorKind::NotBound);

    let other = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tiny_clip_of_others");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::copy(
        support::tiny_clip().join("config.json"),
        other.join("config.json"),
    )
    .unwrap();
    std::fs::write(
        other.join("preprocessor_config.json"),
        r#"{"image_mean": [0.5, 0.5, 0.5]}"#,
    )
    .unwrap();
    let error = JudgeConfig::read(&Source::Folder(other), &prompts()).expect_err("another mean");
    assert_eq!(error.kind, ErrorKind::BadConfig);
    assert!(error.message.contains("image_mean"), "{}", error.message);
    Ok(())
}
