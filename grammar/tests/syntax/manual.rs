//! The manual's programs do what the manual says: they parse, or have the error that is named.

use guide_grammar::limits::{MAX_DEPTH, MAX_ERRORS, MAX_FILE_BYTES, MAX_LEVELS};
use guide_grammar::{parse, span::FileId};

const SYNTAX: &str = include_str!("../../reference/syntax.md");

/// The fenced blocks of a page: tag, text, line.
fn blocks(page: &str) -> Vec<(&str, String, usize)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String, usize)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(tag), None) => open = Some((tag, String::new(), number + 1)),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text, _))) => text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

fn codes(text: &str) -> Vec<&'static str> {
    parse(FileId(0), text)
        .errors
        .iter()
        .map(|error| error.kind.number())
        .collect()
}

#[test]
fn programs_of_the_manual_parse() {
    let blocks = blocks(SYNTAX);
    assert!(blocks.len() > 15);
    for (tag, text, line) in blocks {
        let found = match tag {
            "guide fragment" => codes(&format!("fn fragment() {{ {text} }}")),
            _ => codes(&text),
        };
        match tag.strip_prefix("guide error ") {
            Some(code) => assert_eq!(found, [code], "line {line}: tag it with its code"),
            None => {
                assert!(
                    tag == "guide" || tag == "guide fragment",
                    "line {line}: tag `{tag}`"
                );
                assert!(
                    found.is_empty(),
                    "line {line}: tag it `guide error {}`",
                    found[0]
                );
            }
        }
    }
}

#[test]
fn whole_programs_of_the_manual_are_laid_out_as_the_formatter_does() {
    for (tag, text, line) in blocks(SYNTAX) {
        if tag == "guide" && !text.contains("// a comment") {
            assert_eq!(
                guide_grammar::format(&text).as_deref(),
                Ok(text.as_str()),
                "line {line}"
            );
        }
    }
}

#[test]
fn the_limits_of_the_manual_are_the_real_ones() {
    for limit in [MAX_FILE_BYTES, MAX_DEPTH, MAX_LEVELS, MAX_ERRORS] {
        assert!(
            SYNTAX.contains(&format!("| {limit} |")),
            "{limit} is missing"
        );
    }
}

#[test]
fn the_precedence_of_the_manual_is_the_real_one() {
    let flat = parse(
        FileId(0),
        "fn f() { not a + b * -c < d and e in 0.0..0.5 or g }",
    );
    let full = "fn f() { ((not ((a + (b * (-c))) < d)) and (e in 0.0..0.5)) or g }";
    let full = parse(FileId(0), full);
    let bare = |parsed: guide_grammar::Parsed| {
        assert_eq!(parsed.errors, []);
        // The names of operators in the order of the tree, without groups and places.
        let text = format!("{:?}", parsed.file.items[0].kind);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let kept = ["Or", "And", "Not", "Neg", "Lt", "Add", "Mul", "In"];
        words
            .filter(|word| kept.contains(word))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(bare(flat), bare(full));
}
