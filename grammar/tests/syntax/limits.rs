//! Deep and long texts end in one diagnostic, on the small stack of a test's thread.

use guide_grammar::SyntaxErrorKind::{self, TooDeep};
use guide_grammar::limits::{MAX_DEPTH, MAX_ERRORS, MAX_FILE_BYTES, MAX_LEVELS};
use guide_grammar::{parse, span::FileId};

fn kinds(text: &str) -> Vec<SyntaxErrorKind> {
    parse(FileId(0), text)
        .errors
        .iter()
        .map(|error| error.kind)
        .collect()
}

fn body(expr: &str) -> String {
    format!("fn f(x: Scalar) -> Scalar {{ {expr} }}")
}

#[test]
fn nesting_up_to_the_limit_parses() {
    let inner = MAX_DEPTH - 1;
    let cases = [
        format!("{}x{}", "(".repeat(inner), ")".repeat(inner)),
        format!("{}x{}", "f(".repeat(inner), ")".repeat(inner)),
        format!(
            "{}x{}",
            "a or b and not c < d + e * (".repeat(inner / 2),
            ")".repeat(inner / 2)
        ),
        format!("{}x{}", "a[".repeat(inner), "]".repeat(inner)),
        format!("{}x", "-".repeat(inner)),
        format!("{}x", "not ".repeat(inner)),
        format!(
            "{}x{}",
            "if ".repeat(inner),
            " { a } else { b }".repeat(inner)
        ),
        format!(
            "{}x{}",
            "if a { ".repeat(inner),
            " } else { b }".repeat(inner)
        ),
        format!(
            "{}x{}",
            "match a { else => ".repeat(inner),
            " }".repeat(inner)
        ),
        format!(
            "{}x{}",
            "total i in 0..2 { let y = i\n ".repeat(inner),
            " }".repeat(inner)
        ),
    ];
    for case in cases {
        assert_eq!(kinds(&body(&case)), [], "{case}");
    }
}

#[test]
fn long_chains_up_to_the_limit_parse() {
    let cases = [
        format!("x{}", " + x".repeat(MAX_LEVELS - 1)),
        format!("x{}", " |> f()".repeat(MAX_LEVELS - 1)),
        format!("x{}", "[0]".repeat(MAX_LEVELS - 1)),
        format!(
            "if a {{ b }}{} else {{ c }}",
            " else if a { b }".repeat(MAX_LEVELS - 3)
        ),
    ];
    for case in cases {
        assert_eq!(kinds(&body(&case)), [], "{case}");
    }
}

#[test]
fn chains_of_other_expressions_do_not_count_together() {
    let sum = format!("x{}", " + x".repeat(200));
    let product = format!("x{}", " * x".repeat(200));
    let cases = [
        format!("{product} + {product} - {product}"),
        format!("{product} < {product} and {sum} in {sum}..{sum} or {sum} == {product}"),
        format!("f({sum}, {sum} |> g({sum}), n: {sum})"),
        format!("let a = {sum}\n let b: Scalar = {sum}\n {sum}"),
        format!("{sum} + if {sum} {{ {sum} }} else if {sum} {{ {sum} }} else {{ {sum} }}"),
        format!("match x {{ {sum}..{sum} => {sum}, {sum}..{sum} => {sum}, else => {sum} }}"),
        format!(
            "[{}]",
            "if a { b } else if c { d } else { e }, ".repeat(200)
        ),
        format!(
            "x{}",
            " + if a { b } else if c { d } else { e }".repeat(200)
        ),
        format!("f({})", "a[0], ".repeat(200)),
        format!("x{}", " * -x".repeat(200)),
        format!("x{}", " and not x == y".repeat(200)),
    ];
    for case in cases {
        assert_eq!(kinds(&body(&case)), [], "{case}");
    }
}

#[test]
fn deeper_than_the_limit_is_one_error() {
    let n = 10_000;
    let cases = [
        format!("{}x{}", "(".repeat(n), ")".repeat(n)),
        format!("{}x{}", "f(".repeat(n), ")".repeat(n)),
        format!("{}x{}", "a[".repeat(n), "]".repeat(n)),
        format!("{}x", "-".repeat(n)),
        format!("{}x", "not ".repeat(n)),
        format!("{}x{}", "-(".repeat(n), ")".repeat(n)),
        format!("{}x{}", "if ".repeat(n), " { a } else { b }".repeat(n)),
        format!("{}x{}", "if a { ".repeat(n), " } else { b }".repeat(n)),
        format!("{}x{}", "match ".repeat(n), " { else => 1 }".repeat(n)),
        format!("{}x", "total i in 0..".repeat(n)),
        format!("x{}", " + x".repeat(100_000)),
        format!("x{}", " |> f()".repeat(n)),
        format!("x{}", " and x".repeat(n)),
        format!("x{}", "[0]".repeat(n)),
        format!("if a {{ b }}{} else {{ c }}", " else if a { b }".repeat(n)),
    ];
    for case in &cases {
        let found = kinds(&body(case));
        assert_eq!(found, [TooDeep], "{}", &case[..40]);
    }
    let kind = format!(
        "fn f(x: {}Scalar{}) {{ x }}",
        "(".repeat(n),
        ", Scalar)".repeat(n)
    );
    assert_eq!(kinds(&kind), [TooDeep]);
}

#[test]
fn chains_inside_chains_count_together() {
    let sum = " + x".repeat(100);
    let mut text = "x".to_owned();
    for _ in 0..20 {
        text = format!("({text}){sum}");
    }
    assert_eq!(kinds(&body(&text)), [TooDeep]);
}

#[test]
fn a_list_may_be_long() {
    let list = format!("[{}]", "0.5, ".repeat(100_000));
    assert_eq!(kinds(&body(&list)), []);
}

#[test]
fn a_file_has_a_largest_size() {
    let line = "// a comment\n";
    let fits = line.repeat(MAX_FILE_BYTES / line.len());
    assert_eq!(kinds(&fits), []);
    assert_eq!(
        kinds(&format!("{fits}{line}")),
        [SyntaxErrorKind::FileTooLarge]
    );
}

#[test]
fn a_file_of_errors_reports_the_first_of_them() {
    assert_eq!(kinds(&") ".repeat(1000)).len(), MAX_ERRORS);
    assert_eq!(kinds(&"model\n".repeat(1000)).len(), MAX_ERRORS);
}
