//! All open texts, and what the compiler knows of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use gen_lsp_types::{Location, Position};
use guide_compiler::diagnostics::Code;
use guide_compiler::index::{self, Indexed, Place};
use guide_compiler::sources::Loaded;
use guide_grammar::span::{FileId, Span};

use super::cost::Costs;
use super::documents::{Document, Home};
use super::position::{Encoding, Lines};
use super::std_files::StdFiles;
use super::uri::{path_of, uri_of};
use crate::sources::{Disk, STD_FOLDER};

/// The root of an analysis is its first file.
pub const ROOT: FileId = FileId(0);

/// What is known of a document in one state.
pub struct Snapshot {
    /// Names, values, diagnostics.
    pub indexed: Indexed,
    /// Whether every item could be read.
    pub is_whole: bool,
    /// What its guides cost, as far as somebody has asked.
    pub costs: Costs,
}

impl Snapshot {
    fn new(indexed: Indexed) -> Self {
        let mut said = indexed.analysis.diagnostics.iter();
        let is_whole = said.all(|d| {
            let in_root = d.labels.first().is_none_or(|l| l.span.file == ROOT);
            !(in_root && d.code.number().starts_with("G01"))
        });
        Self {
            indexed,
            is_whole,
            costs: Costs::default(),
        }
    }

    /// Whether it depends on files besides its own and those of the library.
    fn uses_files(&self) -> bool {
        let analysis = &self.indexed.analysis;
        let mut others = analysis.files.files().skip(1);
        others.any(|(_, file)| !file.path.starts_with(STD_FOLDER))
            || analysis.diagnostics.iter().any(|d| is_about_files(d.code))
    }
}

fn is_about_files(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownModule
            | Code::ImportOutsideRoot
            | Code::Unreadable
            | Code::NotUtf8
            | Code::FileTooLarge
    )
}

/// All that the server holds.
pub struct Workspace {
    /// By the editor's URI.
    pub documents: BTreeMap<String, Document>,
    /// Folders that the editor has open, and those that the user allows.
    pub folders: Vec<PathBuf>,
    /// What a column counts.
    pub encoding: Encoding,
    /// The library as files.
    pub std_files: StdFiles,
}

impl Workspace {
    /// With nothing open.
    pub fn new(folders: Vec<PathBuf>, encoding: Encoding) -> Self {
        let there = folders.iter().filter_map(|f| std::fs::canonicalize(f).ok());
        Self {
            documents: BTreeMap::new(),
            folders: there.collect(),
            encoding,
            std_files: StdFiles::new(),
        }
    }

    /// Takes a document in.
    pub fn open(&mut self, uri: String, version: i32, text: &str) {
        let home = match path_of(&uri) {
            None => Home::Nowhere,
            Some(path) => match self.std_files.module(&path) {
                Some(module) => Home::Std(module),
                None => Home::File(path),
            },
        };
        let document = Document::new(uri.clone(), version, text, self.encoding, home);
        self.documents.insert(uri, document);
    }

    /// Forgets what depends on files that may have changed.
    pub fn files_changed(&mut self) {
        for document in self.documents.values_mut() {
            let depends = document.snapshot.borrow().as_ref().map(|s| s.uses_files());
            if depends == Some(true) {
                document.snapshot.take();
                document.is_dirty = true;
            }
        }
    }

    /// What is known of a document now.
    pub fn snapshot(&self, document: &Document) -> Rc<Snapshot> {
        if let Some(known) = document.snapshot.borrow().as_ref() {
            return known.clone();
        }
        let snapshot = Rc::new(Snapshot::new(self.read(document, self.open_texts())));
        if snapshot.is_whole {
            document.last_whole.replace(Some(snapshot.clone()));
        }
        document.snapshot.replace(Some(snapshot.clone()));
        snapshot
    }

    /// Reads a document, with open texts in the place of files.
    pub fn read(&self, document: &Document, open: BTreeMap<PathBuf, Arc<str>>) -> Indexed {
        let path = self.name_of(document);
        let own = document.home.path().map(canonical);
        let text = own.and_then(|own| open.get(&own).cloned());
        let text = text.unwrap_or_else(|| document.text.clone());
        self.read_file(path, &text, open)
    }

    /// Reads a text that has this path for its users.
    pub fn read_file(
        &self,
        path: String,
        text: &str,
        open: BTreeMap<PathBuf, Arc<str>>,
    ) -> Indexed {
        let sources = Disk::new(&path, &self.folders).with_open(&path, open);
        let text = text.to_owned();
        index::read(Loaded { path, text }, &sources)
    }

    /// The text of each open file, by its place.
    pub fn open_texts(&self) -> BTreeMap<PathBuf, Arc<str>> {
        let files = self.documents.values().filter_map(|document| {
            let place = canonical(document.home.path()?);
            Some((place, document.text.clone()))
        });
        files.collect()
    }

    /// The document of a path that an analysis names.
    pub fn document_of(&self, path: &str) -> Option<&Document> {
        let mut documents = self.documents.values();
        if let Some(found) = documents.find(|document| self.name_of(document) == path) {
            return Some(found);
        }
        let place = canonical(path.as_ref());
        let mut documents = self.documents.values();
        documents.find(|d| d.home.path().map(canonical).as_ref() == Some(&place))
    }

    /// How an analysis names a document.
    pub fn name_of(&self, document: &Document) -> String {
        match &document.home {
            Home::File(path) => path.to_string_lossy().into_owned(),
            Home::Std(module) => module.clone(),
            Home::Nowhere => document.uri.clone(),
        }
    }

    /// The URI of a file of an analysis; what the editor has open keeps the editor's.
    pub fn uri_of(&self, path: &str) -> Option<String> {
        if let Some(document) = self.document_of(path) {
            return Some(document.uri.clone());
        }
        if path.starts_with(STD_FOLDER) {
            return Some(uri_of(&self.std_files.place(path)?));
        }
        Some(uri_of(path.as_ref()))
    }

    /// The location of a place in an analysis.
    pub fn location(&self, indexed: &Indexed, place: Place) -> Option<Location> {
        let span = match place {
            Place::Name(span) => span,
            Place::File(file) => Span::new(file, 0, 0),
        };
        let files = &indexed.analysis.files;
        let text = files.text(span.file);
        let range = Lines::new(text, self.encoding).range(text, span);
        let uri = self.uri_of(files.path(span.file))?;
        Some(Location {
            uri: uri.into(),
            range,
        })
    }

    /// A document and the byte of a position in it.
    pub fn at(&self, uri: &str, position: Position) -> Option<(&Document, u32)> {
        let document = self.documents.get(uri)?;
        let byte = document.lines.byte(&document.text, position);
        Some((document, byte))
    }
}

/// The path by which a file is told from others: without links where it is on the disk. What is
/// nowhere on it keeps its name.
pub fn canonical(path: &std::path::Path) -> PathBuf {
    if !path.is_absolute() {
        return path.to_owned();
    }
    std::fs::canonicalize(path).unwrap_or_else(|_| crate::sources::plain(path))
}
