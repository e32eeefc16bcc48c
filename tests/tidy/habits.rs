//! How files are written.

use std::collections::BTreeSet;

use guide_compiler::diagnostics::Code;

use crate::tree;

/// The most lines of a file, its tests included.
const MOST_LINES: usize = 600;

/// Names that say nothing about what a file holds.
const BANNED_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "misc", "manager", "handler", "types2",
];

/// What hides a test that fails, or a place that is not finished.
const BANNED_MARKS: &[&str] = &["#[ignore", "#[should_panic", "FIXME", "XXX", "HACK"];

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short() {
    let long = tree::files(".rs")
        .into_iter()
        .map(|s| (s.text.lines().count(), s.path));
    let long = long.filter(|(lines, _)| *lines > MOST_LINES);
    assert_none(
        &long
            .map(|(lines, path)| format!("{path} has {lines} lines"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_open_with_a_sentence() {
    let silent = tree::files(".rs")
        .into_iter()
        .filter(|s| !s.text.starts_with("//! "));
    assert_none(&silent.map(|s| s.path).collect::<Vec<_>>());
}

#[test]
fn files_are_named_for_what_they_hold() {
    let named = |path: &str| {
        let parts = path.split(['/', '.']);
        parts
            .map(str::to_owned)
            .any(|part| BANNED_NAMES.contains(&part.as_str()))
    };
    let wrong = tree::files(".rs")
        .into_iter()
        .map(|s| s.path)
        .filter(|path| named(path));
    assert_none(&wrong.collect::<Vec<_>>());
}

#[test]
fn nothing_is_skipped_or_left_for_later() {
    let own = "tests/tidy/habits.rs";
    let mut wrong = Vec::new();
    for source in tree::files(".rs").iter().filter(|s| s.path != own) {
        for (at, line) in source.text.lines().enumerate() {
            if BANNED_MARKS.iter().any(|mark| line.contains(mark)) {
                wrong.push(format!("{}:{} {}", source.path, at + 1, line.trim()));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| code.number().to_owned())
        .collect();
    let pages = tree::files(".md").into_iter().filter_map(|s| {
        let name = s.path.strip_prefix("compiler/src/diagnostics/pages/")?;
        Some(name.trim_end_matches(".md").to_owned())
    });
    assert_eq!(pages.collect::<BTreeSet<_>>(), codes);
}

#[test]
fn no_test_file_is_forgotten() {
    let sources = tree::files(".rs");
    let mut wrong = Vec::new();
    for source in &sources {
        let Some((before, inside)) = source.path.split_once("tests/") else {
            continue;
        };
        if before.contains("/src/") || before.starts_with("src/") || inside.starts_with("fuzz/") {
            continue;
        }
        let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        let stem = name.trim_end_matches(".rs");
        if matches!(stem, "main" | "mod") || folder.ends_with("tests") {
            continue;
        }
        let line = format!("mod {stem};");
        let file = format!("{}/{name}\"", folder.rsplit('/').next().unwrap_or(""));
        let is_named = sources
            .iter()
            .filter(|s| s.path.starts_with(&format!("{before}tests/")))
            .any(|s| s.text.contains(&line) || s.text.contains(&file));
        if !is_named {
            wrong.push(format!("{} is in no test", source.path));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_folder_of_tests_is_a_target() {
    let manifest = std::fs::read_to_string(tree::root().join("Cargo.toml"));
    let manifest = manifest.expect("the workspace has a manifest");
    for source in tree::files("main.rs") {
        if source.path.starts_with("tests/") && !source.path.starts_with("tests/fuzz/") {
            let line = format!("path = \"{}\"", source.path);
            assert!(
                manifest.contains(&line),
                "Cargo.toml has a [[test]] with {line}"
            );
        }
    }
}

#[test]
fn the_architecture_stays_readable() {
    let text = std::fs::read_to_string(tree::root().join("ARCHITECTURE.md"));
    assert!(text.expect("it is there").lines().count() <= 200);
}
