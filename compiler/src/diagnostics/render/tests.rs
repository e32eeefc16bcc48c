//! Pictures of diagnostics, and that large files are drawn quickly and partly.

use guide_grammar::span::{FileId, Span};

use super::{Style, human, json, summary};
use crate::diagnostics::{Code, Diagnostic};
use crate::sources::{Loaded, SourceMap};

fn map(files: &[(&str, &str)]) -> SourceMap {
    let mut map = SourceMap::default();
    for (path, text) in files {
        map.add(Loaded {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        });
    }
    map
}

fn find(map: &SourceMap, file: u32, needle: &str) -> Span {
    let start = map
        .text(FileId(file))
        .find(needle)
        .expect("the needle is in the text");
    Span::new(FileId(file), start, start + needle.len())
}

const RULE: &str = "guide g(w: Scalar = 1) {\n    let c = predict(cond)\n    c + w * c\n}\n";

#[test]
fn labels_of_one_file_share_a_picture() {
    let map = map(&[("g.guide", RULE)]);
    let diagnostic = Diagnostic::new(
        Code::WeightNotOne,
        "a mix of predictions has weight `1 + w`",
    )
    .at(find(&map, 0, "c + w * c"), "weight `1 + w`")
    .at(find(&map, 0, "predict(cond)"), "weight 1")
    .help("write `c + w * (c - u)`, or `prediction(c + w * c)` if this is meant");
    insta::assert_snapshot!(human(&[diagnostic], &map, Style::default()));
}

#[test]
fn labels_of_other_files_are_nested() {
    let map = map(&[
        ("g.guide", RULE),
        (
            "lib/h.guide",
            "fn h(d: Direction) -> Direction {\n    d\n}\n",
        ),
    ]);
    let warning = Diagnostic::new(
        Code::NotPinned,
        "`h` depends on the space of the model, and the space of `c` is not stated",
    )
    .at(find(&map, 0, "c + w * c"), "put in here")
    .at(find(&map, 1, "    d\n"), "the operation")
    .help("write `x0(c)`");
    let plain =
        Diagnostic::new(Code::UnknownParameter, "`g` has no parameter `scal`").help("use `w`");
    let text = human(&[warning.clone(), plain.clone()], &map, Style::default());
    insta::assert_snapshot!(text);
    insta::assert_snapshot!(json(&[warning.clone(), plain.clone()], &map));
    assert_eq!(
        summary(&[warning, plain]).as_deref(),
        Some("1 error, 1 warning")
    );
    assert_eq!(summary(&[]), None);
}

#[test]
fn a_long_line_is_shown_in_part() {
    let line = format!(
        "// é{}\n{}here{}\n",
        "ö".repeat(300),
        "x+".repeat(100_000),
        "+y".repeat(100_000)
    );
    let map = map(&[("long.guide", &line)]);
    let diagnostic = Diagnostic::new(Code::UnknownName, "no value is called `here`")
        .at(find(&map, 0, "here"), "not defined")
        .at(Span::new(FileId(0), 604 + 10, 604 + 300_000), "in this sum");
    let text = human(&[diagnostic], &map, Style::default());
    assert!(text.contains("here"), "{text}");
    assert!(
        text.contains("not defined") && text.contains("in this sum"),
        "{text}"
    );
    assert!(text.contains("long.guide:2:200001"), "{text}");
    assert!(text.len() < 4000, "{} bytes", text.len());
}

#[test]
fn a_tall_label_is_drawn_under_its_first_line() {
    let text = format!("guide g() {{\n{}}}\n", "    let a = 1\n".repeat(10_000));
    let map = map(&[("tall.guide", &text)]);
    let whole = Span::new(FileId(0), 0, text.len());
    let diagnostic = Diagnostic::new(Code::TooManyNodes, "too much").at(whole, "all of this");
    let drawn = human(&[diagnostic], &map, Style::default());
    assert!(drawn.lines().count() < 12, "{drawn}");
}

#[test]
fn places_at_the_ends_of_a_file_are_drawn() {
    let map = map(&[
        ("empty.guide", ""),
        ("crlf.guide", "fn f(\r\n\tq: Scalar\r\n"),
    ]);
    let end = map.text(FileId(1)).len();
    let diagnostics = [
        Diagnostic::new(Code::WhichGuide, "no guide here").at(Span::new(FileId(0), 0, 0), "empty"),
        Diagnostic::new(Code::UnclosedBracket, "`(` is never closed")
            .at(Span::new(FileId(1), 4, 5), "opened here")
            .at(Span::new(FileId(1), end, end), "the file ends"),
    ];
    insta::assert_snapshot!(human(&diagnostics, &map, Style::default()));
}
