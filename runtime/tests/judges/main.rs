//! Classifiers: the embedded model's and small random ones, against the same networks written out in
//! f64, and gradients against differences of those.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod clip;
mod slow;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Normalise, Seen, Shown};
use guide_runtime::error::{ErrorKind, Result};
use guide_runtime::models::judge::{Judge, JudgeConfig, Sight};
use guide_runtime::models::{embedded, own_folder};
use guide_runtime::noise::{NoiseSource, Seeded};
use guide_runtime::weights::Source;
use slow::{File, Map};

/// Rounding of f32 over a few layers, as a share of the largest logit.
const ROUNDING: f64 = 2e-5;

fn own(sees: Seen) -> Result<Judge> {
    let source = embedded::source().below(own_folder(sees));
    Judge::load(&source, &[], &Device::Cpu)
}

fn file_of(sees: Seen) -> File {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("models/pocket")
        .join(own_folder(sees));
    File::read(&folder.join("diffusion_pytorch_model.safetensors"))
}

/// Normal numbers, `[1, channels, side, side]`.
fn drawn(seed: u64, channels: usize, side: usize) -> Result<Tensor> {
    normals(seed, &[1, channels, side, side])
}

fn normals(seed: u64, shape: &[usize]) -> Result<Tensor> {
    let numbers = Seeded::new(seed, 1).draw(shape.iter().product())?;
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

fn map(tensor: &Tensor) -> Map {
    let (_, channels, height, width) = tensor.dims4().unwrap();
    let all: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    Map {
        channels,
        height,
        width,
        at: all.into_iter().map(f64::from).collect(),
    }
}

#[track_caller]
fn close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let near = (got - want).abs() <= ROUNDING * most;
        assert!(near, "{at}: {got} is not {want}, the largest is {most}");
    }
}

#[test]
fn the_judge_of_noisy_latents() -> Result<()> {
    let (judge, file) = (own(Seen::Noisy)?, file_of(Seen::Noisy));
    assert_eq!(judge.config().labels.len(), 455);
    for (seed, time, softplus) in [(1, 601.0, None), (2, 1.0, None), (3, 33.5, Some(3.0))] {
        let x = drawn(seed, 4, 16)?;
        let shown = Shown {
            softplus,
            ..Shown::default()
        };
        let showing = judge.config().shown(shown);
        let got = judge.logits(Sight::Latent(&x), time, &showing)?;
        close(
            &got,
            &file.plain(&map(&x), &[1, 2, 1, 2], Some(time), softplus),
        );
    }
    Ok(())
}

#[test]
fn the_judge_of_pictures() -> Result<()> {
    let (judge, file) = (own(Seen::Image)?, file_of(Seen::Image));
    let picture = (drawn(4, 3, 64)?.affine(0.25, 0.5)?).clamp(0.0, 1.0)?;
    let showing = judge.config().shown(Shown::default());
    let got = judge.logits(Sight::Picture(&picture), 0.0, &showing)?;
    let seen = map(&picture.affine(2.0, -1.0)?);
    close(&got, &file.plain(&seen, &[2, 2, 2, 2], None, None));
    Ok(())
}

/// By small steps of a few places of the latent, in f64.
#[test]
fn a_gradient_is_what_differences_say() -> Result<()> {
    let (judge, file) = (own(Seen::Noisy)?, file_of(Seen::Noisy));
    let x = drawn(5, 4, 16)?;
    let by: Vec<f64> = (0..455)
        .map(|k| ((k * 7 % 11) as f64 - 5.0) / 20.0)
        .collect();
    // With a slope everywhere no step meets a kink.
    let softplus = Some(3.0);
    let shown = Shown {
        softplus,
        ..Shown::default()
    };
    let showing = judge.config().shown(shown);
    let gradient = map(&judge.gradient(Sight::Latent(&x), 250.0, &showing, &by)?);
    let most = gradient
        .at
        .iter()
        .fold(0.0, |most: f64, v| most.max(v.abs()));
    let value = |place: usize, step: f64| {
        let mut moved = map(&x);
        moved.at[place] += step;
        let logits = file.plain(&moved, &[1, 2, 1, 2], Some(250.0), softplus);
        logits.iter().zip(&by).map(|(l, b)| l * b).sum::<f64>()
    };
    for place in [0, 100, 255, 511, 700, 1023] {
        let wanted = (value(place, 1e-4) - value(place, -1e-4)) / 2e-4;
        let got = gradient.at[place];
        assert!(
            (got - wanted).abs() < 1e-4 * most,
            "{place}: {got} is not {wanted}"
        );
    }
    Ok(())
}

/// A folder with a classifier of random weights.
fn write(name: &str, config: &serde_json::Value, tensors: &[(String, Vec<usize>)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut all = HashMap::new();
    for (at, (name, shape)) in tensors.iter().enumerate() {
        let fan: usize = shape.iter().skip(1).product();
        let numbers = normals(at as u64, shape).unwrap();
        let scaled = match name.ends_with("running_var") {
            true => numbers.sqr().unwrap().affine(0.2, 0.5),
            false => numbers.affine(1.0 / (fan as f64).sqrt().max(2.0), 0.0),
        };
        all.insert(name.clone(), scaled.unwrap());
    }
    candle_core::safetensors::save(&all, folder.join("model.safetensors")).unwrap();
    folder
}

/// The tensors of a ResNet.
fn resnet(
    depths: [usize; 4],
    bottleneck: bool,
    width: usize,
    classes: usize,
) -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let conv = |all: &mut Vec<_>, conv: String, norm: String, shape: [usize; 4]| {
        all.push((format!("{conv}.weight"), shape.to_vec()));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            all.push((format!("{norm}.{part}"), vec![shape[0]]));
        }
    };
    conv(&mut all, "conv1".into(), "bn1".into(), [width, 3, 7, 7]);
    let mut before = width;
    for (level, depth) in depths.into_iter().enumerate() {
        let own = width << level;
        let after = if bottleneck { 4 * own } else { own };
        for at in 0..depth {
            let name = format!("layer{}.{at}", level + 1);
            let sizes = match bottleneck {
                true => vec![[own, before, 1, 1], [own, own, 3, 3], [after, own, 1, 1]],
                false => vec![[own, before, 3, 3], [own, own, 3, 3]],
            };
            for (k, shape) in sizes.into_iter().enumerate() {
                let names = ["conv", "bn"].map(|part| format!("{name}.{part}{}", k + 1));
                let [one, other] = names;
                conv(&mut all, one, other, shape);
            }
            if before != after || (level > 0 && at == 0) {
                let names = [0, 1].map(|part| format!("{name}.downsample.{part}"));
                let [one, other] = names;
                conv(&mut all, one, other, [after, before, 1, 1]);
            }
            before = after;
        }
    }
    all.push(("fc.weight".into(), vec![classes, before]));
    all.push(("fc.bias".into(), vec![classes]));
    all
}

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("thing {at}")).collect()
}

#[test]
fn resnets_of_both_kinds() -> Result<()> {
    for (depths, kind, side) in [
        ([2, 1, 1, 1], "basic", 37),
        ([1, 2, 1, 1], "bottleneck", 32),
    ] {
        let bottleneck = kind == "bottleneck";
        let config = serde_json::json!({
            "_class_name": "ResNet", "depths": depths, "layer_type": kind, "embedding_size": 4,
            "image_size": side, "labels": labels(3),
        });
        let folder = write(
            &format!("resnet_{kind}"),
            &config,
            &resnet(depths, bottleneck, 4, 3),
        );
        let judge = Judge::load(&Source::Folder(folder.clone()), &[], &Device::Cpu)?;
        let picture = (drawn(6, 3, side)?.affine(0.25, 0.5)?).clamp(0.0, 1.0)?;
        let showing = judge.config().shown(Shown::default());
        assert_eq!(showing.normalise, Normalise::Imagenet);
        let got = judge.logits(Sight::Picture(&picture), 0.0, &showing)?;
        let mut seen = map(&picture);
        let area = side * side;
        let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        for (at, v) in seen.at.iter_mut().enumerate() {
            *v = (*v - mean[at / area]) / deviation[at / area];
        }
        let file = File::read(&folder.join("model.safetensors"));
        close(&got, &file.resnet(&seen, &depths, bottleneck));
    }
    Ok(())
}

#[test]
fn configs_that_cannot_be_used() {
    let read = |config: serde_json::Value| {
        let folder = write("refused", &config, &[]);
        let error = JudgeConfig::read(&Source::Folder(folder), &[]).expect_err("a refusal");
        assert_eq!(error.kind, ErrorKind::BadConfig, "{config}");
        error.message
    };
    let said = read(serde_json::json!({"_class_name": "ViT", "labels": ["a", "b"]}));
    assert!(said.contains("`Judge` and `ResNet`"), "{said}");
    let said = read(serde_json::json!({
        "_class_name": "Judge", "channels": [8], "strides": [2], "labels": ["a"],
    }));
    assert!(said.contains("at least two classes"), "{said}");
    let said = read(serde_json::json!({
        "_class_name": "Judge", "channels": [8, 8], "strides": [2], "labels": ["a", "b"],
    }));
    assert!(said.contains("one for each of `channels`"), "{said}");
    let said = read(serde_json::json!({
        "_class_name": "ResNet", "depths": [1, 1, 1, 1], "layer_type": "basic",
        "labels": ["a", "b"], "range": [1.0, 0.0],
    }));
    assert!(said.contains("the smaller first"), "{said}");
}

#[test]
fn weights_of_another_number_of_classes() {
    let config = serde_json::json!({
        "_class_name": "ResNet", "depths": [1, 1, 1, 1], "layer_type": "basic",
        "embedding_size": 4, "image_size": 32, "labels": labels(4),
    });
    let folder = write("other_classes", &config, &resnet([1, 1, 1, 1], false, 4, 3));
    let error = Judge::load(&Source::Folder(folder), &[], &Device::Cpu).expect_err("a refusal");
    assert_eq!(error.kind, ErrorKind::TensorShape);
    assert!(error.message.contains("fc.weight"), "{}", error.message);
}
