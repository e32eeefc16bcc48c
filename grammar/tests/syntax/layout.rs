//! The formatter: what it writes, and that writing again changes nothing.

use guide_grammar::{FormatError, format};

fn formatted(text: &str) -> String {
    let once = format(text).expect("a text without errors");
    assert_eq!(
        format(&once).as_deref(),
        Ok(once.as_str()),
        "the second time"
    );
    for line in once.lines() {
        assert!(line.trim_end() == line, "blanks at the end of `{line}`");
    }
    once
}

#[test]
fn layouts() {
    insta::glob!("layout/*.guide", |path| {
        let text = std::fs::read_to_string(path).expect("a file");
        insta::assert_snapshot!(formatted(&text));
    });
}

#[test]
fn the_tour_as_formatted() {
    insta::glob!("tour/*.guide", |path| {
        let text = std::fs::read_to_string(path).expect("a file of the tour");
        insta::assert_snapshot!(formatted(&text));
    });
}

#[test]
fn programs_stand_as_they_are() {
    insta::glob!("programs/*.guide", |path| {
        let text = std::fs::read_to_string(path).expect("a program");
        formatted(&text);
    });
}

#[test]
fn line_ends_of_windows_make_no_difference() {
    let unix = include_str!("layout/comments.guide");
    assert_eq!(format(&unix.replace('\n', "\r\n")), format(unix));
}

#[test]
fn a_file_with_errors_is_left_alone() {
    let Err(FormatError::Syntax(errors)) = format("fn f() { 1 < 2 < 3 }\nmodel\n") else {
        panic!("errors were expected");
    };
    assert_eq!(errors.len(), 2);
}

#[test]
fn nothing_stays_nothing() {
    assert_eq!(formatted(""), "");
    assert_eq!(formatted("\n\n"), "");
    assert_eq!(
        formatted("\n\n// only this\n\n\n// and this"),
        "// only this\n\n// and this\n"
    );
    assert_eq!(formatted("//! docs"), "//! docs\n");
}
