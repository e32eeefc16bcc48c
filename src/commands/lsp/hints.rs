//! Hints in the text: the kind, space and stage of each `let`.

use gen_lsp_types::{InlayHint, InlayHintKind, Range, Tooltip};
use guide_compiler::index::Indexed;
use guide_compiler::resolved::{Binder, Function, ItemKind, Local};

use super::documents::Document;
use super::workspace::{ROOT, Workspace};

/// Those within a range.
pub fn hints(workspace: &Workspace, document: &Document, range: Range) -> Vec<InlayHint> {
    let text = &document.text;
    let (start, end) = (
        document.lines.byte(text, range.start),
        document.lines.byte(text, range.end),
    );
    let snapshot = workspace.snapshot(document);
    let indexed = &snapshot.indexed;
    let Some(root) = indexed.program().modules.first() else {
        return Vec::new();
    };
    let items = root.items.iter().filter_map(|id| indexed.item(*id));
    let functions = items.filter_map(|item| match &item.kind {
        ItemKind::Function(function) => Some(function),
        _ => None,
    });
    let locals = functions.flat_map(|function| function.locals.iter().map(move |l| (function, l)));
    locals
        .filter(|(_, local)| local.span.file == ROOT)
        .filter(|(_, local)| start <= local.span.end && local.span.end <= end)
        .filter_map(|(function, local)| of_let(document, indexed, function, local))
        .collect()
}

fn of_let(
    document: &Document,
    indexed: &Indexed,
    function: &Function,
    local: &Local,
) -> Option<InlayHint> {
    if local.binder != Binder::Let {
        return None;
    }
    let known = indexed.known(local.span)?;
    let after = document.text.get(local.span.end as usize..).unwrap_or("");
    let is_stated = after.trim_start().starts_with(':');
    let kind = known.kind.as_deref().filter(|_| !is_stated);
    let kind = kind.map(|kind| format!(": {kind}")).unwrap_or_default();
    let stage = known.stage.map(|stage| format!(" {stage}"));
    let label = format!("{kind}{}", stage.unwrap_or_default());
    if label.is_empty() {
        return None;
    }
    let mut tooltip = format!("`{}` is {}", local.name, known.what);
    if let Some(weight) = &known.weight {
        tooltip.push_str(&format!(", weight {weight}"));
    }
    if function
        .generics
        .iter()
        .any(|g| known.what.contains(&g.node))
    {
        tooltip.push_str("; the space is the caller's");
    }
    Some(InlayHint {
        position: document.lines.position(&document.text, local.span.end),
        label: label.into(),
        kind: Some(InlayHintKind::Type),
        text_edits: None,
        tooltip: Some(Tooltip::String(tooltip)),
        padding_left: None,
        padding_right: None,
        data: None,
    })
}
