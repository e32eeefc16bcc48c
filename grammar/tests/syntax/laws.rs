//! Laws for any input: nothing panics, printing keeps the tree, formatting twice is formatting once.

use guide_grammar::span::FileId;
use guide_grammar::{FormatError, format, parse};
use proptest::prelude::*;
use proptest::sample::select;

/// Every program of the tests.
fn corpus() -> Vec<&'static str> {
    vec![
        include_str!("tour/adaptive.guide"),
        include_str!("tour/apg.guide"),
        include_str!("tour/composed.guide"),
        include_str!("tour/ops.guide"),
        include_str!("tour/shapes.guide"),
        include_str!("layout/comments.guide"),
        include_str!("layout/long.guide"),
        include_str!("programs/phases.guide"),
        include_str!("programs/now_and_then.guide"),
        include_str!("programs/until_agreement.guide"),
    ]
}

/// Pieces that a soup is made of.
const PIECES: [&str; 66] = [
    "let ",
    "if ",
    "else ",
    "match ",
    "total ",
    " and ",
    " or ",
    "not ",
    " in ",
    "true",
    "false",
    "use ",
    "model ",
    "classifier ",
    "loss ",
    "input ",
    "fn ",
    "guide ",
    "objective ",
    " as ",
    " per evaluation ",
    "a",
    "b_1",
    "Scalar",
    "Direction<S>",
    "0",
    "1.5",
    ".5",
    "1e9",
    "\"text\"",
    "\"",
    "\\",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "<=",
    "==",
    "!=",
    "=",
    "=>",
    "->",
    "|>",
    "|",
    "+",
    "-",
    "*",
    "/",
    "%",
    ",",
    ":",
    "::",
    "..",
    "..=",
    ";",
    "\n",
    "\r\n",
    " ",
    "// comment\n",
    "/// doc\n",
    "//! file\n",
    "σ",
];

/// Whatever a text is, parsing ends and every place lies in the text; what parses can be laid out.
fn check_any(text: &str) {
    let parsed = parse(FileId(3), text);
    for error in &parsed.errors {
        let labels = error.labels.iter().map(|label| label.span);
        for span in labels.chain([error.span]) {
            assert_eq!(span.file, FileId(3));
            assert!(
                text.get(span.range()).is_some(),
                "{span:?} is not in the text"
            );
        }
    }
    match format(text) {
        Ok(once) => {
            assert!(parsed.errors.is_empty());
            assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "of\n{text}");
        }
        Err(FormatError::Syntax(errors)) => assert_eq!(errors.len(), parsed.errors.len()),
        Err(FormatError::ChangedMeaning) => panic!("the meaning changed of\n{text}"),
    }
}

/// An expression as text, with blanks and comments where they may stand.
fn expression() -> impl Strategy<Value = String> {
    let leaf = select(vec![
        "a",
        "b",
        "tick::sigma",
        "1",
        "0.5",
        "1e-3",
        "true",
        "\"x\\n\"",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 60, 4, |inner| {
        let op = select(vec![
            " + ",
            " - ",
            "\n* ",
            " / ",
            " % ",
            " and ",
            " or // why\n",
            "\n\n- ",
        ]);
        let space = select(vec!["", " ", "\n", " // note\n", "\n\n  // own line\n"]);
        let many = prop::collection::vec((inner.clone(), space), 1..4);
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("{a}{op}{b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("(-{a})")),
            inner.clone().prop_map(|a| format!("(not ({a}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) <= ({b}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) in 0..({b}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            many.clone().prop_map(|parts| {
                let args: Vec<_> = parts.iter().map(|(a, s)| format!("{s}{a}{s}")).collect();
                format!("f({})", args.join(","))
            }),
            many.prop_map(|parts| {
                let args: Vec<_> = parts.iter().map(|(a, s)| format!("{s}n: {s}{a}")).collect();
                format!("[{}, f({},)]", parts.len(), args.join(","))
            }),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("({a}\n |> f()\n  // then\n |> g(k: {b}))")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("(if {c} {{ {a} }} // no\n else {{\n{b} }})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| {
                format!("(match a {{ 0..=1 => {a}, // first\n \"x\" => {{ {b} }} else => 1 }})")
                    .replace("} else =>", "}, else =>")
            }),
            (inner.clone(), inner)
                .prop_map(|(a, b)| format!("total i in 0..2 {{ let y = {a}\n\n\n {b} }}")),
        ]
    })
}

proptest! {
    #[test]
    fn expressions_keep_their_tree(expr in expression()) {
        let text = format!("fn f() {{\n// lead\nlet a = {expr}\n// trail\n ({expr})}}");
        prop_assume!(parse(FileId(0), &text).errors.is_empty());
        check_any(&text);
    }

    #[test]
    fn most_generated_expressions_parse(expr in expression()) {
        let text = format!("fn f() {{ ({expr}) }}");
        let errors = parse(FileId(0), &text).errors;
        prop_assert!(errors.is_empty(), "{errors:#?}\n{text}");
    }

    #[test]
    fn soups_of_pieces(pieces in prop::collection::vec(select(PIECES.to_vec()), 0..60)) {
        check_any(&pieces.concat());
        check_any(&format!("fn f() {{ {} }}", pieces.concat()));
    }

    #[test]
    fn soups_of_characters(text in any::<String>()) {
        check_any(&text);
    }

    #[test]
    fn bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = guide_grammar::decode(FileId(0), &bytes) {
            check_any(text);
        }
    }

    #[test]
    fn mutations(
        program in select(corpus()),
        at in any::<prop::sample::Index>(),
        length in 0..12usize,
        piece in select(PIECES.to_vec()),
    ) {
        let places: Vec<_> = program.char_indices().map(|(at, _)| at).collect();
        let start = *at.get(&places);
        let end = places.iter().copied().find(|end| *end >= start + length).unwrap_or(start);
        check_any(&format!("{}{piece}{}", &program[..start], &program[end..]));
    }
}

#[test]
fn an_error_in_one_item_leaves_the_others() {
    for program in corpus() {
        let whole = parse(FileId(0), program).file.items.len();
        let broken = format!("{program}\nguide broken( {{\n\n{program}");
        let parsed = parse(FileId(0), &broken);
        // File docs in the middle are errors of their own.
        let docs = usize::from(program.starts_with("//!"));
        assert_eq!(parsed.errors.len(), 1 + docs, "{:#?}", parsed.errors);
        assert_eq!(parsed.file.items.len(), 2 * whole);
    }
}
