//! Diagnostics for the editor: as it draws them, and which it has not heard yet.

use std::collections::{BTreeMap, BTreeSet};

use gen_lsp_types::{
    DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, PublishDiagnosticsParams,
};
use guide_compiler::diagnostics::{Code, Diagnostic, Severity};
use guide_compiler::index::{Indexed, Place};
use guide_compiler::sources::SourceMap;
use guide_grammar::span::{FileId, Span};

use super::documents::Document;
use super::position::Lines;
use super::workspace::{ROOT, Workspace};
use crate::sources::STD_FOLDER;

/// What the editor was told.
#[derive(Default)]
pub struct Said {
    /// Of files that are not open: what each open document says of them, by URI.
    elsewhere: BTreeMap<String, BTreeMap<String, Vec<gen_lsp_types::Diagnostic>>>,
    /// Documents that were open the last time.
    open: BTreeSet<String>,
}

impl Said {
    /// What has changed: for each document or file, all that is wrong with it now.
    pub fn news(&mut self, workspace: &mut Workspace) -> Vec<PublishDiagnosticsParams> {
        let open: BTreeSet<String> = workspace.documents.keys().cloned().collect();
        let closed: Vec<String> = self.open.difference(&open).cloned().collect();
        let mut touched: BTreeSet<String> = BTreeSet::new();
        for uri in closed {
            touched.extend(self.forget(&uri));
            touched.insert(uri);
        }
        let dirty = workspace.documents.values().filter(|d| d.is_dirty);
        let dirty: Vec<String> = dirty.map(|d| d.uri.clone()).collect();
        let mut news = Vec::new();
        for uri in &dirty {
            touched.extend(self.forget(uri));
            let Some(document) = workspace.documents.get(uri) else {
                continue;
            };
            let (own, others) = split(workspace, document);
            news.push(PublishDiagnosticsParams {
                uri: uri.clone().into(),
                version: Some(document.version),
                diagnostics: own,
            });
            for (file, diagnostics) in others {
                touched.insert(file.clone());
                let by_root = self.elsewhere.entry(file).or_default();
                by_root.insert(uri.clone(), diagnostics);
            }
        }
        for document in workspace.documents.values_mut() {
            document.is_dirty = false;
        }
        for file in touched.into_iter().filter(|file| !open.contains(file)) {
            news.push(self.of_file(file));
        }
        self.open = open;
        news
    }

    /// Forgets what a document said of other files; gives those files.
    fn forget(&mut self, document: &str) -> Vec<String> {
        let about = self.elsewhere.iter_mut();
        let about =
            about.filter_map(|(file, by_root)| by_root.remove(document).map(|_| file.clone()));
        let files: Vec<String> = about.collect();
        self.elsewhere.retain(|_, by_root| !by_root.is_empty());
        files
    }

    /// What all open documents say of a file that is not open.
    fn of_file(&self, uri: String) -> PublishDiagnosticsParams {
        let mut diagnostics: Vec<gen_lsp_types::Diagnostic> = Vec::new();
        for one in self
            .elsewhere
            .get(&uri)
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            for diagnostic in one {
                if !diagnostics.contains(diagnostic) {
                    diagnostics.push(diagnostic.clone());
                }
            }
        }
        PublishDiagnosticsParams {
            uri: uri.into(),
            version: None,
            diagnostics,
        }
    }
}

type ByFile = BTreeMap<String, Vec<gen_lsp_types::Diagnostic>>;

/// What a document says of itself, and of files that it uses and that are not open.
fn split(workspace: &Workspace, document: &Document) -> (Vec<gen_lsp_types::Diagnostic>, ByFile) {
    let snapshot = workspace.snapshot(document);
    let analysis = &snapshot.indexed.analysis;
    let (mut own, mut others) = (Vec::new(), ByFile::new());
    for diagnostic in analysis.diagnostics.clone().into_sorted() {
        let place = diagnostic.labels.first().map(|label| label.span.file);
        let drawn = drawn(workspace, &snapshot.indexed, &diagnostic);
        let path = analysis.files.path(place.unwrap_or(ROOT));
        if place.is_none_or(|file| file == ROOT) || path.starts_with(STD_FOLDER) {
            own.push(drawn);
        } else if workspace.document_of(path).is_none()
            && let Some(uri) = workspace.uri_of(path)
        {
            others.entry(uri).or_default().push(drawn);
        }
    }
    (own, others)
}

/// A diagnostic as editors draw them.
pub fn drawn(
    workspace: &Workspace,
    indexed: &Indexed,
    diagnostic: &Diagnostic,
) -> gen_lsp_types::Diagnostic {
    let files = &indexed.analysis.files;
    let primary = diagnostic.labels.first();
    let span = primary.map_or(Span::new(ROOT, 0, 0), |label| label.span);
    let rest = diagnostic.labels.iter().skip(1).filter_map(|label| {
        Some(DiagnosticRelatedInformation {
            location: workspace.location(indexed, Place::Name(label.span))?,
            message: label.text.clone(),
        })
    });
    let rest: Vec<DiagnosticRelatedInformation> = rest.collect();
    let mut message = diagnostic.message.clone();
    if let Some(label) = primary.filter(|label| !label.text.is_empty()) {
        message.push_str(&format!("\n{}", label.text));
    }
    if let Some(help) = &diagnostic.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    let unused = diagnostic.code == Code::ShadowedUnused;
    gen_lsp_types::Diagnostic {
        range: range(workspace, files, span),
        severity: Some(match diagnostic.severity {
            Severity::Error => DiagnosticSeverity::Error,
            Severity::Warning => DiagnosticSeverity::Warning,
        }),
        code: Some(diagnostic.code.number().to_owned().into()),
        source: Some("guidec".to_owned()),
        message: message.into(),
        tags: unused.then(|| vec![DiagnosticTag::Unnecessary]),
        related_information: (!rest.is_empty()).then_some(rest),
        ..Default::default()
    }
}

/// The range of a span in a file of an analysis. One that lies in the library stands at the begin
/// of the document that uses it.
fn range(workspace: &Workspace, files: &SourceMap, span: Span) -> gen_lsp_types::Range {
    let is_library = |file: FileId| file != ROOT && files.path(file).starts_with(STD_FOLDER);
    if is_library(span.file) {
        return gen_lsp_types::Range::default();
    }
    let text = files.text(span.file);
    Lines::new(text, workspace.encoding).range(text, span)
}
