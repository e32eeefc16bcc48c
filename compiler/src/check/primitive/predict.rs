//! `predict`: a question to a network.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op, Predict, SpaceTerm, Stage};
use crate::plan::{self, Shape};
use crate::resolved::{Arg, Expr};

use super::super::builder::Meta;
use super::super::engine::Engine;
use super::super::value::{Condition, Data, Kind, Origin, PlainInput, Value};
use super::super::weight::Weight;

impl<'p> Engine<'p> {
    /// `predict(condition, at:, model:, with:, t:, told:, control:)`
    pub(crate) fn predict(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [condition, at, model, with, t, told, control] = args else {
            return Value::Error;
        };
        let Some(condition) = condition else {
            return Value::Error;
        };
        let value = self.expr(&condition.value);
        let condition = self.condition(value, &condition.value);
        let mut point = self.default_point();
        let mut good = true;
        if let Some(at) = at {
            let found = self.point_at(&at.value);
            good &= found.is_some();
            point.at = found;
        }
        if let Some(t) = t {
            let value = self.expr(&t.value);
            let found = self.step_scalar(value, "`t`", &t.value);
            good &= found.is_some();
            point.t = found.map(|d| d.node);
        }
        // The tick's own point, said in words, is the tick's own point.
        point.at = point
            .at
            .filter(|(node, _)| !matches!(self.graph.node(*node).op, Op::Latent));
        point.t = point.t.filter(|node| {
            !matches!(
                self.graph.node(*node).op,
                Op::Tick(crate::graph::TickName::T)
            )
        });
        let mut told_node = None;
        if let Some(told) = told {
            let value = self.expr(&told.value);
            match self.scalar(value, "`told`", &told.value) {
                Some(data) => told_node = Some((data.node, self.text(&told.value))),
                None => good = false,
            }
        }
        let mut name = self.defaults.model.clone().flatten();
        if let Some(model) = model {
            let value = self.expr(&model.value);
            match self.model(value, &model.value) {
                Some(model) => name = model,
                None => good = false,
            }
        }
        let mut list = self.defaults.with.clone();
        if let Some(with) = with {
            let value = self.expr(&with.value);
            match self.interventions(value, &with.value) {
                Some(found) => list.extend(found),
                None => good = false,
            }
        }
        let mut strength = 1.0;
        if let Some(control) = control {
            match self.control(&control.value) {
                Some(value) => strength = value,
                None => good = false,
            }
        }
        let (Some(condition), true) = (condition, good) else {
            return Value::Error;
        };
        let (condition, class) = match condition {
            Condition::Known(condition) => (condition, None),
            Condition::ClassOf(node, name) => (plan::Condition::ClassOf(name), Some(node)),
            Condition::PromptOf(input, node, name) => {
                (plan::Condition::PromptOf(input, name), Some(node))
            }
            Condition::Open(text, nodes) => return self.open_prediction(text, nodes, point, span),
        };
        let question = Predict {
            model: name,
            condition,
            class,
            at: point.at.clone(),
            t: point.t,
            told: told_node,
            control: strength,
            with: list,
        };
        self.answer(Op::Predict(Box::new(question)), point, span)
    }

    /// A prediction under what only a parameter or the run knows.
    fn open_prediction(
        &mut self,
        text: String,
        mut nodes: Vec<NodeId>,
        point: super::super::value::Point,
        span: Span,
    ) -> Value {
        nodes.extend(point.at.iter().map(|(node, _)| *node));
        nodes.extend(point.t);
        self.answer(
            Op::Unsupported(format!("predict({text})"), nodes),
            point,
            span,
        )
    }

    fn answer(&mut self, op: Op, point: super::super::value::Point, span: Span) -> Value {
        let space = SpaceTerm::Native;
        let meta = Meta {
            shape: Shape::Tensor,
            space: Some(space.clone()),
            kind: "prediction in native".into(),
        };
        let node = self.graph.add(op, meta, span);
        let data = Data {
            weight: Weight::one(),
            space,
            origin: Origin::At(point),
            ..Data::of(Kind::Tensor, node)
        };
        self.remember_affinity(&data);
        Value::Data(data)
    }

    /// `at:`, a latent, with the name that labels use for it.
    pub(crate) fn point_at(&mut self, expr: &'p Expr) -> Option<(NodeId, String)> {
        match self.expr(expr) {
            Value::Error => None,
            // A trajectory is where it is at this tick.
            Value::Plain(PlainInput::Trajectory, source) => {
                Some((self.bound_latent(source, expr.span), self.text(expr)))
            }
            Value::Data(data) if data.kind == Kind::Latent => {
                let written = self.text(expr);
                let name = self.graph.node(data.node).name.clone().unwrap_or(written);
                Some((data.node, name))
            }
            other => {
                let text = self.text(expr);
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("`at` must be a latent, and this is {}", other.describe()),
                )
                .at(expr.span, format!("this is {}", other.describe()))
                .help(format!("write `latent(raw({text}))` if it is one"));
                self.report(diagnostic);
                None
            }
        }
    }

    /// A model; says so where it is none.
    pub(crate) fn model(&mut self, value: Value, expr: &Expr) -> Option<Option<String>> {
        match value {
            Value::Error => None,
            Value::Model(name) => Some(name),
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("a model is needed, and this is {}", other.describe()),
                )
                .at(expr.span, format!("this is {}", other.describe()))
                .help("declare one with `model weak`, or write `main`");
                self.report(diagnostic);
                None
            }
        }
    }

    fn control(&mut self, expr: &'p Expr) -> Option<f64> {
        let value = self.expr(expr);
        let data = self.scalar(value, "`control`", expr)?;
        if self.graph.stage(data.node) > Stage::Const {
            self.needs_const("`control`", &data, expr.span);
            return None;
        }
        // Of a parameter that nothing is known about, any strength will do: no graph is kept.
        Some(self.graph.constant(data.node).unwrap_or(1.0))
    }
}
