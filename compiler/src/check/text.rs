//! Expressions as source text, for help that can be pasted.

use guide_grammar::ast::{BinaryOp, UnaryOp};

use crate::resolved::{Block, Call, Expr, ExprNode, Function, ItemId, Prev, PrevOf, Program};

/// Prints expressions of one function.
pub(crate) struct Printer<'a> {
    pub(crate) program: &'a Program,
    pub(crate) function: Option<&'a Function>,
}

impl Printer<'_> {
    /// The expression in one line; blocks are cut short.
    pub(crate) fn expr(&self, expr: &Expr) -> String {
        self.at(expr, 0)
    }

    fn at(&self, expr: &Expr, outer: u8) -> String {
        match &expr.node {
            ExprNode::Error => "…".into(),
            ExprNode::Number(text) | ExprNode::Word(text) => text.clone(),
            ExprNode::String(text) => quoted(text),
            ExprNode::Bool(value) => value.to_string(),
            ExprNode::Local(local) => self
                .function
                .and_then(|f| f.locals.get(local.index()))
                .map_or_else(|| "…".into(), |l| l.name.clone()),
            ExprNode::Item(item) => self.item(*item),
            ExprNode::Call(call) => self.call(call),
            ExprNode::Prev(prev) => self.prev(prev),
            ExprNode::Tuple(parts) => format!("({})", self.list(parts)),
            ExprNode::List(parts) => format!("[{}]", self.list(parts)),
            ExprNode::Index(of, index) => format!("{}[{}]", self.at(of, 9), self.at(index, 0)),
            ExprNode::Unary(UnaryOp::Neg, of) => wrap(format!("-{}", self.at(of, 7)), outer > 7),
            ExprNode::Unary(UnaryOp::Not, of) => wrap(format!("not {}", self.at(of, 3)), outer > 3),
            ExprNode::Binary(left, op, right) => {
                let (text, level) = operator(op.node);
                let inner = format!(
                    "{} {text} {}",
                    self.at(left, level),
                    self.at(right, level + 1)
                );
                wrap(inner, outer > level)
            }
            ExprNode::In(value, range) => {
                let dots = if range.inclusive { "..=" } else { ".." };
                let ends = format!("{}{dots}{}", self.at(&range.from, 5), self.at(&range.to, 5));
                wrap(format!("{} in {ends}", self.at(value, 5)), outer > 4)
            }
            ExprNode::If(condition, then, otherwise) => {
                format!(
                    "if {} {} else {}",
                    self.at(condition, 0),
                    self.block(then),
                    self.block(otherwise)
                )
            }
            ExprNode::Match(subject, _) => format!("match {} {{ … }}", self.at(subject, 0)),
            ExprNode::Total(..) => "total … { … }".into(),
        }
    }

    fn block(&self, block: &Block) -> String {
        if block.lets.is_empty() {
            format!("{{ {} }}", self.at(&block.value, 0))
        } else {
            "{ … }".into()
        }
    }

    fn item(&self, item: ItemId) -> String {
        self.program
            .items
            .get(item.index())
            .map_or_else(|| "…".into(), |i| i.name.node.clone())
    }

    fn list(&self, parts: &[Expr]) -> String {
        parts
            .iter()
            .map(|p| self.at(p, 0))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn call(&self, call: &Call) -> String {
        let args: Vec<String> = call
            .args
            .iter()
            .map(|arg| match &arg.name {
                Some(name) => format!("{}: {}", name.node, self.at(&arg.value, 0)),
                None => self.at(&arg.value, 0),
            })
            .collect();
        format!("{}({})", call.name.node, args.join(", "))
    }

    fn prev(&self, prev: &Prev) -> String {
        let mut text = match &prev.of {
            PrevOf::Local(local) => self
                .function
                .and_then(|f| f.locals.get(local.index()))
                .map_or_else(|| "…".into(), |l| l.name.clone()),
            PrevOf::Word(word) => word.clone(),
            PrevOf::Error => "…".into(),
        };
        if let Some(depth) = &prev.depth {
            text.push_str(&format!(", {}", self.at(depth, 0)));
        }
        if let Some(init) = &prev.init {
            text.push_str(&format!(", init: {}", self.at(init, 0)));
        }
        format!("prev({text})")
    }
}

/// A string literal.
pub(crate) fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}

/// A number in its shortest form.
pub(crate) fn number(value: f64) -> String {
    if value.is_infinite() {
        if value > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        }
    } else {
        format!("{}", value + 0.0)
    }
}

fn wrap(text: String, needed: bool) -> String {
    if needed { format!("({text})") } else { text }
}

fn operator(op: BinaryOp) -> (&'static str, u8) {
    match op {
        BinaryOp::Or => ("or", 1),
        BinaryOp::And => ("and", 2),
        BinaryOp::Eq => ("==", 4),
        BinaryOp::Ne => ("!=", 4),
        BinaryOp::Lt => ("<", 4),
        BinaryOp::Le => ("<=", 4),
        BinaryOp::Gt => (">", 4),
        BinaryOp::Ge => (">=", 4),
        BinaryOp::Add => ("+", 5),
        BinaryOp::Sub => ("-", 5),
        BinaryOp::Mul => ("*", 6),
        BinaryOp::Div => ("/", 6),
        BinaryOp::Rem => ("%", 6),
    }
}
