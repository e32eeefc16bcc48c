//! What stands under the cursor: how it is called, what is said of it, what is known of it.

use gen_lsp_types::{Hover, MarkupContent, MarkupKind};
use guide_compiler::index::{Indexed, Namesake};
use guide_compiler::primitives::InterventionSignature;
use guide_compiler::resolved::{Binder, ItemId, ItemKind, LocalId, Meaning};
use guide_grammar::ast::FunctionKind;
use guide_grammar::span::Span;
use guide_grammar::{Token, TokenKind};

use super::context::Context;
use super::documents::Document;
use super::library;
use super::words;
use super::workspace::{ROOT, Snapshot, Workspace};

/// What to show, and of which words.
pub fn hover(workspace: &Workspace, document: &Document, byte: u32) -> Option<Hover> {
    let snapshot = workspace.snapshot(document);
    let (span, text) = of_name(&snapshot, byte)
        .or_else(|| of_broken(workspace, document, byte))
        .or_else(|| of_token(document, byte))
        .or_else(|| of_value(&snapshot.indexed, byte))?;
    Some(Hover {
        contents: MarkupContent {
            kind: MarkupKind::Markdown,
            value: text,
        }
        .into(),
        range: Some(document.lines.range(&document.text, span)),
    })
}

fn of_name(snapshot: &Snapshot, byte: u32) -> Option<(Span, String)> {
    let name = snapshot.indexed.name_at(ROOT, byte)?;
    Some((name.span, of_meaning(snapshot, name)?))
}

fn of_meaning(snapshot: &Snapshot, name: &Namesake) -> Option<String> {
    let indexed = &snapshot.indexed;
    match &name.meaning {
        Meaning::Local(item, local) => of_local(indexed, *item, *local, name.span),
        Meaning::Item(id) => of_item(snapshot, *id),
        Meaning::Module(number) => {
            let module = indexed.program().modules.get(*number)?;
            let path = indexed.analysis.files.path(module.file);
            Some(format!("`{path}`\n{}", words::paragraphs(&module.docs)))
        }
        Meaning::Word(word) => {
            // Of a condition or a word for layers there is nothing more to say.
            let known = indexed
                .known(name.span)
                .filter(|known| known.stage.is_some());
            let known = known.map(words::of_known);
            Some(words::of_word(word)? + &known.unwrap_or_default())
        }
        Meaning::Primitive(primitive) => {
            Some(words::of_signature(&library::of_primitive(*primitive)))
        }
        Meaning::Intervention(name) => {
            let found = InterventionSignature::find(name)?;
            Some(words::of_signature(&library::of_intervention(found)))
        }
    }
}

fn of_item(snapshot: &Snapshot, id: ItemId) -> Option<String> {
    let indexed = &snapshot.indexed;
    let mut text = words::of_signature(&library::of_item(indexed, id)?);
    let item = indexed.item(id)?;
    let is_guide = matches!(&item.kind, ItemKind::Function(f) if f.kind == FunctionKind::Guide);
    if is_guide && item.module == 0 {
        let cost = snapshot.costs.of(indexed, &item.name.node);
        text.push_str(&cost.map(|cost| format!("\n{cost}\n")).unwrap_or_default());
    }
    Some(text)
}

fn of_local(indexed: &Indexed, item: ItemId, id: LocalId, at: Span) -> Option<String> {
    let local = indexed.local(item, id)?;
    // What a name is at its use is what it was bound to, but for a state that was still open there.
    let known = indexed.known(local.span).or_else(|| indexed.known(at));
    let (line, docs) = match local.binder {
        Binder::Param => {
            let signature = library::of_item(indexed, item)?;
            let mut params = signature.params.into_iter();
            let param = params.find(|param| param.name == local.name)?;
            (param.text(), param.docs)
        }
        Binder::Let => {
            let kind = known.and_then(|known| known.kind.as_ref());
            let kind = kind.map(|kind| format!(": {kind}")).unwrap_or_default();
            (format!("let {}{kind}", local.name), Vec::new())
        }
        Binder::Total => (format!("total {} in …", local.name), Vec::new()),
    };
    let known = known.map(words::of_known).unwrap_or_default();
    Some(words::code(&line) + &words::paragraphs(&docs) + &known)
}

/// A name in an item that could not be read: by its text alone.
fn of_broken(workspace: &Workspace, document: &Document, byte: u32) -> Option<(Span, String)> {
    let snapshot = workspace.snapshot(document);
    if snapshot.is_whole {
        return None;
    }
    let context = Context::of(&document.text, byte);
    let (span, name) = context.word(&document.text)?;
    if let Some(local) = context.locals.iter().rev().find(|l| l.name == name) {
        return Some((span, words::code(&local.text())));
    }
    let signature = context.signature_of(workspace, document, &name);
    let text = signature.map(|signature| words::of_signature(&signature));
    Some((span, text.or_else(|| words::of_word(&name))?))
}

/// What the language knows by the word alone: a kind, and `prev`, which is no primitive.
fn of_token(document: &Document, byte: u32) -> Option<(Span, String)> {
    let tokens = guide_grammar::lex(ROOT, &document.text).tokens;
    let is_it = |token: &&Token| token.start <= byte as usize && byte as usize <= token.end;
    let token = tokens
        .iter()
        .filter(is_it)
        .find(|token| matches!(token.kind, TokenKind::KindName | TokenKind::Name))?;
    let text = match token.text(&document.text) {
        "prev" => words::of_signature(&library::of_prev()),
        kind => words::of_kind(kind)?,
    };
    Some((token.span(ROOT), text))
}

/// The smallest expression there.
fn of_value(indexed: &Indexed, byte: u32) -> Option<(Span, String)> {
    let (span, known) = indexed.known_at(ROOT, byte)?;
    let kind = known.kind.as_deref().map(words::code).unwrap_or_default();
    Some((span, kind + &words::of_known(known)))
}
