//! Inputs and resources as items: what a default may be, and what a classifier's arguments are.

use guide_grammar::ast::ResourceKind;
use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::InputDefault;
use crate::resolved::{Expr, ExprNode, Input, KindNode, PlainKind, Resource, ResourceValue};

use super::engine::Engine;
use super::value::Value;

/// What may be bound.
const BINDABLE: &str = "use `Mask`, `Map`, `Image`, `Prompt`, `Prompt[]`, `Table`, `Trajectory` or `Tokens`; a number is a parameter of the guide";

/// The arguments of a classifier: what each is, and an example.
const SETTINGS: [(&str, &str, &str); 5] = [
    ("sees", "`noisy`, `x0` or `image`", "noisy"),
    ("range", "a range from low to high", "-1..1"),
    ("size", "a whole number of pixels", "128"),
    ("normalise", "`none`, `imagenet` or `clip`", "imagenet"),
    ("activation", "`softplus` of a number", "softplus(3)"),
];

impl<'p> Engine<'p> {
    /// Checks an `input` item: its kind, and that its default is one.
    pub(crate) fn check_input(&mut self, input: &'p Input) {
        let bindable = match &input.kind.node {
            KindNode::Prompts | KindNode::Error => true,
            KindNode::Plain(plain) => matches!(
                plain,
                PlainKind::Mask
                    | PlainKind::Map
                    | PlainKind::Image
                    | PlainKind::Prompt
                    | PlainKind::Table
                    | PlainKind::Trajectory
                    | PlainKind::Tokens
            ),
            _ => false,
        };
        if bindable {
            self.input_default(input);
        } else {
            self.report(
                Diagnostic::new(Code::WrongKind, "an input cannot be of this kind")
                    .at(input.kind.span, "this kind cannot be bound")
                    .help(BINDABLE),
            );
        }
    }

    /// The default of an input; `None` where it has none, or a wrong one, which is reported.
    pub(crate) fn input_default(&mut self, input: &'p Input) -> Option<InputDefault> {
        let expr = input.default.as_ref()?;
        match &input.kind.node {
            KindNode::Error => None,
            KindNode::Prompts => self.texts(expr),
            KindNode::Plain(PlainKind::Prompt) => match self.expr(expr) {
                Value::Text(text) => Some(InputDefault::Text(text)),
                other => self.misfit(
                    &other,
                    "a text",
                    "write a text, as in `\"a drawing\"`",
                    expr,
                ),
            },
            KindNode::Plain(PlainKind::Table) => self.rows(expr),
            KindNode::Plain(kind @ (PlainKind::Map | PlainKind::Mask)) => {
                let value = self.known_number(expr)?;
                if *kind == PlainKind::Mask && !(0.0..=1.0).contains(&value) {
                    let message = format!(
                        "a `Mask` lies in 0..1, and its default is {}",
                        super::text::number(value)
                    );
                    self.report(
                        Diagnostic::new(Code::WrongKind, message).at(expr.span, "outside 0..1"),
                    );
                    return None;
                }
                Some(InputDefault::Number(value))
            }
            _ => {
                self.report(
                    Diagnostic::new(Code::WrongKind, "an input that is a file has no default")
                        .at(expr.span, "not a file")
                        .at(input.kind.span, "inputs of this kind are files")
                        .help("leave the default out, and bind it with `--bind NAME=FILE`"),
                );
                None
            }
        }
    }

    fn texts(&mut self, expr: &'p Expr) -> Option<InputDefault> {
        let help = "write a list of texts, as in `[\"red\", \"round\"]`";
        let parts = match self.expr(expr) {
            Value::List(parts) => parts,
            other => return self.misfit(&other, "a list of texts", help, expr),
        };
        let mut texts = Vec::new();
        for part in parts {
            match part {
                Value::Text(text) => texts.push(text),
                other => return self.misfit(&other, "a text", help, expr),
            }
        }
        Some(InputDefault::Texts(texts))
    }

    /// `[[0.1, 1], [0.5, 2]]`: rows of one length; `[1, 2]` has one column.
    fn rows(&mut self, expr: &'p Expr) -> Option<InputDefault> {
        let ExprNode::List(rows) = &expr.node else {
            let value = self.expr(expr);
            let help = "write rows of numbers, as in `[[0, 1], [0.5, 2]]`";
            return self.misfit(&value, "a table", help, expr);
        };
        let mut table: Vec<Vec<f64>> = Vec::new();
        for row in rows {
            let entries = match &row.node {
                ExprNode::List(entries) => entries.as_slice(),
                _ => std::slice::from_ref(row),
            };
            let numbers: Vec<f64> = entries
                .iter()
                .map(|entry| self.known_number(entry))
                .collect::<Option<_>>()?;
            if let Some(first) = table.first()
                && first.len() != numbers.len()
            {
                let message = format!(
                    "a table's rows are as long as its first, which has {}, and this has {}",
                    first.len(),
                    numbers.len()
                );
                self.report(
                    Diagnostic::new(Code::WrongKind, message).at(row.span, "of another length"),
                );
                return None;
            }
            table.push(numbers);
        }
        Some(InputDefault::Table(table))
    }

    /// A finite number that is known when the file is read.
    fn known_number(&mut self, expr: &'p Expr) -> Option<f64> {
        let value = self.expr(expr);
        let known = match &value {
            Value::Data(data) => self.graph.constant(data.node),
            _ => None,
        };
        match known {
            Some(number) if number.is_finite() => Some(number),
            _ => self.misfit(&value, "a finite number", "write a number", expr),
        }
    }

    fn misfit<T>(&mut self, found: &Value, wanted: &str, help: &str, expr: &Expr) -> Option<T> {
        if !found.is_error() {
            let found = found.describe();
            self.report(
                Diagnostic::new(
                    Code::WrongKind,
                    format!("{wanted} is needed here, and this is {found}"),
                )
                .at(expr.span, format!("this is {found}"))
                .help(help),
            );
        }
        None
    }

    /// Checks that the arguments of a classifier or loss are what they are to be; their names are
    /// known.
    pub(crate) fn check_resource(&mut self, resource: &'p Resource) {
        if resource.kind == ResourceKind::Model {
            return;
        }
        for (name, value) in &resource.args {
            match (name.node.as_str(), value) {
                ("range", ResourceValue::Range(from, to)) => self.check_range(from, to),
                ("range", ResourceValue::Expr(expr)) => self.not_as_wanted("range", expr.span),
                (name, _) if !SETTINGS.iter().any(|(known, ..)| *known == name) => {}
                (name, ResourceValue::Range(from, to)) => {
                    self.not_as_wanted(name, from.span.to(to.span));
                }
                ("size", ResourceValue::Expr(expr)) => {
                    if let Some(size) = self.known_number(expr)
                        && (size < 1.0 || size.fract() != 0.0 || size > f64::from(1 << 16))
                    {
                        self.not_as_wanted("size", expr.span);
                    }
                }
                ("activation", ResourceValue::Expr(expr)) => self.check_activation(expr),
                (name, ResourceValue::Expr(expr)) => {
                    if !matches!(expr.node, ExprNode::Word(_) | ExprNode::Error) {
                        self.not_as_wanted(name, expr.span);
                    }
                }
            }
        }
    }

    fn check_range(&mut self, from: &'p Expr, to: &'p Expr) {
        if let (Some(low), Some(high)) = (self.known_number(from), self.known_number(to))
            && low >= high
        {
            self.not_as_wanted("range", from.span.to(to.span));
        }
    }

    fn check_activation(&mut self, expr: &'p Expr) {
        if let ExprNode::Call(call) = &expr.node
            && let [only] = call.args.as_slice()
            && only.name.is_none()
        {
            self.known_number(&only.value);
        } else if !matches!(expr.node, ExprNode::Error) {
            self.not_as_wanted("activation", expr.span);
        }
    }

    fn not_as_wanted(&mut self, name: &str, span: Span) {
        let Some((_, wanted, example)) = SETTINGS.iter().find(|(known, ..)| *known == name) else {
            return;
        };
        self.report(
            Diagnostic::new(Code::WrongKind, format!("`{name}:` is {wanted}"))
                .at(span, "this is something else")
                .help(format!("write `{name}: {example}`")),
        );
    }
}
