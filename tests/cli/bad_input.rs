//! What goes wrong for users, each with one clear diagnostic.

use crate::sandbox::{CFG, Ended, Sandbox};

fn check(text: &str) -> Ended {
    Sandbox::new()
        .with("a.guide", text)
        .run(&["check", "a.guide"])
}

/// Exactly one diagnostic, of that code.
#[track_caller]
fn only(ended: Ended, code: &str) -> Ended {
    let ended = ended.with(1).says(&[code]);
    let codes = ended.stderr.lines().filter(|line| {
        let word = line.trim();
        word.len() == 5 && word.starts_with("G0")
    });
    assert_eq!(codes.count(), 1, "one diagnostic:\n{}", ended.stderr);
    ended
}

#[test]
fn an_unknown_name() {
    let ended = only(check(&CFG.replace("(c - u)", "(cc - u)")), "G0201");
    ended.says(&["`cc`"]);
}

#[test]
fn a_standard_rule_without_use() {
    let ended = only(check("guide a() { apg(scale: 3) }\n"), "G0201");
    ended.says(&["use std::rules::apg"]);
}

#[test]
fn eps_mixed_with_x0() {
    let text = "guide a() {\n    let c = eps(predict(cond))\n    let u = x0(predict(uncond))\n    u + norm(c) * (c - u)\n}\n";
    only(check(text), "G0302").says(&["eps", "x0"]);
}

#[test]
fn a_weight_that_is_not_one() {
    only(check(&CFG.replace("(c - u)", "c")), "G0401").says(&["`1 + scale`"]);
}

#[test]
fn a_cycle_without_prev() {
    let text = "guide a() {\n    let c = predict(cond)\n    let m = c - predict(uncond) + 0.5 * m\n    c + m\n}\n";
    only(check(text), "G0206").says(&["prev"]);
}

#[test]
fn ten_thousand_nested_brackets() {
    let text = format!(
        "guide a() {{ {}1{} }}\n",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    only(check(&text), "G0103");
    let text = format!("guide a() {{ {}1 }}\n", "-".repeat(10_000));
    only(check(&text), "G0103");
    let text = format!("guide a() {{ {}", "[".repeat(10_000));
    check(&text).with(1);
}

#[test]
fn a_file_of_fifty_megabytes() {
    let ended = check(&"// nothing here\n".repeat(3_400_000));
    only(ended, "G0104").says(&["1048576"]);
}

#[test]
fn an_endless_input_is_not_read_to_its_end() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["check", "-"]);
    let zeros = std::fs::File::open("/dev/zero");
    if let Ok(zeros) = zeros {
        let output = command.stdin(zeros).output().expect("the binary ends");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn what_is_not_utf8() {
    let sandbox = Sandbox::new().with("a.guide", b"guide a() { predict(cond) } // \xff\xfe\n");
    only(sandbox.run(&["check", "a.guide"]), "G0105").says(&["byte 31"]);
}

#[test]
fn an_import_outside_the_root() {
    let ended = check("use \"../../etc/passwd\" as p\nguide a() { predict(cond) }\n");
    only(ended, "G0204");
}

#[test]
fn recursion() {
    only(check("fn f(a: Scalar) -> Scalar { f(a) }\n"), "G0207");
    only(
        check("fn f(a: Scalar) -> Scalar { g(a) }\nfn g(a: Scalar) -> Scalar { f(a) }\n"),
        "G0207",
    );
}

#[test]
fn several_independent_errors_in_one_run() {
    let text = "guide a() { predict(cond) + missing }\nguide b( { }\nguide c() { predict(cnod) }\n";
    let ended = check(text)
        .with(1)
        .says(&["`missing`", "`cnod`", "3 errors"]);
    assert_eq!(ended.stdout, "");
}

fn plan(args: &[&str]) -> Ended {
    let all: Vec<&str> = ["plan", "a.guide"].iter().chain(args).copied().collect();
    Sandbox::new().with("a.guide", CFG).run(&all)
}

#[test]
fn a_parameter_that_the_guide_does_not_have() {
    only(plan(&["--set", "scael=3"]), "G0604").says(&["`scael`", "`--set scale="]);
}

#[test]
fn a_parameter_of_the_wrong_kind() {
    only(plan(&["--set", "scale=true"]), "G0605").says(&["`scale`"]);
    only(plan(&["--set", "scale=\"big\""]), "G0605");
    plan(&["--set", "scale=3 +"]).with(1).says(&["scale"]);
    plan(&["--set", "scale="]).with(1).says(&["scale"]);
}

#[test]
fn a_parameter_given_twice() {
    plan(&["--set", "scale=3", "--set", "scale=4"])
        .with(2)
        .says(&["'scale'"]);
}

#[test]
fn steps_out_of_range() {
    only(plan(&["--steps", "0"]), "G0608");
    only(plan(&["--steps", "100000"]), "G0608");
    plan(&["--steps", "many"]).with(2);
    plan(&["--steps", "99999999999999999999999"]).with(2);
}

#[test]
fn unknown_samplers_and_spacings() {
    only(plan(&["--sampler", "eular"]), "G0609").says(&["`euler`"]);
    only(plan(&["--spacing", "leeding"]), "G0609").says(&["`leading`"]);
}

#[test]
fn which_guide() {
    let two = "guide one() { predict(cond) }\nguide two() { predict(cond) }\n";
    let sandbox = Sandbox::new().with("a.guide", two).with("two.guide", two);
    let sandbox = sandbox.with("none.guide", "fn f() -> Scalar { 1 }\n");
    only(sandbox.run(&["plan", "a.guide"]), "G0213").says(&["one", "two"]);
    only(sandbox.run(&["plan", "a.guide", "--guide", "tow"]), "G0213").says(&["`--guide two`"]);
    only(sandbox.run(&["plan", "none.guide"]), "G0213");
    sandbox.run(&["plan", "a.guide", "--guide", "one"]).with(0);
    sandbox.run(&["plan", "two.guide"]).with(0);
}

#[test]
fn a_model_that_is_nowhere() {
    let ended = plan(&["--model", "absent"]).with(3);
    ended.says(&["G0701", "`absent`"]);
}
