//! `guidec test`

use std::fs;

use crate::sandbox::{CFG, Ended, Sandbox};

/// Two guides and what their header says.
const TWO: &str = "\
//! Two rules.
//! test: --set scale=3
//! test large: --guide fast --model sdxl --steps 4

/// With guidance.
guide fast(scale: Scalar = 2) {
    let u = predict(uncond)
    u + scale * (predict(cond) - u)
}

/// Without.
guide two(scale: Scalar = 2) {
    let c = predict(cond)
    c + (scale - scale) * c
}
";

fn accepted(sandbox: Sandbox) -> Sandbox {
    sandbox.run(&["test", "--update"]).with(0);
    sandbox
}

/// One way to leave the sandbox's own text out of what was said.
fn said(ended: &Ended) -> &str {
    assert_eq!(ended.stdout, "", "people read stderr");
    &ended.stderr
}

#[test]
fn a_new_snapshot_is_written_only_when_asked() {
    let sandbox = Sandbox::new()
        .with("cfg.guide", CFG)
        .with("more/two.guide", TWO);
    let first = sandbox.run(&["test"]).with(1);
    insta::assert_snapshot!(said(&first));
    assert_eq!(sandbox.names("."), ["cfg.guide", "more"]);
    sandbox
        .run(&["test", "--update"])
        .with(0)
        .says(&["4 written"]);
    assert_eq!(
        sandbox.names("more"),
        [
            "two.fast.large.plan",
            "two.fast.plan",
            "two.guide",
            "two.plan"
        ]
    );
    sandbox
        .run(&["test"])
        .with(0)
        .says(&["tested 2 files: 4 same"]);
    let large = sandbox.read("more/two.fast.large.plan");
    assert!(
        large.starts_with("plan fast (two.guide) for sdxl, ddim, 4 steps\n  scale = 2\n"),
        "{large}"
    );
    let plain = sandbox.read("more/two.fast.plan");
    assert!(plain.contains("8 steps\n  scale = 3\n"), "{plain}");
}

/// The same bytes as `guidec plan` prints in the file's own folder.
#[test]
fn a_snapshot_is_what_plan_prints() {
    let sandbox = accepted(Sandbox::new().with("cfg.guide", CFG));
    let plan = sandbox.run(&["plan", "cfg.guide", "--steps", "8"]).with(0);
    assert_eq!(sandbox.read("cfg.plan"), plan.stdout);
}

#[test]
fn the_working_directory_does_not_matter() {
    let bound = "//! test: --bind scales=scales.csv\n\ninput scales: Table\n\n\
                 guide g() {\n    let u = predict(uncond)\n    u + scales[step] * (predict(cond) - u)\n}\n";
    let sandbox = Sandbox::new()
        .with("in/a/g.guide", bound)
        .with("in/a/scales.csv", "1\n2\n3\n4\n5\n6\n7\n8\n");
    sandbox.run(&["test", "--update"]).with(0);
    let mut there = sandbox.command(&["test"]);
    there.current_dir(sandbox.path("in/a"));
    crate::sandbox::ended(there, "").with(0).says(&["1 same"]);
    let whole = sandbox.path("in");
    sandbox.run(&["test", &whole.to_string_lossy()]).with(0);
    // A shorter table is another file, and is read.
    let sandbox = sandbox.with("in/a/scales.csv", "1\n2\n");
    sandbox.run(&["test"]).with(1);
}

#[test]
fn a_difference_is_shown_with_its_cost_first() {
    let sandbox = accepted(Sandbox::new().with("cfg.guide", CFG));
    let cheaper = CFG.replace(
        "    u + scale * (c - u)",
        "    if progress in 0.0..0.5 { u + scale * (c - u) } else { c }",
    );
    let sandbox = sandbox.with("cfg.guide", cheaper);
    let before = sandbox.read("cfg.plan");
    let ended = sandbox.run(&["test", "--quiet"]).with(1);
    insta::assert_snapshot!(said(&ended));
    assert_eq!(sandbox.read("cfg.plan"), before);
    sandbox
        .run(&["test", "--update"])
        .with(0)
        .says(&["rewritten", "16 → 12 evaluations"]);
    let quiet = sandbox.run(&["test", "--quiet"]).with(0);
    assert_eq!(said(&quiet), "");
}

#[test]
fn line_ends_are_no_difference() {
    let sandbox = accepted(Sandbox::new().with("cfg.guide", CFG));
    let dos = sandbox.read("cfg.plan").replace('\n', "\r\n");
    sandbox.with("cfg.plan", dos).run(&["test"]).with(0);
}

#[test]
fn a_broken_file_stops_no_other() {
    let sandbox = Sandbox::new()
        .with("a.guide", "guide a() { predict(cnd) }\n")
        .with("b.guide", CFG)
        .with("c.guide", b"\xff\xfe")
        .with(".hidden/d.guide", "guide d( {\n")
        .with("target/e.guide", "guide e( {\n");
    let ended = sandbox.run(&["test", "--update"]).with(1);
    let ended = ended.says(&["G0201", "G0105", "b.plan", "1 written, 2 errors"]);
    assert!(!ended.stderr.contains("G0102"), "{}", ended.stderr);
    assert!(sandbox.path("b.plan").is_file());
    sandbox
        .run(&["test", "gone.guide", "b.guide"])
        .with(3)
        .says(&["G0214", "gone.guide", "1 same"]);
}

#[test]
fn stale_snapshots_are_named_and_kept() {
    let sandbox = accepted(Sandbox::new().with("two.guide", TWO).with("cfg.guide", CFG));
    let plan = sandbox.read("cfg.plan");
    let sandbox = sandbox
        .with(
            "two.guide",
            TWO.replace("guide fast", "guide quick")
                .replace("--guide fast ", ""),
        )
        .with("notes.plan", "ours is to meet\n")
        .with("far.plan", plan.replace("(cfg.guide)", "(rules/cfg.guide)"));
    fs::remove_file(sandbox.path("cfg.guide")).expect("it was there");
    let ended = sandbox.run(&["test", "--update"]).with(1);
    let stale: Vec<&str> = ended
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("stale"))
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();
    assert_eq!(stale, ["cfg.plan", "two.fast.large.plan", "two.fast.plan"]);
    assert!(sandbox.path("two.fast.plan").is_file());
    // What a broken file should have is not known, and neither is what a file has that is not tested.
    let sandbox = sandbox.with("two.guide", "guide two( {\n");
    let ended = sandbox.run(&["test", "two.guide"]).with(1);
    assert!(!ended.stderr.contains("stale"), "{}", ended.stderr);
}

#[test]
fn two_plans_with_one_snapshot_are_refused() {
    let two = "//! test: --steps 4\n//! test fast: --steps 2\n\n\
               guide two() { predict(cond) }\n\nguide fast() { predict(cond) }\n";
    let sandbox = Sandbox::new().with("two.guide", two);
    let ended = sandbox.run(&["test", "--update"]).with(1);
    ended.says(&[
        "G0714",
        "two.fast.plan",
        "`two` of two.guide for `test fast`",
    ]);
    assert!(sandbox.read("two.fast.plan").contains("plan two "));
}

#[test]
fn lines_that_cannot_be_used_are_shown() {
    let refused = |line: &str, code: &str, texts: &[&str]| {
        let text = format!("//! A sentence: test it, test this and test: that.\n{line}\n\n{CFG}");
        let sandbox = Sandbox::new().with("cfg.guide", text);
        sandbox.refused(&["test"], 1, code).says(texts);
    };
    refused(
        "//! test: --stps 4",
        "G0714",
        &["`--stps`", "write `--steps`", "cfg.guide:2:11"],
    );
    refused("//! test: --steps x", "G0714", &["`x`", "cfg.guide:2:19"]);
    refused(
        "//! test --steps 4",
        "G0714",
        &["write `//! test: --steps 4`"],
    );
    refused("//! test: --set \"a=1", "G0714", &["never closed"]);
    refused("//! test: extra", "G0714", &["`extra`"]);
    refused("//! test: --eta 0.5 --sampler euler", "G0714", &["--eta"]);
    refused(
        "//! test: --set scale=1 --set scale=2",
        "G0714",
        &["set twice"],
    );
    refused("//! test: --guide cfgg", "G0714", &["--guide cfg"]);
    refused("//! recording:", "G0714", &["names no file"]);
    refused(
        "//! test: --steps 4\n//! test: --steps 5",
        "G0714",
        &["no name"],
    );
    refused(
        "//! test: --sampler eulr",
        "G0609",
        &["cfg.guide:2:5", "for this test"],
    );
    refused(
        "//! test: --set scal=1",
        "G0604",
        &["for this test", "scale"],
    );
    refused("//! test: --steps 0", "G0608", &["for this test"]);
}

#[test]
fn a_file_that_is_no_guide_is_bad_usage_and_an_empty_folder_no_success() {
    let sandbox = Sandbox::new().with("a.plan", "");
    sandbox.run(&["test", "a.plan"]).with(2).says(&["'a.plan'"]);
    sandbox
        .refused(&["test"], 1, "G0213")
        .says(&["guidec init"]);
    sandbox.run(&["test", "--jobs", "0"]).with(2);
}

#[test]
fn the_order_is_that_of_the_files_for_any_number_of_jobs() {
    let mut sandbox = Sandbox::new();
    for at in 0..12 {
        let slow = "//! test: --steps 200\n\n".repeat(usize::from(at % 3 == 0));
        sandbox = sandbox.with(&format!("f{at:02}.guide"), slow + CFG);
    }
    let once = sandbox.run(&["test", "--jobs", "1"]).with(1).stderr;
    for jobs in ["2", "7", "100"] {
        assert_eq!(sandbox.run(&["test", "--jobs", jobs]).with(1).stderr, once);
    }
}

#[test]
fn json_and_junit_are_data() {
    let sandbox = accepted(Sandbox::new().with("cfg.guide", CFG));
    let sandbox = sandbox
        .with("cfg.guide", CFG.replace("7.5", "1"))
        .with("new.guide", CFG.replace("cfg", "new"))
        .with("wrong.guide", "guide wrong() { predict(\"<\") }\n");
    let json = sandbox.run(&["test", "--format", "json"]).with(1);
    assert_eq!(json.stderr, "");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(value["format"], "guide-test/1");
    assert_eq!(value["ok"], false);
    let file = &value["files"][0];
    assert_eq!(file["snapshots"][0]["outcome"], "different");
    assert_eq!(file["snapshots"][0]["evaluations"]["before"], "16");
    assert_eq!(file["snapshots"][0]["evaluations"]["now"], "8");
    assert_eq!(value["files"][1]["snapshots"][0]["outcome"], "new");
    assert_eq!(value["files"][2]["diagnostics"][0]["severity"], "error");

    let junit = sandbox.run(&["test", "--format", "junit"]).with(1);
    assert_eq!(junit.stderr, "");
    insta::assert_snapshot!(junit.stdout);
}

/// A rule whose comments hold these lines.
fn documented(lines: &[&str]) -> String {
    let docs: String = lines.iter().map(|line| format!("/// {line}\n")).collect();
    format!("{docs}fn twice(a: Scalar) -> Scalar {{\n    2 * a\n}}\n")
}

#[test]
fn programs_in_comments_are_compiled() {
    let good = documented(&[
        "Doubles.",
        "```guide",
        "use \"twice.guide\"::twice",
        "guide g() { predict(cond) + twice(1) * (predict(cond) - predict(uncond)) }",
        "```",
        "```guide error G0401",
        "guide g() { predict(cond) + predict(uncond) }",
        "```",
        "```guide fragment",
        "let a = twice(b)",
        "```",
        "```text",
        "no } program",
        "```",
    ]);
    let sandbox = Sandbox::new().with("twice.guide", good);
    sandbox
        .run(&["test"])
        .with(0)
        .says(&["tested 1 file: 3 examples"]);

    let refused = |lines: &[&str], code: &str, texts: &[&str]| {
        let sandbox = Sandbox::new().with("twice.guide", documented(lines));
        sandbox.refused(&["test"], 1, code).says(texts);
    };
    let wrong = ["Über.", "```guide", "guide g() { predict(cnd) }", "```"];
    refused(&wrong, "G0201", &["twice.guide:3:25", "write `cond`"]);
    let other = ["```guide error G0401", "guide g() { predict(cnd) }", "```"];
    refused(&other, "G0808", &["should have G0401, and has G0201"]);
    let clean = ["```guide error G0401", "guide g() { predict(cond) }", "```"];
    refused(&clean, "G0808", &["has no error"]);
    refused(
        &["```guide fragment", "let a = ) b", "```"],
        "G0102",
        &["twice.guide:2"],
    );
    refused(
        &["```guide ignore", "let a", "```"],
        "G0808",
        &["`guide fragment`"],
    );
    let outside = ["```guide", "use \"../x.guide\"::x", "```"];
    refused(&outside, "G0204", &["twice.guide:2"]);
}

/// A program in a comment that shows a value.
#[cfg(feature = "run")]
fn showing(body: &[&str]) -> String {
    let lines = body.iter().map(|line| format!("    {line}"));
    let mut all = vec!["```guide".to_owned()];
    all.push("use \"twice.guide\"::twice".to_owned());
    all.push("guide g(scale: Scalar = 3) {".to_owned());
    all.extend(lines);
    all.extend(["    predict(cond)", "}", "```"].map(str::to_owned));
    documented(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The values of the recording that is always there, from its definition.
#[test]
#[cfg(feature = "run")]
fn values_in_comments_are_computed() {
    let elements = || (0..256).map(f64::from);
    let norm = elements().map(|k| k.cos().powi(2)).sum::<f64>().sqrt();
    // x0 = (x - sigma*eps) / alpha in the first tick.
    let x0 = |k: f64| ((2.0 * k).cos() - 0.8 * k.sin()) / 0.6;
    let mean = elements().map(x0).sum::<f64>() / 256.0;
    let shown = [
        "let c = eps(predict(cond))",
        "let size = norm(c)",
        &format!("// => {norm:.4}"),
        &format!("let size = mean(x0(predict(uncond))) // => {mean:.5}"),
        "let a = twice(scale) + 1",
        "",
        "// => 7",
        "// => is only said of numbers",
    ];
    let good = showing(&shown[..7]);
    let sandbox = Sandbox::new().with("twice.guide", good);
    sandbox
        .run(&["test"])
        .with(0)
        .says(&["1 example, 3 values"]);

    let refused = |body: &[&str], code: &str, texts: &[&str]| {
        let sandbox = Sandbox::new().with("twice.guide", showing(body));
        sandbox.refused(&["test"], 1, code).says(texts);
    };
    refused(&shown[7..], "G0808", &["is no number"]);
    refused(
        &["let a = twice(scale)", "// => 7"],
        "G0808",
        &["`a` is 6, not 7", "write `// => 6`"],
    );
    refused(&["// => 7"], "G0808", &["belongs to no `let`"]);
    let tensor = ["let d = predict(cond) - predict(uncond)", "// => 7"];
    refused(&tensor, "G0808", &["the value of `d` cannot be shown"]);
    let label = ["let n = norm(eps(predict(class(3))))", "// => 7"];
    refused(&label, "G0801", &["class(3)", "for this value"]);
}

/// A file's own recording takes the place of the one that is always there.
#[test]
#[cfg(feature = "run")]
fn values_are_those_of_the_recording_that_is_named() {
    let recording = crate::sandbox::project("tests/oracle/rules/recordings/v_eps.safetensors");
    let bytes = fs::read(recording).expect("a recording");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let cond = file.tensor("cond").expect("a prediction");
    let sample: usize = cond.shape()[2..].iter().product();
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let elements = cond.data().chunks(4).take(sample).map(number);
    let norm = elements.map(|e| f64::from(e).powi(2)).sum::<f64>().sqrt();
    let text = showing(&[
        "let n = norm(eps(predict(cond)))",
        &format!("// => {norm:.3}"),
    ]);
    let header = "//! recording: data/r.safetensors\n\n";
    let sandbox = Sandbox::new()
        .with("in/twice.guide", format!("{header}{text}"))
        .with("in/data/r.safetensors", &bytes);
    sandbox.run(&["test"]).with(0).says(&["1 value"]);
    let without = sandbox.with("in/twice.guide", text);
    without.refused(&["test"], 1, "G0808");
    let lost = Sandbox::new().with(
        "twice.guide",
        format!("{header}{}", showing(&["let n = 1", "// => 1"])),
    );
    lost.refused(&["test"], 3, "G0214").says(&["named here"]);
}
