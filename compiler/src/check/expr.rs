//! Expressions and blocks.

use guide_grammar::ast::{BinaryOp, UnaryOp};
use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op, SpaceTerm, Stage, TickName};
use crate::plan::{self, Shape};
use crate::primitives::CONTEXT_WORDS;
use crate::resolved::{Block, Expr, ExprNode, Input, ItemId, ItemKind, KindNode, Let, PlainKind};

use super::builder::Meta;
use super::combine::Sides;
use super::engine::Engine;
use super::value::{
    Condition, Data, Judge, Kind, Origin, Outcome, PlainInput, Point, Source, Value,
};
use super::weight::{Rational, Weight};

impl<'p> Engine<'p> {
    /// The value of a block: its `let`s in order, then its expression.
    pub(crate) fn block(&mut self, block: &'p Block) -> Value {
        for binding in &block.lets {
            self.binding(binding);
        }
        self.expr(&block.value)
    }

    fn binding(&mut self, binding: &'p Let) {
        let mut value = self.expr(&binding.value);
        if let Some(kind) = &binding.kind {
            value = self.coerce(value, kind, &binding.value);
        }
        if !binding.tuple {
            if let Value::Tuple(parts) = &value {
                let names: Vec<String> = (0..parts.len()).map(|i| format!("part{i}")).collect();
                value = self.fail(
                    Diagnostic::new(Code::TupleShape, "a tuple has no name of its own")
                        .at(
                            binding.value.span,
                            format!("this gives {} values", parts.len()),
                        )
                        .help(format!("write `let ({}) = …`", names.join(", "))),
                );
            }
            if let Some(Some(local)) = binding.targets.first() {
                self.bind(*local, value, binding);
            }
            return;
        }
        let parts = match value {
            Value::Tuple(parts) if parts.len() == binding.targets.len() => parts,
            Value::Error => vec![Value::Error; binding.targets.len()],
            other => {
                let (found, given) = match &other {
                    Value::Tuple(parts) => (
                        format!("this gives {} values", parts.len()),
                        format!("{} values", parts.len()),
                    ),
                    other => (format!("this is {}", other.describe()), other.describe()),
                };
                self.report(
                    Diagnostic::new(
                        Code::TupleShape,
                        format!("{} names are bound to {given}", binding.targets.len()),
                    )
                    .at(binding.value.span, found)
                    .help(
                        "name as many parts as there are, and write `_` for one that is not needed",
                    ),
                );
                vec![Value::Error; binding.targets.len()]
            }
        };
        for (target, part) in binding.targets.iter().zip(parts) {
            if let Some(local) = target {
                self.bind(*local, part, binding);
            }
        }
    }

    /// The value of an expression.
    pub(crate) fn expr(&mut self, expr: &'p Expr) -> Value {
        if !self.may_go_on(expr.span) {
            return Value::Error;
        }
        let value = self.form(expr);
        if let Value::Data(data) = &value
            && data.kind.is_factor()
        {
            self.describe_unknown(data.node, expr);
        }
        self.observe(expr.span, &value);
        value
    }

    fn form(&mut self, expr: &'p Expr) -> Value {
        match &expr.node {
            ExprNode::Error => Value::Error,
            ExprNode::Number(text) => self.number(text, expr.span),
            ExprNode::String(text) => Value::Text(text.clone()),
            ExprNode::Bool(value) => {
                let node = self.graph.bool(Op::Bool(*value), expr.span);
                Value::Data(Data::of(Kind::Bool, node))
            }
            ExprNode::Local(local) => {
                let value = self
                    .frame()
                    .and_then(|f| f.locals.get(local.index()).cloned().flatten());
                value.unwrap_or(Value::Error)
            }
            ExprNode::Item(item) => self.item(*item, expr.span),
            ExprNode::Word(word) => self.word(word, expr.span),
            ExprNode::Call(call) => self.call(call, expr.span),
            ExprNode::Prev(prev) => self.prev(prev, expr.span),
            ExprNode::Tuple(parts) => Value::Tuple(parts.iter().map(|p| self.expr(p)).collect()),
            ExprNode::List(parts) => Value::List(parts.iter().map(|p| self.expr(p)).collect()),
            ExprNode::Index(of, index) => self.index(of, index, expr.span),
            ExprNode::Unary(UnaryOp::Neg, of) => {
                let value = self.expr(of);
                self.negate(value, of, expr.span)
            }
            ExprNode::Unary(UnaryOp::Not, of) => {
                let value = self.expr(of);
                match self.truth(value, of) {
                    Some(data) => {
                        let node = self.graph.bool(Op::Not(data.node), expr.span);
                        Value::Data(Data::of(Kind::Bool, node))
                    }
                    None => Value::Error,
                }
            }
            ExprNode::Binary(left, op, right) => match op.node {
                BinaryOp::And => self.lazy(left, right, true, expr.span),
                BinaryOp::Or => self.lazy(left, right, false, expr.span),
                _ => {
                    let (a, b) = (self.expr(left), self.expr(right));
                    let sides = Sides {
                        left,
                        right,
                        span: expr.span,
                        at: op.span,
                    };
                    self.binary(op.node, a, b, sides)
                }
            },
            ExprNode::In(value, range) => {
                let subject = self.expr(value);
                match self.window(&subject, value, range, expr.span) {
                    Some(node) => Value::Data(Data::of(Kind::Bool, node)),
                    None => Value::Error,
                }
            }
            ExprNode::If(condition, then, otherwise) => {
                self.if_(condition, then, otherwise, expr.span)
            }
            ExprNode::Match(subject, arms) => self.match_(subject, arms, expr.span),
            ExprNode::Total(local, range, body) => self.total(*local, range, body, expr.span),
        }
    }

    fn number(&mut self, text: &str, span: Span) -> Value {
        let value = text.parse::<f64>().unwrap_or(f64::NAN);
        let node = self.graph.number(value, span);
        let weight = match Rational::parse(text) {
            Some(exact) => Weight::number(exact),
            None => self.node_weight(node, |_| text.to_string()),
        };
        Value::Data(Data {
            weight,
            ..Data::of(Kind::Scalar, node)
        })
    }

    /// A scalar whose value is an unknown of its own.
    pub(crate) fn opaque_scalar(
        &mut self,
        node: NodeId,
        text: impl FnOnce(&Self) -> String,
    ) -> Data {
        let weight = self.node_weight(node, text);
        Data {
            weight,
            ..Data::of(Kind::Scalar, node)
        }
    }

    /// A built-in value or contextual word.
    pub(crate) fn word(&mut self, word: &str, span: Span) -> Value {
        if let Some(name) = tick_name(word) {
            if self.graph.objective && name.is_of_the_way() {
                return self.fail(
                    Diagnostic::new(
                        Code::WrongKind,
                        format!("`{word}` is known only in a guide"),
                    )
                    .at(
                        span,
                        "an objective draws its noise, and no step leads anywhere",
                    )
                    .help("use `t`, `alpha` and `sigma`, which are those of the drawn noise"),
                );
            }
            let node = self.graph.tick(name, span);
            return Value::Data(self.opaque_scalar(node, |_| word.to_string()));
        }
        match word {
            "x" => Value::Data(Data::of(Kind::Latent, self.graph.latent(span))),
            "target" => {
                let meta = Meta {
                    shape: Shape::Class,
                    space: None,
                    kind: "class".into(),
                };
                Value::Data(Data::of(
                    Kind::Class,
                    self.graph.add(Op::Target, meta, span),
                ))
            }
            "pi" | "inf" => {
                let value = if word == "pi" {
                    std::f64::consts::PI
                } else {
                    f64::INFINITY
                };
                let node = self.graph.number(value, span);
                Value::Data(self.opaque_scalar(node, |_| word.to_string()))
            }
            "noise" => self.noise(span),
            "hold" => Value::Outcome(Outcome::Hold),
            "cond" => Value::Condition(Condition::Known(plan::Condition::Cond)),
            "uncond" | "negative" => Value::Condition(Condition::Known(plan::Condition::Uncond)),
            "null" => Value::Condition(Condition::Known(plan::Condition::Null)),
            "main" => Value::Model(None),
            "none" => Value::Interventions(Vec::new()),
            word if CONTEXT_WORDS.contains(&word) => Value::Word(word.to_string()),
            _ => Value::Error,
        }
    }

    /// The noise of an objective: a prediction in eps.
    fn noise(&mut self, span: Span) -> Value {
        if !self.graph.objective {
            return self.fail(
                Diagnostic::new(Code::WrongKind, "`noise` is known only in an objective")
                    .at(span, "a guide is not told the noise in `x`")
                    .help("write `eps(predict(cond))` for the noise that the network sees"),
            );
        }
        let space = SpaceTerm::Named(plan::Space::Eps);
        let meta = Meta {
            shape: Shape::Tensor,
            space: Some(space.clone()),
            kind: "prediction in eps".into(),
        };
        let node = self
            .graph
            .add(Op::Gaussian(plan::DRAWN_NOISE.into()), meta, span);
        let data = Data {
            weight: Weight::one(),
            space,
            origin: Origin::At(Point::default()),
            ..Data::of(Kind::Tensor, node)
        };
        self.remember_affinity(&data);
        Value::Data(data)
    }

    /// A guide, model, classifier, loss or input by name.
    fn item(&mut self, item: ItemId, span: Span) -> Value {
        let Some(found) = self.program.items.get(item.index()) else {
            return Value::Error;
        };
        let name = found.name.node.clone();
        match &found.kind {
            ItemKind::Function(_) => self.closure(item, &[], span),
            ItemKind::Resource(resource) => match resource.kind {
                guide_grammar::ast::ResourceKind::Model => Value::Model(Some(name)),
                kind => Value::Judge(Judge::One(
                    name,
                    kind == guide_grammar::ast::ResourceKind::Loss,
                )),
            },
            ItemKind::Input(input) => self.input(&name, input, span),
        }
    }

    /// A list of prompts to which none is bound: a plan must know how many there are. Said once, however
    /// often the list is used.
    fn no_prompts(&mut self, name: &str, input: &Input, span: Span) -> Value {
        let message = format!("no prompt is bound to the list `{name}`");
        if self.bag.iter().any(|said| said.message == message) {
            return Value::Error;
        }
        let diagnostic = Diagnostic::new(Code::NotBound, message)
            .at(span, "the plan depends on how many there are")
            .at(input.kind.span, "declared here")
            .help(format!("add `--bind {name}=TEXT`, once for each prompt"));
        self.fail(diagnostic)
    }

    fn input(&mut self, name: &str, input: &Input, span: Span) -> Value {
        let (text, kind) = match &input.kind.node {
            KindNode::Prompts => ("Prompt[]", None),
            KindNode::Plain(plain) => (plain_name(*plain), Some(*plain)),
            _ => return Value::Error,
        };
        let id = self.input_id(name, text);
        if self
            .inputs
            .get(id.index())
            .is_some_and(|i| i.count == Some(0))
        {
            return self.no_prompts(name, input, span);
        }
        let source = Source::Input(id);
        match (text, kind) {
            ("Prompt[]", _) => Value::Prompts(source),
            (_, Some(PlainKind::Prompt)) => {
                Value::Condition(Condition::Known(plan::Condition::Prompt(id)))
            }
            (_, Some(PlainKind::Table)) => Value::Table(source),
            (_, Some(PlainKind::Image)) => Value::Plain(PlainInput::Image, source),
            (_, Some(PlainKind::Trajectory)) => Value::Plain(PlainInput::Trajectory, source),
            (_, Some(PlainKind::Tokens)) => Value::Plain(PlainInput::Tokens, source),
            (_, Some(PlainKind::Map | PlainKind::Mask)) => {
                let meta = Meta {
                    shape: Shape::Map,
                    space: None,
                    kind: "map".into(),
                };
                let node = self.graph.add(Op::Input(id), meta, span);
                let name = name.to_string();
                let weight = self.node_weight(node, |_| name);
                Value::Data(Data {
                    weight,
                    ..Data::of(Kind::Map, node)
                })
            }
            // Said where the item is checked.
            _ => Value::Error,
        }
    }

    fn input_id(&mut self, name: &str, kind: &str) -> plan::InputId {
        if let Some(at) = self.inputs.iter().position(|i| i.name == name) {
            return plan::InputId(at as u32);
        }
        // Any file that uses the input may give the default.
        let stated = self.program.items.iter().find_map(|item| match &item.kind {
            ItemKind::Input(input) if item.name.node == name && input.default.is_some() => {
                Some(input)
            }
            _ => None,
        });
        let mut default = stated.and_then(|input| self.input_default(input));
        let count = match self.mode {
            super::engine::Mode::Inline(request) if kind == "Prompt[]" => {
                match request.prompt_counts.iter().find(|(n, _)| n == name) {
                    Some((_, count)) => {
                        // The plan is made for so many prompts, not for the default's.
                        default = None;
                        Some(*count)
                    }
                    None => Some(match &default {
                        Some(plan::InputDefault::Texts(texts)) => texts.len() as u32,
                        _ => 0,
                    }),
                }
            }
            _ => None,
        };
        self.inputs.push(plan::Input {
            name: name.to_string(),
            kind: kind.to_string(),
            count,
            default,
        });
        plan::InputId(self.inputs.len() as u32 - 1)
    }

    /// A const whole number, where it is known. Says so where it is not const or not whole.
    pub(crate) fn whole(&mut self, data: &Data, what: &str, span: Span) -> Option<i64> {
        if self.graph.stage(data.node) > Stage::Const {
            self.needs_const(what, data, span);
            return None;
        }
        let value = self.graph.constant(data.node)?;
        if value.fract() != 0.0 || value.abs() > 1e15 {
            self.report(
                Diagnostic::new(
                    Code::NotWhole,
                    format!(
                        "{what} is {}, which is not whole",
                        super::text::number(value)
                    ),
                )
                .at(span, "this must be a whole number"),
            );
            return None;
        }
        Some(value as i64)
    }

    pub(crate) fn needs_const(&mut self, what: &str, data: &Data, span: Span) {
        let why = match self.graph.stage(data.node) {
            Stage::Sample => "only the run knows this",
            _ => "this changes from step to step",
        };
        self.report(
            Diagnostic::new(
                Code::ConstNeeded,
                format!("{what} must be known when the plan is made"),
            )
            .at(span, why)
            .help("use a number, a parameter, `steps` or `count(...)`"),
        );
    }
}

impl Data {
    /// A value without space, weight or origin.
    pub(crate) fn of(kind: Kind, node: NodeId) -> Data {
        Data {
            kind,
            node,
            weight: Weight::zero(),
            space: SpaceTerm::Native,
            pinned: false,
            plain: true,
            origin: Origin::Free,
        }
    }
}

/// The name of the step that a word is.
pub(crate) fn tick_name(word: &str) -> Option<TickName> {
    Some(match word {
        "step" => TickName::Step,
        "steps" => TickName::Steps,
        "substep" => TickName::Substep,
        "progress" => TickName::Progress,
        "fraction" => TickName::Fraction,
        "t" => TickName::T,
        "t1000" => TickName::T1000,
        "alpha" => TickName::Alpha,
        "sigma" => TickName::Sigma,
        "sigma_ratio" => TickName::SigmaRatio,
        "snr" => TickName::Snr,
        "log_snr" => TickName::LogSnr,
        "posterior_variance" => TickName::PosteriorVariance,
        "alpha_next" => TickName::AlphaNext,
        "sigma_next" => TickName::SigmaNext,
        "t_next" => TickName::TNext,
        _ => return None,
    })
}

/// A kind as users write it.
pub(crate) fn plain_name(kind: PlainKind) -> &'static str {
    match kind {
        PlainKind::Latent => "Latent",
        PlainKind::Map => "Map",
        PlainKind::Mask => "Mask",
        PlainKind::PerChannel => "PerChannel",
        PlainKind::Raw => "Raw",
        PlainKind::Class => "Class",
        PlainKind::Probs => "Probs",
        PlainKind::Logits => "Logits",
        PlainKind::Layers => "Layers",
        PlainKind::Axes => "Axes",
        PlainKind::Prompt => "Prompt",
        PlainKind::Image => "Image",
        PlainKind::Table => "Table",
        PlainKind::Trajectory => "Trajectory",
        PlainKind::Tokens => "Tokens",
        PlainKind::Guide => "Guide",
        PlainKind::Outcome => "Outcome",
    }
}
