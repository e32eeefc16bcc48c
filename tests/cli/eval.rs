//! `guidec eval`

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::sandbox::{CFG, Ended, Sandbox, project};

fn recording() -> String {
    project("tests/oracle/rules/recordings/v_eps.safetensors")
}

#[test]
fn writes_what_the_rule_gives() {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    let args = [
        "eval",
        "a.guide",
        "--recording",
        &recording(),
        "--out",
        "o.safetensors",
    ];
    let ended = sandbox.run(&args).with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let bytes = std::fs::read(sandbox.path("o.safetensors")).expect("the results");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    assert_eq!(
        file.tensor("guided").expect("guided").shape(),
        [8, 3, 4, 8, 8]
    );
    assert_eq!(
        file.tensor("evaluations").expect("evaluations").shape(),
        [8, 3]
    );
    assert_eq!(sandbox.names("."), ["a.guide", "o.safetensors"]);
}

/// Evaluates a guide over a recording in a way that is refused.
#[track_caller]
fn refused(sandbox: &Sandbox, recording: &str, exit: i32, code: &str) -> Ended {
    let args = ["eval", "a.guide", "--recording", recording];
    sandbox.refused(
        &[&args[..], &["--out", "o.safetensors"]].concat(),
        exit,
        code,
    )
}

/// The recording with the bytes of some tensors changed.
fn recording_with(change: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
    let bytes = std::fs::read(recording()).expect("the recording");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("its metadata");
    let file = SafeTensors::deserialize(&bytes).expect("its tensors");
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let mut data = view.data().to_vec();
        change(&name, &mut data);
        tensors.push((name, view.dtype(), view.shape().to_vec(), data));
    }
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data).expect("a tensor");
        (name, view)
    });
    safetensors::serialize(views, header.metadata().clone()).expect("a recording")
}

/// Changes one number of a tensor `[8, 3, 4, 8, 8]`.
fn set(data: &mut [u8], tick: usize, sample: usize, value: f32) {
    let at = ((tick * 3 + sample) * 4 * 8 * 8 + 100) * 4;
    data[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_label_that_is_not_recorded_is_named_with_those_that_are() {
    let text = "guide a() { predict(cond, with: skip_layers(mid)) }\n";
    let sandbox = Sandbox::new().with("a.guide", text);
    let ended = refused(&sandbox, &recording(), 1, "G0801");
    ended.says(&["`cond~skip_layers(mid)`", "`uncond`", "`weak/cond`"]);
}

#[test]
fn what_is_not_finite_is_named_with_tick_sample_and_prediction() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let bytes = recording_with(|name, data| {
            if name == "uncond" {
                set(data, 5, 1, value);
            }
        });
        let sandbox = Sandbox::new()
            .with("a.guide", CFG)
            .with("r.safetensors", &bytes);
        let ended = refused(&sandbox, "r.safetensors", 1, "G0802");
        ended.says(&["tick 5", "sample 1", "`uncond`"]);
    }
}

/// By way of a state: the tick that it was computed in is named too.
#[test]
fn what_is_not_finite_is_found_behind_a_state() {
    let bytes = recording_with(|name, data| {
        if name == "cond" {
            set(data, 2, 0, f32::NAN);
        }
    });
    let text = "guide a() {\n    let c = eps(predict(cond))\n    let d = c - eps(predict(uncond))\n    \
                let s = 0.5 * prev(s, init: 0) + norm(d)\n    \
                eps(predict(uncond)) + (if progress in 0.5..1 { s * d } else { 0 })\n}\n";
    let sandbox = Sandbox::new()
        .with("a.guide", text)
        .with("r.safetensors", &bytes);
    let ended = refused(&sandbox, "r.safetensors", 1, "G0802");
    ended.says(&["`s`", "in tick 2", "sample 0", "`cond`"]);
}

#[test]
fn what_no_rule_reads_may_be_anything() {
    let bytes = recording_with(|name, data| {
        if name == "uncond" {
            set(data, 5, 1, f32::NAN);
        }
    });
    let sandbox = Sandbox::new()
        .with("a.guide", "guide a() { predict(cond) }\n")
        .with("r.safetensors", &bytes);
    let args = ["eval", "a.guide", "--recording", "r.safetensors"];
    sandbox
        .run(&[&args[..], &["--out", "o.safetensors"]].concat())
        .with(0);
}

#[test]
fn a_recording_that_is_none() {
    let whole = std::fs::read(recording()).expect("the recording");
    let parts = [&b"nothing"[..], b"", &whole[..7], &whole[..500]];
    let cut = [&whole[..whole.len() / 2], &whole[..whole.len() - 1]];
    for bytes in parts.into_iter().chain(cut) {
        let sandbox = Sandbox::new()
            .with("a.guide", CFG)
            .with("r.safetensors", bytes);
        refused(&sandbox, "r.safetensors", 1, "G0806").says(&["r.safetensors"]);
    }
    let sandbox = Sandbox::new().with("a.guide", CFG);
    refused(&sandbox, "absent", 3, "G0214").says(&["absent"]);
    refused(&sandbox, ".", 3, "G0214");
    let other = project("tests/oracle/models/rng/rng.safetensors");
    refused(&sandbox, &other, 1, "G0806").says(&["rng.safetensors"]);
}

#[test]
fn settings_are_checked_as_for_a_run() {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    let recording = recording();
    let args = ["eval", "a.guide", "--recording", &recording];
    let set = |setting, code| {
        let more = ["--out", "o.safetensors", "--set", setting];
        sandbox.refused(&[&args[..], &more].concat(), 1, code)
    };
    set("scael=3", "G0604").says(&["`--set scale="]);
    set("scale=true", "G0605").says(&["`--set scale="]);
}
