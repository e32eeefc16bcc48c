//! What can stand where the cursor is.

use std::collections::BTreeMap;

use gen_lsp_types::{
    CompletionItem, CompletionItemKind, Documentation, MarkupContent, MarkupKind, TextEdit,
};
use guide_compiler::index::words as described;
use guide_compiler::primitives::{
    CONDITIONS, CONTEXT_WORDS, INTERVENTIONS, Primitive, SPACES, VALUES,
};
use guide_compiler::resolved::{ItemId, ItemKind, Namespace};
use guide_grammar::ast;
use guide_grammar::span::Span;

use super::callee::namespace;
use super::context::{Context, ITEM_WORDS, Spot};
use super::documents::Document;
use super::library::{self, Param, Signature};
use super::words;
use super::workspace::{ROOT, Snapshot, Workspace};

/// Words of the language that begin an expression or stand in one.
const EXPRESSION_WORDS: &[&str] = &[
    "let", "if", "else", "match", "total", "and", "or", "not", "in", "true", "false",
];

/// Where an item stands in the list: the nearest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Argument,
    Local,
    Item,
    Language,
    Word,
    Library,
}

/// What can stand at a byte.
pub fn complete(workspace: &Workspace, document: &Document, byte: u32) -> Vec<CompletionItem> {
    let context = Context::of(&document.text, byte);
    let mut list = List {
        document,
        prefix: context.prefix,
        items: BTreeMap::new(),
    };
    match &context.spot {
        Spot::Silent | Spot::Naming => {}
        Spot::Item => list.words(ITEM_WORDS, CompletionItemKind::Keyword),
        Spot::Use(path) if path.is_empty() => list.words(&["std"], CompletionItemKind::Module),
        Spot::Use(path) => list.of_folder(&folder_of(path), true),
        Spot::Kind => described::kinds().for_each(|kind| list.kind(kind)),
        Spot::Space => list.words(SPACES, CompletionItemKind::EnumMember),
        Spot::Path(path) => list.of_path(workspace, path),
        Spot::Interventions => {
            for one in INTERVENTIONS.iter().filter(|one| one.supported) {
                let signature = library::of_intervention(one);
                list.signature(&signature, CompletionItemKind::Function, Rank::Language);
            }
            list.words(&["none"], CompletionItemKind::EnumMember);
        }
        Spot::Value => list.of_value(workspace, &context),
    }
    list.items.into_values().collect()
}

/// `["std", "dialects", "a1111"]` as a folder of the library.
fn folder_of(path: &[String]) -> String {
    path.get(1..).unwrap_or(&[]).join("/")
}

struct List<'a> {
    document: &'a Document,
    prefix: Span,
    /// By rank and label, so that the order is always the same.
    items: BTreeMap<(Rank, String), CompletionItem>,
}

impl List<'_> {
    fn add(&mut self, rank: Rank, mut item: CompletionItem) {
        let range = self.document.lines.range(&self.document.text, self.prefix);
        let new_text = item.insert_text.take();
        let new_text = new_text.unwrap_or_else(|| item.label.clone());
        item.text_edit = Some(TextEdit { range, new_text }.into());
        item.sort_text = Some(format!("{}{}", rank as u8, item.label));
        // Some editors take a list of edits as one that is filtered already, unless it says by what.
        item.filter_text = Some(item.label.clone());
        self.items.entry((rank, item.label.clone())).or_insert(item);
    }

    fn words(&mut self, list: &[&str], kind: CompletionItemKind) {
        for word in list {
            let item = CompletionItem {
                label: (*word).to_owned(),
                kind: Some(kind),
                detail: described::word(word).map(str::to_owned),
                ..Default::default()
            };
            self.add(Rank::Word, item);
        }
    }

    fn kind(&mut self, name: &str) {
        let item = CompletionItem {
            label: name.to_owned(),
            kind: Some(CompletionItemKind::Class),
            detail: described::kind(name).map(str::to_owned),
            ..Default::default()
        };
        self.add(Rank::Language, item);
    }

    fn signature(&mut self, signature: &Signature, kind: CompletionItemKind, rank: Rank) {
        self.add(rank, of_signature(signature, kind));
    }

    /// Whatever a value may begin with.
    fn of_value(&mut self, workspace: &Workspace, context: &Context) {
        self.arguments(workspace, context);
        for local in &context.locals {
            let item = CompletionItem {
                label: local.name.clone(),
                kind: Some(CompletionItemKind::Variable),
                detail: Some(local.text()),
                ..Default::default()
            };
            self.add(Rank::Local, item);
        }
        let now = workspace.snapshot(self.document);
        let whole = self.document.last_whole.borrow().clone();
        for snapshot in [Some(now), whole].into_iter().flatten() {
            self.scope(&snapshot);
        }
        for primitive in Primitive::ALL {
            let signature = library::of_primitive(*primitive);
            self.signature(&signature, CompletionItemKind::Function, Rank::Language);
        }
        let prev = library::of_prev();
        self.signature(&prev, CompletionItemKind::Function, Rank::Language);
        self.words(VALUES, CompletionItemKind::Constant);
        self.words(CONDITIONS, CompletionItemKind::EnumMember);
        self.words(CONTEXT_WORDS, CompletionItemKind::EnumMember);
        self.words(EXPRESSION_WORDS, CompletionItemKind::Keyword);
        self.library();
    }

    /// The names of the arguments that the open call still takes, and the words of a choice.
    fn arguments(&mut self, workspace: &Workspace, context: &Context) {
        let (Some(call), Some(signature)) = (
            &context.call,
            context.signature_of_call(workspace, self.document),
        ) else {
            return;
        };
        let current = match &call.name {
            Some(name) => signature.params.iter().find(|p| p.name == *name),
            None => signature.params.get(call.position),
        };
        for word in current.map(choices).unwrap_or_default() {
            let item = CompletionItem {
                label: word,
                kind: Some(CompletionItemKind::EnumMember),
                ..Default::default()
            };
            self.add(Rank::Argument, item);
        }
        if call.name.is_some() {
            return;
        }
        let open = signature.params.iter().skip(call.position);
        for param in open.filter(|param| !call.given.contains(&param.name)) {
            let item = CompletionItem {
                label: format!("{}:", param.name),
                insert_text: Some(format!("{}: ", param.name)),
                kind: Some(CompletionItemKind::Field),
                detail: Some(param.text()),
                documentation: documentation(&param.docs.join("\n")),
                ..Default::default()
            };
            self.add(Rank::Argument, item);
        }
    }

    /// Items of the file, those that it uses, and what may stand before `::`.
    fn scope(&mut self, snapshot: &Snapshot) {
        let Some(root) = snapshot.indexed.program().modules.first() else {
            return;
        };
        for (name, id) in &root.scope {
            self.item(snapshot, name, *id, Rank::Item);
        }
        for (name, _) in &root.namespaces {
            let item = CompletionItem {
                label: name.clone(),
                kind: Some(CompletionItemKind::Module),
                ..Default::default()
            };
            self.add(Rank::Item, item);
        }
    }

    fn item(&mut self, snapshot: &Snapshot, name: &str, id: ItemId, rank: Rank) {
        let (Some(item), Some(mut signature)) = (
            snapshot.indexed.item(id),
            library::of_item(&snapshot.indexed, id),
        ) else {
            return;
        };
        signature.name = name.to_owned();
        let kind = match item.kind {
            ItemKind::Function(_) => CompletionItemKind::Function,
            ItemKind::Resource(_) | ItemKind::Input(_) => CompletionItemKind::Variable,
        };
        self.signature(&signature, kind, rank);
    }

    /// What stands behind `a::b::`.
    fn of_path(&mut self, workspace: &Workspace, path: &[String]) {
        if let [tick] = path
            && tick == "tick"
        {
            return self.words(VALUES, CompletionItemKind::Constant);
        }
        let [first, rest @ ..] = path else { return };
        let now = workspace.snapshot(self.document);
        let whole = self.document.last_whole.borrow().clone();
        for snapshot in [Some(now), whole].into_iter().flatten() {
            match namespace(&snapshot, first) {
                None => {}
                Some(Namespace::Library(folder)) => {
                    let parts = Some(folder).filter(|f| !f.is_empty()).into_iter();
                    let parts: Vec<String> = parts.chain(rest.iter().cloned()).collect();
                    self.of_folder(&parts.join("/"), false);
                }
                Some(Namespace::Module(number)) if rest.is_empty() => {
                    let modules = &snapshot.indexed.program().modules;
                    let items = modules.get(number).map(|module| module.items.clone());
                    for id in items.unwrap_or_default() {
                        let name = snapshot.indexed.item(id).map(|item| item.name.node.clone());
                        self.item(&snapshot, &name.unwrap_or_default(), id, Rank::Item);
                    }
                }
                Some(Namespace::Module(_)) => {}
            }
        }
    }

    /// What a folder of the library holds; in a `use` by its name alone.
    fn of_folder(&mut self, folder: &str, in_use: bool) {
        for item in library::items().iter().filter(|item| item.folder == folder) {
            let mut completion = of_signature(&library::of_std(item), CompletionItemKind::Function);
            if in_use {
                completion.insert_text = Some(item.name.clone());
            }
            self.add(Rank::Item, completion);
        }
        for name in guide_stdlib::names(folder) {
            let inner = if folder.is_empty() {
                name.to_owned()
            } else {
                format!("{folder}/{name}")
            };
            if !guide_stdlib::names(&inner).is_empty() {
                self.words(&[name], CompletionItemKind::Module);
            }
        }
    }

    /// Items of the library that are not in use, each with the `use` that brings it.
    fn library(&mut self) {
        let parsed = guide_grammar::parse(ROOT, &self.document.text);
        let in_scope = |name: &String| self.items.contains_key(&(Rank::Item, name.clone()));
        let missing = library::items()
            .iter()
            .filter(|item| !item.is_dialect() && !in_scope(&item.name));
        for item in missing.collect::<Vec<_>>() {
            let signature = library::of_std(item);
            let mut completion = of_signature(&signature, CompletionItemKind::Function);
            completion.label_details = None;
            completion.detail = Some(format!("use {}", item.path()));
            completion.additional_text_edits =
                Some(vec![import(self.document, &parsed.file, &item.path())]);
            self.add(Rank::Library, completion);
        }
    }
}

fn of_signature(signature: &Signature, kind: CompletionItemKind) -> CompletionItem {
    let docs = words::of_signature(signature);
    CompletionItem {
        label: signature.name.clone(),
        kind: Some(kind),
        detail: Some(signature.in_line()),
        documentation: documentation(&docs),
        ..Default::default()
    }
}

fn documentation(text: &str) -> Option<Documentation> {
    let markup = MarkupContent {
        kind: MarkupKind::Markdown,
        value: text.to_owned(),
    };
    (!text.is_empty()).then(|| markup.into())
}

/// The words of a parameter of named alternatives, with their quotes.
fn choices(param: &Param) -> Vec<String> {
    let kind = param.kind.as_deref().unwrap_or("");
    if !kind.starts_with('"') {
        return Vec::new();
    }
    kind.split('|').map(|word| word.trim().to_owned()).collect()
}

/// The edit that adds a `use`: after the last one, else before the first item.
pub fn import(document: &Document, file: &ast::File, path: &str) -> TextEdit {
    let text: &str = &document.text;
    let is_use = |item: &&ast::Item| matches!(item.kind, ast::ItemKind::Use(_));
    let last = file.items.iter().rfind(is_use);
    let (at, new_text) = match (last, file.docs.last()) {
        (Some(last), _) => (last.span.end, format!("\nuse {path}")),
        (None, Some(docs)) => (docs.span.end, format!("\n\nuse {path}")),
        (None, None) => (0, format!("use {path}\n\n")),
    };
    let range = document.lines.range(
        text,
        Span {
            file: ROOT,
            start: at,
            end: at,
        },
    );
    TextEdit { range, new_text }
}
