//! Comments and doc lines, kept beside the tree.

use crate::span::{Span, Spanned};

/// A plain comment: `// …`, or `//// …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// From `//` to the last character of the line that is not blank.
    pub span: Span,
    /// The comment as written, `//` included.
    pub text: String,
    /// Whether nothing but blanks stands before it on its line.
    pub own_line: bool,
}

/// A `///` or `//!` line, before it is known what it documents.
#[derive(Clone, Debug)]
pub(crate) struct Doc {
    /// The text without the marker and one space, and the place of the whole line.
    pub line: Spanned<String>,
    /// `//!`
    pub of_file: bool,
    /// Whether nothing but blanks stands before it on its line.
    pub own_line: bool,
    /// Whether the tree has taken it.
    pub taken: bool,
}

/// The doc lines of a file in order, handed out to what follows them.
#[derive(Debug, Default)]
pub(crate) struct Docs {
    /// In order of place.
    pub list: Vec<Doc>,
}

impl Docs {
    /// Takes the `///` lines that lie between bytes `from` and `to`.
    pub fn take(&mut self, from: usize, to: usize) -> Vec<Spanned<String>> {
        let first = self
            .list
            .partition_point(|doc| (doc.line.span.start as usize) < from);
        let mut taken = Vec::new();
        for doc in self.list.iter_mut().skip(first) {
            if doc.line.span.end as usize > to {
                break;
            }
            if doc.own_line && !doc.of_file && !doc.taken {
                doc.taken = true;
                taken.push(doc.line.clone());
            }
        }
        taken
    }

    /// Takes the `//!` lines that end before byte `to`.
    pub fn take_of_file(&mut self, to: usize) -> Vec<Spanned<String>> {
        let mut taken = Vec::new();
        for doc in &mut self.list {
            if doc.of_file && doc.own_line && doc.line.span.end as usize <= to {
                doc.taken = true;
                taken.push(doc.line.clone());
            }
        }
        taken
    }

    /// Marks what lies between two bytes as taken, because an error was already reported there.
    pub fn drop_between(&mut self, from: usize, to: usize) {
        for doc in &mut self.list {
            if doc.line.span.start as usize >= from && doc.line.span.end as usize <= to {
                doc.taken = true;
            }
        }
    }
}
