//! What the compiler says to its user: one data type, made where the check is, drawn in one place.

mod codes;
pub mod render;
pub mod suggest;
mod syntax;
pub mod topics;

pub use codes::Code;

use std::collections::BTreeSet;

use guide_grammar::span::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The program stands, but is probably not what was meant.
    Warning,
    /// The program has no meaning.
    Error,
}

/// One thing to say: a sentence, every place involved, and a way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Which.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One sentence in the user's terms: lower case, no final period, user text in backticks.
    pub message: String,
    /// Every involved place; the first is the primary one. May stand in several files. Empty for
    /// what has no place (`--set`).
    pub labels: Vec<Label>,
    /// An imperative with code to paste.
    pub help: Option<String>,
    /// What an editor can change by itself, where the way out is one for certain.
    pub fix: Option<Box<Fix>>,
}

/// Changes of the text after which the diagnostic is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// An imperative: what is changed.
    pub title: String,
    /// In one file, none over another.
    pub edits: Vec<Edit>,
}

/// A piece of text in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty where something is put in.
    pub span: Span,
    /// What stands there then.
    pub text: String,
}

/// What one place contributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What it contributes.
    pub text: String,
}

impl Diagnostic {
    /// An error or warning (by its code) without a place.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            labels: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// With a place; the first is the primary one.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// With the text that stands in the place of another once it is mended.
    pub fn fix(self, span: Span, text: impl Into<String>) -> Self {
        let text = text.into();
        let title = match text.is_empty() {
            true => "remove it".to_owned(),
            false => format!("write `{}`", text.trim()),
        };
        self.fix_by(title, vec![Edit { span, text }])
    }

    /// With a call put around an expression.
    pub fn wrap(self, span: Span, callee: &str) -> Self {
        let end = Edit {
            span: span.after(),
            text: ")".to_owned(),
        };
        let start = Edit {
            span: Span {
                end: span.start,
                ..span
            },
            text: format!("{callee}("),
        };
        self.fix_by(format!("write `{callee}(…)`"), vec![start, end])
    }

    /// With changes that mend it.
    pub fn fix_by(mut self, title: impl Into<String>, edits: Vec<Edit>) -> Self {
        let title = title.into();
        self.fix = Some(Box::new(Fix { title, edits }));
        self
    }

    /// With a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Diagnostics as they come, each said once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bag {
    list: Vec<Diagnostic>,
    /// What was said where, so that a file full of errors is not compared with itself.
    said: BTreeSet<(Code, Option<Span>, String)>,
}

impl Bag {
    /// Adds one, unless the same code and message stand at the same primary place already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let place = diagnostic.labels.first().map(|l| l.span);
        if self
            .said
            .insert((diagnostic.code, place, diagnostic.message.clone()))
        {
            self.list.push(diagnostic);
        }
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// All, in order of file and place; those without a place first.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|d| d.labels.first().map(|l| l.span));
        self.list
    }

    /// All of another bag.
    pub fn extend(&mut self, other: Bag) {
        for diagnostic in other.list {
            self.push(diagnostic);
        }
    }

    /// As they came.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }
}
