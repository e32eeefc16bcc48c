//! `guidec run --resume` and `--shard`: what is there is kept, and the bytes are those of one run.

use std::fs;

use crate::sandbox::{CFG, Sandbox, ended};

const FOLDER: &str = "cfg-fox-seeds5-8";

fn run<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = [
        "run", "a.guide", "--prompt", "fox", "--seed", "5", "--batch", "4", "--every", "2",
    ];
    let out = ["--out", out];
    let steps: &[&str] = match more.contains(&"--steps") {
        true => &[],
        false => &["--steps", "3"],
    };
    [&all[..], steps, &out, more].concat()
}

/// A folder with what a run writes into `whole`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    sandbox.run(&run("whole", &[])).with(0);
    sandbox
}

/// Fails the test unless two folders hold the same.
#[track_caller]
fn same(sandbox: &Sandbox, out: &str) {
    let (whole, other) = (format!("whole/{FOLDER}"), format!("{out}/{FOLDER}"));
    let names = sandbox.names(&whole);
    assert_eq!(names.len(), 9, "{names:?}");
    assert_eq!(sandbox.names(&other), names);
    for name in names {
        let read = |folder: &str| fs::read(sandbox.path(&format!("{folder}/{name}")));
        let [one, two] = [&whole, &other].map(|folder| read(folder).expect("a file"));
        assert!(one == two, "{name} is another");
    }
}

#[test]
fn what_is_there_and_whole_is_kept() {
    let sandbox = sandbox();
    sandbox.run(&run("p", &["--resume"])).with(0);
    same(&sandbox, "p");
    let path = |name: &str| sandbox.path(&format!("p/{FOLDER}/{name}"));
    fs::remove_file(path("seed6.png")).expect("it was there");
    fs::remove_file(path("contact.png")).expect("it was there");
    let cut = fs::read(path("seed8.png")).expect("a picture");
    fs::write(path("seed8.png"), &cut[..cut.len() / 2]).expect("a half");
    let time = |name: &str| {
        let about = fs::metadata(path(name)).and_then(|about| about.modified());
        about.expect("a time")
    };
    let before = time("seed5.png");
    let args = run("p", &["--resume", "--format", "json"]);
    let ended = sandbox.run(&args).with(0);
    let about: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(about["seeds"], serde_json::json!([6, 8]));
    assert_eq!(about["evaluations"], serde_json::json!([6, 6]));
    ended.says(&["2 of 4 pictures are there"]);
    assert_eq!(
        time("seed5.png"),
        before,
        "a whole picture is not made again"
    );
    same(&sandbox, "p");
    // With nothing left to do nothing is asked.
    let ended = sandbox.run(&run("p", &["--resume"])).with(0);
    ended.says(&["4 of 4 pictures are there", "0 evaluations"]);
}

#[test]
fn pictures_of_something_else_are_refused() {
    let sandbox = sandbox();
    let refused = |more: &[&'static str], text: &str| {
        let more = [&["--resume"], more].concat();
        sandbox.run(&run("whole", &more)).with(2).says(&[text]);
    };
    refused(
        &["--steps", "4"],
        "of something else (its `steps` is 3, not 4)",
    );
    refused(&["--set", "scale=2"], "its `settings` is");
    refused(&["--spacing", "trailing"], "it was made by another plan");
    refused(&["--target", "fox"], "its `target` is nothing, not");
    refused(&["--record", "r.safetensors"], "cannot be used with");
    let ended = sandbox.run(&run("whole", &["--shard", "0/2"])).with(2);
    ended.says(&["seed5.png is there already; --resume keeps it"]);
    same(&sandbox, "whole");
}

#[test]
fn parts_make_the_whole() {
    let sandbox = sandbox();
    sandbox.run(&run("p", &["--shard", "1/3"])).with(0);
    assert_eq!(
        sandbox.names(&format!("p/{FOLDER}")),
        ["seed6-step2.png", "seed6.png"]
    );
    // The other two by the variables of array jobs.
    let slurm = [
        ("SLURM_ARRAY_TASK_ID", "1"),
        ("SLURM_ARRAY_TASK_COUNT", "3"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
    ];
    let kubernetes = [("JOB_COMPLETION_INDEX", "2"), ("JOB_COMPLETIONS", "3")];
    for variables in [&slurm[..], &kubernetes] {
        let mut command = sandbox.command(&run("p", &[]));
        command.envs(variables.iter().copied());
        ended(command, "").with(0);
    }
    same(&sandbox, "p");
    sandbox
        .run(&run("p", &["--shard", "3/3"]))
        .with(2)
        .says(&["there is no part 3 of 3"]);
    // A task that draws one picture of its own is no part of anything.
    let one = [
        "run", "a.guide", "--prompt", "fox", "--steps", "1", "--seed", "2",
    ];
    let mut command = sandbox.command(&one);
    command.envs(slurm);
    ended(command, "").with(0).says(&["cfg-fox-seed2.png"]);
}

#[test]
fn samples_that_see_one_another_stay_together() {
    let text = "guide a() {\n    predict(cond, with: push_apart(batch, strength: 0.9, threshold: 0.65))\n}\n";
    let sandbox = Sandbox::new().with("a.guide", text);
    let args = |out: &'static str, more: &[&'static str]| {
        let all = [
            "run", "a.guide", "--prompt", "fox", "--steps", "2", "--batch", "3",
        ];
        [&all[..], &["--out", out], more].concat()
    };
    let ended = sandbox.run(&args("p", &["--shard", "0/2"])).with(2);
    ended.says(&["see one another", "leave out --shard"]);
    sandbox.run(&args("whole", &[])).with(0);
    sandbox.run(&args("p", &["--resume"])).with(0);
    let file = sandbox.path("p/a-fox-seeds0-2/seed1.png");
    fs::remove_file(&file).expect("it was there");
    sandbox.run(&args("p", &["--resume"])).with(0);
    let whole = fs::read(sandbox.path("whole/a-fox-seeds0-2/seed1.png")).expect("a picture");
    assert!(whole == fs::read(&file).expect("a picture"));
}
