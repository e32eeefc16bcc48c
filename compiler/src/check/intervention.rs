//! Interventions: what `with:` takes.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Stage, With, WithArg};
use crate::plan::{self, LayerTerm, Layers};
use crate::primitives::{ArgKind, INTERVENTIONS};
use crate::resolved::{Call, Expr};

use super::coerce::layer_word;
use super::engine::Engine;
use super::value::{Choice, Condition, Data, Kind, Value};

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
            ArgKind::Layers(_) => WithArg::Layers(Layers {
                terms: vec![(true, layer_word(text)?)],
            }),
            ArgKind::Number(_) => {
                let value = if text == "inf" {
                    f64::INFINITY
                } else {
                    text.parse().ok()?
                };
                WithArg::Number(self.graph.number(value, span))
            }
            ArgKind::Word(_)
            | ArgKind::Condition
            | ArgKind::Prediction
            | ArgKind::PredictionOr(_)
            | ArgKind::Tokens
            | ArgKind::Map
            | ArgKind::Any => WithArg::Text(text.to_string()),
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
            ArgKind::Layers(_) => match self.layers(value, expr)? {
                Some(layers) => Some(WithArg::Layers(layers)),
                // Layers that a parameter leaves open: any will do, since no graph is kept.
                None => {
                    let name = LayerTerm::Named(self.text(expr));
                    Some(WithArg::Layers(Layers::of(name)))
                }
            },
            ArgKind::Number(_) => self
                .step_scalar(value, &format!("`{name}`"), expr)
                .map(|d| WithArg::Number(d.node)),
            ArgKind::Word(words) => self.intervention_word(value, words, expr),
            ArgKind::Condition => {
                let condition = self.condition(value, expr)?;
                self.shared_condition(condition, name, expr)
            }
            ArgKind::PredictionOr(word) => match value {
                Value::Word(given) | Value::Text(given) if given == word => {
                    Some(WithArg::Text(given))
                }
                value => self.intervention_prediction(value, name, expr),
            },
            ArgKind::Prediction => self.intervention_prediction(value, name, expr),
            ArgKind::Tokens => self.tokens_of(value, expr).map(WithArg::Tokens),
            ArgKind::Map => {
                let data = self.map(value, &format!("`{name}`"), expr)?;
                let text = self.text(expr);
                Some(WithArg::Map(data.node, text))
            }
            ArgKind::Any => match value {
                Value::Error => None,
                Value::Data(data) => Some(WithArg::Node(data.node)),
                Value::Text(text) | Value::Word(text) => Some(WithArg::Text(text)),
                Value::Condition(Condition::Known(condition)) => {
                    Some(WithArg::Text(format!("{condition:?}")))
                }
                Value::Condition(
                    Condition::Open(text, _)
                    | Condition::ClassOf(_, text)
                    | Condition::PromptOf(_, _, text),
                ) => Some(WithArg::Text(text)),
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

    fn intervention_prediction(
        &mut self,
        value: Value,
        name: &str,
        expr: &'p Expr,
    ) -> Option<WithArg> {
        let data = self.prediction(value, &format!("`{name}`"), expr)?;
        let node = self.answer_behind(data.node, expr)?;
        Some(WithArg::Prediction(node))
    }

    fn intervention_word(
        &mut self,
        value: Value,
        words: &[&str],
        expr: &'p Expr,
    ) -> Option<WithArg> {
        let value = match value {
            Value::Word(word) => Value::Text(word),
            other => other,
        };
        match value {
            Value::Text(text) if words.is_empty() => Some(WithArg::Text(text)),
            value => {
                let words: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
                match self.choice(value, &words, expr) {
                    Value::Choice(Choice::Known(word, _) | Choice::Open(word, _)) => {
                        Some(WithArg::Text(word))
                    }
                    _ => None,
                }
            }
        }
    }

    /// A condition inside an intervention, which changes the network for all samples alike.
    fn shared_condition(
        &mut self,
        condition: Condition,
        name: &str,
        expr: &Expr,
    ) -> Option<WithArg> {
        let is_found = |of: &[NodeId]| of.iter().any(|n| self.graph.stage(*n) == Stage::Sample);
        match condition {
            Condition::Known(plan::Condition::Unrelated { .. })
            | Condition::ClassOf(..)
            | Condition::PromptOf(..) => {}
            Condition::Known(condition) => return Some(WithArg::Condition(condition)),
            Condition::Open(_, nodes) if is_found(&nodes) => {}
            // What a parameter leaves open: any will do, since no graph is kept.
            Condition::Open(text, _) => return Some(WithArg::Text(text)),
        }
        let message = format!("`{name}` must be a condition that all samples share");
        let diagnostic = Diagnostic::new(Code::StepNeeded, message)
            .at(expr.span, "this differs from sample to sample")
            .help("write `negative`, `null`, `cond`, a `Prompt` input or `prompt(\"…\")`");
        self.report(diagnostic);
        None
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
