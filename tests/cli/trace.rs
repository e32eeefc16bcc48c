//! `guidec trace`: what a run has written, as a table, as charts, and for programs.
#![allow(clippy::print_stdout, reason = "a test says why it tried nothing")]

use serde_json::Value;

use crate::sandbox::Sandbox;

const HEAD: &str = r#"{"format":"guide-trace/1","guide":"cfg","model":"pocket","sampler":"ddim","settings":{"scale":"4"},"steps":3}"#;

const FIRST: &str = r#"{"tick":0,"step":0,"substep":0,"t":951,"sigma":0.9,"samples":[0,2],"evaluated":{"cond":[0,1],"uncond":[0,1]},"held":0,"norm":[8,6],"norms":{"cond":[5,7],"uncond":[4,4]},"update":[1,1],"apart":[1,3],"cosine":[0.5,0.7],"scale":[4,4],"seconds":{"network":0.25,"rule":0.0001,"solver":0.0002}}"#;

const SECOND: &str = r#"{"tick":1,"step":1,"substep":0,"t":600,"sigma":0.5,"samples":[0,2],"evaluated":{"cond":[0,1],"uncond":[1]},"held":0,"norm":[4,4],"norms":{"cond":[6,6],"uncond":[2]},"update":[3,1],"apart":[null,2],"cosine":[null,0.9],"scale":[null,4],"seconds":{"network":0.5,"rule":0.0001,"solver":0.0002}}"#;

const THIRD: &str = r#"{"tick":2,"step":2,"substep":0,"t":100,"sigma":0.1,"samples":[0,2],"evaluated":{"cond":[0,1]},"held":0,"norm":[3,1],"norms":{"cond":[3,1]},"update":[5,1],"seconds":{"network":0.125,"rule":0.0001,"solver":0.0002}}"#;

const TOTAL: &str =
    r#"{"total":{"evaluations":9,"seconds":{"arithmetic":0.0009,"network":0.875}}}"#;

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn whole() -> String {
    text(&[HEAD, FIRST, SECOND, THIRD, TOTAL])
}

#[test]
fn a_table_has_a_curve_and_the_ends_of_each_quantity() {
    let sandbox = Sandbox::new().with("t.jsonl", whole());
    let ended = sandbox.run(&["trace", "t.jsonl"]).with(0);
    assert_eq!(ended.stderr, "");
    let wanted = "\
cfg on pocket, ddim, 3 steps, 2 samples; 9 evaluations, 875 ms in networks, 900 µs in arithmetic
scale=4

                           steps 0 to 2     least      most      last
scale in force             ▄▄                   4         4         4
cosine of cond and uncond  ▁█                 0.5       0.9       0.9
length of guided           █▄▁                  1         8         2
length of cond             ██▁                  1         7         2
length of uncond           █▁                   2         4         2
length of cond - uncond    ▄▄                   1         3         2
length of the update       ▁▅█                  1         5         3
asked cond                 ▄▄▄                  1         1         1
asked uncond               █▅▁                  0         1         0
time of networks           ▃█▁             125 ms    500 ms    125 ms
time of the rule           ▄▄▄             100 µs    100 µs    100 µs
time of the solver         ▄▄▄             200 µs    200 µs    200 µs
";
    assert_eq!(ended.stdout, wanted);
    let piped = sandbox.run_with_input(&["trace", "-"], &whole()).with(0);
    assert_eq!(piped.stdout, wanted);
}

fn points<'a>(all: &'a Value, name: &str) -> &'a Value {
    let quantities = all["quantities"].as_array().expect("quantities");
    let found = quantities.iter().find(|quantity| quantity["name"] == name);
    &found.expect("the quantity")["points"]
}

#[test]
fn programs_get_a_point_for_each_step() {
    let sandbox = Sandbox::new().with("t.jsonl", whole());
    let read = |more: &[&str]| -> Value {
        let args = [&["trace", "t.jsonl", "--format", "json"], more].concat();
        serde_json::from_str(&sandbox.run(&args).with(0).stdout).expect("JSON")
    };
    let all = read(&[]);
    assert_eq!(all["settings"]["scale"], "4");
    assert_eq!(all["ticks"].as_array().map(Vec::len), Some(3));
    let norm = serde_json::json!([
        {"mean": 7.0, "least": 6.0, "most": 8.0},
        {"mean": 4.0, "least": 4.0, "most": 4.0},
        {"mean": 2.0, "least": 1.0, "most": 3.0},
    ]);
    assert_eq!(*points(&all, "norm"), norm);
    assert_eq!(points(&all, "evaluated/uncond")[1]["mean"], 0.5);
    assert_eq!(points(&all, "scale")[2], Value::Null);
    // The second sample alone asked for it in the second step.
    let second = read(&["--sample", "1"]);
    assert_eq!(points(&second, "norms/uncond")[1]["mean"], 2.0);
    assert_eq!(
        points(&read(&["--sample", "0"]), "norms/uncond")[1],
        Value::Null
    );
    sandbox
        .run(&["trace", "t.jsonl", "--sample", "2"])
        .with(2)
        .says(&["there is no sample 2; the trace has 0 to 1"]);
}

/// A large batch runs in parts, and a tick then has a line for each.
#[test]
fn parts_of_a_batch_are_one_tick() {
    let part = |line: &str, first: usize| {
        let asked = format!("[{first}]");
        let samples = format!("[{first},{}]", first + 1);
        let line = line.replace("[0,1]", &asked).replace("[0,2]", &samples);
        let halves = [
            ("[8,6]", "[8]", "[6]"),
            ("[5,7]", "[5]", "[7]"),
            ("[4,4]", "[4]", "[4]"),
        ];
        let more = [
            ("[1,1]", "[1]", "[1]"),
            ("[1,3]", "[1]", "[3]"),
            ("[0.5,0.7]", "[0.5]", "[0.7]"),
        ];
        halves
            .iter()
            .chain(&more)
            .fold(line, |line, (both, left, right)| {
                line.replace(both, if first == 0 { left } else { right })
            })
    };
    let total = TOTAL.replace("0.875", "0.5");
    let parted = text(&[HEAD, &part(FIRST, 0), &part(FIRST, 1), &total]);
    let joined = text(&[HEAD, FIRST, &total]).replace("0.25", "0.5");
    let joined = joined
        .replace("0.0002", "0.0004")
        .replace("0.0001", "0.0002");
    let sandbox = Sandbox::new()
        .with("a.jsonl", parted)
        .with("b.jsonl", joined);
    let table = |file| sandbox.run(&["trace", file]).with(0).stdout;
    assert_eq!(table("a.jsonl"), table("b.jsonl"));
}

#[test]
fn charts_are_one_file_that_asks_for_nothing() {
    let evil = whole()
        .replace("\"cfg\"", "\"<script>&\\u001b[31m\"")
        .replace("\"uncond\"", "\"a<b>&\\u0007\"");
    let sandbox = Sandbox::new()
        .with("t.jsonl", whole())
        .with("evil.jsonl", evil);
    let args = ["trace", "t.jsonl", "--out", "new/t.svg"];
    let ended = sandbox.run(&args).with(0).says(&["t.svg"]);
    assert_eq!(ended.stdout, "");
    let drawn = sandbox.read("new/t.svg");
    for text in [
        "prefers-color-scheme:dark",
        ">cfg on pocket, ddim, 3 steps, 2 samples</text>",
        ">cosine of cond and uncond</text>",
        "<title>length of cond, step 2: 2</title>",
        "<title>time of networks, step 1: 500 ms</title>",
        "<title>asked uncond, step 1: 0.5</title>",
    ] {
        assert!(drawn.contains(text), "{text} is missing in {drawn}");
    }
    assert!(
        !drawn
            .replace("http://www.w3.org/2000/svg", "")
            .contains("http")
    );
    assert_eq!(drawn.matches("class=\"name\"").count(), 8);
    sandbox.run(&args).with(0);
    assert_eq!(sandbox.read("new/t.svg"), drawn, "the same bytes again");
    sandbox
        .run(&["trace", "evil.jsonl", "--out", "evil.svg"])
        .with(0);
    let drawn = sandbox.read("evil.svg");
    assert!(drawn.contains("&lt;script&gt;&amp;") && !drawn.contains("<script"));
    assert!(drawn.contains("a&lt;b&gt;&amp;"), "{drawn}");
    let table = sandbox.run(&["trace", "evil.jsonl"]).with(0).stdout;
    for text in [drawn, table] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    }
}

#[test]
fn what_is_no_whole_trace_is_refused() {
    let cut = &whole()[..whole().len() - 40];
    let middle = text(&[HEAD, &FIRST[..200]]);
    let other = whole().replace("guide-trace/1", "guide-trace/2");
    let unfit = whole().replace("\"norm\":[4,4]", "\"norm\":[4]");
    let outside = whole().replace("\"uncond\":[1]", "\"uncond\":[7]");
    let typed = whole().replace("\"norm\":[4,4]", "\"norm\":\"long\"");
    let twice = format!("{0}{0}", whole());
    let unfinished = text(&[HEAD, FIRST, SECOND, THIRD]);
    let empty_run = text(&[HEAD, TOTAL]);
    let cases = [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("guide cfg() { predict(cond) }\n", "is no trace"),
        ("[1, 2]\n", "is no trace"),
        ("{\"format\":\"guide-trace/1\"}\n", "the first line"),
        (cut, "ends in the middle of a line"),
        (&middle, "ends in the middle of a line"),
        (&other, "says `guide-trace/2`"),
        (&unfit, "lists that do not fit its samples"),
        (&outside, "lists that do not fit its samples"),
        (&typed, "is none of a trace"),
        (&twice, "goes on after the line with `total`"),
        (&unfinished, "no line has `total`"),
        (&empty_run, "has no step"),
    ];
    for (text, said) in cases {
        let sandbox = Sandbox::new().with("t.jsonl", text);
        for more in [&[][..], &["--out", "t.svg"]] {
            let args = [&["trace", "t.jsonl"], more].concat();
            sandbox
                .refused(&args, 1, "G0810")
                .says(&["`t.jsonl`", said]);
        }
    }
    let sandbox = Sandbox::new().with("t.jsonl", b"\xff\xfe");
    sandbox
        .refused(&["trace", "t.jsonl"], 1, "G0810")
        .says(&["not UTF-8"]);
    sandbox.refused(&["trace", "nowhere"], 3, "G0214");
    sandbox.refused(&["trace", "."], 3, "G0214");
    let sandbox = Sandbox::new().with("t.jsonl", whole()).with("file", "");
    sandbox.refused(&["trace", "t.jsonl", "--out", "file/t.svg"], 3, "G0803");
    sandbox.refused(&["trace", "t.jsonl", "--out", "."], 3, "G0803");
}

/// Colour is for people who watch, and not for those who said no.
#[test]
#[cfg(target_os = "linux")]
fn colours_are_for_terminals() {
    let works = std::process::Command::new("script")
        .args(["-qec", "true", "/dev/null"])
        .output();
    if !works.is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no `script` to make a terminal");
        return;
    }
    let sandbox = Sandbox::new()
        .with("t.jsonl", whole())
        .with("wrong.guide", "guide g() { predict( }\n");
    let shown = |line: &str, no_colour: Option<&str>| {
        let guidec = sandbox.command(&[]);
        let program = guidec.get_program().to_string_lossy().into_owned();
        let mut command = std::process::Command::new("script");
        command
            .args(["-qec", &format!("'{program}' {line}"), "/dev/null"])
            .current_dir(sandbox.path("."))
            .env("TERM", "xterm-256color")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("NO_COLOR")
            .stdin(std::process::Stdio::null());
        command.envs(no_colour.map(|value| ("NO_COLOR", value)));
        let output = command.output().expect("a terminal");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for line in ["trace t.jsonl", "--help", "check wrong.guide", "explan"] {
        let coloured = |said: &str| said.contains("\u{1b}[") && said.contains('m');
        let (with, without) = (shown(line, None), shown(line, Some("1")));
        assert!(coloured(&with), "{line}: {with}");
        assert!(!without.contains("\u{1b}["), "{line}: {without}");
        let args: Vec<&str> = line.split(' ').collect();
        let piped = sandbox.run(&args);
        assert!(!format!("{}{}", piped.stdout, piped.stderr).contains('\u{1b}'));
    }
}

#[test]
#[cfg(feature = "run")]
fn a_run_is_drawn() {
    let sandbox = Sandbox::new();
    let run = [
        "run",
        "std::rules::cfg_pag",
        "--prompt",
        "fox",
        "--batch",
        "2",
    ];
    let more = ["--steps", "3", "--sampler", "heun", "--trace", "t.jsonl"];
    sandbox.run(&[run, more].concat()).with(0);
    let json = sandbox
        .run(&["trace", "t.jsonl", "--format", "json"])
        .with(0);
    let all: Value = serde_json::from_str(&json.stdout).expect("JSON");
    let quantities = all["quantities"].as_array().expect("quantities");
    let asked = quantities.iter().filter(|quantity| {
        let name = quantity["name"].as_str().unwrap_or_default();
        name.starts_with("evaluated/")
    });
    let means = asked.flat_map(|quantity| quantity["points"].as_array().expect("points"));
    let of_a_sample: f64 = means
        .map(|point| point["mean"].as_f64().expect("a mean"))
        .sum();
    assert_eq!(Some(2.0 * of_a_sample), all["evaluations"].as_f64());
    sandbox.run(&["trace", "t.jsonl", "--out", "t.svg"]).with(0);
    let table = sandbox.run(&["trace", "t.jsonl"]).with(0).stdout;
    assert!(table.contains("steps 0 to 2, each evaluation"), "{table}");
}
