//! Calls: what a name that touches `(` means, and arguments given twice.

use guide_grammar::ast;
use guide_grammar::span::Spanned;

use super::body::{Body, Place};
use super::lookup::Qualified;
use super::modules::{HeadKind, repeated};
use crate::diagnostics::suggest::nearest;
use crate::diagnostics::{Code, Diagnostic};
use crate::primitives::{ALSO_CALLED, INTERVENTIONS, Primitive};
use crate::resolved::{Arg, Call, Callee, Expr, ExprNode, ItemId, LocalId, Meaning};

/// The arguments of `classifier` and `loss` items, and the words that each takes.
const SETTINGS: [(&str, &[&str]); 5] = [
    ("sees", &["noisy", "x0", "image"]),
    ("range", &[]),
    ("size", &[]),
    ("normalise", &["none", "imagenet", "clip"]),
    ("activation", &["softplus"]),
];

impl Body<'_, '_> {
    /// `f(…)`, or `piped |> f(…)`.
    pub fn call(&mut self, call: &ast::Call, piped: Option<&ast::Expr>, place: Place) -> ExprNode {
        let is_prev = matches!(call.callee.names.as_slice(), [name] if name.node == "prev");
        if is_prev && place == Place::Value {
            return self.prev(call, piped);
        }
        let callee = match place {
            Place::Value => self.callee(&call.callee),
            Place::Interventions => self.intervention(&call.callee),
        };
        let is_predict = callee == Some(Callee::Primitive(Primitive::Predict));
        let mut args = Vec::new();
        if let Some(piped) = piped {
            args.push(Arg {
                name: None,
                value: self.value(piped),
            });
        }
        self.refuse_doubles(call);
        for arg in &call.args {
            let with = match &arg.name {
                Some(name) => name.node == "with",
                // `predict(condition, at, model, with)`
                None => is_predict && args.len() == 3,
            };
            let inner = if with && place == Place::Value {
                Place::Interventions
            } else {
                Place::Value
            };
            args.push(Arg {
                name: arg.name.clone(),
                value: self.expr(&arg.value, inner),
            });
        }
        let Some(callee) = callee else {
            return ExprNode::Error;
        };
        let text = self.world.files.snippet(call.callee.span).to_owned();
        let name = match call.callee.names.as_slice() {
            [name] => name.clone(),
            _ => Spanned::new(text, call.callee.span),
        };
        ExprNode::Call(Box::new(Call { callee, name, args }))
    }

    /// Says which arguments are given twice by name.
    pub fn refuse_doubles(&mut self, call: &ast::Call) {
        self.given_twice(call.args.iter().filter_map(|arg| arg.name.as_ref()));
    }

    fn given_twice<'n>(&mut self, names: impl Iterator<Item = &'n ast::Name>) {
        for (name, first) in repeated(names) {
            self.world.bag.push(
                Diagnostic::new(
                    Code::ArgumentTwice,
                    format!("`{}` is given twice", name.node),
                )
                .at(name.span, "given again here")
                .at(first, "given here first")
                .help(format!("remove one `{}:`", name.node)),
            );
        }
    }

    fn callee(&mut self, path: &ast::Path) -> Option<Callee> {
        let [name] = path.names.as_slice() else {
            return match self.world.qualified(self.module, path) {
                Qualified::Item(id) => self.callable_item(id, path),
                Qualified::Word(_) => {
                    let text = self.world.files.snippet(path.span).to_owned();
                    self.not_callable(&text, path.span, None);
                    None
                }
                Qualified::Error => None,
            };
        };
        if let Some(local) = self.guide_parameter(&name.node) {
            self.scopes.use_of(local, name.span);
            self.note(name.span, Meaning::Local(self.item, local));
            return Some(Callee::Local(local));
        }
        let item = self.world.modules[self.module]
            .scope
            .get(&name.node)
            .map(|(id, _)| *id);
        if let Some(id) = item.filter(|id| self.is_callable(*id)) {
            self.note(name.span, Meaning::Item(id));
            return self.callable_item(id, path);
        }
        if let Some(primitive) = Primitive::find(&name.node) {
            self.note(name.span, Meaning::Primitive(primitive));
            return Some(Callee::Primitive(primitive));
        }
        self.unknown_callee(name, item);
        None
    }

    /// The parameter of kind `Guide` of that name. A `let` of the same name is a value, and a name
    /// that touches `(` is not looked up among values.
    fn guide_parameter(&self, name: &str) -> Option<LocalId> {
        let is_named = |id: &&LocalId| {
            self.scopes
                .locals
                .get(id.index())
                .is_some_and(|local| local.name == name)
        };
        self.guides.iter().find(is_named).copied()
    }

    fn is_callable(&self, id: ItemId) -> bool {
        matches!(
            self.world.heads.get(id.index()).map(|h| h.kind),
            Some(HeadKind::Function(_))
        )
    }

    fn callable_item(&mut self, id: ItemId, path: &ast::Path) -> Option<Callee> {
        if !self.is_callable(id) {
            let text = self.world.files.snippet(path.span).to_owned();
            let defined = self.world.heads.get(id.index()).map(|head| head.name.span);
            self.not_callable(&text, path.span, defined);
            return None;
        }
        self.world.calls[self.item.index()].push((id.index(), path.span));
        Some(Callee::Function(id))
    }

    fn intervention(&mut self, path: &ast::Path) -> Option<Callee> {
        let text = self.world.files.snippet(path.span).to_owned();
        if INTERVENTIONS.iter().any(|i| i.name == text) {
            self.note(path.span, Meaning::Intervention(text));
            return Some(Callee::Intervention);
        }
        let meant = ALSO_CALLED.iter().find(|(other, _)| *other == text);
        let meant = meant.map(|(_, name)| *name);
        let near = meant.or_else(|| nearest(&text, INTERVENTIONS.iter().map(|i| i.name)));
        let names: Vec<_> = INTERVENTIONS.iter().map(|i| i.name).collect();
        let unknown = Diagnostic::new(
            Code::UnknownName,
            format!("no intervention is called `{text}`"),
        )
        .at(path.span, "names inside `with:` are interventions");
        self.world.bag.push(match near {
            Some(near) => unknown.help(format!("write `{near}`")).fix(path.span, near),
            None => unknown.help(format!("choose one of `{}`", names.join("`, `"))),
        });
        None
    }

    /// The arguments of a `model`, `classifier` or `loss`: each known and given once.
    pub fn check_settings(&mut self, resource: &ast::Resource) {
        self.given_twice(resource.args.iter().map(|arg| &arg.name));
        for arg in &resource.args {
            let name = &arg.name;
            let known = resource.kind != ast::ResourceKind::Model
                && SETTINGS.iter().any(|(known, _)| *known == name.node);
            if !known {
                let of = match resource.kind {
                    ast::ResourceKind::Model => "a model",
                    ast::ResourceKind::Classifier => "a classifier",
                    ast::ResourceKind::Loss => "a loss",
                };
                let mut diagnostic = Diagnostic::new(
                    Code::UnknownArgument,
                    format!("{of} has no argument `{}`", name.node),
                )
                .at(name.span, "not known");
                if resource.kind == ast::ResourceKind::Model {
                    let own = &resource.name.node;
                    diagnostic = diagnostic.help(format!("write `model {own}`"));
                } else if let Some(near) = nearest(&name.node, SETTINGS.iter().map(|s| s.0)) {
                    diagnostic = diagnostic
                        .help(format!("write `{near}:`"))
                        .fix(name.span, near);
                } else {
                    let all: Vec<_> = SETTINGS.iter().map(|s| s.0).collect();
                    diagnostic = diagnostic.help(format!("choose of `{}`", all.join("`, `")));
                }
                self.world.bag.push(diagnostic);
                continue;
            }
            if let ast::ResourceValue::Expr(value) = &arg.value {
                self.check_word(&name.node, value);
            }
        }
    }

    fn check_word(&mut self, setting: &str, value: &ast::Expr) {
        let words = SETTINGS
            .iter()
            .find(|(name, _)| *name == setting)
            .map_or(&[][..], |s| s.1);
        let path = match &value.node {
            ast::ExprNode::Path(path) => path,
            ast::ExprNode::Call(call) => &call.callee,
            _ => return,
        };
        let text = self.world.files.snippet(path.span).to_owned();
        if words.is_empty() || words.contains(&text.as_str()) {
            return;
        }
        let unknown = Diagnostic::new(
            Code::UnknownName,
            format!("`{setting}:` does not know `{text}`"),
        )
        .at(path.span, "not one of its words");
        self.world
            .bag
            .push(match nearest(&text, words.iter().copied()) {
                Some(near) => unknown
                    .help(format!("write `{setting}: {near}`"))
                    .fix(path.span, near),
                None => unknown.help(format!("choose of `{}`", words.join("`, `"))),
            });
    }

    /// The value of a resource's argument: names are words of that argument.
    pub fn setting(&mut self, value: &ast::Expr) -> Expr {
        let node = match &value.node {
            ast::ExprNode::Path(path) => {
                ExprNode::Word(self.world.files.snippet(path.span).to_owned())
            }
            ast::ExprNode::Call(call) => {
                self.refuse_doubles(call);
                let args = call.args.iter().map(|arg| Arg {
                    name: arg.name.clone(),
                    value: self.value(&arg.value),
                });
                let args = args.collect();
                let text = self.world.files.snippet(call.callee.span).to_owned();
                let name = Spanned::new(text, call.callee.span);
                ExprNode::Call(Box::new(Call {
                    callee: Callee::Setting,
                    name,
                    args,
                }))
            }
            _ => return self.value(value),
        };
        Expr {
            node,
            span: value.span,
        }
    }
}
