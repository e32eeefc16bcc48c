//! Expressions: the flat rows of operands and operators that the grammar gives, to trees.

use std::sync::LazyLock;

use pest::iterators::Pair;
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::{Builder, Tall};
use crate::ast::{Arg, BinaryOp, Call, Expr, ExprNode, Path, Range, UnaryOp};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::pest_grammar::Rule;
use crate::span::{Span, Spanned};

/// The precedences, from the loosest to the tightest. `|>` is looser than all and stands apart.
static PRATT: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let infix = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(infix(Rule::kw_or))
        .op(infix(Rule::kw_and))
        .op(Op::prefix(Rule::kw_not))
        .op(infix(Rule::equal)
            | infix(Rule::not_equal)
            | infix(Rule::less)
            | infix(Rule::less_equal)
            | infix(Rule::greater)
            | infix(Rule::greater_equal)
            | Op::postfix(Rule::in_range))
        .op(infix(Rule::plus) | infix(Rule::minus))
        .op(infix(Rule::star) | infix(Rule::slash) | infix(Rule::percent))
        .op(Op::prefix(Rule::negate))
});

fn operator(rule: Rule) -> Option<BinaryOp> {
    Some(match rule {
        Rule::plus => BinaryOp::Add,
        Rule::minus => BinaryOp::Sub,
        Rule::star => BinaryOp::Mul,
        Rule::slash => BinaryOp::Div,
        Rule::percent => BinaryOp::Rem,
        Rule::equal => BinaryOp::Eq,
        Rule::not_equal => BinaryOp::Ne,
        Rule::less => BinaryOp::Lt,
        Rule::less_equal => BinaryOp::Le,
        Rule::greater => BinaryOp::Gt,
        Rule::greater_equal => BinaryOp::Ge,
        Rule::kw_and => BinaryOp::And,
        Rule::kw_or => BinaryOp::Or,
        _ => return None,
    })
}

fn compares(op: BinaryOp) -> bool {
    use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
    matches!(op, Eq | Ne | Lt | Le | Gt | Ge)
}

fn is_comparison(expr: &Expr) -> bool {
    match &expr.node {
        ExprNode::Binary(_, op, _) => compares(op.node),
        ExprNode::In(..) => true,
        _ => false,
    }
}

impl Builder<'_> {
    /// An expression: a row of operators, then the calls that it is piped into.
    pub(super) fn expr(&self, pair: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let mut row = Vec::new();
        let mut calls = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::pipe => calls.push(part.into_inner().find(|p| p.as_rule() == Rule::call)?),
                _ => row.push(part),
            }
        }
        let mut value = self.row(row)?;
        for call in calls {
            let call = self.call(call)?;
            let span = value.node.span.to(call.node.span);
            let height = self.level(value.height.max(call.height), span)?;
            let node = ExprNode::Pipe(Box::new(value.node), call.node);
            value = Tall {
                node: Expr { node, span },
                height,
            };
        }
        Some(value)
    }

    /// Operands and operators in a row, by precedence. Nothing where one of them cannot be built.
    fn row(&self, row: Vec<Pair<'_, Rule>>) -> Option<Tall<Expr>> {
        PRATT
            .map_primary(|operand| self.postfix(operand))
            .map_prefix(|op, value| self.unary(&op, value?))
            .map_postfix(|value, op| self.membership(value?, op))
            .map_infix(|left, op, right| self.binary(left?, &op, right?))
            .parse(row.into_iter())
    }

    fn unary(&self, pair: &Pair<'_, Rule>, value: Tall<Expr>) -> Option<Tall<Expr>> {
        let at = self.span(pair);
        let span = at.to(value.node.span);
        let height = self.level(value.height, span)?;
        let op = if pair.as_rule() == Rule::kw_not {
            UnaryOp::Not
        } else {
            self.refuse_not(&value.node);
            UnaryOp::Neg
        };
        let node = ExprNode::Unary(op, Box::new(value.node));
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }

    fn binary(
        &self,
        left: Tall<Expr>,
        pair: &Pair<'_, Rule>,
        right: Tall<Expr>,
    ) -> Option<Tall<Expr>> {
        let op = Spanned::new(operator(pair.as_rule())?, self.span(pair));
        let span = left.node.span.to(right.node.span);
        if !matches!(op.node, BinaryOp::And | BinaryOp::Or) {
            self.refuse_not(&right.node);
        }
        if compares(op.node) && is_comparison(&left.node) {
            self.chained(&left.node, op.span, right.node.span);
        }
        let height = self.level(left.height.max(right.height), span)?;
        let node = ExprNode::Binary(Box::new(left.node), op, Box::new(right.node));
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }

    /// `value in a..b`
    fn membership(&self, value: Tall<Expr>, pair: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let at = self.span(&pair);
        let range = self.range(pair.into_inner().find(|p| p.as_rule() == Rule::range)?)?;
        let span = value.node.span.to(range.node.span);
        if is_comparison(&value.node) {
            self.chained(
                &value.node,
                Span {
                    end: at.start + 2,
                    ..at
                },
                range.node.span,
            );
        }
        let height = self.level(value.height.max(range.height), span)?;
        let node = ExprNode::In(Box::new(value.node), Box::new(range.node));
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }

    /// `not` is looser than comparisons and arithmetic, so it cannot stand inside one.
    fn refuse_not(&self, value: &Expr) {
        let ExprNode::Unary(UnaryOp::Not, _) = value.node else {
            return;
        };
        let at = Span {
            end: value.span.start + 3,
            ..value.span
        };
        let error = SyntaxError::new(
            SyntaxErrorKind::UnexpectedToken,
            at,
            "`not` stands before a whole comparison, not inside one",
            "this `not` is the operand of a tighter operator",
        );
        self.report(error.help(format!("write `({})`", self.words(value.span))));
    }

    fn chained(&self, left: &Expr, op: Span, right: Span) {
        let error = SyntaxError::new(
            SyntaxErrorKind::ChainedComparison,
            op,
            "comparisons do not chain",
            "a second comparison of the same value",
        );
        let [left_text, op_text, right_text] = [left.span, op, right].map(|s| self.words(s));
        let error = match &left.node {
            ExprNode::Binary(_, first, middle) => {
                let middle = self.words(middle.span);
                error.also(first.span, "the first comparison").help(format!(
                    "write `{left_text} and {middle} {op_text} {right_text}`"
                ))
            }
            _ => error
                .also(left.span, "the first comparison")
                .help(format!("write `({left_text}) {op_text} {right_text}`")),
        };
        self.report(error);
    }

    /// `a..b`
    pub(super) fn range(&self, pair: Pair<'_, Rule>) -> Option<Tall<Range>> {
        let span = self.span(&pair);
        let mut ends = Vec::new();
        let mut inclusive = false;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::sum => ends.push(self.row(part.into_inner().collect())?),
                Rule::range_op => inclusive = part.as_str() == "..=",
                _ => {}
            }
        }
        let (to, from) = (ends.pop()?, ends.pop()?);
        let height = from.height.max(to.height);
        Some(Tall {
            node: Range {
                from: from.node,
                to: to.node,
                inclusive,
                span,
            },
            height,
        })
    }

    /// An operand with what it is indexed by.
    fn postfix(&self, pair: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let mut value: Option<Tall<Expr>> = None;
        for part in pair.into_inner() {
            let end = self.span(&part);
            value = match value {
                None => Some(self.primary(part)?),
                Some(base) => {
                    let index = part.into_inner().find(|p| p.as_rule() == Rule::expr)?;
                    let index = self.expr(index)?;
                    let span = base.node.span.to(end);
                    let height = self.level(base.height.max(index.height), span)?;
                    let node = ExprNode::Index(Box::new(base.node), Box::new(index.node));
                    Some(Tall {
                        node: Expr { node, span },
                        height,
                    })
                }
            };
        }
        value
    }

    fn primary(&self, pair: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let form = pair.into_inner().next()?;
        let span = self.span(&form);
        let (node, height) = match form.as_rule() {
            Rule::number => (ExprNode::Number(form.as_str().to_owned()), 1),
            Rule::string => (ExprNode::String(self.string(&form).node), 1),
            Rule::kw_true => (ExprNode::Bool(true), 1),
            Rule::kw_false => (ExprNode::Bool(false), 1),
            Rule::path => (ExprNode::Path(self.path(form)), 1),
            Rule::if_ => return self.if_expr(form),
            Rule::match_ => return self.match_expr(form),
            Rule::total => return self.total(form),
            Rule::call => {
                let call = self.call(form)?;
                (ExprNode::Call(call.node), call.height)
            }
            Rule::paren => {
                let (mut parts, below) = self.exprs(form)?;
                let height = self.level(below, span)?;
                let node = match parts.len() {
                    1 => ExprNode::Group(Box::new(parts.pop()?)),
                    _ => ExprNode::Tuple(parts),
                };
                (node, height)
            }
            Rule::list => {
                let (parts, below) = self.exprs(form)?;
                (ExprNode::List(parts), self.level(below, span)?)
            }
            _ => return None,
        };
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }

    fn exprs(&self, pair: Pair<'_, Rule>) -> Option<(Vec<Expr>, usize)> {
        let mut below = 0;
        let mut exprs = Vec::new();
        for part in pair
            .into_inner()
            .filter(|part| part.as_rule() == Rule::expr)
        {
            let expr = self.expr(part)?;
            below = below.max(expr.height);
            exprs.push(expr.node);
        }
        Some((exprs, below))
    }

    fn path(&self, pair: Pair<'_, Rule>) -> Path {
        let span = self.span(&pair);
        Path {
            names: self.names(pair),
            span,
        }
    }

    /// `path(args)`
    fn call(&self, pair: Pair<'_, Rule>) -> Option<Tall<Call>> {
        let span = self.span(&pair);
        let mut callee = None;
        let mut args: Vec<Arg> = Vec::new();
        let mut below = 0;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::call_open => {
                    let path = part.into_inner().find(|p| p.as_rule() == Rule::path)?;
                    callee = Some(self.path(path));
                }
                Rule::arg => {
                    let arg = self.arg(part)?;
                    below = below.max(arg.height);
                    args.push(arg.node);
                }
                _ => {}
            }
        }
        self.check_order(&args);
        let height = self.level(below, span)?;
        Some(Tall {
            node: Call {
                callee: callee?,
                args,
                span,
            },
            height,
        })
    }

    fn arg(&self, pair: Pair<'_, Rule>) -> Option<Tall<Arg>> {
        let mut form = pair.into_inner().next()?;
        let mut name = None;
        if form.as_rule() == Rule::named {
            let mut value = None;
            for part in form.into_inner() {
                match part.as_rule() {
                    Rule::name => name = Some(self.name(&part)),
                    Rule::expr => value = Some(part),
                    _ => {}
                }
            }
            form = value?;
        }
        let value = self.expr(form)?;
        Some(Tall {
            node: Arg {
                name,
                value: value.node,
            },
            height: value.height,
        })
    }

    /// Positional arguments stand before named ones; the first that does not is reported.
    fn check_order(&self, args: &[Arg]) {
        let mut named = None;
        for arg in args {
            match (&arg.name, named) {
                (Some(name), _) => named = Some(name),
                (None, None) => {}
                (None, Some(named)) => {
                    let error = SyntaxError::new(
                        SyntaxErrorKind::PositionalAfterNamed,
                        arg.value.span,
                        "a positional argument stands before all named ones",
                        "this one has no name",
                    )
                    .also(named.span, format!("`{}` is named", named.node))
                    .help(format!("name it: `NAME: {}`", self.words(arg.value.span)));
                    self.report(error);
                    return;
                }
            }
        }
    }
}
