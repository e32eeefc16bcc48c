//! What the `//!` lines of a file say to tests: `//! test NAME: OPTIONS` and `//! recording: FILE`.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_grammar::ast;
use guide_grammar::span::{FileId, Span};

use super::words::{Word, words};
use crate::args::TestLine;

/// A line for tests.
pub struct Line {
    /// What tells it from the others.
    pub name: Option<String>,
    /// What it says.
    pub options: TestLine,
    /// Where it stands.
    pub span: Span,
}

/// What is said of tests.
#[derive(Default)]
pub struct Header {
    /// In order.
    pub lines: Vec<Line>,
    /// Where the recording lies that values are computed on, and the line that says so.
    pub recording: Option<(PathBuf, Span)>,
}

impl Header {
    /// The lines that are about a guide.
    pub fn of<'a>(&'a self, guide: &'a str) -> impl Iterator<Item = &'a Line> {
        let is_about = move |line: &&Line| line.options.guide.as_deref().is_none_or(|g| g == guide);
        self.lines.iter().filter(is_about)
    }
}

/// Reads the header of a file in that folder.
pub fn read(file: &ast::File, text: &str, folder: &Path) -> (Header, Vec<Diagnostic>) {
    let mut header = Header::default();
    let mut refused = Vec::new();
    let mut is_inside = false;
    for doc in &file.docs {
        let whole = doc.span.text(text);
        if doc.node.trim_start().starts_with("```") {
            is_inside = !is_inside;
        }
        if is_inside {
            continue;
        }
        let start = doc.span.start as usize + whole.len()
            - whole.trim_start_matches("//!").trim_start().len();
        let said = text.get(start..doc.span.end as usize).unwrap_or("");
        let piece = Piece {
            file: doc.span.file,
            start,
            said,
        };
        if let Some(rest) = said.strip_prefix("recording:") {
            match rest.trim() {
                "" => refused.push(
                    bad("a recording without a file", doc.span, "names no file")
                        .help("write `//! recording: run.safetensors`"),
                ),
                name => header.recording = Some((folder.join(name), doc.span)),
            }
            continue;
        }
        match piece.line(folder) {
            Some(Ok(line)) => header.lines.push(line),
            Some(Err(diagnostic)) => refused.push(*diagnostic),
            None => {}
        }
    }
    refused.extend(twice(&header.lines));
    (header, refused)
}

fn bad(message: impl Into<String>, span: Span, label: &str) -> Diagnostic {
    Diagnostic::new(Code::BadTestLine, message).at(span, label)
}

/// Lines for one guide need names to tell their snapshots apart.
fn twice(lines: &[Line]) -> Option<Diagnostic> {
    let overlap = |a: &Line, b: &Line| match (&a.options.guide, &b.options.guide) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let mut pairs = lines.iter().enumerate().flat_map(|(at, second)| {
        let before = lines[..at].iter();
        before.map(move |first| (first, second))
    });
    let (first, second) = pairs.find(|(a, b)| a.name == b.name && overlap(a, b))?;
    let message = match &second.name {
        Some(name) => format!("two lines for tests are called `{name}`"),
        None => "two lines for tests have no name".to_owned(),
    };
    Some(
        bad(message, second.span, "the second")
            .at(first.span, "the first")
            .help("name the second, as in `//! test other: --steps 4`"),
    )
}

/// What follows `//!` on a line, and where.
struct Piece<'a> {
    file: FileId,
    start: usize,
    said: &'a str,
}

impl Piece<'_> {
    fn span(&self, from: usize, to: usize) -> Span {
        Span::new(self.file, self.start + from, self.start + to)
    }

    fn whole(&self) -> Span {
        self.span(0, self.said.trim_end().len())
    }

    /// The line for tests that this is, if it is one.
    fn line(&self, folder: &Path) -> Option<Result<Line, Box<Diagnostic>>> {
        let rest = self.said.strip_prefix("test")?;
        if rest.trim_start().starts_with("--") {
            let refused = bad("a line for tests without a colon", self.whole(), "not read")
                .help(format!("write `//! test: {}`", rest.trim()));
            return Some(Err(Box::new(refused)));
        }
        let (name, _) = rest.split_once(':')?;
        let name = match name {
            "" => None,
            name => Some(name.strip_prefix(' ')?),
        };
        let is_name = |name: &str| {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            !name.is_empty() && name.chars().all(is_of_name)
        };
        // Anything else is a sentence.
        if name.is_some_and(|name| !is_name(name)) {
            return None;
        }
        let from = self.said.find(':').map_or(self.said.len(), |at| at + 1);
        let options = self.options(from).map(|options| Line {
            name: name.map(str::to_owned),
            options: beside(options, folder),
            span: self.whole(),
        });
        Some(options.map_err(Box::new))
    }

    fn options(&self, from: usize) -> Result<TestLine, Diagnostic> {
        let words = words(&self.said[from..]).map_err(|at| {
            let place = self.span(from + at, self.said.trim_end().len());
            bad("a quote that is never closed", place, "opens here")
                .help("close it on the same line")
        })?;
        let texts = words.iter().map(|word| word.text.as_str());
        TestLine::try_parse_from(texts).map_err(|error| self.refusal(&error, &words, from))
    }

    /// What clap says, at the word that it speaks of.
    fn refusal(&self, error: &clap::Error, words: &[Word], from: usize) -> Diagnostic {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => texts.first().cloned(),
            _ => None,
        };
        let argument = text(ContextKind::InvalidArg).unwrap_or_default();
        let value = text(ContextKind::InvalidValue).unwrap_or_default();
        let option = argument.split([' ', '=']).next().unwrap_or("");
        let is_value = |word: &&Word| !value.is_empty() && word.text.ends_with(&value);
        let is_option = |word: &&Word| !option.is_empty() && word.text.starts_with(option);
        let word = words.iter().find(is_value);
        let word = word.or_else(|| words.iter().rev().find(is_option));
        let place = word.map_or(self.whole(), |word| {
            self.span(from + word.range.start, from + word.range.end)
        });
        if error.kind() == ErrorKind::UnknownArgument {
            let message = format!("a line for tests has no option `{option}`");
            let refused = bad(message, place, "not known");
            return match text(ContextKind::SuggestedArg) {
                Some(near) => refused.help(format!("write `{near}`")),
                None => refused.help("`guidec plan --help` lists the options that it may have"),
            };
        }
        let rendered = error.to_string();
        let sentence = rendered.lines().next().unwrap_or("");
        let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
        let refused = bad(sentence.replace('\'', "`"), place, "not usable");
        refused.help("`guidec plan --help` lists the options and what they take")
    }
}

/// The options with every path as one from the file's folder, so that a test does not depend on where it is
/// started.
fn beside(mut options: TestLine, folder: &Path) -> TestLine {
    // `ORGANISATION/NAME` is a model by name, unless such a folder lies there.
    let is_path = |name: &str| {
        name.starts_with('.') || name.ends_with(".safetensors") || folder.join(name).exists()
    };
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    if let Some(model) = &mut options.target.model
        && is_path(model)
    {
        *model = text(folder.join(&*model));
    }
    for (_, value) in &mut options.target.bind {
        // A prompt is counted and not read; anything else is a path.
        *value = text(folder.join(&*value));
    }
    for path in &mut options.allow_path {
        *path = folder.join(&*path);
    }
    #[cfg(feature = "run")]
    {
        let parts = &mut options.target.parts;
        let loras = parts.loras.iter_mut().map(|(path, _)| path);
        let others = [&mut parts.vae, &mut parts.tokenizer, &mut parts.config];
        for path in loras.chain(others.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }
    options
}
