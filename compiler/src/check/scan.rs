//! Walks through a body: which `let`s are states, and where they stand.

use std::collections::BTreeSet;

use crate::resolved::{
    Arg, ArmPattern, Block, Call, Expr, ExprNode, Function, Let, LocalId, PrevOf,
};

/// The `let`s of a function that some `prev` reads.
pub(crate) fn states_of(function: &Function) -> BTreeSet<LocalId> {
    let mut found = BTreeSet::new();
    visit_block(&function.body, 0, &mut |part, _| {
        if let Part::Prev(PrevOf::Local(local)) = part {
            found.insert(*local);
        }
    });
    found
}

/// How many `total`s stand around a `let`.
pub(crate) fn turn_depth(function: &Function, local: LocalId) -> usize {
    let mut found = 0;
    visit_block(&function.body, 0, &mut |part, depth| {
        if let Part::Let(binding) = part
            && binding.targets.contains(&Some(local))
        {
            found = depth;
        }
    });
    found
}

/// The kind that the `let` of a local states.
pub(crate) fn annotation(block: &Block, local: LocalId) -> Option<(&crate::resolved::Kind, &Expr)> {
    let mut found = None;
    visit_block(block, 0, &mut |part, _| {
        if let Part::Let(binding) = part
            && binding.targets.contains(&Some(local))
        {
            found = binding.kind.as_ref().map(|kind| (kind, &binding.value));
        }
    });
    found
}

/// Whether nothing of a function was left out because its error was said elsewhere, as of a name that stands in an
/// item which cannot be read.
pub(crate) fn is_whole(function: &Function) -> bool {
    let mut whole = true;
    let mut look = |part: Part<'_>, _| {
        if let Part::Lost | Part::Prev(PrevOf::Error) = part {
            whole = false;
        }
    };
    let defaults = function.params.iter().flat_map(|param| &param.default);
    defaults.for_each(|value| visit(value, 0, &mut look));
    visit_block(&function.body, 0, &mut look);
    whole
}

/// What a walk through a body meets.
enum Part<'p> {
    Let(&'p Let),
    Prev(&'p PrevOf),
    Lost,
}

fn visit_block<'p>(block: &'p Block, depth: usize, f: &mut dyn FnMut(Part<'p>, usize)) {
    for binding in &block.lets {
        visit(&binding.value, depth, f);
        f(Part::Let(binding), depth);
    }
    visit(&block.value, depth, f);
}

fn visit<'p>(expr: &'p Expr, depth: usize, f: &mut dyn FnMut(Part<'p>, usize)) {
    match &expr.node {
        ExprNode::Prev(prev) => {
            f(Part::Prev(&prev.of), depth);
            prev.depth
                .iter()
                .chain(&prev.init)
                .for_each(|e| visit(e, depth, f));
        }
        ExprNode::Call(call) => args(call).for_each(|e| visit(e, depth, f)),
        ExprNode::Tuple(parts) | ExprNode::List(parts) => {
            parts.iter().for_each(|e| visit(e, depth, f))
        }
        ExprNode::Index(a, b) | ExprNode::Binary(a, _, b) => {
            [a, b].into_iter().for_each(|e| visit(e, depth, f))
        }
        ExprNode::Unary(_, a) => visit(a, depth, f),
        ExprNode::In(a, range) => [a.as_ref(), &range.from, &range.to]
            .into_iter()
            .for_each(|e| visit(e, depth, f)),
        ExprNode::If(test, a, b) => {
            visit(test, depth, f);
            [a, b]
                .into_iter()
                .for_each(|block| visit_block(block, depth, f));
        }
        ExprNode::Match(subject, arms) => {
            visit(subject, depth, f);
            for arm in arms {
                if let ArmPattern::Range(range) = &arm.pattern {
                    [&range.from, &range.to]
                        .into_iter()
                        .for_each(|e| visit(e, depth, f));
                }
                visit_block(&arm.body, depth, f);
            }
        }
        ExprNode::Total(_, range, body) => {
            [&range.from, &range.to]
                .into_iter()
                .for_each(|e| visit(e, depth, f));
            visit_block(body, depth + 1, f);
        }
        ExprNode::Error => f(Part::Lost, depth),
        ExprNode::Number(_) | ExprNode::String(_) | ExprNode::Bool(_) => {}
        ExprNode::Local(_) | ExprNode::Item(_) | ExprNode::Word(_) => {}
    }
}

fn args(call: &Call) -> impl Iterator<Item = &Expr> {
    call.args.iter().map(|arg: &Arg| &arg.value)
}
