//! Settings: texts of const expressions that take the place of a guide's defaults.

use guide_grammar::ast;
use guide_grammar::span::{FileId, Span};

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{Op, Stage};
use crate::plan::Axes;
use crate::resolved::{Expr, ExprNode, KindNode, Param, PlainKind};

use super::coerce::layer_word;
use super::engine::Engine;
use super::value::{Choice, Data, Kind, Value};

impl<'p> Engine<'p> {
    /// A parameter's value from a text: `3`, `1/2`, `inf`, `linear`, `mid + "up.1.attn.0"`.
    pub(crate) fn setting(&mut self, param: &'p Param, text: &str) -> Value {
        if let KindNode::Choice(words) = &param.kind.node
            && words.iter().any(|w| w == text)
        {
            return Value::Choice(Choice::Known(text.to_string(), words.clone()));
        }
        // What the text is wrong in, is said below in one sentence.
        let bag = std::mem::take(&mut self.bag);
        let value = match parse(text) {
            Some(expr) => self.setting_value(&expr, param),
            None => Value::Error,
        };
        let inner = std::mem::replace(&mut self.bag, bag);
        if value.is_error() || inner.has_errors() {
            let wanted = wanted(&param.kind.node);
            self.bag.push(
                Diagnostic::new(
                    Code::BadParameter,
                    format!("`{}` takes {wanted}, and `{text}` is not", param.name.node),
                )
                .at(param.name.span, format!("takes {wanted}"))
                .help(format!(
                    "write for instance `--set {}={}`",
                    param.name.node,
                    example(&param.kind.node)
                )),
            );
            return Value::Error;
        }
        value
    }

    fn setting_value(&mut self, expr: &ast::Expr, param: &'p Param) -> Value {
        let span = param.name.span;
        let value = self.setting_expr(expr, span);
        let place = Expr {
            node: ExprNode::Error,
            span,
        };
        match &param.kind.node {
            KindNode::Scalar => match value {
                Value::Data(data)
                    if data.kind == Kind::Scalar && self.graph.stage(data.node) == Stage::Const =>
                {
                    Value::Data(data)
                }
                _ => Value::Error,
            },
            KindNode::Bool => match value {
                Value::Data(data) if data.kind == Kind::Bool => Value::Data(data),
                _ => Value::Error,
            },
            KindNode::Choice(words) => match value {
                Value::Text(word) if words.contains(&word) => {
                    Value::Choice(Choice::Known(word, words.clone()))
                }
                _ => Value::Error,
            },
            KindNode::Plain(PlainKind::Layers) => self
                .layers(value, &place)
                .map_or(Value::Error, Value::Layers),
            KindNode::Plain(PlainKind::Axes) => match value {
                Value::Word(word) => match word.as_str() {
                    "all" => Value::Axes(Some(Axes::All)),
                    "channels" => Value::Axes(Some(Axes::Channels)),
                    "space" => Value::Axes(Some(Axes::Space)),
                    _ => Value::Error,
                },
                _ => Value::Error,
            },
            _ => Value::Error,
        }
    }

    fn setting_expr(&mut self, expr: &ast::Expr, span: Span) -> Value {
        match &expr.node {
            ast::ExprNode::Number(text) => match text.parse::<f64>() {
                Ok(value) => Value::Data(Data::of(Kind::Scalar, self.graph.number(value, span))),
                Err(_) => Value::Error,
            },
            ast::ExprNode::String(text) => Value::Text(text.clone()),
            ast::ExprNode::Bool(value) => Value::Data(Data::of(
                Kind::Bool,
                self.graph.bool(Op::Bool(*value), span),
            )),
            ast::ExprNode::Group(inner) => self.setting_expr(inner, span),
            ast::ExprNode::List(parts) => {
                Value::List(parts.iter().map(|p| self.setting_expr(p, span)).collect())
            }
            ast::ExprNode::Path(path) => match path.names.as_slice() {
                [name]
                    if name.node == "inf"
                        || name.node == "pi"
                        || layer_word(&name.node).is_some() =>
                {
                    self.word(&name.node, span)
                }
                [name] if matches!(name.node.as_str(), "channels" | "space") => {
                    self.word(&name.node, span)
                }
                _ => Value::Error,
            },
            ast::ExprNode::Unary(ast::UnaryOp::Neg, inner) => {
                match self.setting_expr(inner, span) {
                    Value::Data(data) if data.kind == Kind::Scalar => {
                        match self.graph.constant(data.node) {
                            Some(value) => {
                                Value::Data(Data::of(Kind::Scalar, self.graph.number(-value, span)))
                            }
                            None => Value::Error,
                        }
                    }
                    _ => Value::Error,
                }
            }
            ast::ExprNode::Binary(left, op, right) => {
                self.setting_binary(left, op.node, right, span)
            }
            _ => Value::Error,
        }
    }

    fn setting_binary(
        &mut self,
        left: &ast::Expr,
        op: ast::BinaryOp,
        right: &ast::Expr,
        span: Span,
    ) -> Value {
        let place = Expr {
            node: ExprNode::Error,
            span,
        };
        match (
            self.setting_expr(left, span),
            self.setting_expr(right, span),
        ) {
            (Value::Data(a), Value::Data(b))
                if a.kind == Kind::Scalar && b.kind == Kind::Scalar =>
            {
                let (Some(a), Some(b)) = (self.graph.constant(a.node), self.graph.constant(b.node))
                else {
                    return Value::Error;
                };
                let value = match op {
                    ast::BinaryOp::Add => a + b,
                    ast::BinaryOp::Sub => a - b,
                    ast::BinaryOp::Mul => a * b,
                    ast::BinaryOp::Div => a / b,
                    _ => return Value::Error,
                };
                if value.is_nan() {
                    Value::Error
                } else {
                    Value::Data(Data::of(Kind::Scalar, self.graph.number(value, span)))
                }
            }
            (a, b) if matches!(op, ast::BinaryOp::Add | ast::BinaryOp::Sub) => {
                match (self.layers(a, &place), self.layers(b, &place)) {
                    (Some(Some(a)), Some(Some(b))) => {
                        Value::Layers(Some(a.joined(b, op == ast::BinaryOp::Add)))
                    }
                    _ => Value::Error,
                }
            }
            _ => Value::Error,
        }
    }
}

/// The expression that a text is, by the grammar's own reader.
fn parse(text: &str) -> Option<ast::Expr> {
    let parsed = guide_grammar::parse(FileId(0), &format!("fn setting() {{ ({text}) }}"));
    if !parsed.errors.is_empty() || !parsed.comments.is_empty() {
        return None;
    }
    let [item] = parsed.file.items.as_slice() else {
        return None;
    };
    match &item.kind {
        ast::ItemKind::Function(function) if function.body.lets.is_empty() => {
            Some((*function.body.value).clone())
        }
        _ => None,
    }
}

fn wanted(kind: &KindNode) -> String {
    match kind {
        KindNode::Scalar => "a number".into(),
        KindNode::Bool => "`true` or `false`".into(),
        KindNode::Choice(words) => format!(
            "one of {}",
            words
                .iter()
                .map(|w| format!("`{w}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        KindNode::Plain(PlainKind::Layers) => "layers".into(),
        KindNode::Plain(PlainKind::Axes) => "axes".into(),
        _ => "what cannot be set from outside".into(),
    }
}

fn example(kind: &KindNode) -> String {
    match kind {
        KindNode::Bool => "true".into(),
        KindNode::Choice(words) => words.first().cloned().unwrap_or_default(),
        KindNode::Plain(PlainKind::Layers) => "mid".into(),
        KindNode::Plain(PlainKind::Axes) => "channels".into(),
        _ => "7.5".into(),
    }
}
