//! `prev(v, depth, init: e)`: what it may be asked of.

use guide_grammar::ast;

use super::body::Body;
use crate::diagnostics::suggest::nearest;
use crate::diagnostics::{Code, Diagnostic};
use crate::primitives::VALUES;
use crate::resolved::{Binder, ExprNode, LocalId, Meaning, Prev, PrevOf};

/// Values that have no tick before.
const NOT_OF_THE_STEP: [&str; 5] = ["pi", "inf", "noise", "hold", "target"];

impl Body<'_, '_> {
    /// A call of `prev`.
    pub fn prev(&mut self, call: &ast::Call, piped: Option<&ast::Expr>) -> ExprNode {
        self.refuse_doubles(call);
        let mut positional = Vec::new();
        positional.extend(piped);
        let mut init = None;
        for arg in &call.args {
            match &arg.name {
                None => positional.push(&arg.value),
                Some(name) if name.node == "init" => init = Some(self.value(&arg.value)),
                Some(name) => {
                    self.world.bag.push(
                        Diagnostic::new(
                            Code::UnknownArgument,
                            format!("`prev` has no argument `{}`", name.node),
                        )
                        .at(name.span, "not known")
                        .help("write `prev(v, init: 0)`, or `prev(v, 2, init: 0)` for two ticks"),
                    );
                    self.value(&arg.value);
                }
            }
        }
        let mut positional = positional.into_iter();
        let Some(of) = positional.next() else {
            self.world.bag.push(
                Diagnostic::new(Code::MissingArgument, "`prev` is not told of what")
                    .at(call.span, "nothing is named")
                    .help("name a `let`, `x` or a name of the step: `prev(m, init: 0)`"),
            );
            return ExprNode::Error;
        };
        let depth = positional.next().map(|e| self.value(e));
        for extra in positional {
            self.world.bag.push(
                Diagnostic::new(Code::ArgumentTwice, "`prev` takes one value and one depth")
                    .at(extra.span, "one too many")
                    .help("write `prev(v, 2, init: 0)`"),
            );
            self.value(extra);
        }
        let of_span = of.span;
        let of = self.prev_of(of);
        ExprNode::Prev(Box::new(Prev {
            of,
            of_span,
            depth,
            init,
        }))
    }

    fn prev_of(&mut self, of: &ast::Expr) -> PrevOf {
        let path = match &of.node {
            ast::ExprNode::Path(path) => path,
            ast::ExprNode::Group(inner) => return self.prev_of(inner),
            _ => {
                // Its own errors are worth saying too.
                self.value(of);
                let text = self.world.files.snippet(of.span).to_owned();
                let short = text.len() <= 60 && !text.contains('\n');
                let shown = if short { text.as_str() } else { "…" };
                self.prev_refused(
                    of,
                    "an expression",
                    format!("bind it first: `let v = {shown}`, then `prev(v, init: 0)`"),
                );
                return PrevOf::Error;
            }
        };
        let [name] = path.names.as_slice() else {
            return match self.value(of).node {
                ExprNode::Word(word) if is_of_the_step(&word) => PrevOf::Word(word),
                ExprNode::Error => PrevOf::Error,
                _ => {
                    self.prev_refused(of, "not a name of the step", "bind it with `let` first");
                    PrevOf::Error
                }
            };
        };
        let found = self.scopes.find_anywhere(&name.node);
        if let [first, ..] = found.as_slice() {
            self.note(name.span, Meaning::Local(self.item, *first));
            return self.prev_of_local(of, &name.node, *first, &found);
        }
        if is_of_the_step(&name.node) {
            self.note(name.span, Meaning::Word(name.node.clone()));
            return PrevOf::Word(name.node.clone());
        }
        let known = self.world.modules[self.module]
            .scope
            .contains_key(&name.node);
        if known || VALUES.contains(&name.node.as_str()) {
            let help = format!("bind it first: `let v = {}`, then `prev(v, …)`", name.node);
            self.prev_refused(of, "the same in every tick", help);
        } else if !self.world.is_excused(self.module, &name.node) {
            let candidates = self.scopes.let_names().chain(VALUES.iter().copied());
            let near = nearest(&name.node, candidates);
            let unknown = Diagnostic::new(
                Code::UnknownName,
                format!("no `let` is called `{}`", name.node),
            )
            .at(name.span, "not bound in this block or one around it");
            let unknown = match near {
                Some(near) => unknown
                    .help(format!("write `prev({near}, …)`"))
                    .fix(name.span, near),
                None => unknown.help(format!("bind it in this body: `let {} = …`", name.node)),
            };
            self.world.bag.push(unknown);
        }
        PrevOf::Error
    }

    fn prev_of_local(
        &mut self,
        of: &ast::Expr,
        name: &str,
        first: LocalId,
        all: &[LocalId],
    ) -> PrevOf {
        for id in all {
            self.scopes.read(*id);
        }
        let spans: Vec<_> = all
            .iter()
            .filter_map(|id| Some(self.scopes.locals.get(id.index())?.span))
            .collect();
        let binder = self
            .scopes
            .locals
            .get(first.index())
            .map(|local| local.binder);
        if all.len() > 1 {
            let mut diagnostic = Diagnostic::new(
                Code::PrevOfWhat,
                format!("`prev({name})` could mean several `let`s"),
            )
            .at(of.span, "asked for here");
            for span in spans {
                diagnostic = diagnostic.at(span, "bound here");
            }
            let help = "give the `let` that is meant a name of its own";
            self.world.bag.push(diagnostic.help(help));
            return PrevOf::Error;
        }
        let what = match binder {
            Some(Binder::Let) => return PrevOf::Local(first),
            Some(Binder::Param) => "a parameter",
            Some(Binder::Total) => "the variable of a `total`",
            None => return PrevOf::Error,
        };
        let mut diagnostic = Diagnostic::new(
            Code::PrevOfWhat,
            format!("`prev({name})` asks for the past of {what}"),
        )
        .at(of.span, "not a `let`");
        for span in spans {
            diagnostic = diagnostic.at(span, "bound here");
        }
        let help = format!("bind it first: `let v = {name}`, then `prev(v, init: 0)`");
        self.world.bag.push(diagnostic.help(help));
        PrevOf::Error
    }

    fn prev_refused(&mut self, of: &ast::Expr, what: &str, help: impl Into<String>) {
        self.world.bag.push(
            Diagnostic::new(
                Code::PrevOfWhat,
                "`prev` can be asked only of a `let`, of `x` or of a name of the step",
            )
            .at(of.span, what)
            .help(help),
        );
    }
}

fn is_of_the_step(name: &str) -> bool {
    VALUES.contains(&name) && !NOT_OF_THE_STEP.contains(&name)
}
