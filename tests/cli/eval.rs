//! `guidec eval`

use crate::sandbox::{CFG, Sandbox, project};

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

#[test]
fn a_label_that_is_not_recorded_is_named_with_those_that_are() {
    let text = "guide a() { predict(cond, with: skip_layers(mid)) }\n";
    let sandbox = Sandbox::new().with("a.guide", text);
    let args = [
        "eval",
        "a.guide",
        "--recording",
        &recording(),
        "--out",
        "o.safetensors",
    ];
    let ended = sandbox.run(&args).with(1);
    ended.says(&[
        "G0801",
        "`cond~skip_layers(mid)`",
        "`uncond`",
        "`weak/cond`",
    ]);
    assert_eq!(
        sandbox.names("."),
        ["a.guide"],
        "no results of a failed run"
    );
}

#[test]
fn a_recording_that_is_none() {
    let sandbox = Sandbox::new()
        .with("a.guide", CFG)
        .with("r.safetensors", "nothing");
    let args = [
        "eval",
        "a.guide",
        "--recording",
        "r.safetensors",
        "--out",
        "o.safetensors",
    ];
    sandbox.run(&args).with(1).says(&["G0806", "r.safetensors"]);
    let args = [
        "eval",
        "a.guide",
        "--recording",
        "absent",
        "--out",
        "o.safetensors",
    ];
    sandbox.run(&args).with(3).says(&["G0214", "absent"]);
}
