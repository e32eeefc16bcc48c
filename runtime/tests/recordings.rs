//! Recordings: what is read, what is refused, and that a recorded run can be evaluated again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod by_hand;

use std::collections::HashMap;

use by_hand::*;
use candle_core::{Device, Tensor};
use guide_runtime::error::ErrorKind;
use guide_runtime::eval::{eval, write};
use guide_runtime::exec::{Bindings, Executor};
use guide_runtime::predictor::Predictor;
use guide_runtime::recording::{Recorder, parse, read};
use proptest::prelude::*;

const LATENT: [usize; 3] = [4, 12, 10];

/// A file with `x`, `t`, `alpha`, `sigma` and `cond` for two ticks and one sample, after a change.
fn file(change: impl Fn(&mut HashMap<String, Tensor>, &mut HashMap<String, String>)) -> Vec<u8> {
    let curve = |a: f32, b: f32| Tensor::new(&[a, b], &Device::Cpu).unwrap();
    let like = Tensor::ones((2, 1, 4, 3, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut tensors: HashMap<String, Tensor> = [
        ("x", like.clone()),
        ("cond", like),
        ("t", curve(900.0, 400.0)),
        ("alpha", curve(0.3, 0.8)),
        ("sigma", curve(0.95, 0.6)),
    ]
    .map(|(name, tensor)| (name.to_string(), tensor))
    .into();
    let mut metadata: HashMap<String, String> =
        [("format", "guide-recording/1"), ("prediction", "eps")]
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .into();
    change(&mut tensors, &mut metadata);
    safetensors::serialize(&tensors, Some(metadata)).unwrap()
}

#[test]
fn the_end_of_a_run_is_clean() {
    let recording = parse(&file(|_, _| ()), "r").unwrap();
    let ticks = recording.timetable().ticks;
    assert_eq!((ticks[0].t_next, ticks[0].step), (400.0, 0));
    assert!((ticks[0].alpha_next - 0.8).abs() < 1e-6);
    assert_eq!(
        (ticks[1].t_next, ticks[1].alpha_next, ticks[1].sigma_next),
        (0.0, 1.0, 0.0)
    );
    assert_eq!(
        (recording.steps(), recording.batch(), recording.latent()),
        (2, 1, [4, 3, 3])
    );
    assert_eq!(recording.labels(), ["cond"]);
}

#[test]
fn what_is_not_a_recording_is_refused_by_name() {
    let refused = |bytes: &[u8], part: &str| {
        let error = parse(bytes, "r.safetensors").unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRecording);
        assert!(
            error.message.contains("`r.safetensors`"),
            "{}",
            error.message
        );
        assert!(
            error.message.contains(part),
            "{} lacks {part}",
            error.message
        );
    };
    let whole = file(|_, _| ());
    refused(&whole[..whole.len() - 5], "whole");
    refused(&whole[..4], "whole");
    refused(b"", "whole");
    // A header that claims more than there is.
    refused(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "whole");
    refused(&file(|_, m| drop(m.remove("format"))), "format");
    refused(
        &file(|_, m| drop(m.insert("format".into(), "guide-recording/7".into()))),
        "guide-recording/7",
    );
    refused(
        &file(|_, m| drop(m.insert("prediction".into(), "noise".into()))),
        "noise",
    );
    for name in ["x", "t", "alpha", "sigma"] {
        refused(&file(|t, _| drop(t.remove(name))), &format!("`{name}`"));
    }
    let three = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap();
    refused(
        &file(|t, _| drop(t.insert("sigma".into(), three.clone()))),
        "`sigma` of shape [3]",
    );
    let nan = Tensor::new(&[f32::NAN, 2.0], &Device::Cpu).unwrap();
    refused(
        &file(|t, _| drop(t.insert("t".into(), nan.clone()))),
        "tick 0",
    );
    let double = Tensor::new(&[1f64, 2.0], &Device::Cpu).unwrap();
    refused(
        &file(|t, _| drop(t.insert("t".into(), double.clone()))),
        "F64",
    );
    let empty = Tensor::zeros((0, 1, 4, 3, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    refused(
        &file(|t, _| drop(t.insert("x".into(), empty.clone()))),
        "empty",
    );
    let odd = Tensor::zeros((2, 1, 4, 3, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    refused(
        &file(|t, _| drop(t.insert("uncond".into(), odd.clone()))),
        "`uncond`",
    );
}

#[test]
fn a_missing_label_lists_those_that_are_there() {
    let mut recording = parse(&file(|_, _| ()), "r").unwrap();
    let mut plan = cfg(2.0, 2);
    plan.head.model.latent = [4, 3, 3];
    let error = eval(&plan, &mut recording, &Bindings::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::LabelMissing);
    assert!(error.message.contains("`uncond`"));
    assert!(error.help.unwrap().contains("`cond`"));
}

/// A run, its recording and the evaluation of the recording say the same.
#[test]
fn what_was_recorded_can_be_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let plan = adaptive(7.5, 0.3, 4);
    let mut fake = Fake::new(4, &LATENT, 3);
    let states: Vec<Tensor> = (0..4).map(|i| fake.x(i)).collect();
    let mut recorder = Recorder::new(&mut fake, &plan.timetable.ticks, 3);
    let mut executor =
        Executor::new(&plan, 3, &LATENT, &Device::Cpu, &Bindings::default()).unwrap();
    let (mut guided, mut counts) = (Vec::new(), Vec::new());
    for (i, x) in states.iter().enumerate() {
        if i == 3 {
            assert!(recorder.write(&path).is_err(), "the run is not over");
            assert!(!path.exists());
        }
        recorder.state(i, x).unwrap();
        let tick = executor.tick(i, x, &mut recorder).unwrap();
        guided.extend(
            tick.denoise
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap(),
        );
        counts.extend(tick.evaluated.counts.iter().map(|count| i64::from(*count)));
    }
    recorder.write(&path).unwrap();
    let mut recording = read(&path).unwrap();
    let output = eval(&plan, &mut recording, &Bindings::default()).unwrap();
    assert_eq!(output.guided, guided);
    assert_eq!(output.evaluations, counts);
    assert_eq!(
        (output.renoise.as_ref(), output.hold.as_slice()),
        (None, [0; 12].as_slice())
    );

    let out = folder.path().join("out.safetensors");
    write(&output, recording.space(), &out).unwrap();
    let back = candle_core::safetensors::load(&out, &Device::Cpu).unwrap();
    assert_eq!(back["guided"].dims(), [4, 3, 4, 12, 10]);
    assert_eq!(
        back["evaluations"]
            .flatten_all()
            .unwrap()
            .to_vec1::<i64>()
            .unwrap(),
        counts
    );
    assert_eq!(back["hold"].dims(), [4, 3]);
    let nowhere = folder.path().join("missing/out.safetensors");
    assert_eq!(
        write(&output, recording.space(), &nowhere)
            .unwrap_err()
            .kind,
        ErrorKind::OutputUnwritable
    );
    assert_eq!(read(&nowhere).unwrap_err().kind, ErrorKind::Unreadable);
}

proptest! {
    /// The twin of the fuzz target: whatever the bytes, they are read or refused.
    #[test]
    fn recording_is_checked(
        at in any::<prop::sample::Index>(),
        length in 0..9_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..9),
        in_header in any::<bool>(),
    ) {
        let mut file = file(|_, _| ());
        let header = 8 + u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
        let start = at.index(if in_header { header } else { file.len() });
        let end = (start + length).min(file.len());
        file.splice(start..end, bytes);
        if let Ok(mut recording) = parse(&file, "r") {
            // What is read can be evaluated, or is refused.
            let mut plan = cfg(2.0, recording.steps());
            plan.head.model.latent = recording.facts().latent;
            let _ = eval(&plan, &mut recording, &Bindings::default());
        }
    }
}
