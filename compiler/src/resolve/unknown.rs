//! What is said of a name that nothing defines: the nearest known one, or the `use` to add.

use guide_grammar::ast;
use guide_grammar::span::Span;

use super::body::Body;
use super::modules::HeadKind;
use crate::diagnostics::suggest::nearest;
use crate::diagnostics::{Code, Diagnostic, Edit};
use crate::primitives::{CONDITIONS, CONTEXT_WORDS, INTERVENTIONS, Primitive, VALUES};
use crate::resolved::ItemId;

impl Body<'_, '_> {
    /// A name that is neither a local, an item, a name of the step nor a word.
    pub fn unknown_value(&mut self, name: &ast::Name) {
        if self.world.is_excused(self.module, &name.node) {
            return;
        }
        let text = name.node.as_str();
        let scope = &self.world.modules[self.module].scope;
        if scope.contains_key(text) || Primitive::find(text).is_some() {
            return self.not_a_value(text, name.span);
        }
        let words = VALUES
            .iter()
            .chain(CONDITIONS)
            .chain(CONTEXT_WORDS)
            .copied();
        let candidates = self
            .scopes
            .names()
            .chain(self.item_names(false))
            .chain(words);
        let near = nearest(text, candidates).map(str::to_owned);
        let unknown = Diagnostic::new(Code::UnknownName, format!("no value is called `{text}`"))
            .at(name.span, "not in scope");
        self.world.bag.push(match near {
            Some(near) => written(unknown, name.span, &near),
            None => unknown,
        });
    }

    /// A name that touches `(` and that nothing callable has; `item` has it but is no function.
    pub fn unknown_callee(&mut self, name: &ast::Name, item: Option<ItemId>) {
        let text = name.node.as_str();
        if let Some(local) = self
            .scopes
            .find(text)
            .or_else(|| self.scopes.find_below(text))
        {
            let bound = self
                .scopes
                .locals
                .get(local.index())
                .map(|local| local.span);
            self.scopes.read(local);
            return self.not_callable(text, name.span, bound);
        }
        if let Some(item) = item {
            let bound = self
                .world
                .heads
                .get(item.index())
                .map(|head| head.name.span);
            return self.not_callable(text, name.span, bound);
        }
        if VALUES.contains(&text) || CONDITIONS.contains(&text) {
            return self.not_callable(text, name.span, None);
        }
        if self.world.is_excused(self.module, text) {
            return;
        }
        let unknown = Diagnostic::new(Code::UnknownName, format!("no function is called `{text}`"))
            .at(name.span, "not in scope");
        let diagnostic = if INTERVENTIONS.iter().any(|i| i.name == text) {
            unknown.help(format!(
                "give it to a prediction: `predict(cond, with: {text}(…))`"
            ))
        } else {
            let library = self.library_path(text);
            let primitives = Primitive::ALL.iter().map(|p| p.name());
            let candidates = self.item_names(true).chain(primitives).chain(["prev"]);
            let near = nearest(text, candidates).map(str::to_owned);
            match (library, near) {
                (Some(path), _) => self.used(unknown, &path, None),
                (None, Some(near)) => written(unknown, name.span, &near),
                (None, None) => match self.library_suggestion(text) {
                    Some((near, path)) => self.used(unknown, &path, Some((name.span, near))),
                    None => unknown,
                },
            }
        };
        self.world.bag.push(diagnostic);
    }

    /// A function where a value was expected.
    pub fn not_a_value(&mut self, text: &str, span: Span) {
        self.world.bag.push(
            Diagnostic::new(
                Code::UnknownName,
                format!("`{text}` is a function, not a value"),
            )
            .at(span, "a value was expected")
            .help(format!("call it: `{text}(…)`")),
        );
    }

    /// A value where a function was expected.
    pub fn not_callable(&mut self, text: &str, span: Span, bound: Option<Span>) {
        let mut diagnostic =
            Diagnostic::new(Code::NotCallable, format!("`{text}` cannot be called"))
                .at(span, "called here");
        if let Some(bound) = bound {
            diagnostic = diagnostic.at(bound, "a value, not a function");
        }
        let help = format!("write `{text} * (…)` to multiply, or `{text}` alone");
        self.world.bag.push(diagnostic.help(help));
    }

    fn item_names(&self, callable: bool) -> impl Iterator<Item = &str> {
        let scope = self.world.modules[self.module].scope.iter();
        scope.filter_map(move |(name, (id, _))| {
            let kind = self.world.heads.get(id.index())?.kind;
            let fits = match kind {
                HeadKind::Function(ast::FunctionKind::Guide) => true,
                HeadKind::Function(_) => callable,
                HeadKind::Resource(_) | HeadKind::Input => !callable,
            };
            fits.then_some(name.as_str())
        })
    }

    /// An item of the library that is called nearly so, and its path.
    fn library_suggestion(&mut self, name: &str) -> Option<(String, String)> {
        let library = self.world.library();
        let fitting = library.iter().filter(|item| item.callable);
        let near = nearest(name, fitting.map(|item| item.name.as_str()))?.to_owned();
        let path = self.library_path(&near)?;
        Some((near, path))
    }

    /// With the `use` that brings what is meant, where it is called otherwise with that name too.
    fn used(&self, unknown: Diagnostic, path: &str, called: Option<(Span, String)>) -> Diagnostic {
        let renamed = called.map(|(span, text)| Edit { span, text });
        let edits = renamed
            .into_iter()
            .chain([self.world.use_edit(self.module, path)]);
        unknown
            .help(format!("add `use {path}` at the top of the file"))
            .fix_by(format!("add `use {path}`"), edits.collect())
    }

    fn library_path(&mut self, name: &str) -> Option<String> {
        let library = self.world.library();
        let item = library
            .iter()
            .find(|item| item.callable && item.name == name)?;
        let folder = item.folder.replace('/', "::");
        let middle = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}::")
        };
        Some(format!("std::{middle}{name}"))
    }
}

fn written(unknown: Diagnostic, span: Span, near: &str) -> Diagnostic {
    unknown.help(format!("write `{near}`")).fix(span, near)
}
