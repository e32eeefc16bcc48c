//! The files read so far: their trees, what each defines, and what each has in scope.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use guide_grammar::ast::{self, FunctionKind, ResourceKind};
use guide_grammar::span::{FileId, Span, Spanned};

use crate::diagnostics::{Bag, Code, Diagnostic, Edit};
use crate::primitives::CONDITIONS;
use crate::resolved::{ItemId, Meaning, NameUse, Namespace};
use crate::sources::{Loaded, SourceMap, Sources};

/// All that resolving knows across files.
pub(super) struct World<'a> {
    pub sources: &'a dyn Sources,
    pub files: &'a mut SourceMap,
    pub bag: Bag,
    /// In order of reading.
    pub modules: Vec<Loading>,
    /// The heads of all items, by [`ItemId`].
    pub heads: Vec<Head>,
    /// For each item, which functions it calls, and where.
    pub calls: Vec<Vec<(usize, Span)>>,
    /// For each module, which modules its `use`s name, and where.
    pub imports: Vec<Vec<(usize, Span)>>,
    /// Modules whose `use`s are not looked at yet.
    pub pending: VecDeque<usize>,
    /// The items of each file of the standard library, read when a name is missed.
    pub library: Option<Rc<[LibraryItem]>>,
    /// What was looked up where.
    pub names: Vec<NameUse>,
}

/// A file being resolved.
pub(super) struct Loading {
    pub file: FileId,
    pub tree: Rc<ast::File>,
    /// Its items in source order.
    pub items: Vec<ItemId>,
    /// Its own items by name.
    pub own: BTreeMap<String, ItemId>,
    /// Its own items and those that `use` brings, with the place that brings them.
    pub scope: BTreeMap<String, (ItemId, Span)>,
    /// What may stand before `::`.
    pub namespaces: BTreeMap<String, (Namespace, Span)>,
    /// Names that a failed `use` would have brought: already reported.
    pub failed: BTreeSet<String>,
    /// The words of text that did not parse; one of them may be defined there.
    pub unparsed: BTreeSet<String>,
}

/// What is known of an item before its body.
pub(super) struct Head {
    pub name: Spanned<String>,
    pub kind: HeadKind,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadKind {
    Function(FunctionKind),
    Resource(ResourceKind),
    Input,
}

/// An item of the standard library that may not be in use.
pub(super) struct LibraryItem {
    /// Its folder: `rules`, `dialects/diffusers`.
    pub folder: String,
    /// Its file: `rules/apg`.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Whether it can be called.
    pub callable: bool,
}

/// The name that an item defines; a `use` defines none.
pub(super) fn defines(item: &ast::Item) -> Option<&ast::Name> {
    match &item.kind {
        ast::ItemKind::Use(_) => None,
        ast::ItemKind::Resource(r) => Some(&r.name),
        ast::ItemKind::Input(i) => Some(&i.name),
        ast::ItemKind::Function(f) => Some(&f.name),
    }
}

impl<'a> World<'a> {
    /// Nothing read yet.
    pub fn new(sources: &'a dyn Sources, files: &'a mut SourceMap) -> Self {
        Self {
            sources,
            files,
            bag: Bag::default(),
            modules: Vec::new(),
            heads: Vec::new(),
            calls: Vec::new(),
            imports: Vec::new(),
            pending: VecDeque::new(),
            library: None,
            names: Vec::new(),
        }
    }

    /// Notes what a name means.
    pub fn note(&mut self, span: Span, meaning: Meaning) {
        self.names.push(NameUse { span, meaning });
    }

    /// Parses a file and notes what it defines, unless that was done already.
    pub fn add_module(&mut self, loaded: Loaded) -> usize {
        let file = self.files.add(loaded);
        if let Some(known) = self.modules.iter().position(|m| m.file == file) {
            return known;
        }
        let parsed = guide_grammar::parse(file, self.files.text(file));
        for error in &parsed.errors {
            self.bag.push(Diagnostic::from(error));
        }
        let unparsed = if parsed.errors.is_empty() {
            BTreeSet::new()
        } else {
            words_between_items(&parsed.file, self.files.text(file))
        };
        let number = self.modules.len();
        let tree = Rc::new(parsed.file);
        self.modules.push(Loading {
            file,
            tree: tree.clone(),
            items: Vec::new(),
            own: BTreeMap::new(),
            scope: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            failed: BTreeSet::new(),
            unparsed,
        });
        self.imports.push(Vec::new());
        self.pending.push_back(number);
        for item in &tree.items {
            self.add_item(number, item);
        }
        number
    }

    fn add_item(&mut self, module: usize, item: &ast::Item) {
        let kind = match &item.kind {
            ast::ItemKind::Use(_) => return,
            ast::ItemKind::Resource(r) => HeadKind::Resource(r.kind),
            ast::ItemKind::Input(_) => HeadKind::Input,
            ast::ItemKind::Function(f) => HeadKind::Function(f.kind),
        };
        let Some(name) = defines(item) else { return };
        let id = ItemId(self.heads.len() as u32);
        self.heads.push(Head {
            name: name.clone(),
            kind,
        });
        self.calls.push(Vec::new());
        self.refuse_reserved(name);
        let loading = &mut self.modules[module];
        loading.items.push(id);
        if let Some((_, before)) = loading.scope.get(&name.node) {
            let before = *before;
            self.defined_twice(name, before, "defined here first");
        } else {
            loading.own.insert(name.node.clone(), id);
            loading.scope.insert(name.node.clone(), (id, name.span));
        }
    }

    /// The edit that adds a `use` to a module: after the last one, else before the first item.
    pub fn use_edit(&self, module: usize, path: &str) -> Edit {
        let loading = &self.modules[module];
        let is_use = |item: &&ast::Item| matches!(item.kind, ast::ItemKind::Use(_));
        let last = loading.tree.items.iter().rfind(is_use);
        let (span, text) = match (last, loading.tree.docs.last()) {
            (Some(last), _) => (last.span.after(), format!("\nuse {path}")),
            (None, Some(docs)) => (docs.span.after(), format!("\n\nuse {path}")),
            (None, None) => (Span::new(loading.file, 0, 0), format!("use {path}\n\n")),
        };
        Edit { span, text }
    }

    /// Says that a name is not free, if it is not.
    pub fn refuse_reserved(&mut self, name: &ast::Name) {
        let what = match name.node.as_str() {
            "tick" => "`tick` names the step: `tick::sigma`",
            "prev" => "`prev` asks for a value of the tick before",
            condition if CONDITIONS.contains(&condition) => "it names a condition of `predict`",
            _ => return,
        };
        self.bag.push(
            Diagnostic::new(
                Code::ReservedWord,
                format!("`{}` is not free as a name", name.node),
            )
            .at(name.span, what)
            .help(format!("choose another name, for example `{}_`", name.node)),
        );
    }

    /// Says that a name has two meanings.
    pub fn defined_twice(&mut self, name: &ast::Name, before: Span, first: &str) {
        self.bag.push(
            Diagnostic::new(
                Code::DefinedTwice,
                format!("`{}` is defined twice", name.node),
            )
            .at(name.span, "defined again here")
            .at(before, first)
            .help("give one of them another name"),
        );
    }

    /// Whether a missing name may be one that an earlier error took away.
    pub fn is_excused(&self, module: usize, name: &str) -> bool {
        let loading = &self.modules[module];
        loading.failed.contains(name) || loading.unparsed.contains(name)
    }
}

/// The names that come again, each with the place of the first.
pub(super) fn repeated<'n>(
    names: impl IntoIterator<Item = &'n ast::Name>,
) -> Vec<(&'n ast::Name, Span)> {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    let mut repeated = Vec::new();
    for name in names {
        match seen.get(name.node.as_str()) {
            Some(first) => repeated.push((name, *first)),
            None => {
                seen.insert(&name.node, name.span);
            }
        }
    }
    repeated
}

/// The words of a file outside the items that parsed.
fn words_between_items(file: &ast::File, text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = BTreeSet::new();
    let mut add = |piece: Option<&str>| {
        let found = piece.unwrap_or("").split(|c| !is_word(c));
        words.extend(found.filter(|word| !word.is_empty()).map(str::to_owned));
    };
    let mut from = 0;
    for item in &file.items {
        let range = item.span.range();
        add(text.get(from..range.start));
        from = range.end.max(from);
    }
    add(text.get(from..));
    words
}
