//! The items of the standard library, with what their comments say.

use guide_grammar::ast::{Function, ItemKind};
use guide_grammar::span::{FileId, Span, Spanned};

/// The folders of the standard library, with what they hold.
pub const FOLDERS: &[(&str, &str)] = &[
    ("rules", "Rules (std::rules)"),
    ("directions", "Directions (std::directions)"),
    ("ops", "Operators (std::ops)"),
    ("schedules", "Schedules (std::schedules)"),
];

/// A function or guide of the standard library.
pub struct StdItem {
    /// `rules`, `ops`, `directions`, `schedules`
    pub folder: &'static str,
    /// Its name.
    pub name: String,
    /// The file's text.
    pub source: &'static str,
    /// The file's `//!` lines.
    pub file_docs: Vec<String>,
    /// Its `///` lines.
    pub docs: Vec<String>,
    /// Its parameters.
    pub params: Vec<Param>,
    /// What it says that it returns.
    pub result: Option<String>,
}

/// A parameter, as texts.
pub struct Param {
    /// `scale`
    pub name: String,
    /// `Scalar`
    pub kind: String,
    /// `7.5`
    pub default: Option<String>,
    /// Its `///` lines.
    pub docs: Vec<String>,
}

impl StdItem {
    /// `std::rules::apg`
    pub fn path(&self) -> String {
        format!("std::{}::{}", self.folder, self.name)
    }

    /// Whether a user means it by that name.
    pub fn is_called(&self, name: &str) -> bool {
        name == self.name
            || name == self.path()
            || name == format!("{}::{}", self.folder, self.name)
    }
}

/// Every item, by folder and name.
pub fn all() -> Vec<StdItem> {
    let mut items = Vec::new();
    for (folder, _) in FOLDERS {
        for (path, text) in guide_stdlib::files() {
            if path.split('/').next() == Some(folder) {
                items.extend(of_file(folder, text));
            }
        }
    }
    items
}

fn of_file(folder: &'static str, source: &'static str) -> Vec<StdItem> {
    let parsed = guide_grammar::parse(FileId(0), source);
    let file_docs = lines(&parsed.file.docs);
    let functions = parsed
        .file
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::Function(function) => Some((lines(&item.docs), function)),
            _ => None,
        });
    functions
        .map(|(docs, function)| StdItem {
            folder,
            name: function.name.node.clone(),
            source,
            file_docs: file_docs.clone(),
            docs,
            params: params(function, source),
            result: function.result.as_ref().map(|kind| text(kind.span, source)),
        })
        .collect()
}

fn params(function: &Function, source: &str) -> Vec<Param> {
    let params = function.params.iter();
    params
        .map(|param| Param {
            name: param.name.node.clone(),
            kind: text(param.kind.span, source),
            default: param
                .default
                .as_ref()
                .map(|default| text(default.span, source)),
            docs: lines(&param.docs),
        })
        .collect()
}

fn lines(docs: &[Spanned<String>]) -> Vec<String> {
    docs.iter().map(|line| line.node.clone()).collect()
}

fn text(span: Span, source: &str) -> String {
    span.text(source).to_owned()
}
