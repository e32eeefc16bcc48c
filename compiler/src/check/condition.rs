//! Conditions, prompts, tables and what is picked out of them.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op, Stage};
use crate::plan;
use crate::resolved::{Arg, Call, Expr};

use super::engine::Engine;
use super::value::{Condition, Data, Kind, Source, Value};

impl<'p> Engine<'p> {
    /// `prompts[k]`, `table[i]`, `probs[k]`
    pub(crate) fn index(&mut self, of: &'p Expr, index: &'p Expr, span: Span) -> Value {
        let value = self.expr(of);
        let at = self.expr(index);
        match value {
            Value::Error => Value::Error,
            Value::Prompts(source) => self.prompt_at(source, at, of, index, span),
            Value::Table(source) => match self.place(at, "a row", index) {
                Some(row) => Value::Row(source, row),
                None => Value::Error,
            },
            Value::Row(source, row) => match self.place(at, "a column", index) {
                Some(column) => self.entry(source, row, column, span),
                None => Value::Error,
            },
            Value::Data(data) if matches!(data.kind, Kind::Probs | Kind::Logits) => {
                self.pick(&data, at, index, span)
            }
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("{} has no entries", other.describe()),
                )
                .at(of.span, format!("this is {}", other.describe()))
                .help("entries are taken of `Prompt[]`, `Table` and `Probs`");
                self.fail(diagnostic)
            }
        }
    }

    fn prompt_at(
        &mut self,
        source: Source,
        at: Value,
        of: &Expr,
        index: &Expr,
        span: Span,
    ) -> Value {
        let class = matches!(&at, Value::Data(d) if d.kind == Kind::Class);
        let data = match at {
            Value::Data(data) if matches!(data.kind, Kind::Scalar | Kind::Class) => data,
            Value::Error => return Value::Error,
            other => return self.wrong_kind(&other, "the number of a prompt", of.span, index.span),
        };
        let text = format!("{}[{}]", self.text(of), self.text(index));
        if class {
            return Value::Condition(match source {
                Source::Input(id) => Condition::PromptOf(id, data.node, self.text(index)),
                Source::Parameter(_) => Condition::Open(text, vec![data.node]),
            });
        }
        let number = self.whole(&data, "the number of a prompt", index.span);
        if number.is_none() && self.graph.stage(data.node) > Stage::Const {
            return Value::Error;
        }
        match (source, number) {
            (Source::Input(id), Some(number)) => {
                let count = self.inputs.get(id.index()).and_then(|i| i.count);
                let bad = number < 0 || count.is_some_and(|count| number >= i64::from(count));
                if bad {
                    let name = self
                        .inputs
                        .get(id.index())
                        .map_or("", |i| i.name.as_str())
                        .to_string();
                    let found = count.map_or_else(String::new, |c| format!(", and {c} are bound"));
                    let diagnostic = Diagnostic::new(
                        Code::NotWhole,
                        format!("`{name}[{number}]` is asked for{found}"),
                    )
                    .at(span, "there is no such prompt")
                    .help(format!("count from 0 to `count({name}) - 1`"));
                    return self.fail(diagnostic);
                }
                Value::Condition(Condition::Known(plan::Condition::PromptAt(
                    id,
                    number as u32,
                )))
            }
            _ => Value::Condition(Condition::Open(text, vec![data.node])),
        }
    }

    /// A row or a column of a table. What changes from step to step is looked at by the plan, which
    /// knows the steps that ask for it.
    fn place(&mut self, at: Value, what: &str, index: &'p Expr) -> Option<NodeId> {
        let data = self.step_scalar(at, what, index)?;
        if self.graph.stage(data.node) == Stage::Const {
            let known = self.graph.constant(data.node).is_some();
            let number = self.whole(&data, what, index.span);
            if known && number.is_none() {
                return None;
            }
        }
        Some(data.node)
    }

    /// An entry of a table, a scalar.
    pub(crate) fn entry(
        &mut self,
        source: Source,
        row: NodeId,
        column: NodeId,
        span: Span,
    ) -> Value {
        let (name, op) = match source {
            Source::Input(id) => {
                let name = self
                    .inputs
                    .get(id.index())
                    .map_or("", |i| i.name.as_str())
                    .to_string();
                (name, Op::Entry(id, row, column))
            }
            Source::Parameter(name) => {
                let op = Op::Parameter(format!("{name}[{}][{}]", row.0, column.0));
                (name, op)
            }
        };
        let node = self.graph.scalar(op, span);
        Value::Data(self.opaque_scalar(node, |_| format!("({name}[…])")))
    }

    /// `count(prompts)`
    pub(crate) fn count(&mut self, call: &'p Call, span: Span) -> Value {
        let Some(bound) = self.bind_args(call, &[("prompts", false)]) else {
            return Value::Error;
        };
        let Some(Some(arg)) = bound.into_iter().next() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        let op = match value {
            Value::Error => return Value::Error,
            Value::Prompts(Source::Input(id)) => {
                match self.inputs.get(id.index()).and_then(|i| i.count) {
                    Some(count) => Op::Number(f64::from(count)),
                    None => Op::Count(id),
                }
            }
            Value::Prompts(Source::Parameter(name)) => Op::Parameter(format!("count({name})")),
            other => {
                return self.wrong_kind(&other, "a `Prompt[]`", call.name.span, arg.value.span);
            }
        };
        let node = self.graph.scalar(op, span);
        let text = format!("count({})", self.text(&arg.value));
        Value::Data(self.opaque_scalar(node, |_| text))
    }

    /// `prompt("text")`
    pub(crate) fn prompt(&mut self, call: &'p Call) -> Value {
        let Some(bound) = self.bind_args(call, &[("text", false)]) else {
            return Value::Error;
        };
        let Some(Some(arg)) = bound.into_iter().next() else {
            return Value::Error;
        };
        match self.expr(&arg.value) {
            Value::Text(text) => Value::Condition(Condition::Known(plan::Condition::Text(text))),
            Value::Error => Value::Error,
            other => self.wrong_kind(&other, "a text in quotes", call.name.span, arg.value.span),
        }
    }

    /// `class(3)`, `class(rival)`
    pub(crate) fn class(&mut self, call: &'p Call) -> Value {
        let Some(bound) = self.bind_args(call, &[("number", false)]) else {
            return Value::Error;
        };
        let Some(Some(arg)) = bound.into_iter().next() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        let text = self.text(&arg.value);
        match value {
            Value::Error => Value::Error,
            Value::Data(Data {
                kind: Kind::Class,
                node,
                ..
            }) => Value::Condition(Condition::ClassOf(node, text)),
            Value::Data(data) if data.kind == Kind::Scalar => {
                match self.whole(&data, "a class", arg.value.span) {
                    Some(number) if (0..=i64::from(u32::MAX)).contains(&number) => {
                        Value::Condition(Condition::Known(plan::Condition::Class(number as u32)))
                    }
                    Some(number) => {
                        let diagnostic =
                            Diagnostic::new(Code::NotWhole, format!("there is no class {number}"))
                                .at(arg.value.span, "classes are counted from 0");
                        self.fail(diagnostic)
                    }
                    None if self.graph.stage(data.node) == Stage::Const
                        && self.graph.constant(data.node).is_none() =>
                    {
                        Value::Condition(Condition::Open(format!("class({text})"), vec![data.node]))
                    }
                    None => Value::Error,
                }
            }
            other => self.wrong_kind(
                &other,
                "a class or its number",
                call.name.span,
                arg.value.span,
            ),
        }
    }

    /// `unrelated(to:, salt:)`
    pub(crate) fn unrelated(&mut self, args: &[Option<&'p Arg>]) -> Value {
        let [to, salt] = args else {
            return Value::Error;
        };
        let to = match to {
            None => Some(Condition::Known(plan::Condition::Cond)),
            Some(arg) => {
                let value = self.expr(&arg.value);
                self.condition(value, &arg.value)
            }
        };
        let (Some(to), Some(key)) = (to, self.key("unrelated", *salt)) else {
            return Value::Error;
        };
        Value::Condition(match to {
            Condition::Known(to) => Condition::Known(plan::Condition::Unrelated {
                to: Box::new(to.related().clone()),
                key,
            }),
            Condition::ClassOf(node, text) => {
                Condition::Open(format!("unrelated(class({text}))"), vec![node])
            }
            Condition::PromptOf(_, node, text) => {
                Condition::Open(format!("unrelated(prompts[{text}])"), vec![node])
            }
            Condition::Open(text, nodes) => Condition::Open(format!("unrelated({text})"), nodes),
        })
    }

    /// The condition of a prediction; says so where it is none.
    pub(crate) fn condition(&mut self, value: Value, expr: &Expr) -> Option<Condition> {
        match value {
            Value::Error => None,
            Value::Condition(condition) => Some(condition),
            other => {
                let help = match &other {
                    Value::Text(text) => format!("write `prompt({})`", super::text::quoted(text)),
                    Value::Data(d) if matches!(d.kind, Kind::Class | Kind::Scalar) => format!("write `class({})`", self.text(expr)),
                    Value::Prompts(_) => format!("take one of them, as in `{}[0]`", self.text(expr)),
                    _ => "write `cond`, `uncond`, `negative`, `null`, a `Prompt` input, `prompt(\"…\")`, `class(…)` or `unrelated(…)`".to_string(),
                };
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("a condition is needed, and this is {}", other.describe()),
                )
                .at(expr.span, format!("this is {}", other.describe()))
                .help(help);
                let diagnostic = match &other {
                    Value::Text(_) => diagnostic.wrap(expr.span, "prompt"),
                    Value::Data(d) if matches!(d.kind, Kind::Class | Kind::Scalar) => {
                        diagnostic.wrap(expr.span, "class")
                    }
                    _ => diagnostic,
                };
                self.report(diagnostic);
                None
            }
        }
    }
}
