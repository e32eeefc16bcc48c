//! The properties of `tests/fuzz`, with as many inputs as an ordinary run has time for, and with
//! every input that broke one of them once.

#[path = "../../tests/fuzz/properties/text.rs"]
mod text;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Pieces that programs are changed by.
const PIECES: [&str; 40] = [
    "prev(",
    "init: ",
    "predict(",
    "cond",
    "uncond",
    "null",
    "x0(",
    "eps(",
    "native(",
    "if ",
    " else ",
    "{ ",
    " }",
    "(",
    ")",
    "let a = ",
    "total i in 0..3 ",
    "match ",
    "progress",
    "sigma",
    " in 0.2..0.7",
    "x",
    "0",
    "1e308",
    "-",
    " + ",
    " * ",
    " / ",
    "scale",
    "c",
    "u",
    "d",
    "norm(",
    "dot(",
    "guided(",
    "hold",
    "use std::ops::momentum\n",
    "momentum(",
    " |> ",
    "\n",
];

/// A program of the library with pieces put in and taken out.
fn changed() -> impl Strategy<Value = String> {
    let programs: Vec<&'static str> = guide_stdlib::files()
        .iter()
        .map(|(_, text)| *text)
        .collect();
    let change = (any::<Index>(), 0..8_usize, select(PIECES.to_vec()));
    (select(programs), prop::collection::vec(change, 1..4)).prop_map(|(program, changes)| {
        let mut text = program.to_owned();
        for (at, length, piece) in changes {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let start = *at.get(&places);
            let end = places.into_iter().find(|p| *p >= start + length);
            text.replace_range(start..end.unwrap_or(start), piece);
        }
        text
    })
}

static JSON: LazyLock<Vec<u8>> = LazyLock::new(json_of_a_plan);

/// The plan of the rule with state, conditions and guards, as it is saved.
fn json_of_a_plan() -> Vec<u8> {
    let (_, rule) = guide_stdlib::files()
        .iter()
        .find(|(path, _)| *path == "rules/adaptive.guide")
        .expect("it");
    let plans = text::plans_of(rule);
    serde_json::to_vec(&plans[0]).expect("a plan is JSON")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_programs_are_analysed(program in changed()) {
        text::parse_never_panics(&program);
        text::format_is_idempotent(&program);
        text::analyse_never_panics(&program);
    }

    #[test]
    fn changed_programs_have_sound_plans(program in changed()) {
        text::plans_are_sound(&program);
    }

    #[test]
    fn changed_plans_are_checked(
        at in any::<Index>(),
        length in 0..6_usize,
        piece in select(vec!["", "0", "9", "-1", "1e999", "null", "[]", "{}", "\"a\"", ",", "x"]),
    ) {
        let mut json = JSON.clone();
        let start = at.index(json.len());
        let end = (start + length).min(json.len());
        json.splice(start..end, piece.bytes());
        text::plan_json_is_checked(&json);
    }

    /// Numbers of a plan exchanged for others: what most often passes the shape and not the check.
    #[test]
    fn plans_with_other_numbers_are_checked(at in any::<Index>(), digit in b'0'..=b'9') {
        let mut json = JSON.clone();
        let digits: Vec<usize> = (0..json.len()).filter(|i| json[*i].is_ascii_digit()).collect();
        json[*at.get(&digits)] = digit;
        text::plan_json_is_checked(&json);
    }
}

#[test]
fn the_library_has_sound_plans() {
    let plans = |text: &str| {
        text::plans_are_sound(text);
        text::plans_of(text).len()
    };
    let found: usize = guide_stdlib::files()
        .iter()
        .map(|(_, text)| plans(text))
        .sum();
    assert!(found >= 20, "{found} plans");
}

#[test]
fn what_broke_once_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/regressions");
    let mut inputs = 0;
    for target in entries(&folder) {
        for path in entries(&target) {
            let bytes = std::fs::read(&path).expect("an input");
            let input = String::from_utf8_lossy(&bytes);
            match target.file_name().and_then(|name| name.to_str()) {
                Some("parse_never_panics") => text::parse_never_panics(&input),
                Some("format_is_idempotent") => text::format_is_idempotent(&input),
                Some("analyse_never_panics") => text::analyse_never_panics(&input),
                Some("plans_are_sound") => text::plans_are_sound(&input),
                Some("plan_json_is_checked") => text::plan_json_is_checked(&bytes),
                // The runtime's own tests read these.
                Some("recording_is_checked") => {}
                other => panic!("{other:?} is no target"),
            }
            inputs += 1;
        }
    }
    assert!(inputs >= 6, "{inputs} inputs are found");
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let read = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = read.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}
