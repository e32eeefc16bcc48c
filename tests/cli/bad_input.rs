//! Guides and requests that are wrong, each with one clear diagnostic.

use crate::sandbox::{CFG, Ended, Sandbox};

/// Checks a text that has one error, of that code.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, code: &str) -> Ended {
    let sandbox = Sandbox::new().with("a.guide", text);
    sandbox.refused(&["check", "a.guide"], 1, code)
}

/// Plans a good guide in a way that is refused with that code.
#[track_caller]
fn refused_plan(args: &[&str], code: &str) -> Ended {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    sandbox.refused(&[&["plan", "a.guide"], args].concat(), 1, code)
}

fn plan(args: &[&str]) -> Ended {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    sandbox.run(&[&["plan", "a.guide"], args].concat())
}

#[test]
fn an_unknown_name() {
    refused(CFG.replace("(c - u)", "(cc - u)"), "G0201").says(&["`cc`"]);
}

#[test]
fn a_standard_rule_without_use() {
    refused("guide a() { apg(scale: 3) }\n", "G0201").says(&["use std::rules::apg"]);
}

#[test]
fn eps_mixed_with_x0() {
    let text = "guide a() {\n    let c = eps(predict(cond))\n    let u = x0(predict(uncond))\n    u + norm(c) * (c - u)\n}\n";
    refused(text, "G0302").says(&["eps", "x0"]);
}

#[test]
fn a_weight_that_is_not_one() {
    refused(CFG.replace("(c - u)", "c"), "G0401").says(&["`1 + scale`"]);
}

#[test]
fn a_cycle_without_prev() {
    let text = "guide a() {\n    let c = predict(cond)\n    let m = c - predict(uncond) + 0.5 * m\n    c + m\n}\n";
    refused(text, "G0206").says(&["prev"]);
    let text = "guide a() {\n    let m = n\n    let n = 0.5 * m\n    predict(cond) * (m + n)\n}\n";
    refused(text, "G0206").says(&["`n`"]);
}

/// Whatever stands around them, and whatever the command: the limit is found before anything
/// recurses.
#[test]
fn ten_thousand_nested_brackets() {
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(10_000), close.repeat(10_000));
        format!("guide a() {{ {open}1{close} }}\n")
    };
    for (open, close) in [("(", ")"), ("[", "]"), ("-", ""), ("f(", ")"), ("not ", "")] {
        refused(deep(open, close), "G0103");
    }
    refused(deep("if true { ", " } else { 0 }"), "G0103");
    refused(deep("total i in 0..1 { ", " }"), "G0103");
    let text = deep("(", ")");
    let sandbox = Sandbox::new().with("a.guide", &text);
    sandbox.refused(&["plan", "a.guide"], 1, "G0103");
    sandbox.refused(&["fmt", "a.guide"], 1, "G0103");
    assert_eq!(sandbox.read("a.guide"), text);
    let user = "use \"a.guide\"::a\nguide b() { a() }\n";
    let sandbox = sandbox.with("b.guide", user);
    sandbox
        .refused(&["check", "b.guide"], 1, "G0103")
        .says(&["a.guide"]);
    let setting = format!("scale={}1{}", "(".repeat(10_000), ")".repeat(10_000));
    refused_plan(&["--set", &setting], "G0605");
}

#[test]
fn ten_thousand_brackets_that_stay_open() {
    for open in ["(", "[", "{ "] {
        let text = format!("guide a() {{ {}", open.repeat(10_000));
        let ended = Sandbox::new()
            .with("a.guide", text)
            .run(&["check", "a.guide"]);
        assert_eq!(ended.with(1).says(&["G0103"]).stdout, "");
    }
}

#[test]
fn a_file_of_fifty_megabytes() {
    let large = "// nothing here\n".repeat(3_400_000);
    let sandbox = Sandbox::new().with("a.guide", large);
    let ended = sandbox.refused(&["check", "a.guide"], 1, "G0104");
    ended.says(&["1048576"]);
    sandbox.refused(&["plan", "a.guide"], 1, "G0104");
    sandbox.refused(&["fmt", "a.guide"], 1, "G0104");
    let sandbox = sandbox.with("b.guide", "use \"a.guide\"::a\nguide b() { a() }\n");
    let ended = sandbox.refused(&["check", "b.guide"], 1, "G0104");
    ended.says(&["a.guide", "b.guide:1"]);
}

#[test]
fn an_endless_input_is_not_read_to_its_end() {
    let sandbox = Sandbox::new();
    let Ok(zeros) = std::fs::File::open("/dev/zero") else {
        return;
    };
    let mut command = sandbox.command(&["check", "-"]);
    let output = command.stdin(zeros).output().expect("the binary ends");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("G0104"), "{said}");
}

#[test]
fn what_is_not_utf8() {
    let text = b"guide a() { predict(cond) } // \xff\xfe\n";
    refused(text, "G0105").says(&["byte 31"]);
    let sandbox = Sandbox::new()
        .with("a.guide", text)
        .with("b.guide", "use \"a.guide\"::a\nguide b() { a() }\n");
    let ended = sandbox.refused(&["check", "b.guide"], 1, "G0105");
    ended.says(&["byte 31", "a.guide", "b.guide:1"]);
    sandbox.refused(&["fmt", "a.guide"], 1, "G0105");
    // A null byte is text, and no word of the language.
    refused("guide a() { predict(cond) }\0\n", "G0101");
}

#[test]
fn an_import_outside_the_root() {
    for path in ["../../etc/passwd", "/etc/passwd", "x/../../part.guide"] {
        refused(
            format!("use \"{path}\" as p\nguide a() {{ predict(cond) }}\n"),
            "G0204",
        );
    }
}

#[test]
fn recursion() {
    refused("fn f(a: Scalar) -> Scalar { f(a) }\n", "G0207");
    refused(
        "fn f(a: Scalar) -> Scalar { g(a) }\nfn g(a: Scalar) -> Scalar { f(a) }\n",
        "G0207",
    );
    refused("guide a() { a() }\n", "G0207");
}

#[test]
fn several_independent_errors_in_one_run() {
    let text = "guide a() { predict(cond) + missing }\nguide b( { }\nguide c() { predict(cnod) }\n";
    let ended = Sandbox::new()
        .with("a.guide", text)
        .run(&["check", "a.guide"])
        .with(1)
        .says(&["`missing`", "`cnod`", "3 errors"]);
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_parameter_that_the_guide_does_not_have() {
    refused_plan(&["--set", "scael=3"], "G0604").says(&["`scael`", "`--set scale="]);
}

#[test]
fn a_parameter_of_the_wrong_kind() {
    for value in ["true", "\"big\"", "3 +", "", "c", "predict(cond)"] {
        let setting = format!("scale={value}");
        let ended = refused_plan(&["--set", &setting], "G0605");
        ended.says(&["`scale`", "`--set scale="]);
    }
}

#[test]
fn a_parameter_given_twice() {
    let ended = plan(&["--set", "scale=3", "--set", "scale=4"]).with(2);
    assert_eq!(ended.says(&["'scale'"]).stdout, "");
}

#[test]
fn steps_out_of_range() {
    for sampler in [
        "ddim",
        "euler",
        "euler_a",
        "dpmpp_2m",
        "heun",
        "heun_karras",
    ] {
        for steps in ["0", "1001", "100000", "18446744073709551615"] {
            let ended = refused_plan(&["--sampler", sampler, "--steps", steps], "G0608");
            ended.says(&["from 1 to "]);
        }
    }
    for steps in ["many", "-1", "99999999999999999999999"] {
        assert_eq!(plan(&["--steps", steps]).with(2).stdout, "");
    }
}

#[test]
fn unknown_samplers_and_spacings() {
    refused_plan(&["--sampler", "eular"], "G0609").says(&["`euler`"]);
    refused_plan(&["--spacing", "leeding"], "G0609").says(&["`leading`"]);
}

#[test]
fn which_guide() {
    let two = "guide one() { predict(cond) }\nguide two() { predict(cond) }\n";
    let sandbox = Sandbox::new().with("a.guide", two).with("two.guide", two);
    let sandbox = sandbox.with("none.guide", "fn f() -> Scalar { 1 }\n");
    let ended = sandbox.refused(&["plan", "a.guide"], 1, "G0213");
    ended.says(&["one", "two"]);
    let ended = sandbox.refused(&["plan", "a.guide", "--guide", "tow"], 1, "G0213");
    ended.says(&["`--guide two`"]);
    sandbox.refused(&["plan", "none.guide"], 1, "G0213");
    sandbox.run(&["plan", "a.guide", "--guide", "one"]).with(0);
    sandbox.run(&["plan", "two.guide"]).with(0);
}

#[test]
fn a_model_that_is_nowhere() {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    let ended = sandbox.refused(&["plan", "a.guide", "--model", "absent"], 3, "G0701");
    ended.says(&["`absent`"]);
}
