//! A question to a network in one tick: its row in the plan, its point and its time.

use super::affine::Builder;
use super::expr::{Ask, ExprId, Form};
use super::label::Place;
use super::lower::Lowering;
use crate::graph::{Node, NodeId, Predict, WithArg};
use crate::plan::{ArgValue, Condition, Intervention, InterventionArg, Number, Prediction};
use crate::primitives::InterventionSignature;

impl Lowering<'_> {
    /// The answer of a network as an expression, or the gradient by its point of the answer, weighted by
    /// `by`.
    pub(super) fn predict(
        &mut self,
        b: &mut Builder<'_>,
        predict: &Predict,
        by: Option<NodeId>,
        node: &Node,
    ) -> ExprId {
        let weights = by.map(|by| self.value(b, by));
        // A gradient of nothing is nothing.
        if let Some(weights) = weights.filter(|by| b.exprs.as_scalar(*by) == Some(None)) {
            return weights;
        }
        let mut interventions = Vec::new();
        let mut taken_from = Vec::new();
        let mut maps = Vec::new();
        let mut defaults = Vec::new();
        for with in &predict.with {
            let applies = |(condition, holds): &(NodeId, bool)| {
                self.folded.bool(*condition, b.tick).unwrap_or(false) == *holds
            };
            if !with.when.iter().all(applies) {
                continue;
            }
            let refused = InterventionSignature::find(&with.name).is_none_or(|i| !i.supported)
                || with
                    .args
                    .iter()
                    .any(|(_, arg, _)| matches!(arg, WithArg::Node(_)));
            if refused {
                return b.exprs.intern(
                    Form::Refused(with.name.clone(), node.span),
                    node.shape,
                    node.span,
                );
            }
            let mut args = Vec::new();
            for (name, arg, _) in &with.args {
                let value = match arg {
                    WithArg::Layers(layers) => ArgValue::Layers(layers.clone()),
                    WithArg::Number(number) => self.strength(b, *number),
                    WithArg::Text(text) => ArgValue::Text(text.clone()),
                    WithArg::Condition(condition) => {
                        ArgValue::Condition(self.coinciding(condition))
                    }
                    WithArg::Prediction(from) => {
                        let from = self.value(b, *from);
                        let Form::Predict(ask) = b.exprs.form(from) else {
                            // It is refused itself.
                            return from;
                        };
                        taken_from.push(from);
                        ArgValue::Prediction(ask.prediction)
                    }
                    WithArg::Tokens(tokens) => ArgValue::Tokens(tokens.clone()),
                    WithArg::Map(map, name) => {
                        let at = maps.len() as u32;
                        maps.push((self.value(b, *map), *map));
                        ArgValue::Map {
                            name: name.clone(),
                            at,
                        }
                    }
                    WithArg::Node(_) => continue,
                };
                args.push(InterventionArg {
                    name: name.clone(),
                    value,
                });
            }
            let intervention = Intervention {
                name: with.name.clone(),
                args,
            };
            // Samples of an objective are each at a noise of their own, where none sees another.
            if self.drawn().is_some() && intervention.couples() {
                let what = format!("{} among the samples of an objective", with.name);
                let form = Form::Refused(what, node.span);
                return b.exprs.intern(form, node.shape, node.span);
            }
            interventions.push(intervention);
            defaults.push(
                with.args
                    .iter()
                    .map(|(_, _, default)| *default)
                    .collect::<Vec<bool>>(),
            );
        }
        let latent = self.latent(b, node.span);
        let at = predict
            .at
            .as_ref()
            .map(|(at, name)| (self.value(b, *at), *at, name));
        let at = at.filter(|(value, _, _)| *value != latent);
        let own_t = |b: &mut Builder<'_>, n: NodeId| {
            let id = self.scalar(b, n);
            (b.scalars.text(id) != "t").then_some((id, n))
        };
        let t = predict.t.and_then(|n| own_t(b, n));
        let drawn = self.drawn().filter(|_| t.is_none());
        let time = drawn.map(|range| self.drawn_time(b, range, node.span));
        // What is asked at an objective's `x` is asked there by the plan's word, but has no other name.
        let here = self.drawn().map(|_| latent);
        let told = predict
            .told
            .as_ref()
            .map(|(told, name)| (self.value(b, *told), *told, name));
        let condition = self.coinciding(&predict.condition);
        let place = Place {
            at: at.map(|(_, node, name)| (node, name.clone())),
            t: t.map(|(id, node)| (node, b.scalars.text(id))),
            told: told.map(|(_, node, name)| (node, name.clone())),
            class: predict.class,
            maps: maps.iter().map(|(_, node)| *node).collect(),
            by,
        };
        let row = Prediction {
            label: String::new(),
            model: predict.model.clone(),
            condition,
            interventions,
            control: predict.control,
            gradient: by.is_some(),
        };
        let prediction = self
            .predictions
            .row(row, &defaults, &place, &self.graph.inputs);
        let ask = Ask {
            prediction,
            at: at.map(|a| a.0).or(here),
            t: t.map(|t| t.0),
            time,
            told: told.map(|t| t.0),
            class: predict.class.map(|c| self.value(b, c)),
            maps: maps.iter().map(|(expr, _)| *expr).collect(),
            with: taken_from,
            by: weights,
        };
        b.exprs.intern(Form::Predict(ask), node.shape, node.span)
    }

    /// A number of an intervention: one for the run, or one a tick.
    fn strength(&self, b: &mut Builder<'_>, node: NodeId) -> ArgValue {
        let number = self.scalar(b, node);
        match b.scalars.as_literal(number) {
            Some(value) => ArgValue::Number(value),
            None => ArgValue::Curve(Number {
                text: b.scalars.text(number),
                values: (0..self.target.timetable.ticks.len())
                    .map(|tick| b.scalars.at(number, tick))
                    .collect(),
            }),
        }
    }

    /// The condition itself, or the one that it is another name of.
    fn coinciding(&self, condition: &Condition) -> Condition {
        match condition {
            Condition::Null if !self.target.negative && self.has_uncond => Condition::Uncond,
            other => other.clone(),
        }
    }
}
