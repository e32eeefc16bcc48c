//! Text to tokens: what `lines` needs to see the shape of a file, and to name what stands where.

use crate::comments::{Comment, Doc};
use crate::span::{FileId, Span, Spanned};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `scale`, the item words included.
    Name,
    /// `Scalar`
    KindName,
    /// `let`, `in`, …
    Reserved,
    /// `0.5`
    Number,
    /// `"text"`
    String,
    /// An operator or bracket.
    Mark,
    /// `myScale`, `naïve`: a word that is neither a name nor a kind.
    BadWord,
    /// `1.`, `.5`, `2x`
    BadNumber,
    /// A string without its closing quote, up to the end of the line.
    OpenString,
    /// A string with an escape that is not known.
    BadString,
    /// A character that stands in no token.
    Unknown,
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// Whether a line break stands between it and the token before it.
    pub after_break: bool,
    /// Whether it is the first character of its line, without blanks before it.
    pub at_margin: bool,
}

impl Token {
    /// Its text.
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.start..self.end).unwrap_or("")
    }

    /// Its place.
    pub fn span(&self, file: FileId) -> Span {
        Span::new(file, self.start, self.end)
    }
}

/// The words that are never names.
pub(crate) const RESERVED: [&str; 11] = [
    "let", "if", "else", "match", "total", "and", "or", "not", "in", "true", "false",
];

/// The mark that a text begins with: whether it stands in guide files, and its length.
fn mark(rest: &str) -> Option<(TokenKind, usize)> {
    let known = |length| Some((TokenKind::Mark, length));
    let unknown = |length| Some((TokenKind::Unknown, length));
    match rest.as_bytes() {
        [b'.', b'.', b'=', ..] => known(3),
        [b'=', b'=' | b'>', ..] | [b'!' | b'<' | b'>', b'=', ..] | [b'-' | b'|', b'>', ..] => {
            known(2)
        }
        [b':', b':', ..] | [b'.', b'.', ..] => known(2),
        [b'&', b'&', ..] | [b'|', b'|', ..] => unknown(2),
        [b';' | b'!', ..] => unknown(1),
        [b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b':', ..] => known(1),
        [
            b'=' | b'|' | b'*' | b'/' | b'%' | b'+' | b'-' | b'<' | b'>',
            ..,
        ] => known(1),
        _ => None,
    }
}

/// The tokens, comments and doc lines of a text.
pub(crate) struct Scan {
    /// In order.
    pub tokens: Vec<Token>,
    /// In order.
    pub comments: Vec<Comment>,
    /// In order.
    pub docs: Vec<Doc>,
}

/// Reads the whole text; every byte is in a token, in a comment, or blank.
pub(crate) fn scan(file: FileId, text: &str) -> Scan {
    let mut scan = Scan {
        tokens: Vec::new(),
        comments: Vec::new(),
        docs: Vec::new(),
    };
    let mut at = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut line_start = at;
    let mut after_break = true;
    let mut own_line = true;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        if first == '\n' {
            at += 1;
            (line_start, after_break, own_line) = (at, true, true);
        } else if matches!(first, ' ' | '\t' | '\r') {
            at += 1;
        } else if rest.starts_with("//") {
            let length = line_length(rest);
            scan.add_comment(file, at, rest.get(..length).unwrap_or(rest), own_line);
            at += length;
        } else {
            let (kind, length) = token(rest, previous_char(text, at));
            let at_margin = at == line_start;
            let end = at + length;
            scan.tokens.push(Token {
                kind,
                start: at,
                end,
                after_break,
                at_margin,
            });
            at = end;
            (after_break, own_line) = (false, false);
        }
    }
    scan
}

impl Scan {
    fn add_comment(&mut self, file: FileId, at: usize, line: &str, own_line: bool) {
        let line = line.trim_end();
        let span = Span::new(file, at, at + line.len());
        let doc = match (line.strip_prefix("///"), line.strip_prefix("//!")) {
            (Some(rest), _) if !rest.starts_with('/') => Some((rest, false)),
            (_, Some(rest)) => Some((rest, true)),
            _ => None,
        };
        match doc {
            Some((rest, of_file)) => {
                let words = rest.strip_prefix(' ').unwrap_or(rest).to_owned();
                let line = Spanned::new(words, span);
                self.docs.push(Doc {
                    line,
                    of_file,
                    own_line,
                    taken: false,
                });
            }
            None => self.comments.push(Comment {
                span,
                text: line.to_owned(),
                own_line,
            }),
        }
    }
}

fn line_length(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

fn previous_char(text: &str, at: usize) -> Option<char> {
    text.get(..at).and_then(|before| before.chars().next_back())
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn token(rest: &str, previous: Option<char>) -> (TokenKind, usize) {
    let mut chars = rest.chars();
    let first = chars.next().unwrap_or(' ');
    let second = chars.next().unwrap_or(' ');
    if first.is_ascii_digit() {
        return number(rest);
    }
    if first == '.' && second.is_ascii_digit() && previous != Some('.') {
        let (_, length) = number(rest.get(1..).unwrap_or(""));
        return (TokenKind::BadNumber, length + 1);
    }
    if is_word(first) {
        return word(rest);
    }
    if first == '"' {
        return string(rest);
    }
    mark(rest).unwrap_or((TokenKind::Unknown, first.len_utf8()))
}

/// The length of the letters, digits and `_` that a text begins with.
fn word_length(rest: &str) -> usize {
    let is_ascii_word = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
    let ascii = rest.bytes().take_while(|byte| is_ascii_word(byte)).count();
    let tail = rest.get(ascii..).unwrap_or("");
    if tail.as_bytes().first().is_some_and(|byte| !byte.is_ascii()) {
        return ascii + tail.find(|c| !is_word(c)).unwrap_or(tail.len());
    }
    ascii
}

fn word(rest: &str) -> (TokenKind, usize) {
    let length = word_length(rest);
    let word = rest.get(..length).unwrap_or(rest);
    let starts_upper = word.starts_with(|c: char| c.is_ascii_uppercase());
    let kind = if RESERVED.contains(&word) {
        TokenKind::Reserved
    } else if starts_upper && word.bytes().all(|c| c.is_ascii_alphanumeric()) {
        TokenKind::KindName
    } else if word
        .bytes()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    {
        TokenKind::Name
    } else {
        TokenKind::BadWord
    };
    (kind, length)
}

fn number(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let digits = |mut at: usize| {
        while byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    let mut good = true;
    while byte(end) == b'.' && byte(end + 1) != b'.' {
        let fraction = digits(end + 1);
        // A second fraction, or a dot without digits.
        good = good && fraction > end + 1 && !rest.get(..end).unwrap_or("").contains('.');
        end = fraction;
    }
    if matches!(byte(end), b'e' | b'E') {
        let sign = usize::from(matches!(byte(end + 1), b'+' | b'-'));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    let tail = rest.get(end..).unwrap_or("");
    let letters = word_length(tail);
    if good && letters == 0 {
        (TokenKind::Number, end)
    } else {
        (TokenKind::BadNumber, end + letters)
    }
}

fn string(rest: &str) -> (TokenKind, usize) {
    let mut kind = TokenKind::String;
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (kind, at + 1),
            '\n' => {
                return (
                    TokenKind::OpenString,
                    rest.get(..at).unwrap_or(rest).trim_end().len(),
                );
            }
            '\\' => match chars.next() {
                Some((_, '"' | '\\' | 'n')) => {}
                Some((at, '\n')) => {
                    return (TokenKind::OpenString, rest.get(..at).unwrap_or(rest).len());
                }
                _ => kind = TokenKind::BadString,
            },
            _ => {}
        }
    }
    (TokenKind::OpenString, rest.trim_end().len())
}
