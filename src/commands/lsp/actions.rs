//! Ways out of diagnostics that can be taken with a key.

use gen_lsp_types::{CodeAction, CodeActionKind, Range, TextEdit, WorkspaceEdit};
use guide_compiler::diagnostics::Edit;

use super::diagnostics::drawn;
use super::documents::Document;
use super::workspace::{ROOT, Workspace};

/// Those of the diagnostics that touch a range.
pub fn actions(workspace: &Workspace, document: &Document, range: Range) -> Vec<CodeAction> {
    let text: &str = &document.text;
    let (start, end) = (
        document.lines.byte(text, range.start),
        document.lines.byte(text, range.end),
    );
    let snapshot = workspace.snapshot(document);
    let indexed = &snapshot.indexed;
    let mut actions = Vec::new();
    for diagnostic in indexed.analysis.diagnostics.clone().into_sorted() {
        let touches = diagnostic.labels.first().is_some_and(|label| {
            let span = label.span;
            span.file == ROOT && span.start <= end && start <= span.end
        });
        let Some(fix) = diagnostic.fix.as_ref().filter(|_| touches) else {
            continue;
        };
        let edits = fix.edits.iter().map(|edit| as_text_edit(document, edit));
        let Some(edits) = edits.collect::<Option<Vec<TextEdit>>>() else {
            continue;
        };
        let changes = [(document.uri.clone().into(), edits)];
        actions.push(CodeAction {
            title: fix.title.clone(),
            kind: Some(CodeActionKind::QuickFix),
            diagnostics: Some(vec![drawn(workspace, indexed, &diagnostic)]),
            is_preferred: Some(true),
            edit: Some(WorkspaceEdit {
                changes: Some(changes.into_iter().collect()),
                ..Default::default()
            }),
            ..Default::default()
        });
    }
    actions
}

/// An edit of this document; one of another file is none.
fn as_text_edit(document: &Document, edit: &Edit) -> Option<TextEdit> {
    (edit.span.file == ROOT).then(|| TextEdit {
        range: document.lines.range(&document.text, edit.span),
        new_text: edit.text.clone(),
    })
}
