//! Whether two trees mean the same: compared without their places.

use crate::ast::{
    Arg, ArmBody, ArmPattern, Block, Call, Else, Expr, ExprNode, File, ItemKind, Kind, KindNode,
    Name, Param, Pattern, Range, ResourceValue, UseNames, UseRoot,
};
use crate::span::{Span, Spanned};

/// The tree with every place set to nothing.
pub(super) fn without_places(mut file: File) -> File {
    file.span = Span::default();
    file.docs.iter_mut().for_each(spanned);
    for item in &mut file.items {
        item.span = Span::default();
        item.docs.iter_mut().for_each(spanned);
        item_kind(&mut item.kind);
    }
    file
}

fn spanned<T>(value: &mut Spanned<T>) {
    value.span = Span::default();
}

fn names(names: &mut [Name]) {
    names.iter_mut().for_each(spanned);
}

fn item_kind(item: &mut ItemKind) {
    match item {
        ItemKind::Use(item) => {
            match &mut item.root {
                UseRoot::Name(name) | UseRoot::File(name) => spanned(name),
            }
            names(&mut item.path);
            match &mut item.names {
                UseNames::Last => {}
                UseNames::As(name) => spanned(name),
                UseNames::List(list) => list.iter_mut().for_each(|entry| {
                    spanned(&mut entry.name);
                    entry.alias.iter_mut().for_each(spanned);
                }),
            }
        }
        ItemKind::Resource(item) => {
            spanned(&mut item.name);
            for arg in &mut item.args {
                spanned(&mut arg.name);
                match &mut arg.value {
                    ResourceValue::Expr(value) => expr(value),
                    ResourceValue::Range(value) => range(value),
                }
            }
        }
        ItemKind::Input(item) => {
            spanned(&mut item.name);
            kind(&mut item.kind);
            item.default.iter_mut().for_each(expr);
        }
        ItemKind::Function(item) => {
            spanned(&mut item.name);
            names(&mut item.generics);
            item.params.iter_mut().for_each(param);
            item.result.iter_mut().for_each(kind);
            item.per_evaluation
                .iter_mut()
                .for_each(|span| *span = Span::default());
            block(&mut item.body);
        }
    }
}

fn param(param: &mut Param) {
    param.span = Span::default();
    param.docs.iter_mut().for_each(spanned);
    spanned(&mut param.name);
    kind(&mut param.kind);
    param.default.iter_mut().for_each(expr);
}

fn kind(kind_: &mut Kind) {
    kind_.span = Span::default();
    match &mut kind_.node {
        KindNode::Named(name, arg) => {
            spanned(name);
            arg.iter_mut().for_each(spanned);
        }
        KindNode::List(name) => spanned(name),
        KindNode::Tuple(kinds) => kinds.iter_mut().for_each(kind),
        KindNode::Choice(strings) => strings.iter_mut().for_each(spanned),
    }
}

fn block(block: &mut Block) {
    block.span = Span::default();
    for binding in &mut block.lets {
        binding.span = Span::default();
        match &mut binding.pattern {
            Pattern::Name(name) => spanned(name),
            Pattern::Tuple(list, span) => {
                names(list);
                *span = Span::default();
            }
        }
        binding.kind.iter_mut().for_each(kind);
        expr(&mut binding.value);
    }
    expr(&mut block.value);
}

fn range(range: &mut Range) {
    range.span = Span::default();
    expr(&mut range.from);
    expr(&mut range.to);
}

fn call(call: &mut Call) {
    call.span = Span::default();
    call.callee.span = Span::default();
    names(&mut call.callee.names);
    for Arg { name, value } in &mut call.args {
        name.iter_mut().for_each(spanned);
        expr(value);
    }
}

fn expr(expr_: &mut Expr) {
    expr_.span = Span::default();
    match &mut expr_.node {
        ExprNode::Number(_) | ExprNode::String(_) | ExprNode::Bool(_) => {}
        ExprNode::Path(path) => {
            path.span = Span::default();
            names(&mut path.names);
        }
        ExprNode::Call(inner) => call(inner),
        ExprNode::Group(inner) | ExprNode::Unary(_, inner) => expr(inner),
        ExprNode::Tuple(parts) | ExprNode::List(parts) => parts.iter_mut().for_each(expr),
        ExprNode::Index(base, index) => {
            expr(base);
            expr(index);
        }
        ExprNode::Binary(left, op, right) => {
            expr(left);
            spanned(op);
            expr(right);
        }
        ExprNode::In(value, inner) => {
            expr(value);
            range(inner);
        }
        ExprNode::Pipe(value, inner) => {
            expr(value);
            call(inner);
        }
        ExprNode::If(node) => {
            expr(&mut node.condition);
            block(&mut node.then);
            match &mut node.otherwise {
                Else::Block(inner) => block(inner),
                Else::If(inner) => expr(inner),
            }
        }
        ExprNode::Match(node) => {
            expr(&mut node.subject);
            for arm in &mut node.arms {
                arm.span = Span::default();
                match &mut arm.pattern {
                    ArmPattern::Range(inner) => range(inner),
                    ArmPattern::String(inner) => spanned(inner),
                    ArmPattern::Else(span) => *span = Span::default(),
                }
                match &mut arm.body {
                    ArmBody::Expr(inner) => expr(inner),
                    ArmBody::Block(inner) => block(inner),
                }
            }
        }
        ExprNode::Total(node) => {
            spanned(&mut node.variable);
            range(&mut node.range);
            block(&mut node.body);
        }
    }
}
