//! Comparisons: of scalars, classes, choices and maps.

use guide_grammar::ast::BinaryOp;
use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op, TickName};
use crate::plan::Compare;
use crate::resolved::{Expr, ExprNode};

use super::combine::Sides;
use super::engine::Engine;
use super::value::{Choice, Data, Kind, Value};
use super::weight::Weight;

impl<'p> Engine<'p> {
    pub(crate) fn compare(&mut self, op: BinaryOp, a: Data, b: Data, sides: Sides<'p>) -> Value {
        let Sides {
            left, right, span, ..
        } = sides;
        let compare = match op {
            BinaryOp::Eq => Compare::Eq,
            BinaryOp::Ne => Compare::Ne,
            BinaryOp::Lt => Compare::Lt,
            BinaryOp::Le => Compare::Le,
            BinaryOp::Gt => Compare::Gt,
            _ => Compare::Ge,
        };
        let equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
        let node = Op::Compare(compare, a.node, b.node);
        let plain = a.plain && b.plain;
        match (a.kind, b.kind) {
            (Kind::Scalar | Kind::Open, Kind::Scalar | Kind::Open) => {
                self.lint_progress(op, &a, &b, left, right, span);
                Value::Data(self.computed(node, Kind::Bool, Weight::zero(), plain, span))
            }
            (Kind::Bool, Kind::Bool)
            | (Kind::Class, Kind::Class)
            | (Kind::Class, Kind::Scalar)
            | (Kind::Scalar, Kind::Class)
                if equality =>
            {
                Value::Data(self.computed(node, Kind::Bool, Weight::zero(), true, span))
            }
            (Kind::Map, Kind::Map | Kind::Scalar) | (Kind::Scalar, Kind::Map) => {
                Value::Data(self.opaque(node, Kind::Map, plain, span))
            }
            _ => {
                let help = (a.is_tensor() || b.is_tensor())
                    .then(|| "compare a norm, a mean or another scalar of it".to_string());
                self.cannot(op, &a.describe(), &b.describe(), sides, help)
            }
        }
    }

    pub(crate) fn compare_choice(
        &mut self,
        choice: Choice,
        word: &str,
        not: bool,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
    ) -> Value {
        let (Choice::Known(_, words) | Choice::Open(_, words)) = &choice;
        if !words.iter().any(|w| w == word) {
            let place = if matches!(left.node, ExprNode::String(_)) {
                left
            } else {
                right
            };
            return self.no_such_word(word, words, place.span);
        }
        let op = match &choice {
            Choice::Known(value, _) => Op::Bool((value == word) != not),
            Choice::Open(name, _) => Op::Parameter(format!(
                "{name} {} \"{word}\"",
                if not { "!=" } else { "==" }
            )),
        };
        Value::Data(Data::of(Kind::Bool, self.graph.bool(op, span)))
    }

    /// `progress < 0.5` is taken literally.
    fn lint_progress(
        &mut self,
        op: BinaryOp,
        a: &Data,
        b: &Data,
        left: &Expr,
        right: &Expr,
        span: Span,
    ) {
        let is_progress =
            |e: &Self, n: NodeId| matches!(e.graph.node(n).op, Op::Tick(TickName::Progress));
        let literal = |e: &Expr| matches!(e.node, ExprNode::Number(_));
        let (below, end) = match op {
            BinaryOp::Lt if is_progress(self, a.node) && literal(right) => (true, self.text(right)),
            BinaryOp::Ge if is_progress(self, a.node) && literal(right) => {
                (false, self.text(right))
            }
            BinaryOp::Gt if is_progress(self, b.node) && literal(left) => (true, self.text(left)),
            BinaryOp::Le if is_progress(self, b.node) && literal(left) => (false, self.text(left)),
            _ => return,
        };
        let window = if below {
            format!("0.0..{end}")
        } else {
            format!("{end}..1.0")
        };
        self.report(
            Diagnostic::new(Code::ProgressCompared, "`progress` is compared literally, so rounding decides about the step at the border")
                .at(span, "not a window")
                .help(format!("write `progress in {window}`"))
                .fix(span, format!("progress in {window}")),
        );
    }
}
