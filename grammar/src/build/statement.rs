//! Blocks, `let`, and the forms that hold blocks: `if`, `match`, `total`.

use pest::iterators::Pair;

use super::{Builder, Tall};
use crate::ast::{
    Arm, ArmBody, ArmPattern, Block, Else, Expr, ExprNode, If, Let, Match, Pattern, Total,
};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::pest_grammar::Rule;
use crate::span::Span;

/// `if c { a }`, without what follows.
struct Branch {
    /// From `if` to the end of the whole chain.
    span: Span,
    condition: Tall<Expr>,
    then: Tall<Block>,
}

impl Builder<'_> {
    /// `{ let … expr }`
    pub(super) fn block(&self, pair: Pair<'_, Rule>) -> Option<Tall<Block>> {
        let span = self.span(&pair);
        let mut lets = Vec::new();
        let mut value = None;
        let mut below = 0;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::let_ => {
                    let binding = self.binding(part)?;
                    below = below.max(binding.height);
                    lets.push(binding.node);
                }
                Rule::expr => {
                    let expr = self.expr(part)?;
                    below = below.max(expr.height);
                    value = Some(expr.node);
                }
                _ => {}
            }
        }
        Some(Tall {
            node: Block {
                lets,
                value: Box::new(value?),
                span,
            },
            height: below + 1,
        })
    }

    fn binding(&self, pair: Pair<'_, Rule>) -> Option<Tall<Let>> {
        let span = self.span(&pair);
        let mut pattern = None;
        let mut kind = None;
        let mut value = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::pattern => pattern = self.pattern(part),
                Rule::kind => kind = Some(self.kind(part)?),
                Rule::expr => value = Some(self.expr(part)?),
                _ => {}
            }
        }
        let value = value?;
        let node = Let {
            pattern: pattern?,
            kind,
            value: value.node,
            span,
        };
        Some(Tall {
            node,
            height: value.height,
        })
    }

    fn pattern(&self, pair: Pair<'_, Rule>) -> Option<Pattern> {
        let form = pair.into_inner().next()?;
        let span = self.span(&form);
        match form.as_rule() {
            Rule::name => Some(Pattern::Name(self.name(&form))),
            Rule::pattern_tuple => Some(Pattern::Tuple(self.names(form), span)),
            _ => None,
        }
    }

    /// `if c { a } else if d { b } else { e }`: the grammar has the chain in a row, the tree nests it.
    pub(super) fn if_expr(&self, pair: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let span = self.span(&pair);
        let mut branches = Vec::new();
        let mut condition = None;
        let mut otherwise = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::expr => condition = Some(self.expr(part)?),
                Rule::block => {
                    let block = self.block(part)?;
                    match condition.take() {
                        Some(condition) => branches.push(Branch {
                            span,
                            condition,
                            then: block,
                        }),
                        None => otherwise = Some(block),
                    }
                }
                Rule::else_if => branches.push(self.else_if(part, span)?),
                _ => {}
            }
        }
        let last = otherwise?;
        let mut height = last.height;
        let mut otherwise = Else::Block(last.node);
        let mut branches = branches.into_iter();
        let outer = branches.next()?;
        for branch in branches.rev() {
            let inner = self.branch(branch, otherwise, height)?;
            height = inner.height;
            otherwise = Else::If(Box::new(inner.node));
        }
        self.branch(outer, otherwise, height)
    }

    fn branch(&self, branch: Branch, otherwise: Else, below: usize) -> Option<Tall<Expr>> {
        let Branch {
            span,
            condition,
            then,
        } = branch;
        let height = self.level(below.max(condition.height).max(then.height), span)?;
        let condition = condition.node;
        let node = ExprNode::If(Box::new(If {
            condition,
            then: then.node,
            otherwise,
        }));
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }

    fn else_if(&self, pair: Pair<'_, Rule>, whole: Span) -> Option<Branch> {
        let mut start = None;
        let mut condition = None;
        let mut block = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::kw_if => start = Some(self.span(&part).start),
                Rule::expr => condition = Some(self.expr(part)?),
                Rule::block => block = Some(self.block(part)?),
                _ => {}
            }
        }
        let span = Span {
            start: start?,
            ..whole
        };
        Some(Branch {
            span,
            condition: condition?,
            then: block?,
        })
    }

    /// `match v { … }`
    pub(super) fn match_expr(&self, pair: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let span = self.span(&pair);
        let mut subject = None;
        let mut arms: Vec<Arm> = Vec::new();
        let mut below = 0;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::expr => {
                    let expr = self.expr(part)?;
                    below = below.max(expr.height);
                    subject = Some(expr.node);
                }
                Rule::arm => {
                    let arm = self.arm(part)?;
                    below = below.max(arm.height);
                    arms.push(arm.node);
                }
                _ => {}
            }
        }
        self.check_else(&arms);
        let height = self.level(below, span)?;
        let node = ExprNode::Match(Box::new(Match {
            subject: subject?,
            arms,
        }));
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }

    /// An `else` arm stands last, and once.
    fn check_else(&self, arms: &[Arm]) {
        let mut first: Option<Span> = None;
        for (place, arm) in arms.iter().enumerate() {
            let ArmPattern::Else(span) = arm.pattern else {
                continue;
            };
            if let Some(first) = first {
                let error = SyntaxError::new(
                    SyntaxErrorKind::MisplacedElse,
                    span,
                    "a `match` has one `else`",
                    "a second one",
                );
                self.report(
                    error
                        .also(first, "the first one")
                        .help("remove one of them"),
                );
                continue;
            }
            first = Some(span);
            let after = arms.get(place + 1..).unwrap_or(&[]);
            if let Some(arm) = after
                .iter()
                .find(|a| !matches!(a.pattern, ArmPattern::Else(_)))
            {
                let error = SyntaxError::new(
                    SyntaxErrorKind::MisplacedElse,
                    span,
                    "`else` is the last arm of a `match`",
                    "no arm after this one can be reached",
                );
                let error = error.also(arm.span, "this arm stands after it");
                self.report(error.help("move the `else` arm to the end"));
            }
        }
    }

    fn arm(&self, pair: Pair<'_, Rule>) -> Option<Tall<Arm>> {
        let span = self.span(&pair);
        let mut pattern = None;
        let mut body = None;
        let mut height = 0;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::arm_pattern => {
                    let form = part.into_inner().next()?;
                    pattern = Some(match form.as_rule() {
                        Rule::kw_else => ArmPattern::Else(self.span(&form)),
                        Rule::string => ArmPattern::String(self.string(&form)),
                        _ => {
                            let range = self.range(form)?;
                            height = range.height;
                            ArmPattern::Range(range.node)
                        }
                    });
                }
                Rule::block => {
                    let block = self.block(part)?;
                    height = height.max(block.height);
                    body = Some(ArmBody::Block(block.node));
                }
                Rule::expr => {
                    let expr = self.expr(part)?;
                    height = height.max(expr.height);
                    body = Some(ArmBody::Expr(expr.node));
                }
                _ => {}
            }
        }
        Some(Tall {
            node: Arm {
                pattern: pattern?,
                body: body?,
                span,
            },
            height,
        })
    }

    /// `total i in a..b { … }`
    pub(super) fn total(&self, pair: Pair<'_, Rule>) -> Option<Tall<Expr>> {
        let span = self.span(&pair);
        let mut variable = None;
        let mut range = None;
        let mut body = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => variable = Some(self.name(&part)),
                Rule::range => range = Some(self.range(part)?),
                Rule::block => body = Some(self.block(part)?),
                _ => {}
            }
        }
        let (range, body) = (range?, body?);
        let height = self.level(range.height.max(body.height), span)?;
        let total = Total {
            variable: variable?,
            range: range.node,
            body: body.node,
        };
        let node = ExprNode::Total(Box::new(total));
        Some(Tall {
            node: Expr { node, span },
            height,
        })
    }
}
