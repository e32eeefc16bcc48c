//! The commands that the examples show, with the embedded model and few steps.

use std::fs;
use std::path::PathBuf;

use safetensors::SafeTensors;

use crate::sandbox::{Sandbox, project};

/// What an example's comment tells to run: the words after `guidec` of each command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let docs: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .collect();
    let joined = docs.join("\n").replace("\\\n", " ");
    let shown = joined
        .lines()
        .filter_map(|line| line.trim().strip_prefix("guidec "));
    shown.map(words).collect()
}

/// Words as a shell parts them, with double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// A word that names one of our files, from anywhere.
fn placed(word: &str) -> String {
    match word.split_once("examples/") {
        Some((before, rest)) => format!("{before}{}", project(&format!("examples/{rest}"))),
        None => word.to_owned(),
    }
}

/// The guides among the examples, in order.
fn guides() -> Vec<PathBuf> {
    let entries = fs::read_dir(project("examples")).expect("the examples");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "guide"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 14, "{} examples", paths.len());
    paths
}

/// `guidec test examples --update` accepts the plans, after somebody has read what is different.
#[test]
fn the_plans_beside_the_examples_are_theirs() {
    let count = guides().len();
    let ended = Sandbox::new().run(&["test", &project("examples")]).with(0);
    ended.says(&[&format!("tested {count} files: {count} same")]);
}

#[test]
fn what_the_examples_show_runs() {
    for path in guides() {
        let text = fs::read_to_string(&path).expect("an example");
        // Some are for a model that the user has.
        let commands = commands(&text);
        let ours = commands
            .iter()
            .filter(|words| !words.contains(&"DIR".to_owned()));
        let mut pictures = 0;
        for words in ours {
            let sandbox = Sandbox::new();
            let mut args: Vec<String> = words.iter().map(|word| placed(word)).collect();
            if args[0] == "run" {
                args.extend(["--steps", "3", "--out", "out"].map(str::to_owned));
                pictures += 1;
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let ended = sandbox.run(&args).with(0);
            match args[0] {
                "run" => assert!(!sandbox.names("out").is_empty(), "{args:?}"),
                _ => assert!(ended.stdout.contains("evaluations"), "{args:?}"),
            }
        }
        assert!(pictures > 0, "{} shows how it runs", path.display());
    }
}

/// What a guide makes of a recording, by name.
fn evaluated(text: &str, name: &str) -> Vec<f32> {
    let sandbox = Sandbox::new().with("g.guide", text);
    let recording = project("tests/oracle/rules/recordings/v_eps.safetensors");
    let args = ["eval", "g.guide", "--recording", &recording, "--out", "o"];
    sandbox.run(&args).with(0);
    let bytes = fs::read(sandbox.path("o")).expect("the results");
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    let tensor = file.tensor(name).expect("the tensor");
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    tensor.data().chunks(4).map(number).collect()
}

/// A wrapped rule is the rule that has the wrapper's arithmetic inside.
#[test]
fn a_wrapped_rule_is_the_rule_of_its_own() {
    let rescaled = "use std::ops::with_rescale\nuse std::rules::cfg\n\
                    guide g() { with_rescale(cfg(scale: 5), phi: 0.6) }\n";
    let own = "use std::rules::cfg_rescale\nguide g() { cfg_rescale(scale: 5, phi: 0.6) }\n";
    let plain = "use std::rules::cfg\nguide g() { cfg(scale: 5) }\n";
    let (wrapped, own) = (evaluated(rescaled, "guided"), evaluated(own, "guided"));
    assert_eq!(wrapped, own);
    assert_ne!(wrapped, evaluated(plain, "guided"));
    assert_eq!(evaluated(rescaled, "renoise"), evaluated(plain, "guided"));

    let inside = "use std::ops::inside\nuse std::rules::cfg\n\
                  guide g() { inside(cfg(scale: 5), start: 0.2, stop: 0.7) }\n";
    let own = "use std::rules::cfg_interval\n\
               guide g() { cfg_interval(scale: 5, start: 0.2, stop: 0.7) }\n";
    assert_eq!(evaluated(inside, "guided"), evaluated(own, "guided"));
}
