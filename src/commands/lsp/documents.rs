//! The texts that an editor has open.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use gen_lsp_types::TextDocumentContentChangeEvent;

use super::position::{Encoding, Lines};
use super::workspace::Snapshot;

/// A text that an editor has open.
pub struct Document {
    /// As the editor calls it.
    pub uri: String,
    /// The editor's number of this state of it.
    pub version: i32,
    /// The whole text.
    pub text: Arc<str>,
    /// Where its lines begin.
    pub lines: Rc<Lines>,
    /// Where it lies.
    pub home: Home,
    /// What is known of this state, once somebody has asked.
    pub snapshot: RefCell<Option<Rc<Snapshot>>>,
    /// What was known when every item could be read.
    pub last_whole: RefCell<Option<Rc<Snapshot>>>,
    /// Whether the editor has not heard yet what is wrong with this state.
    pub is_dirty: bool,
}

/// Where a document lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// On the disk, or where it will be saved.
    File(PathBuf),
    /// In the standard library: `stdlib/rules/apg.guide`.
    Std(String),
    /// Nowhere yet.
    Nowhere,
}

impl Home {
    /// The path on the disk.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Home::File(path) => Some(path),
            Home::Std(_) | Home::Nowhere => None,
        }
    }
}

impl Document {
    /// A document that was just opened.
    pub fn new(uri: String, version: i32, text: &str, encoding: Encoding, home: Home) -> Self {
        Self {
            uri,
            version,
            text: text.into(),
            lines: Rc::new(Lines::new(text, encoding)),
            home,
            snapshot: RefCell::default(),
            last_whole: RefCell::default(),
            is_dirty: true,
        }
    }

    /// The changes of an edit, in order.
    pub fn change(&mut self, version: i32, changes: &[TextDocumentContentChangeEvent]) {
        let mut text = self.text.to_string();
        let encoding = self.lines.encoding();
        let mut lines = (*self.lines).clone();
        for change in changes {
            match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                    let start = lines.byte(&text, part.range.start) as usize;
                    let end = lines.byte(&text, part.range.end) as usize;
                    // `byte` gives begins of characters, and an end before its start is none.
                    text.replace_range(start..end.max(start), &part.text);
                }
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                    text.clone_from(&whole.text);
                }
            }
            lines = Lines::new(&text, encoding);
        }
        self.version = version;
        self.text = text.into();
        self.lines = Rc::new(lines);
        self.is_dirty = true;
        self.snapshot.take();
    }
}
