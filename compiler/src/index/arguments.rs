//! The names of arguments: each means a parameter of what is called.

use guide_grammar::span::Spanned;

use crate::resolved::{
    Arm, ArmPattern, Block, Call, Callee, Expr, ExprNode, Function, ItemId, ItemKind, Meaning,
    Program, Range,
};

use super::Namesake;

/// Adds those of all functions.
pub(super) fn add_all(program: &Program, names: &mut Vec<Namesake>) {
    let mut walk = Walk { program, names };
    for item in &program.items {
        if let ItemKind::Function(function) = &item.kind {
            for param in &function.params {
                param.default.iter().for_each(|value| walk.expr(value));
            }
            walk.block(&function.body);
        }
    }
}

struct Walk<'a> {
    program: &'a Program,
    names: &'a mut Vec<Namesake>,
}

// Recursion is bounded by the depth that the grammar allows a tree.
impl Walk<'_> {
    fn block(&mut self, block: &Block) {
        block.lets.iter().for_each(|one| self.expr(&one.value));
        self.expr(&block.value);
    }

    fn range(&mut self, range: &Range) {
        self.expr(&range.from);
        self.expr(&range.to);
    }

    fn arm(&mut self, arm: &Arm) {
        if let ArmPattern::Range(range) = &arm.pattern {
            self.range(range);
        }
        self.block(&arm.body);
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            ExprNode::Error
            | ExprNode::Number(_)
            | ExprNode::String(_)
            | ExprNode::Bool(_)
            | ExprNode::Local(_)
            | ExprNode::Item(_)
            | ExprNode::Word(_) => {}
            ExprNode::Call(call) => self.call(call),
            ExprNode::Prev(prev) => {
                prev.depth.iter().for_each(|value| self.expr(value));
                prev.init.iter().for_each(|value| self.expr(value));
            }
            ExprNode::Tuple(parts) | ExprNode::List(parts) => {
                parts.iter().for_each(|part| self.expr(part));
            }
            ExprNode::Unary(_, of) => self.expr(of),
            ExprNode::Index(a, b) | ExprNode::Binary(a, _, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprNode::In(value, range) => {
                self.expr(value);
                self.range(range);
            }
            ExprNode::If(condition, then, otherwise) => {
                self.expr(condition);
                self.block(then);
                self.block(otherwise);
            }
            ExprNode::Match(subject, arms) => {
                self.expr(subject);
                arms.iter().for_each(|arm| self.arm(arm));
            }
            ExprNode::Total(_, range, body) => {
                self.range(range);
                self.block(body);
            }
        }
    }

    fn call(&mut self, call: &Call) {
        for arg in &call.args {
            if let (Callee::Function(id), Some(name)) = (call.callee, &arg.name) {
                self.name(id, name);
            }
            self.expr(&arg.value);
        }
    }

    fn name(&mut self, callee: ItemId, name: &Spanned<String>) {
        let params = self.function(callee).map(|function| &function.params);
        let mut params = params.into_iter().flatten();
        if let Some(param) = params.find(|param| param.name.node == name.node) {
            self.names.push(Namesake {
                span: name.span,
                meaning: Meaning::Local(callee, param.local),
                defines: false,
            });
        }
    }

    fn function(&self, id: ItemId) -> Option<&Function> {
        match &self.program.items.get(id.index())?.kind {
            ItemKind::Function(function) => Some(function),
            _ => None,
        }
    }
}
