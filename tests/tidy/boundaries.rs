//! Who may use whom.

use crate::tree::{self, Source};

/// A folder, what must not stand in its code, and the files that may hold it all the same.
const FORBIDDEN: &[(&str, &[&str], &[&str])] = &[
    (
        "grammar/src/",
        &[
            "guide_compiler",
            "guide_stdlib",
            "guide_runtime",
            "miette",
            "serde",
            "candle_",
            "clap",
        ],
        &[],
    ),
    (
        "grammar/src/",
        &[
            "std::fs",
            "std::env",
            "std::time",
            "std::process",
            "std::net",
        ],
        &[],
    ),
    (
        "stdlib/src/",
        &[
            "guide_grammar",
            "guide_compiler",
            "guide_runtime",
            "std::fs",
            "std::env",
        ],
        &[],
    ),
    (
        "compiler/src/",
        &[
            "guide_runtime",
            "guide_stdlib",
            "candle_",
            "clap",
            "pest",
            "indicatif",
        ],
        &[],
    ),
    (
        "compiler/src/",
        &[
            "std::fs",
            "std::env",
            "std::time",
            "std::process",
            "std::net",
        ],
        &[],
    ),
    (
        "compiler/src/",
        &["miette"],
        &["compiler/src/diagnostics/render/"],
    ),
    (
        "runtime/src/",
        &[
            "guide_grammar",
            "guide_stdlib",
            "clap",
            "indicatif",
            "miette",
            "pest",
        ],
        &[],
    ),
    (
        "runtime/kernels/",
        &[
            "guide_grammar",
            "guide_stdlib",
            "guide_compiler",
            "guide_runtime",
            "std::fs",
            "std::time",
            "std::process",
            "std::net",
        ],
        &[],
    ),
    ("src/", &["candle_", "pest"], &[]),
    (
        "",
        &[
            "println!",
            "eprintln!",
            "print!",
            "eprint!",
            "dbg!",
            "todo!",
            "unimplemented!",
        ],
        &[],
    ),
];

/// The only modules of the compiler that the runtime may name.
const RUNTIME_SEES: &[&str] = &["guide_compiler::plan", "guide_compiler::timetable"];

/// The dependencies of each crate, development ones aside.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("grammar", &["pest", "pest_derive"]),
    ("stdlib", &[]),
    (
        "compiler",
        &[
            "guide-grammar",
            "miette",
            "serde",
            "serde_json",
            "sha2",
            "strsim",
            "unicode-width",
        ],
    ),
];

fn holds(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let whole = word.ends_with(['_', '!']) || !after.is_some_and(is_name);
        whole && !before.is_some_and(is_name)
    })
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn found(source: &Source, words: &[&str]) -> Vec<String> {
    let lines = source.code().filter(|(_, line)| !is_comment(line));
    lines
        .flat_map(|(at, line)| {
            let hit = words.iter().filter(move |word| holds(line, word));
            hit.map(move |word| format!("{}:{at} holds `{word}`", source.path))
        })
        .collect()
}

#[test]
fn crates_use_only_what_they_may() {
    let sources = tree::files(".rs");
    let mut wrong = Vec::new();
    for (folder, words, except) in FORBIDDEN {
        for source in sources.iter().filter(|s| s.path.starts_with(folder)) {
            let is_shipped = source.path.starts_with("src/") || source.path.contains("/src/");
            if is_shipped && !except.iter().any(|path| source.path.starts_with(path)) {
                wrong.extend(found(source, words));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_runtime_sees_the_plan_and_nothing_else_of_the_compiler() {
    let mut wrong = Vec::new();
    for source in tree::files(".rs")
        .iter()
        .filter(|s| s.path.starts_with("runtime/src/"))
    {
        for (at, line) in source.code().filter(|(_, line)| !is_comment(line)) {
            let rest = RUNTIME_SEES
                .iter()
                .fold(line.to_owned(), |rest, seen| rest.replace(seen, ""));
            if holds(&rest, "guide_compiler") {
                wrong.push(format!("{}:{at} {}", source.path, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pest_stays_behind_the_tree() {
    let sources = tree::files(".rs");
    let ast = sources.iter().find(|s| s.path == "grammar/src/ast.rs");
    let ast = ast.expect("the tree has a file");
    assert_eq!(
        found(ast, &["pest", "Rule", "Pair", "Pairs"]),
        Vec::<String>::new()
    );
}

#[test]
fn crates_depend_only_on_what_they_may() {
    for (folder, allowed) in DEPENDENCIES {
        let manifest = tree::root().join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).expect("every crate has a manifest");
        let section = text
            .split("[dependencies]")
            .nth(1)
            .expect("a section of dependencies");
        let lines = section
            .lines()
            .skip(1)
            .take_while(|line| !line.starts_with('['));
        for line in lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            assert!(
                allowed.contains(&name),
                "{folder} must not depend on {name}"
            );
        }
    }
}

#[test]
fn words_are_found_whole() {
    assert!(holds("use pest::Parser;", "pest"));
    assert!(!holds("let pests = 1;", "pest"));
    assert!(holds("candle_core::Tensor", "candle_"));
    assert!(!holds("eprintln!()", "println!"));
}
