//! Errors of single tokens, and doc lines that document nothing.

use crate::comments::Doc;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::span::{FileId, Span};
use crate::tokens::{RESERVED, Token, TokenKind};

/// The tokens that are wrong by themselves. A string without an end swallows brackets, so where
/// there is one, `errors` loses what was said of them.
pub(crate) fn add_errors(
    file: FileId,
    text: &str,
    tokens: &[Token],
    errors: &mut Vec<SyntaxError>,
) {
    if tokens
        .iter()
        .any(|token| token.kind == TokenKind::OpenString)
    {
        errors.retain(|error| error.kind != SyntaxErrorKind::UnclosedBracket);
    }
    for (number, token) in tokens.iter().enumerate() {
        let span = token.span(file);
        let words = token.text(text);
        let error = match token.kind {
            TokenKind::BadWord => SyntaxError::new(
                SyntaxErrorKind::BadName,
                span,
                format!("`{}` is not a name", shown(words)),
                "names are lower-case letters, digits and `_`",
            )
            .write(lower_case(words)),
            TokenKind::BadNumber => bad_number(token, file, words),
            TokenKind::OpenString => SyntaxError::new(
                SyntaxErrorKind::UnclosedString,
                span,
                "this string is never closed",
                "a string ends on the line on which it begins",
            )
            .help("close it with `\"`; a line break in it is `\\n`"),
            TokenKind::BadString => SyntaxError::new(
                SyntaxErrorKind::UnexpectedToken,
                span,
                "a string has no escapes but `\\\"`, `\\\\` and `\\n`",
                "another escape stands in this string",
            )
            .help("write `\\\\` for a backslash"),
            TokenKind::Unknown => {
                let previous = number.checked_sub(1).and_then(|before| tokens.get(before));
                // One mark of a run such as `&&&` is enough.
                if previous.is_some_and(|p| p.kind == TokenKind::Unknown && p.end == token.start) {
                    continue;
                }
                unknown(token, file, words)
            }
            _ => continue,
        };
        errors.push(error);
    }
}

fn unknown(token: &Token, file: FileId, words: &str) -> SyntaxError {
    let error = SyntaxError::new(
        SyntaxErrorKind::UnexpectedToken,
        token.span(file),
        format!("`{}` stands in no guide file", shown(words)),
        "not expected here",
    );
    match words {
        ";" => {
            let place = error.span;
            error
                .help("remove it: a line break ends a statement")
                .fix(place, "")
        }
        "&&" | "&" => error.write("and"),
        "||" => error.write("or"),
        "!" => error.help("write `not`, or `!=` to compare"),
        "^" => error.help("write `pow(a, b)` for a power"),
        "'" | "`" | "‘" | "’" | "“" | "”" => {
            error.help("write strings between `\"` and `\"`")
        }
        "." => {
            error.help("write `::` between the parts of a path, `..` between the ends of a range")
        }
        "#" => {
            let place = error.span;
            error.help("begin a comment with `//`").fix(place, "//")
        }
        "−" | "–" | "—" => error.write("-"),
        "×" | "·" => error.write("*"),
        "÷" => error.write("/"),
        "≤" => error.write("<="),
        "≥" => error.write(">="),
        "≠" => error.write("!="),
        "?" | "@" | "$" | "~" | "\\" => {
            let place = error.span;
            error.help("remove it").fix(place, "")
        }
        _ => error.help("remove it, or put it into a string or a comment"),
    }
}

fn bad_number(token: &Token, file: FileId, words: &str) -> SyntaxError {
    let error = |message: String, label: &str| {
        SyntaxError::new(SyntaxErrorKind::BadNumber, token.span(file), message, label)
    };
    let digits = words.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.');
    let unit = words.get(digits.len()..).unwrap_or("");
    if words.contains('_') {
        let whole: String = words.chars().filter(|c| *c != '_').collect();
        return error(
            format!("`{words}` is not a number"),
            "digits stand without `_`",
        )
        .write(whole);
    }
    if words.matches('.').count() > 1 {
        return error(format!("`{words}` is not a number"), "a number has one dot")
            .help("write `a..b` for a range");
    }
    if let Some((whole, exponent)) = words.split_once(".e") {
        return error(
            format!("`{words}` is not a number"),
            "a number has a digit on both sides of its dot",
        )
        .write(format!("{whole}.0e{exponent}"));
    }
    if words.starts_with('.') || words.ends_with('.') || digits.ends_with('.') {
        let front = if words.starts_with('.') { "0" } else { "" };
        let mended = match digits.strip_suffix('.') {
            Some(whole) => format!("{front}{whole}.0"),
            None => format!("{front}{digits}"),
        };
        return error(
            format!("`{words}` is not a number"),
            "a number has a digit on both sides of its dot",
        )
        .write(mended);
    }
    let is_name = unit.starts_with(|c: char| c.is_ascii_lowercase());
    if is_name && !matches!(unit, "e" | "f") {
        return error(
            format!("`{words}` is not a number"),
            "letters follow the digits",
        )
        .write(format!("{digits} * {unit}"));
    }
    error(
        format!("`{words}` is not a number"),
        "letters stand among the digits",
    )
    .help("write digits, a fraction and an exponent: `1`, `0.5`, `1.5e-3`")
}

/// The doc lines that nothing has taken.
pub(crate) fn misplaced_docs(docs: &[Doc]) -> Vec<SyntaxError> {
    let mut errors = Vec::new();
    let mut last_line_end = None;
    for doc in docs.iter().filter(|doc| !doc.taken) {
        let span = doc.line.span;
        let marker = if doc.of_file { "//!" } else { "///" };
        let (message, label) = match (doc.of_file, doc.own_line) {
            (true, _) => (
                "a `//!` comment documents the file",
                "it stands before the first item",
            ),
            (false, false) => ("a `///` comment begins its line", "code stands before it"),
            (false, true) => (
                "a `///` comment documents the item or parameter after it",
                "neither follows this one",
            ),
        };
        // A block of lines is one mistake.
        let same_block = last_line_end.is_some_and(|end: u32| span.start.saturating_sub(end) < 200)
            && errors
                .last()
                .is_some_and(|e: &SyntaxError| e.message == message);
        if !same_block || !doc.own_line {
            let error = SyntaxError::new(SyntaxErrorKind::MisplacedDoc, span, message, label);
            let marked = Span {
                end: span.start + marker.len() as u32,
                ..span
            };
            let error = error.help(format!("write `//` in place of `{marker}`"));
            errors.push(error.fix(marked, "//"));
        }
        last_line_end = Some(span.end);
    }
    errors
}

/// Text for a message: without control characters.
pub(crate) fn shown(words: &str) -> String {
    words
        .chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// A name close to a word: `myScale` is `my_scale`, `σ` is `sigma`.
pub(crate) fn lower_case(word: &str) -> String {
    let mut name = String::new();
    let mut before_lower = false;
    for c in word.chars() {
        let letters = match greek(c) {
            Some(letters) => letters.to_owned(),
            None => c.to_lowercase().map(ascii).collect(),
        };
        if c.is_ascii_uppercase() && before_lower {
            name.push('_');
        }
        before_lower = c.is_lowercase() || c.is_ascii_digit();
        name.push_str(&letters);
    }
    let name = name.trim_end_matches('_').to_owned();
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    match (name.as_str(), starts_well) {
        ("", _) => "name".to_owned(),
        (_, false) => format!("n_{name}"),
        (reserved, _) if RESERVED.contains(&reserved) => format!("{reserved}_"),
        _ => name,
    }
}

/// A letter without its accent; what has no such letter is `_`.
fn ascii(c: char) -> char {
    match c {
        'a'..='z' | '0'..='9' | '_' => c,
        'à'..='å' | 'ā' => 'a',
        'ç' | 'č' | 'ć' => 'c',
        'è'..='ë' | 'ē' | 'ě' => 'e',
        'ì'..='ï' | 'ī' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'š' | 'ś' => 's',
        'ù'..='ü' | 'ū' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' => 'z',
        _ => '_',
    }
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' | 'Δ' => "delta",
        'ε' | 'ϵ' => "epsilon",
        'η' => "eta",
        'θ' => "theta",
        'κ' => "kappa",
        'λ' => "lambda",
        'μ' | 'µ' => "mu",
        'ν' => "nu",
        'π' => "pi",
        'ρ' => "rho",
        'σ' | 'Σ' => "sigma",
        'τ' => "tau",
        'φ' | 'ϕ' => "phi",
        'χ' => "chi",
        'ψ' => "psi",
        'ω' => "omega",
        _ => return None,
    })
}
