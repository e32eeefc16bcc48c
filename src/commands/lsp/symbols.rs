//! The outline of a document: its items, and the parameters of each.

use gen_lsp_types::{DocumentSymbol, SymbolKind};
use guide_grammar::ast::{FunctionKind, Item, ItemKind, Name, ResourceKind};
use guide_grammar::span::Span;

use super::documents::Document;
use super::workspace::ROOT;

/// The outline; items that cannot be read are missing.
pub fn outline(document: &Document) -> Vec<DocumentSymbol> {
    let parsed = guide_grammar::parse(ROOT, &document.text);
    let items = parsed.file.items.iter();
    items.filter_map(|item| of_item(document, item)).collect()
}

fn of_item(document: &Document, item: &Item) -> Option<DocumentSymbol> {
    let (name, kind, detail) = match &item.kind {
        ItemKind::Use(_) => return None,
        ItemKind::Resource(resource) => {
            let detail = match resource.kind {
                ResourceKind::Model => "model",
                ResourceKind::Classifier => "classifier",
                ResourceKind::Loss => "loss",
            };
            (&resource.name, SymbolKind::Object, detail.to_owned())
        }
        ItemKind::Input(input) => {
            let kind = input.kind.span.text(&document.text);
            (&input.name, SymbolKind::Field, format!("input: {kind}"))
        }
        ItemKind::Function(function) => {
            let detail = match function.kind {
                FunctionKind::Fn => "fn",
                FunctionKind::Guide => "guide",
                FunctionKind::Objective => "objective",
            };
            (&function.name, SymbolKind::Function, detail.to_owned())
        }
    };
    let mut symbol = symbol(document, name, kind, item.span, detail);
    if let ItemKind::Function(function) = &item.kind {
        let params = function.params.iter().map(|param| {
            let kind = param.kind.span.text(&document.text).to_owned();
            self::symbol(
                document,
                &param.name,
                SymbolKind::Variable,
                param.span,
                kind,
            )
        });
        symbol.children = Some(params.collect());
    }
    Some(symbol)
}

fn symbol(
    document: &Document,
    name: &Name,
    kind: SymbolKind,
    span: Span,
    detail: String,
) -> DocumentSymbol {
    let range = |span| document.lines.range(&document.text, span);
    #[allow(deprecated, reason = "the field stands in the type and must be given")]
    DocumentSymbol {
        name: name.node.clone(),
        detail: Some(detail),
        kind,
        tags: None,
        deprecated: None,
        range: range(span),
        selection_range: range(name.span),
        children: None,
    }
}
