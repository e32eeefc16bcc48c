//! Programs in doc comments: ```` ```guide ```` blocks, compiled as the programs of a manual are.
//!
//! A block is tested as a text in which only it stands, at its own place: what else the file holds is
//! blank. So every span of it is one of the file.

use std::path::{Path, PathBuf};

use guide_compiler::analyse;
use guide_compiler::diagnostics::{Code, Diagnostic, Severity};
use guide_compiler::sources::Loaded;
use guide_grammar::ast::{self, ItemKind};
use guide_grammar::span::{Span, Spanned};
use guide_grammar::{Parsed, SyntaxErrorKind, parse};

use super::Examples;
use super::said::Said;
use crate::sources::Disk;

/// What a line of a doc comment begins with that holds a value.
pub const VALUE: &str = "// =>";

/// What stands around the fragment of a body.
const FRAGMENT: (&str, &str) = ("fn f() {", "}");

/// The file whose comments hold programs.
pub struct Neighbour<'a> {
    /// Where it lies.
    pub place: &'a Path,
    /// Its text, under the name that users see.
    pub text: &'a Loaded,
    /// Folders whose files may be used.
    pub allowed: &'a [PathBuf],
    /// The recording that the header names, and where it does.
    #[cfg(feature = "run")]
    pub recording: Option<&'a (PathBuf, Span)>,
}

/// A program in a comment.
pub struct Block {
    /// The words after `guide`.
    tags: Vec<String>,
    /// The line that opens it.
    pub opening: Span,
    /// Each line's place, without the comment's marker.
    lines: Vec<Span>,
    /// The line that closes it, if one does.
    closing: Option<Span>,
}

impl Neighbour<'_> {
    /// Tests every program in the comments of a file.
    pub fn test(&self, file: &ast::File, said: &mut Said) -> Examples {
        let mut examples = Examples::default();
        for block in docs(file).flat_map(|docs| blocks(docs, &self.text.text)) {
            examples.programs += 1;
            self.one(&block, said, &mut examples);
        }
        examples
    }

    fn one(&self, block: &Block, said: &mut Said, examples: &mut Examples) {
        let tags: Vec<&str> = block.tags.iter().map(String::as_str).collect();
        match tags.as_slice() {
            [] => self.whole(block, said, examples),
            ["fragment"] => self.fragment(block, said),
            ["error", wanted @ ..] if !wanted.is_empty() => self.wrong(block, wanted, said),
            _ => said.say(
                block
                    .differs(format!("an example that is tagged `{}`", tags.join(" ")))
                    .help("write `guide`, `guide fragment` or `guide error G0401`"),
            ),
        }
    }

    /// A program that stands alone compiles, and has the values that it shows.
    fn whole(&self, block: &Block, said: &mut Said, examples: &mut Examples) {
        let text = self.alone(block, None);
        let found = self.compile(&text, block, said);
        if found.is_empty() {
            self.values(&text, block, said, examples);
        }
    }

    /// A piece of a body parses; what its names mean, nobody says.
    fn fragment(&self, block: &Block, said: &mut Said) {
        let text = self.alone(block, Some(FRAGMENT));
        let Parsed { errors, .. } = parse(block.opening.file, &text);
        // A piece may end before the body does.
        let wrong = errors
            .iter()
            .filter(|error| error.kind != SyntaxErrorKind::BodyWithoutValue);
        wrong.for_each(|error| said.say(error.into()));
    }

    /// A program that shows a mistake has exactly that one.
    fn wrong(&self, block: &Block, wanted: &[&str], said: &mut Said) {
        let mut own = Said::default();
        let found = self.compile(&self.alone(block, None), block, &mut own);
        let mut codes: Vec<&str> = found.iter().map(|code| code.number()).collect();
        codes.sort_unstable();
        codes.dedup();
        let mut sorted = wanted.to_vec();
        sorted.sort_unstable();
        if codes == sorted {
            return;
        }
        let found = match codes.is_empty() {
            true => "no error".to_owned(),
            false => codes.join(", "),
        };
        let message = format!(
            "an example should have {}, and has {found}",
            wanted.join(", ")
        );
        said.say(block.differs(message));
    }

    /// The codes of a program's errors; what they say is added.
    fn compile(&self, text: &str, block: &Block, said: &mut Said) -> Vec<Code> {
        let name = self.name(block);
        let root = Loaded {
            path: name.clone(),
            text: text.to_owned(),
        };
        let (files, found) = analyse(root, &self.disk(&name));
        let errors = found.into_iter().filter(|d| d.severity == Severity::Error);
        let errors: Vec<Diagnostic> = errors.collect();
        let codes = errors.iter().map(|error| error.code).collect();
        said.absorb(errors, &files, |path| self.real(path, &name));
        codes
    }

    /// What the compiler calls the program, unlike any file.
    pub fn name(&self, block: &Block) -> String {
        format!(
            "{} (example at byte {})",
            self.text.path, block.opening.start
        )
    }

    /// What users call a file that the compiler calls so.
    pub fn real(&self, path: &str, name: &str) -> String {
        match path == name {
            true => self.text.path.clone(),
            false => path.to_owned(),
        }
    }

    /// The files that the program may use: those that the file itself may, which is one of them.
    pub fn disk(&self, name: &str) -> Disk {
        Disk::beside_file(name, self.place, self.allowed)
    }

    /// The file's text with everything blank but the block, and what stands around it.
    fn alone(&self, block: &Block, around: Option<(&str, &str)>) -> String {
        let mut bytes: Vec<u8> = self
            .text
            .text
            .bytes()
            .map(|byte| if byte == b'\n' { b'\n' } else { b' ' })
            .collect();
        let mut put = |at: usize, text: &[u8]| {
            if let Some(room) = bytes.get_mut(at..at + text.len()) {
                room.copy_from_slice(text);
            }
        };
        for line in &block.lines {
            put(line.start as usize, line.text(&self.text.text).as_bytes());
        }
        if let Some((before, after)) = around {
            put(block.opening.start as usize, before.as_bytes());
            if let Some(closing) = block.closing {
                put(closing.start as usize, after.as_bytes());
            }
        }
        // INVARIANT: whole lines were copied, and everything else is ASCII.
        String::from_utf8(bytes).unwrap_or_default()
    }

    #[cfg(feature = "run")]
    fn values(&self, text: &str, block: &Block, said: &mut Said, examples: &mut Examples) {
        examples.values += super::value::compare(self, text, block, said);
    }

    #[cfg(not(feature = "run"))]
    fn values(&self, text: &str, block: &Block, _: &mut Said, examples: &mut Examples) {
        let parsed = parse(block.opening.file, text);
        let shown = parsed
            .comments
            .iter()
            .filter(|comment| comment.text.starts_with(VALUE));
        examples.skipped += shown.count();
    }
}

impl Block {
    /// That it does not do what it says.
    pub fn differs(&self, message: String) -> Diagnostic {
        Diagnostic::new(Code::ExampleDiffers, message).at(self.opening, "this one")
    }
}

/// Every list of doc lines in a file.
fn docs(file: &ast::File) -> impl Iterator<Item = &[Spanned<String>]> {
    let items = file.items.iter().flat_map(|item| {
        let params = match &item.kind {
            ItemKind::Function(function) => function.params.as_slice(),
            _ => &[],
        };
        let params = params.iter().map(|param| param.docs.as_slice());
        std::iter::once(item.docs.as_slice()).chain(params)
    });
    std::iter::once(file.docs.as_slice()).chain(items)
}

/// The programs in doc lines. One that is never closed ends with them.
fn blocks(docs: &[Spanned<String>], text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    let mut is_other = false;
    for doc in docs {
        let fence = doc.node.trim().strip_prefix("```");
        match (&mut open, fence) {
            (Some(block), Some(_)) => {
                block.closing = Some(doc.span);
                found.extend(open.take());
            }
            (Some(block), None) => block.lines.push(inside(doc.span, text)),
            (None, Some(_)) if is_other => is_other = false,
            (None, Some(info)) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                is_other = words.next().as_deref() != Some("guide");
                open = (!is_other).then(|| Block {
                    tags: words.collect(),
                    opening: doc.span,
                    lines: Vec::new(),
                    closing: None,
                });
            }
            (None, None) => {}
        }
    }
    found.extend(open);
    found
}

/// The part of a doc line after its marker.
fn inside(line: Span, text: &str) -> Span {
    let whole = line.text(text);
    let marker = ["///", "//!"]
        .into_iter()
        .find_map(|marker| Some(whole.find(marker)? + marker.len()));
    Span {
        start: line.start + marker.unwrap_or(0) as u32,
        ..line
    }
}

#[cfg(test)]
mod tests {
    use super::{blocks, docs};
    use guide_grammar::parse;
    use guide_grammar::span::FileId;

    #[test]
    fn programs_are_found_in_every_comment() {
        let text = "//! Of the file.\n//! ```guide\n//! one\n//! ```\n\n\
                    /// ```text\n/// ```\n/// ```guide error G0401\n/// two\n///\n/// three\n/// ```\n\
                    guide g(\n    /// ```guide fragment\n    /// four\n    scale: Scalar = 1,\n) { predict(cond) }\n";
        let parsed = parse(FileId(0), text);
        assert_eq!(parsed.errors, []);
        let found: Vec<_> = docs(&parsed.file).flat_map(|d| blocks(d, text)).collect();
        let said: Vec<(String, String)> = found
            .iter()
            .map(|block| {
                let lines: String = block.lines.iter().map(|line| line.text(text)).collect();
                (block.tags.join(" "), lines)
            })
            .collect();
        let wanted = [
            ("", " one"),
            ("error G0401", " two three"),
            ("fragment", " four"),
        ];
        assert_eq!(said, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(found[0].closing.is_some() && found[2].closing.is_none());
    }
}
