//! What a path in an expression means, apart from a function's own names.

use std::rc::Rc;

use guide_grammar::ast;

use super::imports::{Target, glance};
use super::modules::{LibraryItem, World};
use crate::diagnostics::suggest::nearest;
use crate::diagnostics::{Code, Diagnostic};
use crate::primitives::VALUES;
use crate::resolved::{ItemId, Meaning, Namespace};

/// What a path of several names means.
pub(super) enum Qualified {
    /// An item.
    Item(ItemId),
    /// `tick::NAME`
    Word(String),
    /// Reported.
    Error,
}

impl World<'_> {
    /// What `a::b` means in a module.
    pub fn qualified(&mut self, module: usize, path: &ast::Path) -> Qualified {
        let [first, rest @ ..] = path.names.as_slice() else {
            return Qualified::Error;
        };
        if first.node == "tick" {
            return self.tick(rest, path);
        }
        let known = self.modules[module].namespaces.get(&first.node);
        let start = match known {
            Some((space, _)) => space.clone(),
            None if first.node == "std" => Namespace::Library(String::new()),
            None => {
                if !self.is_excused(module, &first.node) {
                    self.no_namespace(module, first, path);
                }
                return Qualified::Error;
            }
        };
        match self.walk(Target::Space(start), rest) {
            Some(Target::Item(id)) => {
                let last = path.names.last().map_or(path.span, |name| name.span);
                self.note(last, Meaning::Item(id));
                Qualified::Item(id)
            }
            Some(Target::Space(_)) => {
                let text = self.files.snippet(path.span).to_owned();
                self.bag.push(
                    Diagnostic::new(Code::UnknownName, format!("`{text}` is a module"))
                        .at(path.span, "an item was expected")
                        .help(format!("name an item of it: `{text}::NAME`")),
                );
                Qualified::Error
            }
            None => Qualified::Error,
        }
    }

    fn tick(&mut self, rest: &[ast::Name], path: &ast::Path) -> Qualified {
        let [name] = rest else {
            let last = rest.last().map_or(path.span, |n| n.span);
            self.bag.push(
                Diagnostic::new(Code::UnknownName, "`tick::` takes one name of the step")
                    .at(last, "too long")
                    .help("write for example `tick::sigma`"),
            );
            return Qualified::Error;
        };
        if VALUES.contains(&name.node.as_str()) {
            self.note(name.span, Meaning::Word(name.node.clone()));
            return Qualified::Word(name.node.clone());
        }
        let mut diagnostic = Diagnostic::new(
            Code::UnknownName,
            format!("the step has no name `{}`", name.node),
        )
        .at(name.span, "not a name of the step");
        if let Some(near) = nearest(&name.node, VALUES.iter().copied()) {
            diagnostic = diagnostic
                .help(format!("write `tick::{near}`"))
                .fix(name.span, near);
        }
        self.bag.push(diagnostic);
        Qualified::Error
    }

    fn no_namespace(&mut self, module: usize, first: &ast::Name, path: &ast::Path) {
        let name = &first.node;
        let names = self.modules[module].namespaces.keys().map(String::as_str);
        let candidates = names.chain(["std", "tick"]);
        let library = self.sources.std_names("");
        let mut fix = None;
        let help = if let Some(near) = nearest(name, candidates) {
            fix = Some(near.to_owned());
            Some(format!("write `{near}`"))
        } else if library.contains(name) {
            let text = self.files.snippet(path.span);
            Some(format!(
                "add `use std::{name}` at the top of the file, or write `std::{text}`"
            ))
        } else {
            nearest(name, library.iter().map(String::as_str)).map(|n| format!("write `std::{n}`"))
        };
        let mut diagnostic =
            Diagnostic::new(Code::UnknownModule, format!("no module is called `{name}`"))
                .at(first.span, "not in scope");
        if let Some(near) = fix {
            diagnostic = diagnostic.fix(first.span, near);
        }
        diagnostic.help = help;
        self.bag.push(diagnostic);
    }

    /// The items of the standard library, read at the first miss.
    pub fn library(&mut self) -> Rc<[LibraryItem]> {
        if let Some(items) = &self.library {
            return items.clone();
        }
        let mut items = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in self.sources.std_names(&folder) {
                let path = if folder.is_empty() {
                    name.clone()
                } else {
                    format!("{folder}/{name}")
                };
                if let Some(loaded) = self.sources.std(&path) {
                    items.extend(
                        glance(&loaded)
                            .into_iter()
                            .map(|(name, callable)| LibraryItem {
                                folder: folder.clone(),
                                file: path.clone(),
                                name,
                                callable,
                            }),
                    );
                }
                // INVARIANT: a folder's names are deeper than itself, so this ends.
                if !self.sources.std_names(&path).is_empty() {
                    folders.push(path);
                }
            }
        }
        // The rule itself comes before the variants of its name in deeper folders.
        items.sort_by_key(|item| {
            let depth = item.folder.matches('/').count();
            (
                depth,
                item.folder.clone(),
                item.file.clone(),
                item.name.clone(),
            )
        });
        let items: Rc<[LibraryItem]> = items.into();
        self.library = Some(items.clone());
        items
    }
}
