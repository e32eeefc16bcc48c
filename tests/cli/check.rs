//! `guidec check`

use crate::sandbox::{CFG, Sandbox};

const WRONG: &str = "\
guide washed_out(scale: Scalar = 4) {
    let c = predict(cond)
    let u = predict(uncond)
    u + scale * c
}
";

#[test]
fn a_good_file_is_silent_on_stdout() {
    let ended = Sandbox::new()
        .with("a.guide", CFG)
        .run(&["check", "a.guide"])
        .with(0);
    assert_eq!(ended.stdout, "");
    insta::assert_snapshot!(ended.stderr);
}

#[test]
fn a_wrong_file() {
    let ended = Sandbox::new()
        .with("a.guide", WRONG)
        .run(&["check", "a.guide"])
        .with(1);
    assert_eq!(ended.stdout, "");
    insta::assert_snapshot!(ended.stderr);
}

#[test]
fn json_goes_to_stdout() {
    let ended = Sandbox::new()
        .with("a.guide", WRONG)
        .with("b.guide", "guide b() { c }\n")
        .run(&["check", "--format", "json", "a.guide", "b.guide"])
        .with(1);
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).expect("stdout is JSON");
    let codes: Vec<&str> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|d| d["code"].as_str())
        .collect();
    assert_eq!(codes, ["G0401", "G0201"]);
    assert_eq!(list[1]["labels"][0]["file"], "b.guide");
    assert_eq!(list[1]["labels"][0]["start"]["line"], 1);
}

#[test]
fn json_of_a_good_file_is_an_empty_list() {
    let ended = Sandbox::new()
        .with("a.guide", CFG)
        .run(&["check", "--format", "json", "a.guide"]);
    assert_eq!(ended.with(0).stdout.trim(), "[]");
}

#[test]
fn several_files_are_all_checked() {
    let sandbox = Sandbox::new()
        .with("a.guide", WRONG)
        .with("b.guide", CFG)
        .with("c.guide", WRONG);
    let ended = sandbox
        .run(&["check", "a.guide", "absent.guide", "b.guide", "c.guide"])
        .with(3);
    let ended = ended.says(&["a.guide", "absent.guide", "c.guide", "4 files", "3 errors"]);
    assert!(!ended.stderr.contains("b.guide"));
}

#[test]
fn warnings_do_not_fail() {
    let text = "guide a() {\n    let c = predict(cond)\n    c * norm(c) / norm(c)\n}\n";
    let text = text.replace("c * norm(c) / norm(c)", "prediction(c * norm(c))");
    let sandbox = Sandbox::new().with("a.guide", text);
    sandbox
        .run(&["check", "a.guide"])
        .with(0)
        .says(&["G0305", "1 warning"]);
}

#[test]
fn the_standard_input_and_the_standard_library_are_files() {
    let sandbox = Sandbox::new();
    sandbox.run_with_input(&["check", "-"], CFG).with(0);
    sandbox
        .run_with_input(&["check", "-"], WRONG)
        .with(1)
        .says(&["<stdin>", "G0401"]);
    sandbox.run(&["check", "std::rules::apg"]).with(0);
    sandbox
        .run(&["check", "std::rules::agp"])
        .with(1)
        .says(&["std::rules::apg"]);
}

#[test]
fn the_whole_standard_library_is_clean() {
    let names = guide_stdlib::files().iter().map(|(path, _)| {
        format!(
            "std::{}",
            path.trim_end_matches(".guide").replace('/', "::")
        )
    });
    let names: Vec<String> = names.collect();
    let mut args = vec!["check"];
    args.extend(names.iter().map(String::as_str));
    let ended = Sandbox::new().run(&args).with(0);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::Stdio;
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["doc"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the binary ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
}
