//! `guidec plan`

use crate::sandbox::{CFG, Sandbox};

#[test]
fn text() {
    let ended = Sandbox::new()
        .with("a.guide", CFG)
        .run(&["plan", "a.guide", "--steps", "4"])
        .with(0);
    assert_eq!(ended.stderr, "");
    insta::assert_snapshot!(ended.stdout);
}

#[test]
fn the_same_bytes_each_time_and_from_the_library() {
    let sandbox = Sandbox::new();
    let once = sandbox.run(&["plan", "std::rules::apg"]).with(0).stdout;
    assert_eq!(
        sandbox.run(&["plan", "std::rules::apg"]).with(0).stdout,
        once
    );
    assert!(once.contains("stdlib/rules/apg.guide"));
}

#[test]
fn json_is_read_back_as_it_was() {
    let text = Sandbox::new()
        .run(&["plan", "std::rules::seg", "--format", "json"])
        .with(0)
        .stdout;
    let plan: guide_compiler::plan::Plan = serde_json::from_str(&text).expect("a plan");
    assert_eq!(plan.format, "guide-plan/1");
    assert_eq!(guide_compiler::show::json(&plan), text);
}

#[test]
fn drawings_are_drawings() {
    let sandbox = Sandbox::new();
    let drawn = |format| {
        let ended = sandbox.run(&["plan", "std::rules::cfg", "--format", format]);
        ended.with(0).stdout
    };
    assert!(drawn("dot").starts_with("digraph"));
    let svg = drawn("svg");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
}

#[test]
fn a_scale_of_one_costs_one_evaluation_a_step() {
    let sandbox = Sandbox::new();
    let plan = sandbox
        .run(&["plan", "std::rules::cfg", "--set", "scale=1"])
        .with(0)
        .stdout;
    assert!(plan.contains("20 evaluations, exact"), "{plan}");
}

#[test]
fn an_empty_negative_prompt_makes_uncond_and_null_one() {
    let text = "guide a() {\n    let u = predict(uncond)\n    let n = predict(null)\n    predict(cond) + 2 * (u - n)\n}\n";
    let sandbox = Sandbox::new().with("a.guide", text);
    let plan = |args: &[&str]| {
        let all: Vec<&str> = ["plan", "a.guide", "--steps", "2"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        sandbox.run(&all).with(0).stdout
    };
    assert!(plan(&[]).contains("6 evaluations"));
    assert!(plan(&["--negative", ""]).contains("2 evaluations"));
}

#[test]
fn words_of_a_choice_need_no_quotes() {
    let sandbox = Sandbox::new();
    for value in ["shape=cosine", "shape=\"cosine\""] {
        sandbox
            .run(&["plan", "std::rules::cfg_scheduled", "--set", value])
            .with(0);
    }
    let ended = sandbox.run(&["plan", "std::rules::cfg_scheduled", "--set", "shape=cosin"]);
    ended.with(1).says(&["G0605", "cosine"]);
}

#[test]
fn what_stands_after_a_pass() {
    let sandbox = Sandbox::new();
    for (pass, _) in guide_compiler::schedule::PASSES {
        let ended = sandbox.run(&["plan", "std::rules::cfg", "--after", pass]);
        assert!(!ended.with(0).stdout.is_empty(), "{pass}");
    }
    let ended = sandbox.run(&["plan", "std::rules::cfg", "--after", "nonsense"]);
    ended.with(2).says(&["possible values"]);
}
