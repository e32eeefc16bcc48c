//! Tree to text: one layout for all files, with the user's comments, blank lines and parentheses.

mod check;
mod doc;
mod expr;
mod item;

use std::fmt;

use crate::comments::Comment;
use crate::error::SyntaxError;
use crate::span::{FileId, Span, Spanned};
use crate::tokens::{Token, scan};
use crate::{Parsed, parse};

use doc::Doc;

/// Why a text was not formatted.
#[derive(Clone, Debug, PartialEq)]
pub enum FormatError {
    /// It has syntax errors; their places are in file 0.
    Syntax(Vec<SyntaxError>),
    /// What would have been written does not mean the same: a mistake of the formatter, which
    /// writes nothing rather than that.
    ChangedMeaning,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Syntax(errors) => write!(f, "{} syntax errors", errors.len()),
            FormatError::ChangedMeaning => f.write_str("formatting would change the meaning"),
        }
    }
}

impl std::error::Error for FormatError {}

/// Lays a file out anew: lines of at most 100 columns where they can be broken, four blanks a
/// level, at most one empty line in a row. Formatting what was formatted changes nothing.
pub fn format(text: &str) -> Result<String, FormatError> {
    let parsed = parse(FileId(0), text);
    if !parsed.errors.is_empty() {
        return Err(FormatError::Syntax(parsed.errors));
    }
    let tokens = scan(FileId(0), text).tokens;
    let mut layout = Layout {
        text,
        tokens: &tokens,
        comments: &parsed.comments,
    };
    let doc = layout.file(&parsed.file);
    let out = doc::print(&doc);
    let out = if out == "\n" { String::new() } else { out };
    if same_meaning(parsed, parse(FileId(0), &out)) {
        Ok(out)
    } else {
        Err(FormatError::ChangedMeaning)
    }
}

fn same_meaning(before: Parsed, after: Parsed) -> bool {
    let words = |comments: &[Comment]| -> Vec<String> {
        comments
            .iter()
            .map(|comment| comment.text.clone())
            .collect()
    };
    after.errors.is_empty()
        && words(&before.comments) == words(&after.comments)
        && check::without_places(before.file) == check::without_places(after.file)
}

/// The brackets of a list, and whether a blank stands inside them on one line.
#[derive(Clone, Copy)]
struct Brackets {
    open: &'static str,
    close: &'static str,
    padded: bool,
}

const PARENS: Brackets = Brackets {
    open: "(",
    close: ")",
    padded: false,
};
const SQUARE: Brackets = Brackets {
    open: "[",
    close: "]",
    padded: false,
};
const NAMES: Brackets = Brackets {
    open: "{",
    close: "}",
    padded: false,
};
const ARMS: Brackets = Brackets {
    open: "{",
    close: "}",
    padded: true,
};

/// What the layout of a file needs: its text and tokens, and the comments not yet laid out.
struct Layout<'t> {
    text: &'t str,
    tokens: &'t [Token],
    comments: &'t [Comment],
}

impl<'t> Layout<'t> {
    /// The comments that begin before byte `to`.
    fn comments_before(&mut self, to: u32) -> Vec<Doc> {
        let mut docs = Vec::new();
        while let Some((comment, rest)) = self.comments.split_first()
            && comment.span.start < to
        {
            if comment.own_line && self.blank_before(comment.span.start) {
                docs.push(Doc::blank());
            }
            docs.push(Doc::comment(&comment.text, comment.own_line));
            self.comments = rest;
        }
        docs
    }

    /// The comments on the line of what ends at byte `from`, also behind a comma.
    fn comments_after(&mut self, from: u32) -> Vec<Doc> {
        let mut next = self.token_from(from);
        if next.is_some_and(|token| token.text(self.text) == ",") {
            next = next.and_then(|comma| self.token_from(comma.end as u32));
        }
        let to = next.map_or(self.text.len(), |token| token.start) as u32;
        let mut docs = Vec::new();
        while let Some((comment, rest)) = self.comments.split_first()
            && comment.span.start < to
            && !comment.own_line
        {
            docs.push(Doc::comment(&comment.text, false));
            self.comments = rest;
        }
        docs
    }

    /// The first token at or after a byte.
    fn token_from(&self, from: u32) -> Option<&'t Token> {
        let number = self
            .tokens
            .partition_point(|token| token.start < from as usize);
        self.tokens.get(number)
    }

    /// Whether an empty line stands before a byte.
    fn blank_before(&self, at: u32) -> bool {
        let before = self.text.get(..at as usize).unwrap_or("");
        let blanks = before.get(before.trim_end().len()..).unwrap_or("");
        blanks.matches('\n').count() > 1
    }

    /// Text that stands at a place, after the comments before it.
    fn word(&mut self, at: Span, text: impl Into<String>) -> Doc {
        let mut docs = self.comments_before(at.start);
        docs.push(Doc::text(text));
        Doc::row(docs)
    }

    /// What the source has at a place.
    fn source(&mut self, at: Span) -> Doc {
        self.word(at, at.text(self.text))
    }

    /// Doc lines, each on a line of its own.
    fn docs(&mut self, lines: &[Spanned<String>]) -> Vec<Doc> {
        let mut docs = Vec::new();
        for line in lines {
            docs.extend(self.comments_before(line.span.start));
            if self.blank_before(line.span.start) {
                docs.push(Doc::blank());
            }
            docs.push(Doc::comment(line.span.text(self.text), true));
        }
        docs
    }

    /// `(a, b)`: on one line, or each part on its own with a comma after the last. `inside` is the
    /// place from the opening to the closing bracket.
    fn list<T>(
        &mut self,
        brackets: Brackets,
        inside: Span,
        parts: &[T],
        place: impl Fn(&T) -> (u32, u32),
        mut lay: impl FnMut(&mut Self, &T) -> Doc,
    ) -> Doc {
        let mut inner = self.comments_after(inside.start + 1);
        let edge = || {
            if brackets.padded {
                Doc::line()
            } else {
                Doc::soft_line()
            }
        };
        inner.push(edge());
        for (number, part) in parts.iter().enumerate() {
            let (start, end) = place(part);
            if number > 0 {
                inner.push(Doc::line());
            }
            inner.extend(self.comments_before(start));
            if number > 0 && self.blank_before(start) {
                inner.push(Doc::blank());
            }
            inner.push(lay(self, part));
            let last = number + 1 == parts.len();
            inner.push(if last {
                Doc::if_broken(",")
            } else {
                Doc::text(",")
            });
            inner.extend(self.comments_after(end));
        }
        inner.extend(self.comments_before(inside.end.saturating_sub(1)));
        Doc::group(Doc::row(vec![
            Doc::text(brackets.open),
            Doc::indent(Doc::row(inner)),
            edge(),
            Doc::text(brackets.close),
        ]))
    }
}
