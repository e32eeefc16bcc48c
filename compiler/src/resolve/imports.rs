//! `use`: which file a path means, and which names it brings.
//!
//! A path of the library is looked for in this order. `std::rules::apg` is
//! 1. the item `apg` of the file `rules/apg.guide`, or that file as a namespace if it has none;
//! 2. the folder `rules/apg` as a namespace;
//! 3. the item `apg` of a file `rules.guide`;
//! 4. the item `apg` of another file in the folder `rules`, the first in order of the alphabet.

use guide_grammar::ast;
use guide_grammar::span::Span;

use super::cycles;
use super::modules::World;
use crate::diagnostics::suggest::nearest;
use crate::diagnostics::{Code, Diagnostic};
use crate::resolved::{ItemId, Meaning, Namespace};
use crate::sources::{Loaded, SourceError};

/// What a path outside a body means.
#[derive(Clone)]
pub(super) enum Target {
    /// An item.
    Item(ItemId),
    /// What may stand before `::`.
    Space(Namespace),
}

impl World<'_> {
    /// Looks at the `use`s of every module that waits, and of those that they bring.
    pub fn import_pending(&mut self) {
        while let Some(module) = self.pending.pop_front() {
            let tree = self.modules[module].tree.clone();
            for item in &tree.items {
                if let ast::ItemKind::Use(import) = &item.kind {
                    self.import(module, import);
                }
            }
        }
    }

    fn import(&mut self, module: usize, import: &ast::Use) {
        // The module or folder that the path names, without the list that may follow.
        let base = match &import.root {
            ast::UseRoot::Name(root) if root.node == "std" => {
                Some(Target::Space(Namespace::Library(String::new())))
            }
            ast::UseRoot::Name(root) => {
                self.not_a_root(root);
                None
            }
            ast::UseRoot::File(path) => self
                .beside(module, &path.node, path.span)
                .map(|number| Target::Space(Namespace::Module(number))),
        };
        let base = base.and_then(|base| self.walk(base, &import.path));
        match &import.names {
            ast::UseNames::List(names) => {
                for entry in names {
                    let target = base
                        .clone()
                        .and_then(|base| self.walk(base, std::slice::from_ref(&entry.name)));
                    for name in [&entry.name].into_iter().chain(&entry.alias) {
                        self.note_target(name, target.as_ref());
                    }
                    self.bind(module, entry.alias.as_ref().unwrap_or(&entry.name), target);
                }
            }
            ast::UseNames::As(alias) => {
                for name in import.path.last().into_iter().chain([alias]) {
                    self.note_target(name, base.as_ref());
                }
                self.bind(module, alias, base);
            }
            ast::UseNames::Last => match (import.path.last(), &import.root) {
                (Some(name), _) => {
                    self.note_target(name, base.as_ref());
                    self.bind(module, name, base);
                }
                (None, ast::UseRoot::File(path)) => {
                    let stem = path.node.rsplit('/').next().unwrap_or(&path.node);
                    let stem = stem.strip_suffix(".guide").unwrap_or(stem);
                    self.bind_stem(module, stem, path.span, base);
                }
                // `use std` brings what is there anyway.
                (None, ast::UseRoot::Name(_)) => {}
            },
        }
    }

    /// Notes what a name of a `use` stands for.
    fn note_target(&mut self, name: &ast::Name, target: Option<&Target>) {
        match target {
            Some(Target::Item(id)) => self.note(name.span, Meaning::Item(*id)),
            Some(Target::Space(Namespace::Module(number))) => {
                self.note(name.span, Meaning::Module(*number));
            }
            Some(Target::Space(Namespace::Library(_))) | None => {}
        }
    }

    fn bind_stem(&mut self, module: usize, stem: &str, span: Span, target: Option<Target>) {
        let starts_well = stem.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if starts_well && stem.chars().all(word) {
            self.bind(module, &ast::Name::new(stem.to_owned(), span), target);
        } else if target.is_some() {
            self.bag.push(
                Diagnostic::new(Code::BadName, format!("`{stem}` cannot stand before `::`"))
                    .at(span, "a file is known by the stem of its name")
                    .help("add `as NAME`, with lower-case letters, digits and `_`"),
            );
        }
    }

    fn bind(&mut self, module: usize, name: &ast::Name, target: Option<Target>) {
        self.refuse_reserved(name);
        let loading = &mut self.modules[module];
        let mut before = None;
        match target {
            None => {
                loading.failed.insert(name.node.clone());
            }
            Some(Target::Item(id)) => match loading.scope.get(&name.node) {
                Some((known, _)) if *known == id => {}
                Some((_, span)) => before = Some(*span),
                None => {
                    loading.scope.insert(name.node.clone(), (id, name.span));
                }
            },
            Some(Target::Space(space)) => match loading.namespaces.get(&name.node) {
                Some((known, _)) if *known == space => {}
                Some((_, span)) => before = Some(*span),
                None => {
                    loading
                        .namespaces
                        .insert(name.node.clone(), (space, name.span));
                }
            },
        }
        if let Some(span) = before {
            self.bag.push(
                Diagnostic::new(
                    Code::DefinedTwice,
                    format!("`{}` is defined twice", name.node),
                )
                .at(name.span, "brought in here")
                .at(span, "defined here first")
                .help(format!(
                    "bring it in under another name: `{0} as my_{0}`",
                    name.node
                )),
            );
        }
    }

    fn not_a_root(&mut self, root: &ast::Name) {
        let help = match nearest(&root.node, ["std"]) {
            Some(_) => "write `use std::…`".to_owned(),
            None => format!(
                "write `use std::{0}`, or `use \"{0}.guide\"` for a file",
                root.node
            ),
        };
        self.bag.push(
            Diagnostic::new(
                Code::UnknownModule,
                format!("no module is called `{}`", root.node),
            )
            .at(root.span, "neither `std` nor a file in quotes")
            .help(help),
        );
    }

    /// The module of a file beside another.
    fn beside(&mut self, module: usize, path: &str, span: Span) -> Option<usize> {
        let from = self.files.path(self.modules[module].file).to_owned();
        match self.sources.beside(&from, path) {
            Ok(loaded) => {
                let number = self.add_module(loaded);
                self.imports[module].push((number, span));
                self.note(span, Meaning::Module(number));
                Some(number)
            }
            Err(error) => {
                self.bag.push(unreadable(&error, path, &from, span));
                None
            }
        }
    }

    /// Follows `names` from a namespace.
    pub fn walk(&mut self, from: Target, names: &[ast::Name]) -> Option<Target> {
        let Some(last) = names.last() else {
            return Some(from);
        };
        match from {
            Target::Space(Namespace::Library(folder)) => {
                let mut path = folder;
                for name in names {
                    if !path.is_empty() {
                        path.push('/');
                    }
                    path.push_str(&name.node);
                }
                let found = self.library_path(&path);
                if found.is_none() {
                    self.not_in_library(&path, last);
                }
                found
            }
            Target::Space(Namespace::Module(number)) => {
                let [name] = names else {
                    self.not_a_module(&names[0]);
                    return None;
                };
                let found = self.modules[number].own.get(&name.node).copied();
                if found.is_none() {
                    self.not_in_module(number, name);
                }
                found.map(Target::Item)
            }
            Target::Item(_) => {
                self.not_a_module(&names[0]);
                None
            }
        }
    }

    /// What a path of the standard library means; `None` if nothing is there.
    fn library_path(&mut self, path: &str) -> Option<Target> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(loaded) = self.sources.std(path) {
            let number = self.add_module(loaded);
            let own = self.modules[number].own.get(name);
            return Some(own.map_or(Target::Space(Namespace::Module(number)), |id| {
                Target::Item(*id)
            }));
        }
        if !self.sources.std_names(path).is_empty() {
            return Some(Target::Space(Namespace::Library(path.to_owned())));
        }
        if let Some(loaded) = self.sources.std(folder) {
            let number = self.add_module(loaded);
            return self.modules[number]
                .own
                .get(name)
                .map(|id| Target::Item(*id));
        }
        let library = self.library();
        let at = library
            .iter()
            .find(|i| i.folder == folder && i.name == name)?;
        let file = at.file.clone();
        let number = self.add_module(self.sources.std(&file)?);
        self.modules[number]
            .own
            .get(name)
            .map(|id| Target::Item(*id))
    }

    fn not_in_library(&mut self, path: &str, last: &ast::Name) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let spelled = |path: &str| match path {
            "" => "std".to_owned(),
            _ => format!("std::{}", path.replace('/', "::")),
        };
        let mut here: Vec<String> = self.sources.std_names(folder);
        let known = !here.is_empty() || self.sources.std(folder).is_some();
        here.extend(
            self.library()
                .iter()
                .filter(|i| i.folder == folder)
                .map(|i| i.name.clone()),
        );
        let elsewhere = self
            .library()
            .iter()
            .find(|i| i.name == name)
            .map(|i| spelled(&format!("{}/{}", i.folder, i.name)));
        let near = nearest(name, here.iter().map(String::as_str))
            .map(|near| (near.to_owned(), format!("{}::{near}", spelled(folder))));
        let (code, message) = if known {
            (
                Code::UnknownName,
                format!("`{}` has no `{name}`", spelled(folder)),
            )
        } else {
            (
                Code::UnknownModule,
                format!("there is no module `{}`", spelled(folder)),
            )
        };
        let roots = self.sources.std_names("");
        let mut diagnostic = Diagnostic::new(code, message).at(last.span, "not there");
        if let Some(path) = elsewhere {
            diagnostic = diagnostic.help(format!("write `{path}`"));
        } else if let Some((near, path)) = near {
            diagnostic = diagnostic
                .help(format!("write `{path}`"))
                .fix(last.span, near);
        } else if !known && !roots.is_empty() {
            let root = folder.split('/').next().unwrap_or(folder);
            diagnostic = diagnostic.help(match nearest(root, roots.iter().map(String::as_str)) {
                Some(near) => format!("write `std::{near}`"),
                None => format!("`std` has `{}`", roots.join("`, `")),
            });
        }
        self.bag.push(diagnostic);
    }

    fn not_in_module(&mut self, number: usize, name: &ast::Name) {
        if self.is_excused(number, &name.node) {
            return;
        }
        let loading = &self.modules[number];
        let path = self.files.path(loading.file);
        let mut diagnostic = Diagnostic::new(
            Code::UnknownName,
            format!("`{path}` has no `{}`", name.node),
        )
        .at(name.span, "not defined there");
        if let Some(near) = nearest(&name.node, loading.own.keys().map(String::as_str)) {
            diagnostic = diagnostic
                .help(format!("write `{near}`"))
                .fix(name.span, near);
        } else if loading.scope.contains_key(&name.node) {
            diagnostic = diagnostic.help("name the file that defines it; a `use` is not passed on");
        }
        self.bag.push(diagnostic);
    }

    /// Says that a name before `::` is no module.
    pub fn not_a_module(&mut self, name: &ast::Name) {
        self.bag.push(
            Diagnostic::new(
                Code::UnknownModule,
                format!("`{}` is not a module", name.node),
            )
            .at(name.span, "nothing can follow it after `::`"),
        );
    }

    /// Says which files import each other.
    pub fn report_import_cycles(&mut self) {
        for cycle in cycles::shortest(&self.imports) {
            let path = |module: usize| self.files.path(self.modules[module].file);
            let Some(first) = cycle.first() else { continue };
            let message = match cycle.len() {
                1 => format!("`{}` uses itself", path(first.from)),
                _ => format!("`{}` uses itself through other files", path(first.from)),
            };
            let mut diagnostic = Diagnostic::new(Code::ImportCycle, message);
            for hop in &cycle {
                let text = format!("`{}` uses `{}`", path(hop.from), path(hop.to));
                diagnostic = diagnostic.at(hop.span, text);
            }
            let help = "move what both need into a file that uses neither";
            self.bag.push(diagnostic.help(help));
        }
    }
}

/// Why a file could not be had, at the `use` that asks for it.
fn unreadable(error: &SourceError, path: &str, from: &str, span: Span) -> Diagnostic {
    match error {
        SourceError::Missing(looked) => {
            let missing =
                Diagnostic::new(Code::UnknownModule, format!("there is no file `{looked}`"))
                    .at(span, "asked for here");
            if path.ends_with(".guide") {
                return missing.help(format!("write the path relative to `{from}`"));
            }
            missing
                .help(format!("write `use \"{path}.guide\"`"))
                .fix(span, format!("\"{path}.guide\""))
        }
        SourceError::Outside(looked, root) => Diagnostic::new(
            Code::ImportOutsideRoot,
            format!("`{looked}` lies outside the root file's folder `{root}`"),
        )
        .at(span, "asked for here")
        .help("move the file into that folder, or allow its folder with `--allow-path DIR`"),
        SourceError::NotUtf8(looked, byte) => Diagnostic::new(
            Code::NotUtf8,
            format!("`{looked}` is not UTF-8 text: byte {byte} fits no character"),
        )
        .at(span, "asked for here")
        .help("save the file as UTF-8"),
        SourceError::TooLarge(looked, bytes, limit) => Diagnostic::new(
            Code::FileTooLarge,
            format!("`{looked}` has {bytes} bytes, and the limit is {limit}"),
        )
        .at(span, "asked for here")
        .help("split the file"),
        SourceError::Unreadable(looked, why) => Diagnostic::new(
            Code::Unreadable,
            format!("`{looked}` cannot be read: {why}"),
        )
        .at(span, "asked for here"),
    }
}

/// The names that a file of the library defines, read without adding it to the program.
pub(super) fn glance(loaded: &Loaded) -> Vec<(String, bool)> {
    let parsed = guide_grammar::parse(guide_grammar::span::FileId(u32::MAX), &loaded.text);
    let named = parsed.file.items.iter().filter_map(|item| {
        let name = super::modules::defines(item)?.node.clone();
        Some((name, matches!(item.kind, ast::ItemKind::Function(_))))
    });
    named.collect()
}
