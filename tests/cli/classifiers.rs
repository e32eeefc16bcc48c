//! Rules that ask a classifier: what is aimed at, what is recorded, and what cannot be.

use safetensors::SafeTensors;

use crate::sandbox::{Ended, Sandbox, project};

const DOWN: &str = "std::rules::universal";
const FREE: &str = "std::rules::gradient_free";
const ALONG: &str = "std::rules::classifier_guidance";

/// A short run of a rule with the embedded model.
fn args<'a>(rule: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", rule, "--steps", "3", "--quiet"], more].concat()
}

#[track_caller]
fn refused(rule: &str, more: &[&str], code: &str) -> Ended {
    Sandbox::new().refused(&args(rule, more), 1, code)
}

#[test]
fn the_class_is_the_one_that_is_asked_for_or_that_the_prompt_names() {
    let sandbox = Sandbox::new();
    let picture = |name: &str, more: &[&str]| {
        let out = ["--out", name];
        sandbox.run(&args(FREE, &[more, &out].concat())).with(0);
        let pictures = guide_runtime::image::read_picture(&sandbox.path(name), 64, 64);
        let all = pictures.and_then(|p| Ok(p.flatten_all()?.to_vec1::<f32>()?));
        all.expect("a picture")
    };
    let styled = picture("a.png", &["--prompt", "red apple, flat"]);
    let named = ["--prompt", "red apple, flat", "--target", "Red Apple"];
    assert!(styled == picture("b.png", &named));
    let other = ["--prompt", "red apple, flat", "--target", "pizza"];
    assert!(styled != picture("c.png", &other));
    // `alien` is class 0.
    let number = ["--prompt", "red apple, flat", "--target", "0"];
    let name = ["--prompt", "red apple, flat", "--target", "alien"];
    assert!(picture("d.png", &number) == picture("e.png", &name));
}

#[test]
fn a_class_that_is_not_there() {
    refused(FREE, &["--prompt", "a thing"], "G0707").says(&["aims at a class", "--target"]);
    let ended = refused(FREE, &["--target", "red aple"], "G0708");
    ended.says(&["no class `red aple`", "`red apple`"]);
    let ended = refused(FREE, &["--target", "455"], "G0708");
    ended.says(&["class 455", "455 classes", "0 to 454"]);
    let text = "classifier judge(sees: noisy)\nguide g() {\n    let p = predict(cond)\n    p + classify(judge, x)[455] * (p - predict(null))\n}\n";
    let sandbox = Sandbox::new().with("g.guide", text);
    let ended = sandbox.refused(&args("g.guide", &["--prompt", "fox"]), 1, "G0708");
    ended.says(&["class 455", "0 to 454"]);
}

#[test]
fn a_model_without_classifiers_wants_one_bound() {
    let tiny = project("tests/oracle/models/tiny-sd15");
    let own = ["--model", &tiny, "--target", "3"];
    refused(FREE, &own, "G0707").says(&["classifier", "`judge`", "--bind judge=DIR"]);
    let noisy = project("runtime/models/pocket/judge/noisy");
    let bound = format!("judge={noisy}");
    let wrong = ["--model", &tiny, "--target", "3", "--bind", &bound];
    refused(FREE, &wrong, "G0708").says(&[
        "is shown pictures",
        "trained to see noisy",
        "(sees: noisy)",
    ]);
    refused(ALONG, &["--size", "128x128", "--prompt", "fox"], "G0708").says(&[
        "latents of 4x16x16",
        "4x32x32",
        "--size",
    ]);
    let missing = ["--prompt", "fox", "--bind", "judge=nowhere"];
    let sandbox = Sandbox::new();
    sandbox.refused(&args(FREE, &missing), 3, "G0702");
    // One that sees pictures is shown them in its own size, whatever the model's.
    let clean = format!("judge={}", project("runtime/models/pocket/judge/clean"));
    let right = ["--model", &tiny, "--target", "3", "--bind", &clean];
    Sandbox::new().run(&args(FREE, &right)).with(0);
}

#[test]
fn a_list_with_fewer_prompts_than_classes() {
    let text = "classifier judge(sees: noisy)\ninput prompts: Prompt[]\nguide g() {\n    let rival = argmax(classify(judge, x))\n    predict(prompts[rival])\n}\n";
    let sandbox = Sandbox::new().with("g.guide", text);
    let bound = ["--bind", "prompts=a", "--bind", "prompts=b"];
    let ended = sandbox.refused(&args("g.guide", &bound), 1, "G0708");
    ended.says(&["`prompts[rival]`", "455 classes", "2 prompts"]);
}

#[test]
fn losses_that_are_none() {
    let refused = |bound: &str, exit: i32, code: &str| {
        let sandbox = Sandbox::new();
        let options = ["--prompt", "fox", "--bind", bound];
        sandbox.refused(&args(DOWN, &options), exit, code)
    };
    refused("close=color:orange", 1, "G0708").says(&["`orange` is no colour", "color:#ff8000"]);
    refused("close=nothing:x", 1, "G0708").says(&["`nothing:x` is no loss"]);
    refused("close=mask:nowhere.png", 3, "G0214").says(&["nowhere.png"]);
    let sandbox = Sandbox::new();
    let ended = sandbox.refused(&args(DOWN, &["--prompt", "fox"]), 1, "G0707");
    ended.says(&["no loss is bound as `close`", "--bind close=color:#ff8000"]);
    let text = "loss close\nguide g() {\n    let c = x0(predict(cond))\n    c + value(close, c) * (c - c)\n}\n";
    let sandbox = Sandbox::new().with("g.guide", text);
    let ended = sandbox.refused(&args("g.guide", &["--prompt", "fox"]), 1, "G0301");
    ended.says(&["`close` is shown pictures", "decode(c)"]);
}

/// The mean colour of a picture comes nearer, and the bytes hang neither on the batch nor on the threads.
#[test]
fn a_loss_moves_the_picture() {
    let sandbox = Sandbox::new();
    let blue = ["--prompt", "red apple", "--bind", "close=color:#0000ff"];
    let run = |name: &str, rule: &str, more: &[&str]| {
        let steps = ["--steps", "3", "--quiet", "--seed", "3", "--out", name];
        sandbox
            .run(&[&["run", rule], &steps[..], more].concat())
            .with(0);
    };
    run("down.png", DOWN, &blue);
    run(
        "plain.png",
        "std::rules::cfg",
        &["--set", "scale=1", "--prompt", "red apple"],
    );
    let mean = |name: &str| {
        let picture = guide_runtime::image::read_picture(&sandbox.path(name), 64, 64);
        let mean = picture.and_then(|p| Ok(p.mean((2, 3))?.flatten_all()?.to_vec1::<f32>()?));
        mean.expect("a picture")
    };
    let (down, plain) = (mean("down.png"), mean("plain.png"));
    assert!(
        down[0] < plain[0] - 0.05 && down[2] > plain[2] + 0.02,
        "{down:?}, {plain:?}"
    );
    run("two", DOWN, &[&blue[..], &["--batch", "2"]].concat());
    let pixels = |name: &str| {
        let picture = guide_runtime::image::read_picture(&sandbox.path(name), 64, 64);
        let all = picture.and_then(|p| Ok(p.flatten_all()?.to_vec1::<f32>()?));
        all.expect("a picture")
    };
    let first = "two/universal-red-apple-seeds3-4/seed3.png";
    assert!(pixels(first) == pixels("down.png"));
}

/// What is recorded is all that the rule needs, and gives the same again.
#[test]
fn a_recording_holds_what_a_classifier_said() {
    for (rule, kind) in [(FREE, "logits/judge(image)"), (ALONG, "grad/judge(x)")] {
        let sandbox = Sandbox::new();
        let more = [
            "--prompt",
            "fox",
            "--record",
            "r.safetensors",
            "--trace",
            "t.jsonl",
        ];
        sandbox.run(&args(rule, &more)).with(0);
        assert!(sandbox.read("t.jsonl").contains("\"judged\""));
        let bytes = std::fs::read(sandbox.path("r.safetensors")).expect("a recording");
        let file = SafeTensors::deserialize(&bytes).expect("a file");
        assert!(file.names().contains(&kind), "{kind}");
        let eval = [
            "eval",
            rule,
            "--recording",
            "r.safetensors",
            "--out",
            "o.safetensors",
        ];
        sandbox.run(&eval).with(0);
        let bytes = std::fs::read(sandbox.path("o.safetensors")).expect("results");
        let file = SafeTensors::deserialize(&bytes).expect("a file");
        let classified = file.tensor("classified").expect("a count").data().to_vec();
        let each = if rule == FREE { 1i64 } else { 2 };
        assert_eq!(classified, [each; 3].map(i64::to_le_bytes).concat());
    }
}

/// A plan knows the classes; saved, it runs without its source.
#[test]
fn a_saved_plan_asks_the_same() {
    let sandbox = Sandbox::new();
    let plan = [
        "plan",
        FREE,
        "--steps",
        "3",
        "--negative",
        "",
        "--format",
        "json",
    ];
    let text = sandbox.run(&plan).with(0).stdout;
    assert!(text.contains("\"classes\": 455"), "{text}");
    let sandbox = sandbox.with("plan.json", text);
    let run = [
        "run",
        "plan.json",
        "--prompt",
        "fox",
        "--quiet",
        "--out",
        "a.png",
    ];
    sandbox.run(&run).with(0);
    let own = ["--prompt", "fox", "--out", "b.png"];
    sandbox.run(&args(FREE, &own)).with(0);
    let pixels = |name: &str| {
        let picture = guide_runtime::image::read_picture(&sandbox.path(name), 64, 64);
        let all = picture.and_then(|p| Ok(p.flatten_all()?.to_vec1::<f32>()?));
        all.expect("a picture")
    };
    assert!(pixels("a.png") == pixels("b.png"));
}
