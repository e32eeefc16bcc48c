//! Functions, blocks and expressions: the shape stays, names are bound.

use guide_grammar::ast;
use guide_grammar::span::Span;

use super::modules::{HeadKind, World, repeated};
use super::scope::Scopes;
use super::{lookup::Qualified, texts};
use crate::diagnostics::{Code, Diagnostic};
use crate::primitives::{CONDITIONS, CONTEXT_WORDS, VALUES};
use crate::resolved::{
    Arm, ArmPattern, Binder, Block, Expr, ExprNode, Function, ItemId, Let, LocalId, Meaning, Param,
    Range,
};

/// One item being resolved.
pub(super) struct Body<'w, 'a> {
    pub world: &'w mut World<'a>,
    pub module: usize,
    pub item: ItemId,
    pub scopes: Scopes,
    /// The names of the item's generic spaces.
    pub generics: Vec<String>,
    /// Parameters that can be called.
    pub guides: Vec<LocalId>,
}

/// What a name that touches `(` means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Any expression.
    Value,
    /// Inside `with:`.
    Interventions,
}

impl<'w, 'a> Body<'w, 'a> {
    /// An item of a module.
    pub fn new(world: &'w mut World<'a>, module: usize, item: ItemId) -> Self {
        Self {
            world,
            module,
            item,
            scopes: Scopes::default(),
            generics: Vec::new(),
            guides: Vec::new(),
        }
    }

    /// Notes what a name means.
    pub fn note(&mut self, span: Span, meaning: Meaning) {
        self.world.note(span, meaning);
    }

    /// A `fn`, `guide` or `objective`.
    pub fn function(&mut self, function: &ast::Function) -> Function {
        let errors_before = self.world.bag.iter().count();
        self.generics(&function.generics);
        self.scopes.enter();
        let mut ids = Vec::new();
        for (name, first) in repeated(function.params.iter().map(|param| &param.name)) {
            self.world.defined_twice(name, first, "a parameter already");
        }
        for param in &function.params {
            self.world.refuse_reserved(&param.name);
            ids.push(self.scopes.bind(&param.name, Binder::Param, None));
        }
        let mut params = Vec::new();
        for (param, local) in function.params.iter().zip(ids) {
            let kind = self.kind(&param.kind);
            let default = param.default.as_ref().map(|e| self.value(e));
            self.scopes.show(local);
            if super::kinds::is_guide(&kind) {
                self.guides.push(local);
            }
            let docs = texts(&param.docs);
            params.push(Param {
                local,
                name: param.name.clone(),
                docs,
                kind,
                default,
            });
        }
        let result = function.result.as_ref().map(|kind| self.kind(kind));
        let body = self.block(&function.body, Place::Value);
        self.scopes.leave();
        self.report_forward_uses();
        // What an error left out may have been the use.
        if self.world.bag.iter().count() == errors_before {
            self.report_unused_shadowed();
        }
        Function {
            kind: function.kind,
            generics: function.generics.clone(),
            params,
            result,
            per_evaluation: function.per_evaluation.is_some(),
            body,
            locals: std::mem::take(&mut self.scopes.locals),
        }
    }

    fn generics(&mut self, generics: &[ast::Name]) {
        for (name, first) in repeated(generics) {
            self.world.defined_twice(name, first, "a generic already");
        }
        for name in generics {
            if crate::primitives::SPACES.contains(&name.node.as_str()) {
                self.world.bag.push(
                    Diagnostic::new(
                        Code::DefinedTwice,
                        format!("`{}` is a space already", name.node),
                    )
                    .at(name.span, "named as a generic here")
                    .help("name it with a capital letter: `S`"),
                );
            }
        }
        self.generics = generics.iter().map(|name| name.node.clone()).collect();
    }

    fn block(&mut self, block: &ast::Block, place: Place) -> Block {
        self.scopes.enter();
        // All are bound before any value is read: `prev` may ask for a later one.
        let bound: Vec<(usize, Vec<Option<LocalId>>)> = block
            .lets
            .iter()
            .map(|one| self.bind_pattern(&one.pattern))
            .collect();
        let mut lets = Vec::new();
        for (one, (number, targets)) in block.lets.iter().zip(bound) {
            let kind = one.kind.as_ref().map(|kind| self.kind(kind));
            self.scopes.open(number);
            let value = self.value(&one.value);
            self.scopes.close();
            for target in targets.iter().flatten() {
                self.scopes.show(*target);
            }
            let tuple = matches!(one.pattern, ast::Pattern::Tuple(..));
            lets.push(Let {
                targets,
                tuple,
                kind,
                value,
                span: one.span,
            });
        }
        let value = self.expr(&block.value, place);
        self.scopes.leave();
        Block {
            lets,
            value,
            span: block.span,
        }
    }

    fn bind_pattern(&mut self, pattern: &ast::Pattern) -> (usize, Vec<Option<LocalId>>) {
        let names = match pattern {
            ast::Pattern::Name(name) => std::slice::from_ref(name),
            ast::Pattern::Tuple(names, _) => names.as_slice(),
        };
        let first = names.iter().find(|n| n.node != "_").or(names.first());
        let number = match first {
            Some(name) => self.scopes.add_let(&name.node, name.span),
            None => self.scopes.add_let("_", Span::default()),
        };
        for (name, first) in repeated(names.iter().filter(|name| name.node != "_")) {
            self.world.defined_twice(name, first, "a part already");
        }
        let mut targets = Vec::new();
        for name in names {
            if name.node == "_" {
                targets.push(None);
                continue;
            }
            self.world.refuse_reserved(name);
            targets.push(Some(self.scopes.bind(name, Binder::Let, Some(number))));
        }
        (number, targets)
    }

    /// An expression outside `with:`.
    pub fn value(&mut self, expr: &ast::Expr) -> Expr {
        self.expr(expr, Place::Value)
    }

    /// An expression. What chooses between interventions passes its place on.
    pub fn expr(&mut self, expr: &ast::Expr, place: Place) -> Expr {
        let node = match &expr.node {
            ast::ExprNode::Number(text) => ExprNode::Number(text.clone()),
            ast::ExprNode::String(text) => ExprNode::String(text.clone()),
            ast::ExprNode::Bool(value) => ExprNode::Bool(*value),
            ast::ExprNode::Path(path) => self.path(path),
            ast::ExprNode::Call(call) => self.call(call, None, place),
            ast::ExprNode::Pipe(from, call) => self.call(call, Some(from), place),
            ast::ExprNode::Group(inner) => self.expr(inner, place).node,
            ast::ExprNode::Tuple(parts) => {
                ExprNode::Tuple(parts.iter().map(|e| self.expr(e, place)).collect())
            }
            ast::ExprNode::List(parts) => {
                ExprNode::List(parts.iter().map(|e| self.expr(e, place)).collect())
            }
            ast::ExprNode::Index(base, index) => {
                ExprNode::Index(Box::new(self.value(base)), Box::new(self.value(index)))
            }
            ast::ExprNode::Unary(op, inner) => ExprNode::Unary(*op, Box::new(self.value(inner))),
            ast::ExprNode::Binary(left, op, right) => {
                ExprNode::Binary(Box::new(self.value(left)), *op, Box::new(self.value(right)))
            }
            ast::ExprNode::In(subject, range) => {
                ExprNode::In(Box::new(self.value(subject)), Box::new(self.range(range)))
            }
            ast::ExprNode::If(choice) => self.choice(choice, place),
            ast::ExprNode::Match(choice) => {
                let subject = Box::new(self.value(&choice.subject));
                ExprNode::Match(
                    subject,
                    choice.arms.iter().map(|a| self.arm(a, place)).collect(),
                )
            }
            ast::ExprNode::Total(total) => {
                let range = Box::new(self.range(&total.range));
                self.world.refuse_reserved(&total.variable);
                self.scopes.enter();
                let variable = self.scopes.bind(&total.variable, Binder::Total, None);
                self.scopes.show(variable);
                let body = Box::new(self.block(&total.body, Place::Value));
                self.scopes.leave();
                ExprNode::Total(variable, range, body)
            }
        };
        Expr {
            node,
            span: expr.span,
        }
    }

    fn choice(&mut self, choice: &ast::If, place: Place) -> ExprNode {
        let condition = Box::new(self.value(&choice.condition));
        let then = Box::new(self.block(&choice.then, place));
        let otherwise = match &choice.otherwise {
            ast::Else::Block(block) => self.block(block, place),
            ast::Else::If(expr) => self.bare(expr, place),
        };
        ExprNode::If(condition, then, Box::new(otherwise))
    }

    /// An expression as a block.
    fn bare(&mut self, expr: &ast::Expr, place: Place) -> Block {
        Block {
            lets: Vec::new(),
            value: self.expr(expr, place),
            span: expr.span,
        }
    }

    fn arm(&mut self, arm: &ast::Arm, place: Place) -> Arm {
        let pattern = match &arm.pattern {
            ast::ArmPattern::Range(range) => ArmPattern::Range(self.range(range)),
            ast::ArmPattern::String(text) => ArmPattern::String(text.clone()),
            ast::ArmPattern::Else(span) => ArmPattern::Else(*span),
        };
        let body = match &arm.body {
            ast::ArmBody::Expr(expr) => self.bare(expr, place),
            ast::ArmBody::Block(block) => self.block(block, place),
        };
        Arm {
            pattern,
            body,
            span: arm.span,
        }
    }

    /// `a..b`
    pub fn range(&mut self, range: &ast::Range) -> Range {
        Range {
            from: self.value(&range.from),
            to: self.value(&range.to),
            inclusive: range.inclusive,
            span: range.span,
        }
    }

    /// A name that is not called.
    fn path(&mut self, path: &ast::Path) -> ExprNode {
        let [name] = path.names.as_slice() else {
            return match self.world.qualified(self.module, path) {
                Qualified::Item(id) => self.item_value(id, path.span),
                Qualified::Word(word) => ExprNode::Word(word),
                Qualified::Error => ExprNode::Error,
            };
        };
        if let Some(local) = self.scopes.find(&name.node) {
            self.scopes.use_of(local, name.span);
            self.note(name.span, Meaning::Local(self.item, local));
            return ExprNode::Local(local);
        }
        if let Some((id, _)) = self.world.modules[self.module]
            .scope
            .get(&name.node)
            .copied()
            && !self.is_callable_only(id)
        {
            self.note(name.span, Meaning::Item(id));
            return self.item_value(id, name.span);
        }
        let word = name.node.as_str();
        if VALUES.contains(&word) || CONDITIONS.contains(&word) || CONTEXT_WORDS.contains(&word) {
            self.note(name.span, Meaning::Word(name.node.clone()));
            return ExprNode::Word(name.node.clone());
        }
        if let Some(local) = self.scopes.find_below(word) {
            self.scopes.forward_use(local, name.span);
            self.note(name.span, Meaning::Local(self.item, local));
            return ExprNode::Error;
        }
        self.unknown_value(name);
        ExprNode::Error
    }

    fn is_callable_only(&self, id: ItemId) -> bool {
        let kind = self.world.heads.get(id.index()).map(|head| head.kind);
        matches!(kind, Some(HeadKind::Function(k)) if k != ast::FunctionKind::Guide)
    }

    /// An item as a value: a guide for a parameter of kind `Guide`, a resource or an input.
    fn item_value(&mut self, id: ItemId, span: Span) -> ExprNode {
        if self.is_callable_only(id) {
            let text = self.world.files.snippet(span).to_owned();
            self.not_a_value(&text, span);
            return ExprNode::Error;
        }
        if matches!(self.world.heads[id.index()].kind, HeadKind::Function(_)) {
            self.world.calls[self.item.index()].push((id.index(), span));
        }
        ExprNode::Item(id)
    }
}
