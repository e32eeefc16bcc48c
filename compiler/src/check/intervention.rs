//! Interventions: what `with:` takes.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Stage, With, WithArg};
use crate::plan::{LayerTerm, Layers};
use crate::primitives::{ArgKind, INTERVENTIONS};
use crate::resolved::{Call, Expr};

use super::coerce::layer_word;
use super::engine::Engine;
use super::value::{Condition, Data, Kind, Value};

impl<'p> Engine<'p> {
    /// `identity_attention(mid)`
    pub(crate) fn intervention(&mut self, call: &'p Call, span: Span) -> Value {
        let Some(signature) = INTERVENTIONS.iter().find(|i| i.name == call.name.node) else {
            return Value::Error;
        };
        let params: Vec<(&str, bool)> = signature
            .parameters
            .iter()
            .map(|((name, default), _)| (*name, default.is_some()))
            .collect();
        let Some(bound) = self.bind_args(call, &params) else {
            return Value::Error;
        };
        let mut args = Vec::new();
        for (((name, default), kind), arg) in signature.parameters.iter().zip(bound) {
            let given = match arg {
                Some(arg) => {
                    let value = self.expr(&arg.value);
                    self.intervention_arg(value, *kind, name, &arg.value)
                }
                None => self.intervention_default(default.unwrap_or(""), *kind, span),
            };
            let Some(value) = given else {
                return Value::Error;
            };
            let fallback = default.and_then(|text| self.intervention_default(text, *kind, span));
            let is_default = arg.is_none() || fallback.as_ref() == Some(&value);
            args.push(((*name).to_string(), value, is_default));
        }
        Value::Interventions(vec![With {
            when: Vec::new(),
            name: signature.name.to_string(),
            args,
        }])
    }

    fn intervention_default(&mut self, text: &str, kind: ArgKind, span: Span) -> Option<WithArg> {
        Some(match kind {
            ArgKind::Layers => WithArg::Layers(Layers {
                terms: vec![(true, layer_word(text)?)],
            }),
            ArgKind::Number => {
                let value = if text == "inf" {
                    f64::INFINITY
                } else {
                    text.parse().ok()?
                };
                WithArg::Number(self.graph.number(value, span))
            }
            ArgKind::Word | ArgKind::Any => WithArg::Text(text.to_string()),
        })
    }

    fn intervention_arg(
        &mut self,
        value: Value,
        kind: ArgKind,
        name: &str,
        expr: &'p Expr,
    ) -> Option<WithArg> {
        match kind {
            ArgKind::Layers => match self.layers(value, expr)? {
                Some(layers) => Some(WithArg::Layers(layers)),
                // Layers that a parameter leaves open: any will do, since no graph is kept.
                None => {
                    let name = LayerTerm::Named(self.text(expr));
                    Some(WithArg::Layers(Layers::of(name)))
                }
            },
            ArgKind::Number => self
                .step_scalar(value, &format!("`{name}`"), expr)
                .map(|d| WithArg::Number(d.node)),
            ArgKind::Word => match value {
                Value::Text(text) | Value::Word(text) => Some(WithArg::Text(text)),
                Value::Error => None,
                other => {
                    self.wrong_kind(&other, "a word", expr.span, expr.span);
                    None
                }
            },
            ArgKind::Any => match value {
                Value::Error => None,
                Value::Data(data) => Some(WithArg::Node(data.node)),
                Value::Text(text) | Value::Word(text) => Some(WithArg::Text(text)),
                Value::Condition(Condition::Known(condition)) => {
                    Some(WithArg::Text(format!("{condition:?}")))
                }
                Value::Condition(Condition::Open(text, _) | Condition::ClassOf(_, text)) => {
                    Some(WithArg::Text(text))
                }
                Value::Plain(..) => Some(WithArg::Text(self.text(expr))),
                other => {
                    self.wrong_kind(
                        &other,
                        "a condition, a prediction or a tensor",
                        expr.span,
                        expr.span,
                    );
                    None
                }
            },
        }
    }

    /// What `with:` was given: one intervention, several in order, or `none`.
    pub(crate) fn interventions(&mut self, value: Value, expr: &Expr) -> Option<Vec<With>> {
        match value {
            Value::Error => None,
            Value::Interventions(list) => Some(list),
            Value::List(parts) | Value::Tuple(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(self.interventions(part, expr)?);
                }
                Some(all)
            }
            other => {
                let names: Vec<String> = INTERVENTIONS
                    .iter()
                    .take(3)
                    .map(|i| format!("`{}(…)`", i.name))
                    .collect();
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!(
                        "an intervention is needed, and this is {}",
                        other.describe()
                    ),
                )
                .at(expr.span, format!("this is {}", other.describe()))
                .help(format!(
                    "write for instance {}, a list of them in brackets, or `none`",
                    names.join(", ")
                ));
                self.report(diagnostic);
                None
            }
        }
    }

    /// `if step-condition { a } else { b }`
    pub(crate) fn join_interventions(&mut self, test: NodeId, a: Vec<With>, b: Vec<With>) -> Value {
        if self.graph.stage(test) == Stage::Sample {
            let span = self.graph.node(test).span;
            let diagnostic = Diagnostic::new(Code::StepNeeded, "an intervention cannot depend on what only the run knows")
                .at(span, "this differs from sample to sample")
                .help("decide by `progress`, `sigma_ratio` or another name of the step, or ask for two predictions");
            return self.fail(diagnostic);
        }
        let under = |list: Vec<With>, holds: bool| {
            list.into_iter().map(move |mut with| {
                with.when.insert(0, (test, holds));
                with
            })
        };
        Value::Interventions(under(a, true).chain(under(b, false)).collect())
    }

    /// A scalar known in each step without a network; says so where it is not.
    pub(crate) fn step_scalar(&mut self, value: Value, what: &str, expr: &Expr) -> Option<Data> {
        let data = self.scalar(value, what, expr)?;
        if self.graph.stage(data.node) == Stage::Sample
            && data.kind == Kind::Scalar
            && self.first_passes == 0
        {
            self.report(
                Diagnostic::new(
                    Code::StepNeeded,
                    format!("{what} must be known in each step without a network"),
                )
                .at(expr.span, "only the run knows this")
                .help("use numbers, parameters and names of the step"),
            );
            return None;
        }
        Some(data)
    }
}
