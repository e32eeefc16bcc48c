//! Every kind of error, with its exact words.

use std::collections::BTreeSet;
use std::fmt::Write;

use guide_grammar::span::{FileId, Span};
use guide_grammar::{SyntaxError, SyntaxErrorKind, decode, parse};

/// A wrong program and what is said about it: each place as its line with a mark under it.
fn report(programs: &[&str]) -> String {
    let mut out = String::new();
    for program in programs {
        let parsed = parse(FileId(0), program);
        assert!(!parsed.errors.is_empty(), "no error in\n{program}");
        writeln!(
            out,
            "----------------------------------------\n{}",
            program.trim_end()
        )
        .expect("a string takes all");
        for error in &parsed.errors {
            out.push_str(&shown(program, error));
        }
        if !parsed.file.items.is_empty() {
            writeln!(out, "({} items in the tree)", parsed.file.items.len()).expect("as above");
        }
    }
    out
}

fn shown(text: &str, error: &SyntaxError) -> String {
    let mut out = format!("\n{}: {}\n", error.kind.number(), error.message);
    out.push_str(&place(text, error.span, &error.label));
    for label in &error.labels {
        out.push_str(&place(text, label.span, &label.text));
    }
    if let Some(help) = &error.help {
        writeln!(out, "  help: {help}").expect("a string takes all");
    }
    out
}

fn place(text: &str, span: Span, label: &str) -> String {
    let start = span.start as usize;
    let start = start.min(text.len());
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    let column = text[line_start..start].chars().count();
    let width = span
        .text(text)
        .lines()
        .next()
        .unwrap_or("")
        .chars()
        .count()
        .max(1);
    format!(
        "  | {line}\n  | {}{} {label}\n",
        " ".repeat(column),
        "^".repeat(width)
    )
}

macro_rules! said {
    ($($name:ident: $programs:expr;)*) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(report(&$programs));
            }
        )*

        /// All programs of this file.
        fn programs() -> Vec<&'static str> {
            let mut all = Vec::new();
            $(all.extend($programs);)*
            all
        }
    };
}

said! {
    unexpected_tokens: [
        "fn f(x: Scalar) { f(x y) }",
        "fn f(x: Scalar) { (x, y }",
        "fn f(x: Scalar = ) { x }",
        "fn f(x Scalar) { x }",
        "fn f(x: ) { x }",
        "fn f(x: Scalar)",
        "fn (x: Scalar) { x }",
        "fn f { 1 }",
        "model",
        "use std::",
        "use std::{a b}",
        "input style",
        "input style: Prompt = ",
        "input style: \"one\"",
        "fn f(x: Direction<>) { x }",
        "fn f(x: Scalar[3]) { x }",
        "fn f(x: Scalar) { match x { 0..1 -> 1 } }",
        "fn f(x: Scalar) { match x { 0..1 => 1\n else => 2 } }",
        "fn f(x: Scalar) { match x { } }",
        "fn f(x: Scalar) { total i { x } }",
        "fn f(x: Scalar) { let (a) = x\n a }",
        "fn f(x: Scalar) { x as y }",
        "guide g() per step { 1 }",
        "fn f(x: Scalar) { () }",
        "fn f(x: Scalar) { [] }",
        "fn f(x: Scalar) { x[] }",
    ];
    items_that_are_none: [
        "scale = 3\nfn f() { 1 }",
        "def f(x: Scalar) { x }",
        "giude f(x: Scalar) { x }",
        "import std",
        "fn f() { 1 }\n}",
        "fn f() { 1 } 2",
        "let x = 3",
        "guide",
        ")",
    ];
    marks_of_other_languages: [
        "fn f(x: Scalar) { +x }",
        "fn f(x: Scalar) { let a = x;\n a }",
        "fn f(x: Scalar) { x && x }",
        "fn f(x: Scalar) { !x }",
        "fn f(x: Scalar) { x ^ 2 }",
        "fn f(x: Scalar) { x ** 2 }",
        "fn f(x: Scalar) { if x = 2 { 1 } else { 2 } }",
        "fn f(x: Scalar) { x | x }",
        "fn f(x: Scalar) { x.y }",
        "fn f(x: Scalar) { 'a' }",
        "# a comment\nfn f(x: Scalar) { x }",
        "fn f(x: Scalar) { a − b }",
        "fn f(x: Scalar) { \"a\\tb\" }",
    ];
    words_of_other_languages: [
        "fn f(x: Scalar) { return x }",
        "fn f(x: Scalar) { for i in 0..3 { x } }",
        "fn f(x: Scalar) { if x { 1 } elif y { 2 } else { 3 } }",
        "fn f(x: Scalar) { var y = 3\n y }",
    ];
    bodies: [
        "fn f(x: Scalar) { }",
        "fn f(x: Scalar) {\n    let y = x\n}",
        "fn f(x: Scalar) {\n    let (a, b) = g(x)\n}",
        "fn f(x: Scalar) { let y = x }",
        "fn f(x: Scalar) { if x > 1 { } else { 2 } }",
        "fn f(x: Scalar) {\n    x\n    x + 1\n}",
        "fn f(x: Scalar) {\n    x\n    let y = 3\n}",
        "fn f(x: Scalar) {\n    y = 3\n    y\n}",
        "fn f(x: Scalar) {\n    let a = 1\n    y = 3\n    y\n}",
    ];
    a_leading_minus: [
        "fn f(x: Scalar) {\n    let y = x\n    -y\n}",
        "fn f(x: Scalar) {\n    let y = g(x,\n      -x)\n    -y * 2\n        + 1\n}",
    ];
    if_needs_else: [
        "fn f(x: Scalar) { if x > 1 { 2 } }",
        "fn f(x: Scalar) {\n    let y = if x > 1 { 2 }\n    y\n}",
        "fn f(x: Scalar) { if x > 1 { 2 } else if x > 0 { 1 } }",
        "fn f(x: Scalar) { if x > 1 2 else 3 }",
    ];
    brackets: [
        "fn f(x: Scalar) { g(x",
        "fn f(x: Scalar) {\n    g(x\n}\n\nfn g(x: Scalar) { x }",
        "fn f(x: Scalar) {\n    let y = x\n\nfn g(x: Scalar) { x }\n",
        "fn f(x: Scalar) { (x] }",
        "fn f(x: Scalar) { x) }",
        "use std::{a, b\nmodel weak",
    ];
    gaps: [
        "fn f(x: Scalar) { g (x) }",
        "fn f(x: Scalar) { x [0] }",
        "classifier judge (sees: noisy)",
    ];
    records: [
        "fn f(x: Scalar) { Point { x: 1 } }",
        "fn f(x: Scalar) { point { x: 1 } }",
        "fn f(x: Scalar) { { x: 1 } }",
        "fn f(x: Scalar) { Point(x) }",
    ];
    ranges: [
        "fn f(x: Scalar) { x in 0.. }",
        "fn f(x: Scalar) { x in ..1 }",
        "fn f(x: Scalar) { x in y }",
        "fn f(x: Scalar) { 0..1 }",
        "fn f(x: Scalar) { g(0..1) }",
    ];
    docs: [
        "fn f(x: Scalar) {\n    /// the value\n    x\n}",
        "model weak /// the weak one",
        "fn f() { 1 }\n//! about the file\n//! in two lines",
        "fn f() { 1 }\n/// nothing follows",
        "fn f(\n    a: Scalar, /// the first\n    b: Scalar,\n) { a }",
        "fn f(\n    a: Scalar,\n    /// no more\n) { a }",
    ];
    comparisons: [
        "fn f(a: Scalar) { a < b < c }",
        "fn f(a: Scalar) { a == b + 1 != c }",
        "fn f(a: Scalar) { a in 0..1 == true }",
        "fn f(a: Scalar) { 0 < a in 0..1 }",
        "fn f(a: Scalar) { a == not b }",
        "fn f(a: Scalar) { -not b }",
    ];
    arguments: [
        "fn f(a: Scalar) { g(a: 1, 2) }",
        "fn f(a: Scalar) { g(1, a: 1, b: 3, 2 + 3, 4) }",
    ];
    names: [
        "fn Apg(x: Scalar) { x }",
        "fn f(Scale: Scalar) { x }",
        "fn f(myScale: Scalar) { x }",
        "fn f(x: scalar) { x }",
        "fn f(x: prompt_list) { x }",
        "fn f(x: Scalar) { let σ = 1\n σ }",
        "fn f(x: Scalar) { let Sigma = 1\n Sigma }",
        "fn f(naïve: Scalar) { x }",
        "fn f(x: Scalar) { X + 1 }",
        "model Weak",
        "use std::Ops",
    ];
    numbers: [
        "fn f() { 1. }",
        "fn f() { .5 }",
        "fn f() { 1.2.3 }",
        "fn f() { 2x }",
        "fn f() { 1_000 }",
        "fn f() { 0x10 }",
        "fn f() { 1e }",
        "fn f() { 1.e3 }",
        "fn f() { 1.5f32 }",
        "fn f(x: Scalar) { x in .5..1. }",
    ];
    else_arms: [
        "fn f(x: Scalar) { match x { else => 1, 0..1 => 2 } }",
        "fn f(x: Scalar) { match x { 0..1 => 2, else => 1, else => 3 } }",
    ];
    strings: [
        "fn f() { g(\"abc) }\n\nfn g() { 1 }",
        "use \"file.guide",
        "fn f() { \"abc\\\n }",
    ];
    reserved_words: [
        "fn let(x: Scalar) { x }",
        "fn f(in: Scalar) { x }",
        "fn f(x: Scalar) { let total = 1\n 2 }",
        "fn f(x: Scalar) { g(in: 3) }",
        "model match",
        "use std::ops::{not}",
        "fn f(x: Scalar) { total if in 0..2 { 1 } }",
    ];
    pipes: [
        "fn f(x: Scalar) { x |> momentum }",
        "fn f(x: Scalar) { x |> std::ops::momentum }",
        "fn f(x: Scalar) {\n    let y = x |> momentum\n    y\n}",
        "fn f(x: Scalar) { x |> 2 }",
        "fn f(x: Scalar) { x |> (g(x)) }",
        "fn f(x: Scalar) { x |> g() + 1 }",
        "fn f(x: Scalar) { x |> g()[0] }",
        "fn f(x: Scalar) { x |> }",
    ];
    several_in_one_file: [
        "use std::Ops\n\nfn f(x: Scalar) { x < 1 < 2 }\n\nfn good() { 1 }\n\nguide g( {\n    1\n}\n\n\
         model weak\ninput region\ninput style: Prompt\n",
        "fn f(αβ: Scalar, γ: Scalar) { 1. }\nfn g() { g(a: 1, 2) == 1 == 2 }\n",
        "fn f(x: Scalar) {\n    g(x\n\n/// Docs.\nguide g() { 1 }\nloss close(sees: image",
    ];
}

/// What only a long text or bytes bring about.
fn by_size() -> Vec<SyntaxError> {
    let deep = format!("fn f() {{ {}1{} }}", "(".repeat(1000), ")".repeat(1000));
    let long = format!("fn f() {{ 1{} }}", " + 1".repeat(1000));
    let large = "// a comment\n".repeat(100_000);
    let mut errors: Vec<_> = [deep, long, large]
        .iter()
        .flat_map(|text| parse(FileId(0), text).errors)
        .collect();
    errors.extend(decode(FileId(0), b"fn f() {\n \xff }").err());
    errors
}

#[test]
fn sizes() {
    let said: Vec<_> = by_size().iter().map(|error| shown("", error)).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn every_kind_of_error_is_made_here() {
    let made: BTreeSet<_> = programs()
        .iter()
        .flat_map(|program| parse(FileId(0), program).errors)
        .chain(by_size())
        .map(|error| error.kind)
        .collect();
    let all: BTreeSet<_> = SyntaxErrorKind::ALL.iter().copied().collect();
    assert_eq!(made, all);
}

#[test]
fn messages_keep_the_house_style() {
    for error in programs()
        .iter()
        .flat_map(|program| parse(FileId(0), program).errors)
    {
        let message = &error.message;
        assert!(
            !message.ends_with('.') || message.ends_with(".."),
            "{message}"
        );
        assert!(
            !message.starts_with(|c: char| c.is_ascii_uppercase()),
            "{message}"
        );
        assert!(!message.contains("you"), "{message}");
        assert!(
            !message.contains("kw_") && !message.contains("Rule"),
            "{message}"
        );
        assert!(!error.label.is_empty());
    }
}
