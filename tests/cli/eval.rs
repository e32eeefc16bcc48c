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

/// A run of plain guidance over three steps, recorded.
fn recorded() -> Sandbox {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    let run = ["run", "a.guide", "--prompt", "fox", "--steps", "3"];
    let out = ["--out", "a.png", "--record", "r.safetensors"];
    let latents = ["--save-latents", "l.safetensors"];
    sandbox.run(&[&run[..], &out, &latents].concat()).with(0);
    sandbox
}

fn evaluate(sandbox: &Sandbox, more: &[&str]) -> Ended {
    let out = ["--recording", "r.safetensors", "--out", "o.safetensors"];
    sandbox.run(&[&["eval"], more, &out].concat())
}

/// The guided predictions of a recorded run lead from each of its states to the next, and from the last one to its
/// latents.
#[test]
fn a_recorded_run_is_evaluated_as_it_ran() {
    let sandbox = recorded();
    let ended = evaluate(&sandbox, &["a.guide"]).with(0);
    assert_eq!(ended.stderr, "", "it is the rule's own recording");
    let numbers = |file: &str, name: &str| -> Vec<f64> {
        let bytes = std::fs::read(sandbox.path(file)).expect("a file");
        let file = SafeTensors::deserialize(&bytes).expect("its tensors");
        let data = file.tensor(name).expect(name).data().to_vec();
        let (chunks, _) = data.as_chunks::<4>();
        let number = |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes));
        chunks.iter().map(number).collect()
    };
    let recorded = |name: &str| numbers("r.safetensors", name);
    let last = numbers("l.safetensors", "latents");
    let states = [recorded("x"), last.clone()].concat();
    let guided = numbers("o.safetensors", "guided");
    let [alpha, sigma] = [recorded("alpha"), recorded("sigma")];
    let [alpha_next, sigma_next] = [recorded("alpha_next"), recorded("sigma_next")];
    for (place, eps) in guided.iter().enumerate() {
        let tick = place / last.len();
        let clean = (states[place] - sigma[tick] * eps) / alpha[tick];
        let next = alpha_next[tick] * clean + sigma_next[tick] * eps;
        let found = states[place + last.len()];
        // Rounding to f32, of numbers that alpha has made large.
        let rounding = 1e-5 * (1.0 + states[place].abs()) / alpha[tick];
        assert!(
            (next - found).abs() < rounding,
            "tick {tick}, place {place}: {next} is not {found}"
        );
    }
}

#[test]
fn a_recording_of_another_rule_is_told_apart() {
    let sandbox = recorded();
    let ended = evaluate(&sandbox, &["std::rules::apg"]).with(0);
    ended.says(&["G0809", "`r.safetensors` was made by `cfg`, not by `apg`"]);
    // Other parameters of one rule are what recordings are for.
    let ended = evaluate(&sandbox, &["a.guide", "--set", "scale=2"]).with(0);
    assert_eq!(ended.stderr, "");
    let sandbox = sandbox.with("a.guide", "guide cfg() { predict(cond) }\n");
    let ended = evaluate(&sandbox, &["a.guide"]).with(0);
    ended.says(&[
        "G0809",
        "made by another text of `cfg`",
        "nothing reads its `uncond`",
    ]);
    let pag = evaluate(&sandbox, &["std::rules::pag"]).with(1);
    pag.says(&["G0809", "it lacks `cond~identity_attention(mid)`", "G0801"]);
}
