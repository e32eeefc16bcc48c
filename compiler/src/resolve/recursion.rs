//! Functions that call themselves, through any path: reported, then cut, so that inlining ends.

use guide_grammar::span::Span;

use super::cycles::{groups, shortest};
use crate::diagnostics::{Bag, Code, Diagnostic};
use crate::resolved::{ArmPattern, Block, Callee, Expr, ExprNode, ItemKind, Program, Range};

/// `calls[i]` is what item `i` calls, and where.
pub(super) fn report_and_cut(program: &mut Program, calls: &[Vec<(usize, Span)>], bag: &mut Bag) {
    let cycles = shortest(calls);
    if cycles.is_empty() {
        return;
    }
    let name = |item: usize| program.items.get(item).map_or("", |i| i.name.node.as_str());
    for cycle in &cycles {
        let Some(first) = cycle.first() else { continue };
        let own = name(first.from);
        let message = match cycle.len() {
            1 => format!("`{own}` calls itself"),
            _ => format!("`{own}` calls itself through `{}`", name(first.to)),
        };
        let mut diagnostic = Diagnostic::new(Code::Recursion, message);
        for hop in cycle {
            let text = format!("`{}` calls `{}`", name(hop.from), name(hop.to));
            diagnostic = diagnostic.at(hop.span, text);
        }
        bag.push(diagnostic.help(
            "write a sum as `total i in 0..n { … }`, and a value of the tick before as \
             `prev(v, init: 0)`",
        ));
    }
    let group = groups(calls);
    for (number, item) in program.items.iter_mut().enumerate() {
        let ItemKind::Function(function) = &mut item.kind else {
            continue;
        };
        let cut = |callee: usize| {
            group.get(callee) == group.get(number)
                && (callee != number || calls[number].iter().any(|(to, _)| *to == number))
        };
        for param in &mut function.params {
            if let Some(default) = &mut param.default {
                cut_expr(default, &cut);
            }
        }
        cut_block(&mut function.body, &cut);
    }
}

fn cut_block(block: &mut Block, cut: &impl Fn(usize) -> bool) {
    for one in &mut block.lets {
        cut_expr(&mut one.value, cut);
    }
    cut_expr(&mut block.value, cut);
}

fn cut_range(range: &mut Range, cut: &impl Fn(usize) -> bool) {
    cut_expr(&mut range.from, cut);
    cut_expr(&mut range.to, cut);
}

/// Makes every use of an item that `cut` names an error, which is said already.
fn cut_expr(expr: &mut Expr, cut: &impl Fn(usize) -> bool) {
    let gone = match &expr.node {
        ExprNode::Item(id) => cut(id.index()),
        ExprNode::Call(call) => matches!(call.callee, Callee::Function(id) if cut(id.index())),
        _ => false,
    };
    if gone {
        expr.node = ExprNode::Error;
    }
    match &mut expr.node {
        ExprNode::Error
        | ExprNode::Number(_)
        | ExprNode::String(_)
        | ExprNode::Bool(_)
        | ExprNode::Local(_)
        | ExprNode::Item(_)
        | ExprNode::Word(_) => {}
        ExprNode::Call(call) => {
            for arg in &mut call.args {
                cut_expr(&mut arg.value, cut);
            }
        }
        ExprNode::Prev(prev) => {
            for part in prev.depth.iter_mut().chain(&mut prev.init) {
                cut_expr(part, cut);
            }
        }
        ExprNode::Tuple(parts) | ExprNode::List(parts) => {
            for part in parts {
                cut_expr(part, cut);
            }
        }
        ExprNode::Index(a, b) | ExprNode::Binary(a, _, b) => {
            cut_expr(a, cut);
            cut_expr(b, cut);
        }
        ExprNode::Unary(_, inner) => cut_expr(inner, cut),
        ExprNode::In(subject, range) => {
            cut_expr(subject, cut);
            cut_range(range, cut);
        }
        ExprNode::If(condition, then, otherwise) => {
            cut_expr(condition, cut);
            cut_block(then, cut);
            cut_block(otherwise, cut);
        }
        ExprNode::Match(subject, arms) => {
            cut_expr(subject, cut);
            for arm in arms {
                if let ArmPattern::Range(range) = &mut arm.pattern {
                    cut_range(range, cut);
                }
                cut_block(&mut arm.body, cut);
            }
        }
        ExprNode::Total(_, range, body) => {
            cut_range(range, cut);
            cut_block(body, cut);
        }
    }
}
