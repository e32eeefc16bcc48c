//! Where a name is defined, and where else it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use gen_lsp_types::{DocumentHighlight, DocumentHighlightKind, Location};
use guide_compiler::index::{Indexed, Namesake, Place};
use guide_compiler::resolved::Meaning;
use guide_grammar::span::Span;

use super::documents::Document;
use super::position::Lines;
use super::workspace::{ROOT, Workspace, canonical};

/// The most files of the editor's folders that are searched for uses.
const MAX_FILES: usize = 2_000;

/// The most of their folders that are looked into.
const MAX_FOLDERS: usize = 10_000;

/// Where the name at a byte is defined.
pub fn definition(workspace: &Workspace, document: &Document, byte: u32) -> Option<Location> {
    let snapshot = workspace.snapshot(document);
    let indexed = &snapshot.indexed;
    let meaning = indexed.name_at(ROOT, byte).map(|name| name.meaning.clone());
    let meaning = meaning.or_else(|| {
        // In an item that could not be read, by the name alone.
        let context = super::context::Context::of(&document.text, byte);
        let (_, name) = context.word(&document.text)?;
        indexed.in_scope(&name).map(Meaning::Item)
    })?;
    workspace.location(indexed, indexed.definition(&meaning)?)
}

/// Every place of the name at a byte, in this file.
pub fn highlights(
    workspace: &Workspace,
    document: &Document,
    byte: u32,
) -> Option<Vec<DocumentHighlight>> {
    let snapshot = workspace.snapshot(document);
    let indexed = &snapshot.indexed;
    let meaning = &indexed.name_at(ROOT, byte)?.meaning;
    let names = indexed.names().iter();
    let same = names.filter(|name| name.span.file == ROOT && name.meaning == *meaning);
    let highlights = same.map(|name| DocumentHighlight {
        range: document.lines.range(&document.text, name.span),
        kind: Some(if name.defines {
            DocumentHighlightKind::Write
        } else {
            DocumentHighlightKind::Read
        }),
    });
    Some(highlights.collect())
}

/// A place of a name in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The file, as its own analysis names it.
    pub path: String,
    /// Where in it.
    pub span: Span,
    /// Whether it is defined there.
    pub defines: bool,
}

/// Where something is defined, for those who look for it in other files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// The file without links; of the library its path.
    pub place: PathBuf,
    /// The name there, or the begin of the file.
    pub start: u32,
}

impl Defined {
    /// What a meaning of an analysis is.
    pub fn of(indexed: &Indexed, meaning: &Meaning) -> Option<Defined> {
        let (file, start) = match indexed.definition(meaning)? {
            Place::Name(span) => (span.file, span.start),
            Place::File(_) => return None,
        };
        Some(Defined {
            place: canonical(indexed.analysis.files.path(file).as_ref()),
            start,
        })
    }
}

/// Every place of the name at a byte: in this file, in all that are open, and in the guides of the
/// editor's folders.
pub fn references(
    workspace: &Workspace,
    document: &Document,
    byte: u32,
    with_definition: bool,
) -> Option<Vec<Location>> {
    let all = everywhere(workspace, document, byte)?;
    let mut files: BTreeMap<&str, (String, Lines)> = BTreeMap::new();
    for (path, text) in &all.texts {
        let uri = workspace.uri_of(path)?;
        files.insert(path, (uri, Lines::new(text, workspace.encoding)));
    }
    let found = all.found.iter();
    let found = found.filter(|found| with_definition || !found.defines);
    let locations = found.filter_map(|found| {
        let (uri, lines) = files.get(found.path.as_str())?;
        Some(Location {
            uri: uri.clone().into(),
            range: lines.range(all.texts.get(&found.path)?, found.span),
        })
    });
    Some(locations.collect())
}

/// Every place of a name, with the texts of the files.
#[derive(Default)]
pub struct Everywhere {
    /// In order of file and place.
    pub found: BTreeSet<Found>,
    /// By path.
    pub texts: BTreeMap<String, String>,
}

/// Every place of the name at a byte, as [`references`] gives them.
pub fn everywhere(workspace: &Workspace, document: &Document, byte: u32) -> Option<Everywhere> {
    let snapshot = workspace.snapshot(document);
    let indexed = &snapshot.indexed;
    let meaning = indexed.name_at(ROOT, byte)?.meaning.clone();
    let Some(wanted) = Defined::of(indexed, &meaning) else {
        // What the language brings stands everywhere; here is where it was asked for.
        let names = indexed.names().iter();
        let same = names.filter(|name| name.span.file == ROOT && name.meaning == meaning);
        let path = workspace.name_of(document);
        let same = same.map(|name| found(&path, name.span, false));
        return Some(Everywhere {
            found: same.collect(),
            texts: BTreeMap::from([(path.clone(), document.text.to_string())]),
        });
    };
    let mut all = Everywhere::default();
    add(indexed, &wanted, &mut all);
    let name = name_of(indexed, &meaning)?;
    for other in workspace.documents.values() {
        if other.uri != document.uri && other.text.contains(&name) {
            add(&workspace.snapshot(other).indexed, &wanted, &mut all);
        }
    }
    for path in closed_guides(workspace) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if text.contains(&name) {
            let path = path.to_string_lossy().into_owned();
            let other = workspace.read_file(path, &text, workspace.open_texts());
            add(&other, &wanted, &mut all);
        }
    }
    Some(all)
}

fn found(path: &str, span: Span, defines: bool) -> Found {
    Found {
        path: path.to_owned(),
        span: Span { file: ROOT, ..span },
        defines,
    }
}

/// The name of what is defined.
pub fn name_of(indexed: &Indexed, meaning: &Meaning) -> Option<String> {
    match meaning {
        Meaning::Local(item, local) => Some(indexed.local(*item, *local)?.name.clone()),
        Meaning::Item(id) => Some(indexed.item(*id)?.name.node.clone()),
        _ => None,
    }
}

/// Adds the places in all files of an analysis.
fn add(indexed: &Indexed, wanted: &Defined, all: &mut Everywhere) {
    let files = &indexed.analysis.files;
    // Two analyses may name one file differently; the place is one.
    let places: Vec<PathBuf> = files
        .files()
        .map(|(_, f)| canonical(f.path.as_ref()))
        .collect();
    let place = |name: &Namesake| places.get(name.span.file.0 as usize);
    let is_it = |name: &&Namesake| {
        name.defines && name.span.start == wanted.start && place(name) == Some(&wanted.place)
    };
    let Some(meaning) = indexed.names().iter().find(is_it).map(|name| &name.meaning) else {
        return;
    };
    for name in indexed
        .names()
        .iter()
        .filter(|name| name.meaning == *meaning)
    {
        let path = place(name).map_or_else(String::new, |p| p.to_string_lossy().into_owned());
        let text = || files.text(name.span.file).to_owned();
        all.texts.entry(path.clone()).or_insert_with(text);
        all.found.insert(found(&path, name.span, name.defines));
    }
}

/// The guides in the editor's folders that are not open.
fn closed_guides(workspace: &Workspace) -> Vec<PathBuf> {
    let open = workspace.open_texts();
    let mut files = BTreeSet::new();
    let mut folders: Vec<PathBuf> = workspace.folders.clone();
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        seen += 1;
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // A link could lead in a circle.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir()
                && !name.starts_with('.')
                && !matches!(&*name, "target" | "node_modules")
            {
                folders.push(path);
            } else if kind.is_file()
                && name.ends_with(".guide")
                && !open.contains_key(&canonical(&path))
            {
                files.insert(path);
            }
        }
        if files.len() > MAX_FILES || seen > MAX_FOLDERS {
            break;
        }
    }
    files.into_iter().take(MAX_FILES).collect()
}
