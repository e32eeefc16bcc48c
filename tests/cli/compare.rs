//! `guidec compare`, `guidec sweep` and `guidec merge`: pictures, numbers and the report.
#![allow(clippy::print_stdout, reason = "a test says why it tried nothing")]

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, project};

const RULES: [&str; 2] = ["std::rules::cfg,scale=3", "std::rules::adaptive"];
const ASKED: [&str; 6] = ["--prompt", "fox", "--steps", "3", "--batch", "3"];

fn compare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["compare"], &RULES[..], &ASKED, more].concat()
}

fn json(sandbox: &Sandbox, file: &str) -> Value {
    serde_json::from_str(&sandbox.read(file)).expect("JSON")
}

/// The data inside of a report.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("const data = ").expect("data");
    let mut values = serde_json::Deserializer::from_str(rest).into_iter();
    values.next().expect("a value").expect("JSON")
}

#[test]
fn two_rules_side_by_side() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&compare(&["--out", "two"])).with(0);
    ended.says(&[
        "cfg scale=3",
        "adaptive",
        "diversity",
        "report.html",
        "evaluations were another rule's",
    ]);
    let results = json(&sandbox, "two/results.json");
    assert_eq!(results["format"], "guide-comparison/1");
    let variants = results["variants"].as_array().expect("rules");
    assert_eq!(variants[0]["label"], "cfg scale=3");
    assert_eq!(variants[0]["planned"], serde_json::json!([6, 6]));
    for folder in ["cfg-scale-3", "adaptive"] {
        for seed in 0..3 {
            assert!(
                sandbox
                    .path(&format!("two/pictures/{folder}/seed{seed}.png"))
                    .is_file()
            );
        }
    }
    let curve = variants[0]["pictures"]["1"]["curve"]
        .as_array()
        .expect("steps");
    assert_eq!(curve.len(), 3);
    for point in curve {
        assert!((point["scale"].as_f64().expect("a scale") - 3.0).abs() < 1e-3);
        assert!((0.0..=1.0).contains(&point["saturation"].as_f64().expect("a share")));
    }
    assert!(
        variants[0]["pictures"]["0"]["right"].is_boolean(),
        "a fox is one of its classes"
    );

    let page = sandbox.read("two/report.html");
    for outside in ["http://", "https://", "src=\"/", "@import", "url("] {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(outside), "the report asks for {outside}");
    }
    let data = data(&page);
    assert_eq!(data["variants"][1]["label"], "adaptive");
    let source = data["variants"][1]["pictures"]["2"]["source"]
        .as_str()
        .expect("a picture");
    assert!(source.starts_with("data:image/png;base64,iVBOR"));
    assert_eq!(
        data["variants"][0]["measured"]["distance"], 0.0,
        "it is its own reference"
    );
    assert!(data["variants"][1]["measured"]["distance"].as_f64() > Some(0.0));
}

/// What several rules ask is asked once, and no byte is another.
#[test]
fn a_picture_is_that_of_a_run_alone() {
    let sandbox = Sandbox::new();
    sandbox.run(&compare(&["--out", "two"])).with(0);
    let alone = [
        "run",
        "std::rules::adaptive",
        "--out",
        "alone.png",
        "--seed",
        "1",
    ];
    sandbox.run(&[&alone[..], &ASKED[..4]].concat()).with(0);
    let pixels = |file: &str| {
        image::open(sandbox.path(file))
            .expect("a picture")
            .to_rgb8()
    };
    assert_eq!(
        pixels("alone.png"),
        pixels("two/pictures/adaptive/seed1.png")
    );
}

#[test]
fn shards_join_to_the_same_bytes() {
    let sandbox = Sandbox::new();
    sandbox.run(&compare(&["--out", "whole"])).with(0);
    for (shard, out) in [("0/2", "a"), ("1/2", "b")] {
        sandbox
            .run(&compare(&["--shard", shard, "--out", out]))
            .with(0);
    }
    sandbox.run(&["merge", "b", "a", "--out", "joined"]).with(0);
    for file in [
        "results.json",
        "report.html",
        "contact.png",
        "pictures/adaptive/seed2.png",
    ] {
        let read =
            |folder: &str| fs::read(sandbox.path(&format!("{folder}/{file}"))).expect("a file");
        assert!(read("whole") == read("joined"), "{file}");
    }
    let other = [
        "compare",
        "std::rules::cfg",
        "--prompt",
        "fox",
        "--steps",
        "3",
        "--batch",
        "1",
    ];
    sandbox.run(&[&other[..], &["--out", "c"]].concat()).with(0);
    let refused = sandbox.run(&["merge", "a", "c", "--out", "d"]).with(2);
    refused.says(&["c is of another comparison than a"]);
    assert!(!sandbox.path("d/results.json").exists());
    sandbox.refused(&["merge", "nowhere", "--out", "d"], 3, "G0214");
}

#[test]
fn what_is_there_is_kept() {
    let sandbox = Sandbox::new();
    let all = compare(&["--out", "two"]);
    sandbox.run(&all).with(0);
    let before = fs::read(sandbox.path("two/contact.png")).expect("a sheet");
    sandbox
        .run(&all)
        .with(2)
        .says(&["two holds a comparison already; --resume"]);
    // One picture is gone and another is cut off.
    let gone = sandbox.path("two/pictures/adaptive/seed1.png");
    let kept = sandbox.path("two/pictures/adaptive/seed0.png");
    let cut = sandbox.path("two/pictures/cfg-scale-3/seed2.png");
    fs::remove_file(&gone).expect("a file");
    fs::write(&cut, &fs::read(&cut).expect("a file")[..100]).expect("a file");
    let written = |file| {
        fs::metadata(file)
            .and_then(|m| m.modified())
            .expect("a time")
    };
    let time = written(&kept);
    let resumed = [&all[..], &["--resume"]].concat();
    sandbox.run(&resumed).with(0);
    assert_eq!(written(&kept), time, "a whole picture is not made again");
    assert!(gone.is_file());
    assert!(before == fs::read(sandbox.path("two/contact.png")).expect("a sheet"));
    let other = compare(&["--out", "two", "--resume", "--sampler", "euler"]);
    sandbox
        .run(&other)
        .with(2)
        .says(&["two holds a comparison of something else"]);
}

/// What one that was killed leaves: results without the last pictures, a line for each of these, and one that was cut
/// off.
#[test]
fn a_killed_one_goes_on() {
    let sandbox = Sandbox::new();
    let all = compare(&["--out", "two"]);
    sandbox.run(&all).with(0);
    assert_eq!(
        sandbox.names("two"),
        ["contact.png", "pictures", "report.html", "results.json"]
    );
    let whole = sandbox.read("two/results.json");
    let mut results = json(&sandbox, "two/results.json");
    let mut lines = Vec::new();
    for (variant, folder) in [(0, "cfg-scale-3"), (1, "adaptive")] {
        let pictures = results["variants"][variant]["pictures"].take();
        results["variants"][variant]["pictures"] = serde_json::json!({});
        for (seed, made) in pictures.as_object().expect("pictures") {
            let seed: u64 = seed.parse().expect("a seed");
            let line = serde_json::json!({"folder": folder, "seed": seed, "made": made});
            lines.push(format!("{line}\n"));
        }
    }
    let last = lines.pop().expect("a picture");
    let stopped = format!("{}{}", lines.concat(), &last[..last.len() / 2]);
    let leave = |folder: &str| {
        fs::write(
            sandbox.path(&format!("{folder}/results.json")),
            results.to_string(),
        )
        .expect("a file");
        fs::write(
            sandbox.path(&format!("{folder}/unfinished.jsonl")),
            &stopped,
        )
        .expect("a file");
    };
    leave("two");
    let changed = |file: &str| {
        let about = fs::metadata(sandbox.path(&format!("two/pictures/{file}")));
        about.and_then(|about| about.modified()).expect("a time")
    };
    let (kept, lost) = ("adaptive/seed1.png", "adaptive/seed2.png");
    let before = (changed(kept), changed(lost));
    // Parts that were stopped are joined as far as they are.
    sandbox.run(&["merge", "two", "--out", "joined"]).with(0);
    let joined = json(&sandbox, "joined/results.json");
    let count = |variant: usize| {
        let pictures = joined["variants"][variant]["pictures"].as_object();
        pictures.expect("pictures").len()
    };
    assert_eq!((count(0), count(1)), (3, 2));

    sandbox.run(&[&all[..], &["--resume"]].concat()).with(0);
    assert_eq!(changed(kept), before.0, "a line says that it is there");
    assert_ne!(changed(lost), before.1, "half a line says nothing");
    assert_eq!(sandbox.read("two/results.json"), whole);
    assert!(!sandbox.path("two/unfinished.jsonl").exists());
}

/// A command that is stopped between pictures, and goes on to the same bytes.
#[test]
fn an_interrupted_one_goes_on() {
    let sandbox = Sandbox::new();
    let asked = ["--prompt", "fox", "--steps", "3", "--batch", "1", "--out"];
    let rules = ["compare", RULES[0], RULES[1], "std::rules::apg"];
    let args = |out: &'static str| [&rules[..], &asked, &[out]].concat();
    let mut child = sandbox.command(&args("cut")).spawn().expect("it starts");
    let first = sandbox.path("cut/pictures/cfg-scale-3/seed0.png");
    while !first.exists() && child.try_wait().expect("a state").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // It may have ended by now; then nothing is left to be made.
    let _ = child.kill();
    child.wait().expect("it ends");
    sandbox
        .run(&[&args("cut")[..], &["--resume"]].concat())
        .with(0);
    sandbox.run(&args("whole")).with(0);
    assert_eq!(
        sandbox.read("cut/results.json"),
        sandbox.read("whole/results.json")
    );
}

#[test]
fn a_grid_over_two_parameters() {
    let sandbox = Sandbox::new();
    let args = [
        "sweep",
        "std::rules::apg",
        "--param",
        "scale=1:9:3",
        "--param",
        "eta=0,1",
    ];
    let asked = [
        "--prompt", "fox", "--steps", "2", "--batch", "1", "--out", "g", "--format", "json",
    ];
    let ended = sandbox.run(&[&args[..], &asked].concat()).with(0);
    let table: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let rows = table["rows"].as_array().expect("rows");
    let labels: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["label"].as_str())
        .collect();
    let wanted = [
        "scale=1 eta=0",
        "scale=5 eta=0",
        "scale=9 eta=0",
        "scale=1 eta=1",
        "scale=5 eta=1",
        "scale=9 eta=1",
    ];
    assert_eq!(labels, wanted);
    assert_eq!(
        rows[0]["evaluations"], 2.0,
        "a scale of 1 needs no null prediction"
    );
    assert_eq!(rows[1]["evaluations"], 4.0);
    let results = json(&sandbox, "g/results.json");
    assert_eq!(
        results["columns"],
        serde_json::json!(["scale=1", "scale=5", "scale=9"])
    );
    assert_eq!(results["rows"], serde_json::json!(["eta=0", "eta=1"]));
}

#[test]
fn what_cannot_be_compared_is_refused_first() {
    let sandbox = Sandbox::new().with("broken.guide", "guide g() { predict( }\n");
    let refused = |args: &[&str], code: i32, text: &str| {
        sandbox.run(args).with(code).says(&[text]);
        assert!(
            !sandbox.path("compare").exists() && !sandbox.path("sweep").exists(),
            "{args:?}"
        );
    };
    refused(&["compare", "std::rules::cfg", "broken.guide"], 1, "G0");
    refused(&["compare", "std::rules::cfg,skale=3"], 1, "scale");
    refused(&["compare", "std::rules::cfg,3"], 2, "FILE,NAME=VALUE");
    refused(
        &["compare", "std::rules::cfg", "--reference", "apg"],
        2,
        "none of 'cfg'",
    );
    refused(
        &["compare", "std::rules::cfg", "--shard", "2/2"],
        2,
        "there is no part 2 of 2",
    );
    let sweep = |param| ["sweep", "std::rules::cfg", "--param", param];
    refused(&sweep("scale=1:2"), 2, "NAME=FROM:TO:COUNT");
    refused(&sweep("scale"), 2, "NAME=FROM:TO:COUNT");
    refused(&sweep("scale=1,1"), 2, "stands twice");
    refused(&sweep("size=1,2"), 1, "size");
    let twice = [
        "sweep",
        "std::rules::cfg",
        "--param",
        "scale=1,2",
        "--param",
        "scale=3,4",
    ];
    refused(&twice, 2, "the same parameter twice");
}

/// A binding that only some of the rules declare is for those.
#[test]
fn rules_may_declare_different_things() {
    let sandbox = Sandbox::new();
    let file = project("examples/two_prompts.guide");
    let mask = format!("region={}", project("examples/right_half.png"));
    let args = [
        "compare",
        "std::rules::cfg",
        &file,
        "--bind",
        "style=lemon",
        "--bind",
        &mask,
    ];
    let asked = [
        "--prompt", "fox", "--steps", "2", "--batch", "1", "--out", "o",
    ];
    sandbox.run(&[&args[..], &asked].concat()).with(0);
    assert!(sandbox.path("o/pictures/two-prompts/seed0.png").is_file());
}

/// Moves the slider and opens a picture as a reader would; what happened stands in the page's own tree.
const READER: &str = "<script>
const cut = document.getElementById('cut');
cut.value = 20;
cut.dispatchEvent(new Event('input'));
document.querySelector('#grid img').click();
const said = document.documentElement.dataset;
said.cut = document.getElementById('slider').style.getPropertyValue('--cut');
said.open = document.getElementById('large').open;
said.pictures = document.querySelectorAll('#grid img').length;
said.curves = document.querySelectorAll('#curves svg').length;
window.dispatchEvent(new Event('beforeprint'));
said.printed = document.querySelectorAll('#plans details[open]').length;
window.dispatchEvent(new Event('afterprint'));
said.plans = document.querySelectorAll('#plans details[open]').length;
said.errors = window.errors.length;
</script>";

/// In a browser: no error, the slider moves, a picture opens. Without one on this machine there is nothing to try.
#[test]
fn the_report_in_a_browser() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut found = names.iter().filter(|name| {
        let asked = std::process::Command::new(name).arg("--version").output();
        asked.is_ok_and(|output| output.status.success())
    });
    let Some(browser) = found.next() else {
        println!("skipped: none of {names:?} is installed");
        return;
    };
    let sandbox = Sandbox::new();
    sandbox.run(&compare(&["--out", "two"])).with(0);
    let watch = "<head><script>window.errors = []; \
        window.addEventListener('error', (event) => window.errors.push(event.message));</script>";
    let page = sandbox.read("two/report.html").replacen("<head>", watch, 1);
    fs::write(
        sandbox.path("two/read.html"),
        page.replace("</body>", &format!("{READER}</body>")),
    )
    .expect("a page");
    let address = format!("file://{}", sandbox.path("two/read.html").display());
    let options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"];
    let output = std::process::Command::new(browser)
        .args(options)
        .arg(address)
        .output();
    let tree = String::from_utf8(output.expect("a browser").stdout).expect("text");
    let root = tree
        .lines()
        .find(|line| line.contains("<html"))
        .expect("a page");
    for said in [
        "data-cut=\"20%\"",
        "data-open=\"true\"",
        "data-pictures=\"6\"",
        "data-curves=\"6\"",
        "data-printed=\"2\"",
        "data-plans=\"0\"",
        "data-errors=\"0\"",
    ] {
        assert!(root.contains(said), "{said} is not in {root}");
    }
}

/// The texts of a CLIP model go with it to the rules that ask it, and to no other.
#[test]
fn a_classifier_has_its_classes() {
    let sandbox = Sandbox::new();
    let judge = format!("judge={}", sandbox.clip().display());
    let args = [
        "compare",
        "std::rules::cfg",
        "std::rules::gradient_free",
        "--prompt",
        "fox",
        "--steps",
        "2",
        "--batch",
        "1",
        "--target",
        "0",
        "--bind",
        &judge,
        "--bind",
        "judge.classes=a fox",
        "--bind",
        "judge.classes=an owl",
        "--out",
        "versus",
    ];
    sandbox.run(&args).with(0);
    assert!(sandbox.path("versus/report.html").is_file());
}
