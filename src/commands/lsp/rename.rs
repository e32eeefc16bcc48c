//! Renaming, everywhere or not at all.
//!
//! The edits are tried out before they are handed over: each file that they touch is read with its new
//! text, and every name in it must mean what it meant before.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use gen_lsp_types::{PrepareRenamePlaceholder, PrepareRenameResult, TextEdit, WorkspaceEdit};
use guide_compiler::index::{Indexed, Place};
use guide_compiler::resolved::Meaning;
use guide_grammar::TokenKind;
use guide_grammar::span::Span;

use super::define::{self, Found};
use super::documents::Document;
use super::position::Lines;
use super::uri::uri_of;
use super::workspace::{ROOT, Workspace, canonical};
use crate::sources::STD_FOLDER;

/// The name at a byte, if it can be renamed.
pub fn prepare(
    workspace: &Workspace,
    document: &Document,
    byte: u32,
) -> Result<PrepareRenameResult, String> {
    let (span, name) = renamable(workspace, document, byte)?;
    let placeholder = PrepareRenamePlaceholder {
        range: document.lines.range(&document.text, span),
        placeholder: name,
    };
    Ok(placeholder.into())
}

/// The place and name at a byte, or why it keeps its name.
fn renamable(
    workspace: &Workspace,
    document: &Document,
    byte: u32,
) -> Result<(Span, String), String> {
    let snapshot = workspace.snapshot(document);
    let indexed = &snapshot.indexed;
    let name = indexed
        .name_at(ROOT, byte)
        .ok_or("there is no name that could be changed")?;
    let (Some(Place::Name(defined)), Some(text)) = (
        indexed.definition(&name.meaning),
        define::name_of(indexed, &name.meaning),
    ) else {
        return Err("this name belongs to the language".to_owned());
    };
    if indexed
        .analysis
        .files
        .path(defined.file)
        .starts_with(STD_FOLDER)
    {
        return Err(format!("`{text}` belongs to the standard library"));
    }
    let written = name.span.text(&document.text);
    if written != text {
        return Err(format!(
            "`{written}` is another name for `{text}` here; change it in the `use`"
        ));
    }
    Ok((name.span, text))
}

/// The edits that give the name at a byte a new one.
pub fn rename(
    workspace: &Workspace,
    document: &Document,
    byte: u32,
    new_name: &str,
) -> Result<WorkspaceEdit, String> {
    let (_, old_name) = renamable(workspace, document, byte)?;
    refuse_bad(new_name)?;
    let all = define::everywhere(workspace, document, byte);
    let all = all.ok_or("there is no name that could be changed")?;
    let mut files: BTreeMap<String, Edited> = BTreeMap::new();
    for (path, text) in all.texts {
        // Under another name it keeps that.
        let here = all
            .found
            .iter()
            .filter(|found| found.path == path && found.span.text(&text) == old_name);
        let places: Vec<Found> = here.cloned().collect();
        if !places.is_empty() {
            let uri = workspace.uri_of(&path);
            let uri = uri.unwrap_or_else(|| uri_of(path.as_ref()));
            files.insert(uri, Edited { path, text, places });
        }
    }
    if new_name != old_name {
        try_out(workspace, &files, new_name)?;
    }
    let mut changes = HashMap::new();
    for (uri, file) in files {
        let lines = Lines::new(&file.text, workspace.encoding);
        let edits = file.places.iter().map(|found| TextEdit {
            range: lines.range(&file.text, found.span),
            new_text: new_name.to_owned(),
        });
        changes.insert(uri.into(), edits.collect());
    }
    Ok(WorkspaceEdit {
        changes: Some(changes),
        ..Default::default()
    })
}

/// A file and where it is changed, in order of place.
struct Edited {
    path: String,
    text: String,
    places: Vec<Found>,
}

impl Edited {
    fn after(&self, new_name: &str) -> String {
        let mut text = self.text.clone();
        for found in self.places.iter().rev() {
            text.replace_range(found.span.range(), new_name);
        }
        text
    }
}

fn refuse_bad(name: &str) -> Result<(), String> {
    let lexed = guide_grammar::lex(ROOT, name);
    let is_name = matches!(
        lexed.tokens.as_slice(),
        [only] if only.kind == TokenKind::Name && only.text(name) == name
    );
    if is_name && lexed.comments.is_empty() && name != "_" {
        return Ok(());
    }
    Err(format!(
        "`{name}` is no name: lower-case letters, digits and `_`, and no word of the language"
    ))
}

/// Reads each file with its new text, and compares what every name means.
fn try_out(
    workspace: &Workspace,
    files: &BTreeMap<String, Edited>,
    new_name: &str,
) -> Result<(), String> {
    let before = workspace.open_texts();
    let mut after = before.clone();
    for file in files.values() {
        let text: Arc<str> = file.after(new_name).into();
        after.insert(canonical(file.path.as_ref()), text);
    }
    for (uri, file) in files {
        let read =
            |open: &BTreeMap<PathBuf, Arc<str>>, text: &str| match workspace.documents.get(uri) {
                Some(document) if document.home.path().is_none() => {
                    workspace.read_file(workspace.name_of(document), text, open.clone())
                }
                _ => workspace.read_file(file.path.clone(), text, open.clone()),
            };
        let new = read(&after, &file.after(new_name));
        // What is open was read already.
        let open = workspace.documents.get(uri);
        let known = open.map(|document| workspace.snapshot(document));
        let unread;
        let old = match &known {
            Some(known) => &known.indexed,
            None => {
                unread = read(&before, &file.text);
                &unread
            }
        };
        let same = meanings(old) == meanings(&new);
        if !same || errors(&new) > errors(old) {
            return Err(format!(
                "`{new_name}` means something else already where this name is used"
            ));
        }
    }
    Ok(())
}

/// What every name means, in order of place: by number, so that a new name changes nothing.
fn meanings(indexed: &Indexed) -> Vec<Meaning> {
    let names = indexed.names().iter();
    names.map(|name| name.meaning.clone()).collect()
}

fn errors(indexed: &Indexed) -> usize {
    let bag = indexed.analysis.diagnostics.iter();
    bag.filter(|d| d.severity == guide_compiler::diagnostics::Severity::Error)
        .count()
}
