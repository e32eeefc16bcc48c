//! The names that a function binds: parameters, `let`s and `total` variables, block in block.

use std::collections::BTreeMap;

use guide_grammar::ast;
use guide_grammar::span::Span;

use super::body::Body;
use super::cycles;
use crate::diagnostics::{Code, Diagnostic};
use crate::resolved::{Binder, Local, LocalId};

/// A block, or a function's parameters, or a `total`'s variable.
#[derive(Default)]
pub(super) struct Scope {
    /// What an ordinary use sees here.
    visible: BTreeMap<String, LocalId>,
    /// All that the scope binds, also further down, in order.
    all: Vec<(String, LocalId)>,
}

/// A use of something that is bound further down.
pub(super) struct Forward {
    local: LocalId,
    span: Span,
    /// The `let`s whose values hold the use, innermost last.
    open: Vec<usize>,
}

/// The scopes and `let`s of a function.
#[derive(Default)]
pub(super) struct Scopes {
    pub locals: Vec<Local>,
    stack: Vec<Scope>,
    /// For each local, which `let` binds it.
    lets: Vec<Option<usize>>,
    /// For each `let`, the `let`s that it uses, and where.
    uses: Vec<Vec<(usize, Span)>>,
    /// What each `let` is called.
    let_names: Vec<(String, Span)>,
    /// The `let`s that are being read, innermost last.
    open: Vec<usize>,
    forward: Vec<Forward>,
}

impl Scopes {
    pub fn enter(&mut self) {
        self.stack.push(Scope::default());
    }

    pub fn leave(&mut self) {
        self.stack.pop();
    }

    /// A new `let`, by the name it shows in messages.
    pub fn add_let(&mut self, name: &str, span: Span) -> usize {
        self.uses.push(Vec::new());
        self.let_names.push((name.to_owned(), span));
        self.uses.len() - 1
    }

    /// A local of the innermost scope, not visible yet.
    pub fn bind(&mut self, name: &ast::Name, binder: Binder, of_let: Option<usize>) -> LocalId {
        let id = LocalId(self.locals.len() as u32);
        self.locals.push(Local {
            name: name.node.clone(),
            span: name.span,
            binder,
            used: false,
            shadows: None,
        });
        self.lets.push(of_let);
        if let Some(scope) = self.stack.last_mut() {
            scope.all.push((name.node.clone(), id));
        }
        id
    }

    /// From here on an ordinary use sees the local.
    pub fn show(&mut self, id: LocalId) {
        let Some(name) = self.locals.get(id.index()).map(|l| l.name.clone()) else {
            return;
        };
        let shadows = self.find(&name);
        if let Some(local) = self.locals.get_mut(id.index()) {
            local.shadows = shadows;
        }
        if let Some(scope) = self.stack.last_mut() {
            scope.visible.insert(name, id);
        }
    }

    /// Around the value of a `let`.
    pub fn open(&mut self, of_let: usize) {
        self.open.push(of_let);
    }

    /// After the value of a `let`.
    pub fn close(&mut self) {
        self.open.pop();
    }

    /// What an ordinary use of a name sees.
    pub fn find(&self, name: &str) -> Option<LocalId> {
        self.stack
            .iter()
            .rev()
            .find_map(|scope| scope.visible.get(name))
            .copied()
    }

    /// What binds a name further down in this block or one around it.
    pub fn find_below(&self, name: &str) -> Option<LocalId> {
        let all = self.stack.iter().rev().flat_map(|scope| &scope.all);
        all.filter(|(n, _)| n == name).map(|(_, id)| *id).next()
    }

    /// All locals of a name in the innermost scope that has any, visible yet or not.
    pub fn find_anywhere(&self, name: &str) -> Vec<LocalId> {
        let scopes = self.stack.iter().rev();
        let mut found = scopes.map(|scope| {
            scope
                .all
                .iter()
                .filter(|(n, _)| n == name)
                .map(|(_, id)| *id)
                .collect::<Vec<_>>()
        });
        found.find(|ids| !ids.is_empty()).unwrap_or_default()
    }

    /// Every name that an ordinary use sees.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stack
            .iter()
            .flat_map(|scope| scope.visible.keys().map(String::as_str))
    }

    /// Every `let` that `prev` could be asked of.
    pub fn let_names(&self) -> impl Iterator<Item = &str> {
        self.stack
            .iter()
            .flat_map(|scope| &scope.all)
            .filter_map(|(name, id)| {
                let binder = self.locals.get(id.index())?.binder;
                (binder == Binder::Let).then_some(name.as_str())
            })
    }

    /// Notes an ordinary use.
    pub fn use_of(&mut self, id: LocalId, span: Span) {
        self.read(id);
        if let Some(target) = self.lets.get(id.index()).copied().flatten() {
            for from in &self.open {
                self.uses[*from].push((target, span));
            }
        }
    }

    /// Notes a use of something that is bound further down.
    pub fn forward_use(&mut self, local: LocalId, span: Span) {
        self.use_of(local, span);
        self.forward.push(Forward {
            local,
            span,
            open: self.open.clone(),
        });
    }

    /// Notes that something reads the local.
    pub fn read(&mut self, id: LocalId) {
        if let Some(local) = self.locals.get_mut(id.index()) {
            local.used = true;
        }
    }
}

impl Body<'_, '_> {
    /// At a function's end: uses of what stands below, as a cycle where they are one.
    pub fn report_forward_uses(&mut self) {
        let mut told = vec![false; self.scopes.uses.len()];
        for forward in std::mem::take(&mut self.scopes.forward) {
            if let Some(diagnostic) = forward_use(&self.scopes, &forward, &mut told) {
                self.world.bag.push(diagnostic);
            }
        }
    }

    /// Warns of each `let` that hides another which nothing ever read.
    pub fn report_unused_shadowed(&mut self) {
        let locals = &self.scopes.locals;
        for local in locals {
            let Some(hidden) = local.shadows.and_then(|id| locals.get(id.index())) else {
                continue;
            };
            if hidden.used || hidden.binder != Binder::Let || local.binder != Binder::Let {
                continue;
            }
            self.world.bag.push(
                Diagnostic::new(
                    Code::ShadowedUnused,
                    format!("`{}` is bound again before anything uses it", hidden.name),
                )
                .at(hidden.span, "never used")
                .at(local.span, "hidden by this one")
                .help(format!(
                    "remove the first `let {}`, or rename one of them",
                    hidden.name
                )),
            );
        }
    }
}

fn forward_use(scopes: &Scopes, forward: &Forward, told: &mut [bool]) -> Option<Diagnostic> {
    let local = scopes.locals.get(forward.local.index())?;
    let name = &local.name;
    let target = scopes.lets.get(forward.local.index()).copied().flatten();
    let bound = if local.binder == Binder::Param {
        "a later parameter"
    } else {
        "bound here"
    };
    let Some(target) = target else {
        return Some(
            Diagnostic::new(
                Code::UsedBeforeDefined,
                format!("`{name}` is used before it is bound"),
            )
            .at(forward.span, "used here")
            .at(local.span, bound)
            .help(format!("move `{name}` before this one")),
        );
    };
    let cycle = forward.open.iter().rev().find_map(|open| {
        if *open == target {
            return Some((*open, Vec::new()));
        }
        Some((*open, cycles::path(&scopes.uses, target, *open, |_| true)?))
    });
    let Some((open, rest)) = cycle else {
        return Some(
            Diagnostic::new(
                Code::UsedBeforeDefined,
                format!("`{name}` is used before it is bound"),
            )
            .at(forward.span, "used here")
            .at(local.span, bound)
            .help(format!(
                "move `let {name}` above this line, or write `prev({name}, init: 0)` for its \
                     value in the tick before"
            )),
        );
    };
    if std::mem::replace(&mut told[open], true) {
        return None;
    }
    let called = |of_let: usize| scopes.let_names[of_let].0.as_str();
    let whole = called(open);
    let mut diagnostic = if rest.is_empty() {
        Diagnostic::new(
            Code::UsedBeforeDefined,
            format!("`{whole}` depends on itself"),
        )
        .at(forward.span, format!("`{name}` is used here"))
        .at(local.span, "to make its own value")
    } else {
        Diagnostic::new(
            Code::UsedBeforeDefined,
            format!("`{whole}` depends on itself through `{name}`"),
        )
        .at(forward.span, format!("`{whole}` uses `{name}`"))
    };
    for hop in &rest {
        told[hop.from] = true;
        let text = format!("`{}` uses `{}`", called(hop.from), called(hop.to));
        diagnostic = diagnostic.at(hop.span, text);
    }
    Some(diagnostic.help(format!(
        "write `prev({name}, init: 0)` for its value in the tick before"
    )))
}
