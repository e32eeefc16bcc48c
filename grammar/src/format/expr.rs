//! The layout of bodies and expressions.

use super::doc::Doc;
use super::{ARMS, Brackets, Layout, PARENS, SQUARE};
use crate::ast::{
    Arg, Arm, ArmBody, ArmPattern, BinaryOp, Block, Call, Else, Expr, ExprNode, If, Let, Match,
    Pattern, Range, Total, UnaryOp,
};
use crate::span::Span;

impl Layout<'_> {
    /// `{ … }`: on one line only where it has one in the source, has no `let`, and fits.
    pub(super) fn block(&mut self, block: &Block) -> Doc {
        Doc::group(self.branch(block))
    }

    /// A body that is broken together with what stands around it.
    fn branch(&mut self, block: &Block) -> Doc {
        let broken = !block.lets.is_empty() || self.opens_line(block.span, block.value.span);
        let mut before = self.comments_before(block.span.start);
        let mut inner = self.comments_after(block.span.start + 1);
        inner.push(Doc::line());
        for binding in &block.lets {
            inner.extend(self.lead(binding.span));
            inner.push(self.binding(binding));
            inner.extend(self.comments_after(binding.span.end));
            inner.push(Doc::hard_line());
        }
        inner.extend(self.lead(block.value.span));
        inner.push(self.expr(&block.value));
        inner.extend(self.comments_after(block.value.span.end));
        inner.extend(self.comments_before(block.span.end.saturating_sub(1)));
        let inner = Doc::row(vec![
            Doc::text("{"),
            Doc::indent(Doc::row(inner)),
            Doc::line(),
            Doc::text("}"),
        ]);
        before.push(if broken { inner.broken() } else { inner });
        Doc::row(before)
    }

    /// Whether the source has a line break between an opening bracket and what comes first in it.
    fn opens_line(&self, outer: Span, first: Span) -> bool {
        let gap = Span {
            end: first.start,
            ..outer
        };
        gap.text(self.text).contains('\n')
    }

    /// What stands before a statement: comments, and an empty line where the source has one.
    fn lead(&mut self, at: Span) -> Vec<Doc> {
        let mut docs = self.comments_before(at.start);
        if self.blank_before(at.start) {
            docs.push(Doc::blank());
        }
        docs
    }

    fn binding(&mut self, binding: &Let) -> Doc {
        let mut docs = vec![Doc::text("let ")];
        match &binding.pattern {
            Pattern::Name(name) => docs.push(self.source(name.span)),
            Pattern::Tuple(names, span) => {
                let place = |name: &crate::ast::Name| (name.span.start, name.span.end);
                docs.extend(self.comments_before(span.start));
                docs.push(self.list(PARENS, *span, names, place, |l, n| l.source(n.span)));
            }
        }
        if let Some(kind) = &binding.kind {
            docs.push(Doc::text(": "));
            docs.push(self.kind(kind));
        }
        docs.push(Doc::text(" ="));
        docs.push(self.value(&binding.value));
        Doc::row(docs)
    }

    /// What stands after `=`; a comment in between puts it on a line of its own.
    pub(super) fn value(&mut self, value: &Expr) -> Doc {
        let comments = self.comments_before(value.span.start);
        if comments.is_empty() {
            return Doc::row(vec![Doc::text(" "), self.expr(value)]);
        }
        let mut docs = comments;
        docs.push(self.expr(value));
        Doc::indent(Doc::row(docs))
    }

    /// An expression.
    pub(super) fn expr(&mut self, expr: &Expr) -> Doc {
        let span = expr.span;
        match &expr.node {
            ExprNode::Number(_) | ExprNode::String(_) | ExprNode::Bool(_) => self.source(span),
            ExprNode::Path(path) => self.path(&path.names),
            ExprNode::Call(call) => self.call(call),
            ExprNode::Group(inner) => {
                let mut docs = self.comments_before(span.start);
                let mut inside = self.comments_after(span.start + 1);
                inside.push(Doc::soft_line());
                inside.push(self.expr(inner));
                inside.extend(self.comments_before(span.end.saturating_sub(1)));
                docs.push(Doc::group(Doc::row(vec![
                    Doc::text("("),
                    Doc::indent(Doc::row(inside)),
                    Doc::soft_line(),
                    Doc::text(")"),
                ])));
                Doc::row(docs)
            }
            ExprNode::Tuple(parts) => self.exprs(PARENS, span, parts),
            ExprNode::List(parts) => self.exprs(SQUARE, span, parts),
            ExprNode::Index(base, index) => {
                let mut docs = vec![self.expr(base), Doc::text("["), self.expr(index)];
                docs.extend(self.comments_before(span.end.saturating_sub(1)));
                docs.push(Doc::text("]"));
                Doc::row(docs)
            }
            ExprNode::Unary(op, value) => {
                let sign = match op {
                    UnaryOp::Neg => "-",
                    UnaryOp::Not => "not ",
                };
                Doc::row(vec![self.word(span, sign), self.expr(value)])
            }
            ExprNode::Binary(_, op, _) => self.chain(expr, level(op.node)),
            ExprNode::In(value, range) => {
                let docs = vec![self.expr(value), Doc::text(" in "), self.range(range)];
                Doc::row(docs)
            }
            ExprNode::Pipe(..) => self.pipes(expr),
            ExprNode::If(node) => Doc::group(self.if_expr(node, span)),
            ExprNode::Match(node) => self.match_expr(node, span),
            ExprNode::Total(node) => self.total(node, span),
        }
    }

    fn path(&mut self, names: &[crate::ast::Name]) -> Doc {
        let mut docs = Vec::new();
        for (number, name) in names.iter().enumerate() {
            if number > 0 {
                docs.push(Doc::text("::"));
            }
            docs.push(self.source(name.span));
        }
        Doc::row(docs)
    }

    fn exprs(&mut self, brackets: Brackets, span: Span, parts: &[Expr]) -> Doc {
        let place = |part: &Expr| (part.span.start, part.span.end);
        let mut docs = self.comments_before(span.start);
        docs.push(self.list(brackets, span, parts, place, |layout, part| {
            layout.expr(part)
        }));
        Doc::row(docs)
    }

    fn call(&mut self, call: &Call) -> Doc {
        let callee = self.path(&call.callee.names);
        let inside = Span {
            start: call.callee.span.end,
            ..call.span
        };
        if call.args.is_empty() {
            let mut docs = vec![callee, Doc::text("(")];
            docs.extend(self.comments_before(inside.end.saturating_sub(1)));
            docs.push(Doc::text(")"));
            return Doc::row(docs);
        }
        let place = |arg: &Arg| {
            let start = arg.name.as_ref().map_or(arg.value.span, |name| name.span);
            (start.start, arg.value.span.end)
        };
        let args = self.list(
            PARENS,
            inside,
            &call.args,
            place,
            |layout, arg| match &arg.name {
                None => layout.expr(&arg.value),
                Some(name) => {
                    let name = layout.source(name.span);
                    Doc::row(vec![name, Doc::text(":"), layout.value(&arg.value)])
                }
            },
        );
        Doc::row(vec![callee, args])
    }

    /// Operators of one precedence in a row: on one line, or each on its own.
    fn chain(&mut self, expr: &Expr, precedence: u8) -> Doc {
        let mut links = Vec::new();
        let mut first = expr;
        while let ExprNode::Binary(left, op, right) = &first.node
            && level(op.node) == precedence
        {
            links.push((op, right));
            first = left;
        }
        // A body at the end is broken by itself, and needs no line of its own before it.
        let last = links
            .first()
            .filter(|(_, right)| ends_in_body(right))
            .copied();
        let own_lines = links.iter().skip(usize::from(last.is_some())).rev();
        let first = self.expr(first);
        let mut rest = Vec::new();
        for (op, right) in own_lines {
            rest.extend(self.comments_before(op.span.start));
            rest.push(Doc::line());
            rest.push(Doc::text(op.span.text(self.text)));
            rest.push(Doc::text(" "));
            rest.push(self.expr(right));
        }
        let mut docs = vec![Doc::group(Doc::row(vec![
            first,
            Doc::indent(Doc::row(rest)),
        ]))];
        if let Some((op, right)) = last {
            docs.extend(self.comments_before(op.span.start));
            docs.push(Doc::text(format!(" {} ", op.span.text(self.text))));
            docs.push(self.expr(right));
        }
        Doc::row(docs)
    }

    fn pipes(&mut self, expr: &Expr) -> Doc {
        let mut calls = Vec::new();
        let mut first = expr;
        while let ExprNode::Pipe(value, call) = &first.node {
            calls.push((value.span.end, call));
            first = value;
        }
        let first = self.expr(first);
        let mut rest = Vec::new();
        for (end, call) in calls.into_iter().rev() {
            let pipe = self.token_from(end).map_or(end, |token| token.start as u32);
            rest.extend(self.comments_before(pipe));
            rest.extend([Doc::line(), Doc::text("|> "), self.call(call)]);
        }
        Doc::group(Doc::row(vec![first, Doc::indent(Doc::row(rest))]))
    }

    /// `a..b`
    pub(super) fn range(&mut self, range: &Range) -> Doc {
        let dots = if range.inclusive { "..=" } else { ".." };
        Doc::row(vec![
            self.expr(&range.from),
            Doc::text(dots),
            self.expr(&range.to),
        ])
    }

    /// The whole chain of `else if` is one group: its bodies are broken together.
    fn if_expr(&mut self, node: &If, span: Span) -> Doc {
        let keyword = self.word(span, "if");
        let mut docs = vec![keyword, self.value(&node.condition), Doc::text(" ")];
        docs.push(self.branch(&node.then));
        let after = self.token_from(node.then.span.end);
        docs.extend(self.comments_before(after.map_or(0, |token| token.start as u32)));
        docs.push(Doc::text(" else "));
        match &node.otherwise {
            Else::Block(block) => docs.push(self.branch(block)),
            Else::If(expr) => match &expr.node {
                ExprNode::If(inner) => docs.push(self.if_expr(inner, expr.span)),
                _ => docs.push(self.expr(expr)),
            },
        }
        Doc::row(docs)
    }

    fn match_expr(&mut self, node: &Match, span: Span) -> Doc {
        let keyword = self.word(span, "match");
        let subject = self.value(&node.subject);
        let brace = self.token_from(node.subject.span.end);
        let brace = Span {
            start: brace.map_or(span.start, |token| token.start as u32),
            ..span
        };
        let mut docs = vec![keyword, subject, Doc::text(" ")];
        docs.extend(self.comments_before(brace.start));
        let broken = node
            .arms
            .first()
            .is_some_and(|arm| self.opens_line(brace, arm.span));
        let place = |arm: &Arm| (arm.span.start, arm.span.end);
        let arms = self.list(ARMS, brace, &node.arms, place, Self::arm);
        docs.push(if broken { arms.broken() } else { arms });
        Doc::row(docs)
    }

    fn arm(&mut self, arm: &Arm) -> Doc {
        let pattern = match &arm.pattern {
            ArmPattern::Range(range) => self.range(range),
            ArmPattern::String(string) => self.source(string.span),
            ArmPattern::Else(span) => self.source(*span),
        };
        let body = match &arm.body {
            ArmBody::Expr(expr) => self.value(expr),
            ArmBody::Block(block) => Doc::row(vec![Doc::text(" "), self.block(block)]),
        };
        Doc::row(vec![pattern, Doc::text(" =>"), body])
    }

    fn total(&mut self, node: &Total, span: Span) -> Doc {
        let keyword = self.word(span, "total ");
        let variable = self.source(node.variable.span);
        let range = self.range(&node.range);
        let block = self.block(&node.body);
        Doc::row(vec![
            keyword,
            variable,
            Doc::text(" in "),
            range,
            Doc::text(" "),
            block,
        ])
    }
}

/// Whether an operand ends in the `}` of a body.
fn ends_in_body(expr: &Expr) -> bool {
    match &expr.node {
        ExprNode::If(_) | ExprNode::Match(_) | ExprNode::Total(_) => true,
        ExprNode::Binary(_, _, right) => ends_in_body(right),
        _ => false,
    }
}

/// Operators of one level stand in one chain; comparisons never do.
fn level(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 0,
        BinaryOp::And => 1,
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt => 2,
        BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 2,
        BinaryOp::Add | BinaryOp::Sub => 3,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => 4,
    }
}
