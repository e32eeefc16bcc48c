//! Calls of `Guide` parameters: `inner()`, `inner(at: y, t: s)`, `inner(model: weak)`,
//! `inner(with: scale_skips(…))`.

use guide_grammar::span::Span;

use crate::graph::{Op, SpaceTerm, Stage};
use crate::plan::Shape;
use crate::resolved::Call;

use super::builder::Meta;
use super::engine::{Engine, Frame, PredictDefaults};
use super::value::{Data, Guide, Kind, Origin, Outcome, Point, Value};
use super::weight::Weight;

impl<'p> Engine<'p> {
    /// Inlines a guide that was handed on, with other defaults for its predictions.
    pub(crate) fn call_guide(&mut self, guide: Guide, call: &'p Call, span: Span) -> Value {
        let params = [("at", true), ("t", true), ("model", true), ("with", true)];
        let Some(bound) = self.bind_args(call, &params) else {
            return Value::Error;
        };
        let mut defaults = self.defaults.clone();
        let mut bound = bound.into_iter();
        if let Some(Some(arg)) = bound.next() {
            let Some(at) = self.point_at(&arg.value) else {
                return Value::Error;
            };
            defaults.point.at = Some(at);
        }
        if let Some(Some(arg)) = bound.next() {
            let value = self.expr(&arg.value);
            let Some(t) = self.step_scalar(value, "`t`", &arg.value) else {
                return Value::Error;
            };
            defaults.point.t = Some(t.node);
        }
        if let Some(Some(arg)) = bound.next() {
            let value = self.expr(&arg.value);
            let Some(model) = self.model(value, &arg.value) else {
                return Value::Error;
            };
            defaults.model = Some(model);
        }
        if let Some(Some(arg)) = bound.next() {
            let value = self.expr(&arg.value);
            let Some(with) = self.interventions(value, &arg.value) else {
                return Value::Error;
            };
            defaults.with.extend(with);
        }
        match guide {
            Guide::Open(name) => Value::Outcome(self.open_outcome(&name, &defaults, span)),
            Guide::Closure { item, args } => {
                let before = std::mem::replace(&mut self.defaults, defaults);
                let result = self.run_closure(item, args, &call.name.node, span);
                self.defaults = before;
                result
            }
        }
    }

    fn run_closure(
        &mut self,
        item: crate::resolved::ItemId,
        args: Vec<Option<Value>>,
        name: &str,
        span: Span,
    ) -> Value {
        let Some(function) = super::function(self.program, item) else {
            return Value::Error;
        };
        if self.frames.len() >= super::call::MAX_CALLS {
            return Value::Error;
        }
        let path = self.call_path(name);
        self.frames
            .push(Frame::new(item, function, path, span, self.region.len()));
        let mut good = true;
        for (param, arg) in function.params.iter().zip(args) {
            let value = match arg {
                // The arguments were written elsewhere; the parameter's own body is the nearest place.
                Some(value) => self.coerce(value, &param.kind, &function.body.value),
                None => self.default_of(param),
            };
            good &= !value.is_error();
            self.set_local(param.local, value);
        }
        let result = if good { self.body() } else { Value::Error };
        self.frames.pop();
        result
    }

    /// What a guide that only a caller knows returns: a prediction in a space of its own.
    pub(crate) fn open_outcome(
        &mut self,
        name: &str,
        defaults: &PredictDefaults,
        span: Span,
    ) -> Outcome {
        let space = SpaceTerm::Generic(format!("the space of `{name}`"));
        let meta = Meta {
            shape: Shape::Tensor,
            space: Some(space.clone()),
            kind: format!("prediction of {name}"),
        };
        let text = format!(
            "{name}({:?}, {:?}, {:?})",
            defaults.point, defaults.model, defaults.with
        );
        let node = self
            .graph
            .add_staged(Op::Parameter(text), meta, Stage::Sample, span);
        let origin = Origin::At(defaults.point.clone());
        let denoise = Data {
            weight: Weight::one(),
            space,
            origin,
            ..Data::of(Kind::Tensor, node)
        };
        self.remember_affinity(&denoise);
        Outcome::Guided {
            denoise,
            renoise: None,
            shift: None,
            moves: None,
        }
    }

    /// The point and model that stand for the defaults of `predict` now.
    pub(crate) fn default_point(&self) -> Point {
        self.defaults.point.clone()
    }
}
