//! Expressions: the flat rows of operands and operators that the grammar gives, to trees.

use std::iter::Peekable;

use pest::iterators::{Pair, Pairs};

use super::{Builder, Tall};
use crate::ast::{Arg, BinaryOp, Call, Expr, ExprNode, Path, Range, UnaryOp};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::pest_grammar::Rule;
use crate::span::{Span, Spanned};

/// How tightly an operator holds its operands: every operator between two values is of the left.
/// `|>` is looser than all and stands apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Every operator of a row.
    Any,
    Or,
    And,
    Not,
    Compare,
    Add,
    Multiply,
    Negate,
    /// A value without operators.
    Operand,
}

impl Level {
    /// The next tighter one.
    fn above(self) -> Self {
        match self {
            Level::Any => Level::Or,
            Level::Or => Level::And,
            Level::And => Level::Not,
            Level::Not => Level::Compare,
            Level::Compare => Level::Add,
            Level::Add => Level::Multiply,
            Level::Multiply => Level::Negate,
            Level::Negate | Level::Operand => Level::Operand,
        }
    }
}

fn operator(text: &str) -> Option<(BinaryOp, Level)> {
    Some(match text {
        "*" => (BinaryOp::Mul, Level::Multiply),
        "/" => (BinaryOp::Div, Level::Multiply),
        "%" => (BinaryOp::Rem, Level::Multiply),
        "+" => (BinaryOp::Add, Level::Add),
        "-" => (BinaryOp::Sub, Level::Add),
        "==" => (BinaryOp::Eq, Level::Compare),
        "!=" => (BinaryOp::Ne, Level::Compare),
        "<" => (BinaryOp::Lt, Level::Compare),
        "<=" => (BinaryOp::Le, Level::Compare),
        ">" => (BinaryOp::Gt, Level::Compare),
        ">=" => (BinaryOp::Ge, Level::Compare),
        "and" => (BinaryOp::And, Level::And),
        "or" => (BinaryOp::Or, Level::Or),
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
        let mut parts = pair.into_inner().peekable();
        let mut value = self.row(&mut parts, Level::Any)?;
        for part in parts {
            if part.as_rule() != Rule::call {
                continue;
            }
            let span = self.span(&part);
            let (callee, args) = self.reference(part)?;
            let call = self.call(callee, args?, span)?;
            let span = value.node.span.to(span);
            let height = self.level(value.height.max(call.height), span)?;
            let node = ExprNode::Pipe(Box::new(value.node), call.node);
            value = Tall {
                node: Expr { node, span },
                height,
            };
        }
        Some(value)
    }

    /// Operands and operators in a row, up to the first operator looser than `loosest`.
    fn row(&self, parts: &mut Peekable<Pairs<'_, Rule>>, loosest: Level) -> Option<Tall<Expr>> {
        let first = parts.next()?;
        let mut value = match first.as_rule() {
            Rule::prefix | Rule::negate => self.unary(&first, parts)?,
            _ => self.postfix(first)?,
        };
        while let Some(next) = parts.peek() {
            match next.as_rule() {
                Rule::operator | Rule::arithmetic => {
                    let (op, level) = operator(next.as_str())?;
                    if level < loosest {
                        break;
                    }
                    let op = Spanned::new(op, self.span(next));
                    parts.next();
                    let right = self.row(parts, level.above())?;
                    value = self.binary(value, op, right)?;
                }
                Rule::kw_in if loosest <= Level::Compare => {
                    let at = self.span(next);
                    parts.next();
                    value = self.membership(value, at, parts.next()?)?;
                }
                _ => break,
            }
        }
        Some(value)
    }

    fn unary(
        &self,
        pair: &Pair<'_, Rule>,
        parts: &mut Peekable<Pairs<'_, Rule>>,
    ) -> Option<Tall<Expr>> {
        let at = self.span(pair);
        let (op, level) = match pair.as_str() {
            "-" => (UnaryOp::Neg, Level::Negate),
            _ => (UnaryOp::Not, Level::Not),
        };
        let value = self.row(parts, level)?;
        if op == UnaryOp::Neg {
            self.refuse_not(&value.node);
        }
        let span = at.to(value.node.span);
        let height = self.level(value.height, span)?;
        let node = ExprNode::Unary(op, Box::new(value.node));
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }

    fn binary(
        &self,
        left: Tall<Expr>,
        op: Spanned<BinaryOp>,
        right: Tall<Expr>,
    ) -> Option<Tall<Expr>> {
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

    /// `value in a..b`, where `at` is the place of `in`.
    fn membership(&self, value: Tall<Expr>, at: Span, range: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let range = self.range(range)?;
        let span = value.node.span.to(range.node.span);
        if is_comparison(&value.node) {
            self.chained(&value.node, at, range.node.span);
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
        let whole = format!("({})", self.words(value.span));
        let error = error.help(format!("write `{whole}`"));
        self.report(error.fix(value.span, whole));
    }

    fn chained(&self, left: &Expr, op: Span, right: Span) {
        let error = SyntaxError::new(
            SyntaxErrorKind::ChainedComparison,
            op,
            "comparisons do not chain",
            "a second comparison of the same value",
        );
        let [left_text, op_text, right_text] = [left.span, op, right].map(|s| self.words(s));
        let (first, mended) = match &left.node {
            ExprNode::Binary(_, first, middle) => {
                let middle = self.words(middle.span);
                let mended = format!("{left_text} and {middle} {op_text} {right_text}");
                (first.span, mended)
            }
            _ => (left.span, format!("({left_text}) {op_text} {right_text}")),
        };
        let error = error
            .also(first, "the first comparison")
            .help(format!("write `{mended}`"));
        self.report(error.fix(left.span.to(right), mended));
    }

    /// `a..b`
    pub(super) fn range(&self, pair: Pair<'_, Rule>) -> Option<Tall<Range>> {
        let span = self.span(&pair);
        let mut ends = Vec::new();
        let mut inclusive = false;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::sum => ends.push(self.row(&mut part.into_inner().peekable(), Level::Any)?),
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

    fn primary(&self, form: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let span = self.span(&form);
        let (node, height) = match form.as_rule() {
            Rule::reference => match self.reference(form)? {
                (path, None) => (ExprNode::Path(path), 1),
                (callee, Some(args)) => {
                    let call = self.call(callee, args, span)?;
                    (ExprNode::Call(call.node), call.height)
                }
            },
            Rule::number => (ExprNode::Number(form.as_str().to_owned()), 1),
            Rule::string => (ExprNode::String(self.string(&form).node), 1),
            Rule::kw_true => (ExprNode::Bool(true), 1),
            Rule::kw_false => (ExprNode::Bool(false), 1),
            Rule::if_ => return self.if_expr(form),
            Rule::match_ => return self.match_expr(form),
            Rule::total => return self.total(form),
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

    /// A path, and the arguments where it is called.
    fn reference<'p>(&self, pair: Pair<'p, Rule>) -> Option<(Path, Option<Pair<'p, Rule>>)> {
        let mut names = Vec::new();
        let mut args = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => names.push(self.name(&part)),
                Rule::args => args = Some(part),
                _ => {}
            }
        }
        let span = names.first()?.span.to(names.last()?.span);
        Some((Path { names, span }, args))
    }

    /// `path(args)`
    fn call(&self, callee: Path, pair: Pair<'_, Rule>, span: Span) -> Option<Tall<Call>> {
        let mut args: Vec<Arg> = Vec::new();
        let mut below = 0;
        for part in pair.into_inner() {
            if part.as_rule() == Rule::arg {
                let arg = self.arg(part)?;
                below = below.max(arg.height);
                args.push(arg.node);
            }
        }
        self.check_order(&args);
        let height = self.level(below, span)?;
        Some(Tall {
            node: Call { callee, args, span },
            height,
        })
    }

    fn arg(&self, pair: Pair<'_, Rule>) -> Option<Tall<Arg>> {
        let mut name = None;
        let mut value = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::arg_name => name = self.names(part).pop(),
                Rule::expr => value = Some(self.expr(part)?),
                _ => {}
            }
        }
        let value = value?;
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
