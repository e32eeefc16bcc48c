//! Where files come from: the only door to text. The command line reads disks, tests use memory,
//! and the standard library is embedded.

use guide_grammar::span::{FileId, Span};

/// Finds and reads `.guide` files. Implemented outside the compiler, which does no IO.
pub trait Sources {
    /// The text of a module of the standard library: `path` is `rules/apg` for
    /// `std::rules::apg`, or `ops` for a folder (then every file in it, one a name).
    fn std(&self, path: &str) -> Option<Loaded>;
    /// The names directly under a folder of the standard library (`""` is its root), sorted.
    fn std_names(&self, folder: &str) -> Vec<String>;
    /// The file that `relative` names beside the file `from`.
    ///
    /// # Errors
    /// That it is not there, cannot be read, is not UTF-8, is too large, or lies outside the root
    /// file's folder (and no `--allow-path` covers it).
    fn beside(&self, from: &str, relative: &str) -> Result<Loaded, SourceError>;
}

/// A file's text, with the name that users see.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// As users see it (`stdlib/rules/apg.guide`, `examples/first.guide`): also what tells two
    /// files apart.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// Why a file could not be had.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceError {
    /// No such file; what was looked for.
    Missing(String),
    /// It lies outside the root file's folder: its path, and that folder.
    Outside(String, String),
    /// Not UTF-8; the first bad byte.
    NotUtf8(String, usize),
    /// Over the size limit: bytes, limit.
    TooLarge(String, u64, u64),
    /// Anything else the machine said.
    Unreadable(String, String),
}

/// All files that a compilation has read.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<Loaded>,
}

impl SourceMap {
    /// Adds a file, or finds it if one of that path is there already.
    pub fn add(&mut self, loaded: Loaded) -> FileId {
        if let Some(found) = self.files.iter().position(|f| f.path == loaded.path) {
            return FileId(found as u32);
        }
        self.files.push(loaded);
        FileId(self.files.len() as u32 - 1)
    }

    /// The path of a file, as users see it.
    pub fn path(&self, file: FileId) -> &str {
        self.files
            .get(file.0 as usize)
            .map_or("", |f| f.path.as_str())
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        self.files
            .get(file.0 as usize)
            .map_or("", |f| f.text.as_str())
    }

    /// The text of a span.
    pub fn snippet(&self, span: Span) -> &str {
        span.text(self.text(span.file))
    }

    /// Line and column of a byte, both from 1, columns in characters.
    pub fn position(&self, file: FileId, byte: u32) -> (usize, usize) {
        let text = self.text(file);
        let before = text.get(..byte as usize).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// Every file in order of reading.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &Loaded)> {
        self.files
            .iter()
            .enumerate()
            .map(|(at, f)| (FileId(at as u32), f))
    }
}
