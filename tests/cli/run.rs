//! `guidec run`, with the embedded model and few steps.

use crate::sandbox::{CFG, Sandbox, project};

const SHORT: &[&str] = &["--steps", "2", "--prompt", "strawberry"];

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "a.guide"], SHORT, more].concat()
}

fn sandbox() -> Sandbox {
    Sandbox::new().with("a.guide", CFG)
}

#[test]
fn one_picture_with_what_made_it() {
    let sandbox = sandbox();
    let ended = sandbox.run(&run(&["--set", "scale=4"])).with(0);
    assert_eq!(ended.stdout, "");
    let ended = ended.says(&["4 evaluations", "step 2/2", "cfg-strawberry-seed0.png"]);
    assert!(
        !ended.stderr.contains('\u{1b}'),
        "no colours away from a terminal"
    );
    assert_eq!(sandbox.names("."), ["a.guide", "cfg-strawberry-seed0.png"]);
    let picture = sandbox.path("cfg-strawberry-seed0.png");
    let record = guide_runtime::image::read_record(&picture).expect("a picture");
    let record: serde_json::Value = serde_json::from_str(&record.expect("a record")).expect("JSON");
    assert_eq!(record["guide"], "cfg");
    assert_eq!(record["settings"]["scale"], "4");
    assert_eq!(record["prompt"], "strawberry");
    assert_eq!(record["seed"], 0);
    assert_eq!(record["sampler"], "ddim");
    assert_eq!(record["model"], "pocket");
    assert_eq!(record["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(record["source"].as_str().map(str::len), Some(64));
}

#[test]
fn a_second_run_replaces_nothing() {
    let sandbox = sandbox();
    sandbox.run(&run(&[])).with(0);
    sandbox.run(&run(&[])).with(0);
    let names = [
        "a.guide",
        "cfg-strawberry-seed0-2.png",
        "cfg-strawberry-seed0.png",
    ];
    assert_eq!(sandbox.names("."), names);
    let bytes = |name: &str| std::fs::read(sandbox.path(name)).expect("a picture");
    assert_eq!(
        bytes(names[1]),
        bytes(names[2]),
        "one seed gives one picture"
    );
}

#[test]
fn a_batch_gets_a_folder_and_the_same_bytes() {
    let sandbox = sandbox();
    let ended = sandbox
        .run(&run(&[
            "--batch", "3", "--seed", "5", "--quiet", "--out", "p",
        ]))
        .with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let folder = "p/cfg-strawberry-seeds5-7";
    assert_eq!(sandbox.names("p"), ["cfg-strawberry-seeds5-7"]);
    assert_eq!(
        sandbox.names(folder),
        ["contact.png", "seed5.png", "seed6.png", "seed7.png"]
    );
    sandbox
        .run(&run(&["--seed", "6", "--out", "one.png"]))
        .with(0);
    let bytes = |name: &str| std::fs::read(sandbox.path(name)).expect("a picture");
    assert_eq!(bytes("one.png"), bytes(&format!("{folder}/seed6.png")));
}

#[test]
fn json_for_programs() {
    let ended = sandbox()
        .run(&run(&["--format", "json", "--batch", "2"]))
        .with(0);
    let about: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(about["seeds"], serde_json::json!([0, 1]));
    assert_eq!(about["evaluations"], serde_json::json!([4, 4]));
    assert_eq!(about["files"].as_array().map(Vec::len), Some(3));
    assert!(
        about["seconds"]["network"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
}

#[test]
fn a_saved_plan_gives_the_same_picture() {
    let sandbox = sandbox();
    let plan = sandbox.run(&[
        "plan",
        "a.guide",
        "--steps",
        "2",
        "--negative",
        "",
        "--format",
        "json",
    ]);
    let sandbox = sandbox.with("plan.json", plan.with(0).stdout);
    sandbox.run(&run(&["--out", "a.png"])).with(0);
    let args = [
        "run",
        "plan.json",
        "--prompt",
        "strawberry",
        "--out",
        "b.png",
    ];
    sandbox.run(&args).with(0);
    let bytes = |name: &str| std::fs::read(sandbox.path(name)).expect("a picture");
    assert_eq!(bytes("a.png"), bytes("b.png"));
    sandbox
        .run(&["run", "plan.json", "--steps", "3"])
        .with(2)
        .says(&["--steps"]);
    for text in [
        "",
        "{\"format\": \"guide-plan/1\"}",
        "{\"format\": \"other/1\"}",
    ] {
        let broken = Sandbox::new().with("plan.json", text);
        broken
            .refused(&["run", "plan.json"], 1, "G0807")
            .says(&["plan.json"]);
    }
}

/// A plan may come from anywhere; no room is made for what it claims.
#[test]
fn a_saved_plan_of_an_impossible_size_is_refused() {
    let sandbox = sandbox();
    let args = ["plan", "a.guide", "--negative", "", "--format", "json"];
    let plan = sandbox.run(&args).with(0).stdout;
    for (was, is, said) in [
        (
            "\"count\": 1000",
            "\"count\": 4000000000",
            "4000000000 training",
        ),
        ("\"steps\": 20", "\"steps\": 2000", "2000 steps"),
    ] {
        assert!(plan.contains(was), "{plan}");
        let changed = Sandbox::new().with("plan.json", plan.replacen(was, is, 1));
        let ended = changed.run(&["run", "plan.json", "--prompt", "strawberry"]);
        ended.with(1).says(&["G0807", said]);
    }
}

#[test]
fn a_recording_evaluates_to_the_same_rule() {
    let sandbox = sandbox();
    sandbox.run(&run(&["--record", "r.safetensors"])).with(0);
    let args = [
        "eval",
        "a.guide",
        "--recording",
        "r.safetensors",
        "--out",
        "o.safetensors",
    ];
    sandbox.run(&args).with(0);
}

/// Looking changes nothing, and what is looked at is what a run with the last steps left out would see.
#[test]
fn pictures_on_the_way() {
    let sandbox = sandbox();
    let long = ["--steps", "12", "--out"];
    let args = |more: &[&'static str]| [&["run", "a.guide", "--prompt", "fox"], more].concat();
    sandbox
        .run(&args(&[&long[..], &["plain.png"]].concat()))
        .with(0);
    let every = ["with.png", "--every", "4", "--trace", "t.jsonl"];
    let ended = sandbox.run(&args(&[&long[..], &every].concat())).with(0);
    ended.says(&["wrote with-step04.png", "wrote with-step08.png"]);
    let bytes = |name: &str| std::fs::read(sandbox.path(name)).expect("a picture");
    assert_eq!(bytes("plain.png"), bytes("with.png"));
    let names = [
        "a.guide",
        "plain.png",
        "t.jsonl",
        "with-step04.png",
        "with-step08.png",
        "with.png",
    ];
    assert_eq!(sandbox.names("."), names);
    // They come nearer to the end.
    let pixels = |name: &str| image::open(sandbox.path(name)).expect("one").to_rgb8();
    let last = pixels("with.png");
    let off = |name: &str| -> u64 {
        let pairs = pixels(name);
        let pairs = pairs.iter().zip(last.iter());
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
    };
    assert!(off("with-step04.png") > off("with-step08.png") && off("with-step08.png") > 0);
    let record = guide_runtime::image::read_record(&sandbox.path("with-step08.png"));
    let record = record.expect("a picture").expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!((&record["step"], &record["seed"]), (&8.into(), &0.into()));

    // A sampler that evaluates twice a step, and a batch.
    let more = ["--sampler", "heun", "--batch", "2", "--every", "1"];
    sandbox
        .run(&run(&[&more[..], &["--out", "p"]].concat()))
        .with(0);
    let names = [
        "contact.png",
        "seed0-step1.png",
        "seed0.png",
        "seed1-step1.png",
        "seed1.png",
    ];
    assert_eq!(sandbox.names("p/cfg-strawberry-seeds0-1"), names);
    sandbox.run(&run(&["--every", "0"])).with(2);
}

#[test]
fn latents_that_were_saved_can_be_started_from() {
    let sandbox = sandbox();
    sandbox
        .run(&run(&["--save-latents", "l.safetensors"]))
        .with(0);
    sandbox
        .run(&run(&["--init-latents", "l.safetensors", "--out", "b.png"]))
        .with(0);
    assert!(sandbox.names(".").contains(&"b.png".to_owned()));
}

#[test]
fn what_is_not_bound_is_named() {
    let text = "input style: Prompt\ninput region: Mask\nguide a() {\n    let u = predict(uncond)\n    u + region * (predict(style) - u)\n}\n";
    let sandbox = Sandbox::new().with("a.guide", text);
    let ended = sandbox.refused(&run(&["--bind", "style=lemon"]), 1, "G0707");
    ended.says(&["`region`", "--bind region="]);
    let mask = project("examples/right_half.png");
    let bind = format!("region={mask}");
    let ended = sandbox.refused(&run(&["--bind", &bind]), 1, "G0707");
    ended.says(&["`style`", "--bind style="]);
    let ended = sandbox.refused(&run(&["--bind", "stile=lemon"]), 1, "G0708");
    ended.says(&["`stile`", "`style`"]);
    sandbox
        .run(&run(&["--bind", "style=lemon", "--bind", &bind]))
        .with(0);
}

/// What is bound replaces a default, and a default is what it says: the picture is that of the same
/// thing bound.
#[test]
fn a_default_stands_for_what_is_not_bound() {
    let text = "input style: Prompt = \"lemon\"\ninput region: Mask = 0.5\ninput pace: Table = [[1, 2]]\nguide a() {\n    let u = predict(uncond)\n    u + pace[0][1] * region * (predict(style) - u)\n}\n";
    let sandbox = Sandbox::new().with("a.guide", text);
    let lines = sandbox.run(&["plan", "a.guide"]).with(0).stdout;
    for line in [
        "input style: Prompt = \"lemon\"",
        "input region: Mask = 0.5",
        "input pace: Table = [[1.0, 2.0]]",
    ] {
        assert!(lines.contains(line), "{lines}");
    }
    let picture = |name: &str, more: &[&str]| {
        let mut args = vec!["--out", name];
        args.extend(more);
        sandbox.run(&run(&args)).with(0);
        image::open(sandbox.path(name))
            .expect("a picture")
            .to_rgb8()
    };
    let by_default = picture("a.png", &[]);
    let bound = picture("b.png", &["--bind", "style=lemon"]);
    let other = picture("c.png", &["--bind", "style=strawberry"]);
    assert_eq!(by_default, bound);
    assert_ne!(by_default, other);
}

#[test]
fn an_output_that_cannot_be_written_is_found_first() {
    let sandbox = sandbox().with("file", "");
    let ended = sandbox
        .run(&run(&["--out", "file/inside"]))
        .with(3)
        .says(&["G0803", "file/inside"]);
    assert!(!ended.stderr.contains("step 1"), "before sampling starts");
    sandbox
        .run(&run(&["--out", "one.png", "--batch", "2"]))
        .with(2);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_output_is_found_first() {
    let sandbox = sandbox();
    let binary = env!("CARGO_BIN_EXE_guidec");
    // A file that may not grow stands for a disk without room.
    let line = format!("trap '' XFSZ; ulimit -f 8; exec {binary} run a.guide --steps 2");
    let output = std::process::Command::new("bash")
        .args(["-c", &line])
        .current_dir(sandbox.path("."))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("G0803") && !said.contains("step 1"), "{said}");
    assert_eq!(sandbox.names("."), ["a.guide"], "nothing is left");
}

#[test]
#[cfg(unix)]
fn an_interruption_leaves_nothing() {
    use std::io::Read;
    use std::process::Stdio;
    let sandbox = sandbox();
    let mut command = sandbox.command(&["run", "a.guide", "--steps", "1000", "--prompt", "owl"]);
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("a signal").success());
    let code = child.wait().expect("the binary ends").code();
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("stderr")
        .read_to_string(&mut said)
        .expect("text");
    assert_eq!(code, Some(130), "{said}");
    assert_eq!(sandbox.names("."), ["a.guide"]);
}

#[test]
fn models_that_are_not_there() {
    let sandbox = sandbox().with("empty/model_index.json", "{}");
    let refused = |model, exit, code| sandbox.refused(&run(&["--model", model]), exit, code);
    refused("empty", 3, "G0702").says(&["unet"]);
    refused("absent", 3, "G0701").says(&["`absent`"]);
    let lost = ["run", "std::rules::autoguidance", "--bind", "weak=absent"];
    sandbox.refused(&lost, 3, "G0701").says(&["`absent`"]);
}

#[test]
fn odd_requests() {
    let sandbox = sandbox();
    let refused = |more: &[&str], exit, code| sandbox.refused(&run(more), exit, code);
    refused(&["--size", "65x64"], 1, "G0711").says(&["64x64"]);
    refused(&["--device", "cuda"], 3, "G0804");
    refused(&["--set", "scael=3"], 1, "G0604").says(&["`--set scale="]);
    refused(&["--set", "scale=true"], 1, "G0605").says(&["`--set scale="]);
    for steps in ["0", "100000"] {
        let args = ["run", "a.guide", "--steps", steps, "--out", "new"];
        sandbox.refused(&args, 1, "G0608").says(&["from 1 to "]);
    }
    let usage = |more: &[&str]| sandbox.run(&run(more)).with(2);
    usage(&["--size", "big"]);
    usage(&["--device", "toaster"]).says(&["toaster"]);
    usage(&["--batch", "0"]);
    usage(&["--out", "one.png", "--batch", "2"]);
    assert_eq!(sandbox.names("."), ["a.guide"]);
}

#[test]
fn the_embedded_model_is_listed() {
    let list = Sandbox::new().run(&["models"]).with(0).stdout;
    assert!(
        list.contains("pocket") && list.contains("inside the program"),
        "{list}"
    );
}

#[test]
fn a_long_prompt_and_weights_in_it() {
    let sandbox = Sandbox::new();
    let long = vec!["red apple"; 60].join(", ");
    let run = |prompt: &str, more: &[&str]| {
        let args = [
            "run",
            "std::rules::cfg",
            "--steps",
            "1",
            "--prompt",
            prompt,
            "--out",
        ];
        let out = format!("{}.png", more.len() + prompt.len());
        let args = [&args[..], &[&out], more].concat();
        sandbox.run(&args).with(0);
        std::fs::read(sandbox.path(&out)).expect("a picture")
    };
    run(&long, &[]);
    let literal = run("a (red:1.6) apple", &[]);
    let weighted = run("a (red:1.6) apple", &["--prompt-weights"]);
    assert_ne!(literal, weighted);
    let deep = "(".repeat(10_000) + "apple";
    let args = [
        "run",
        "std::rules::cfg",
        "--prompt",
        &deep,
        "--prompt-weights",
    ];
    let ended = sandbox.refused(&args, 1, "G0708");
    ended.says(&["the weight of `apple` in the prompt is not a finite number"]);
}

#[test]
fn a_trace_says_what_each_step_asked_and_took() {
    let sandbox = Sandbox::new();
    let args = [
        &[
            "run",
            "std::rules::adaptive",
            "--prompt",
            "fox",
            "--steps",
            "4",
            "--batch",
            "2",
        ][..],
        &["--set", "threshold=-1", "--trace", "deep/t.jsonl"],
    ];
    sandbox.run(&args.concat()).with(0).says(&["t.jsonl"]);
    let text = sandbox.read("deep/t.jsonl");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 1 + 4 + 1);
    assert_eq!(lines[0]["format"], "guide-trace/1");
    assert_eq!(lines[0]["settings"]["threshold"], "-1");
    // The first step decides that no other needs the null prediction.
    assert_eq!(
        lines[1]["evaluated"],
        serde_json::json!({"cond": [0, 1], "uncond": [0, 1]})
    );
    assert_eq!(lines[2]["evaluated"], serde_json::json!({"cond": [0, 1]}));
    // Plain guidance in the first step: its scale is the one in force.
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    assert!((number(&lines[1]["scale"][1]) - 7.5).abs() < 1e-3);
    assert!(number(&lines[1]["cosine"][0]) <= 1.0 + 1e-9);
    assert!(lines[2].get("scale").is_none() && number(&lines[2]["update"][0]) > 0.0);
    assert_eq!(
        lines[1]["norms"]["uncond"].as_array().map(Vec::len),
        Some(2)
    );
    let evaluations: usize = lines[1..5]
        .iter()
        .flat_map(|line| line["evaluated"].as_object().expect("labels").values())
        .map(|samples| samples.as_array().expect("samples").len())
        .sum();
    assert_eq!(lines[5]["total"]["evaluations"], evaluations);
    let seconds = |part: &str| -> f64 {
        let of = |line: &serde_json::Value| line["seconds"][part].as_f64().expect("a number");
        lines[1..5].iter().map(of).sum()
    };
    let whole = lines[5]["total"]["seconds"]["network"]
        .as_f64()
        .expect("a number");
    assert!(seconds("network") > 0.0 && (seconds("network") - whole).abs() < 1e-3);
    assert!(seconds("rule") > 0.0 && seconds("solver") >= 0.0);
    let sigmas: Vec<f64> = lines[1..5]
        .iter()
        .map(|l| l["sigma"].as_f64().expect("a number"))
        .collect();
    assert!(
        sigmas.windows(2).all(|pair| pair[0] > pair[1]),
        "{sigmas:?}"
    );
    assert_eq!(lines[1]["norm"].as_array().map(Vec::len), Some(2));
}
