//! Classifiers: what they are shown, what they answer, and what is made of the answers.

use guide_grammar::ast::ResourceKind;
use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{self, NodeId, Op, SpaceTerm};
use crate::plan::{Axes, Normalise, ReduceOp, Seen, Shape, Shown, Space};
use crate::primitives::Primitive;
use crate::resolved::{Arg, Expr, ExprNode, ItemKind, Resource, ResourceValue};

use super::super::builder::Meta;
use super::super::engine::Engine;
use super::super::value::{Data, Judge, Kind, Value};

/// What a classifier is asked about: the latent, and how it is shown.
struct Subject {
    node: NodeId,
    seen: Seen,
}

impl<'p> Engine<'p> {
    /// `classify(judge, of)`, `logits(judge, of)`
    pub(crate) fn classified(
        &mut self,
        primitive: Primitive,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let [Some(judge), Some(of)] = args else {
            return Value::Error;
        };
        let Some(logits) = self.asked(&judge.value, &of.value, span) else {
            return Value::Error;
        };
        if primitive == Primitive::Logits {
            return Value::Data(Data::of(Kind::Logits, logits));
        }
        let probs = self.scores(Op::Softmax(logits), "probabilities", span);
        Value::Data(Data::of(Kind::Probs, probs))
    }

    /// `log_prob(judge, of, class)`: a logit less the logarithm of the sum of all exponentials.
    pub(crate) fn log_prob(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(judge), Some(of), Some(class)] = args else {
            return Value::Error;
        };
        let logits = self.asked(&judge.value, &of.value, span);
        let value = self.expr(&class.value);
        let class = self.class_of(value, &class.value);
        let (Some(logits), Some(class)) = (logits, class) else {
            return Value::Error;
        };
        let own = self.graph.scalar(Op::Pick(logits, class), span);
        let all = self.graph.scalar(
            Op::Reduce {
                op: ReduceOp::LogSumExp,
                over: Axes::All,
                of: logits,
                with: None,
                level: None,
            },
            span,
        );
        Value::Data(self.opaque(Op::Sub(own, all), Kind::Scalar, false, span))
    }

    /// `value(loss, of)`: one number.
    pub(crate) fn value_of_loss(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(loss), Some(of)] = args else {
            return Value::Error;
        };
        let name = match self.expr(&loss.value) {
            Value::Judge(Judge::One(name, true)) => Some(name),
            Value::Error => None,
            other => {
                self.wrong_kind(&other, "a loss", loss.value.span, loss.value.span);
                None
            }
        };
        let subject = self.subject(&of.value);
        let (Some(name), Some(subject)) = (name, subject) else {
            return Value::Error;
        };
        if subject.seen != Seen::Image {
            let text = self.text(&of.value);
            return self.fail(
                Diagnostic::new(
                    Code::WrongKind,
                    format!("`{name}` is shown pictures, and this is a latent"),
                )
                .at(of.value.span, "this is a latent")
                .help(match subject.seen {
                    Seen::X0 => format!("write `decode({text})`"),
                    _ => "show it `decode(x0(…))`".to_string(),
                }),
            );
        }
        let judge = graph::Judge {
            classifier: name,
            loss: true,
            sees: Seen::Image,
            shown: Shown::default(),
            of: subject.node,
        };
        Value::Data(self.opaque(Op::Judge(Box::new(judge)), Kind::Scalar, false, span))
    }

    /// `probs[k]`
    pub(crate) fn pick(&mut self, of: &Data, class: Value, index: &'p Expr, span: Span) -> Value {
        match self.class_of(class, index) {
            Some(class) => {
                Value::Data(self.opaque(Op::Pick(of.node, class), Kind::Scalar, false, span))
            }
            None => Value::Error,
        }
    }

    /// `argmax(probs, except:)`
    pub(crate) fn argmax(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), except] = args else {
            return Value::Error;
        };
        let probs = match self.expr(&of.value) {
            Value::Error => return Value::Error,
            Value::Data(data) if matches!(data.kind, Kind::Probs | Kind::Logits) => data.node,
            other => return self.wrong_kind(&other, "`Probs`", span, of.value.span),
        };
        let mut left_out = None;
        if let Some(except) = except {
            let value = self.expr(&except.value);
            match self.class_of(value, &except.value) {
                Some(class) => left_out = Some(class),
                None => return Value::Error,
            }
        }
        let meta = Meta {
            shape: Shape::Class,
            space: None,
            kind: "class".into(),
        };
        let node = self.graph.add(Op::Argmax(probs, left_out), meta, span);
        Value::Data(Data {
            plain: false,
            ..Data::of(Kind::Class, node)
        })
    }

    /// `softmax` of what a classifier answers.
    pub(crate) fn softmax_of(&mut self, of: &Data, span: Span) -> Value {
        let probs = self.scores(Op::Softmax(of.node), "probabilities", span);
        Value::Data(Data::of(Kind::Probs, probs))
    }

    /// `decode(latent)`: a picture, for classifiers alone.
    pub(crate) fn decode(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let Some(Some(of)) = args.first() else {
            return Value::Error;
        };
        match self.expr(&of.value) {
            Value::Error => Value::Error,
            Value::Data(data)
                if matches!(data.kind, Kind::Latent | Kind::Raw | Kind::Open) || is_x0(&data) =>
            {
                Value::Data(self.picture(data.node, span))
            }
            other => self.not_shown(&other, "a clean latent", &of.value),
        }
    }

    /// The picture of a latent.
    pub(crate) fn picture(&mut self, latent: NodeId, span: Span) -> Data {
        let meta = Meta {
            shape: Shape::Tensor,
            space: None,
            kind: "picture".into(),
        };
        Data {
            plain: false,
            ..Data::of(
                Kind::Picture,
                self.graph.add(Op::Decode(latent), meta, span),
            )
        }
    }

    fn scores(&mut self, op: Op, kind: &str, span: Span) -> NodeId {
        let meta = Meta {
            shape: Shape::Scores,
            space: None,
            kind: kind.into(),
        };
        self.graph.add(op, meta, span)
    }

    /// The logits of a classifier that is shown something.
    fn asked(&mut self, judge: &'p Expr, of: &'p Expr, span: Span) -> Option<NodeId> {
        let whom = match self.expr(judge) {
            Value::Judge(whom) => Some(whom),
            Value::Error => None,
            other => {
                self.wrong_kind(&other, "a classifier", judge.span, judge.span);
                None
            }
        };
        let subject = self.subject(of);
        self.answer_of(&whom?, &subject?, of, span)
    }

    /// What a classifier is shown.
    fn subject(&mut self, of: &'p Expr) -> Option<Subject> {
        let data = match self.expr(of) {
            Value::Error => return None,
            Value::Data(data) => data,
            other => {
                self.not_shown(&other, "a latent or a picture", of);
                return None;
            }
        };
        let (node, seen) = match data.kind {
            Kind::Latent | Kind::Open => (data.node, Seen::Noisy),
            Kind::Raw => (data.node, Seen::X0),
            Kind::Picture => match self.graph.node(data.node).op {
                Op::Decode(latent) => (latent, Seen::Image),
                _ => (data.node, Seen::Image),
            },
            Kind::Tensor if is_x0(&data) => (data.node, Seen::X0),
            _ => {
                self.not_shown(&Value::Data(data), "a latent or a picture", of);
                return None;
            }
        };
        Some(Subject { node, seen })
    }

    fn not_shown(&mut self, found: &Value, wanted: &str, of: &Expr) -> Value {
        let text = self.text(of);
        let diagnostic = Diagnostic::new(
            Code::WrongKind,
            format!("{wanted} is needed, and this is {}", found.describe()),
        )
        .at(of.span, format!("this is {}", found.describe()));
        let is_tensor = matches!(found, Value::Data(data) if data.is_tensor());
        self.fail(match is_tensor {
            true => diagnostic
                .help(format!("write `x0({text})`"))
                .wrap(of.span, "x0"),
            false => diagnostic.help("show it `x`, a prediction as `x0(…)`, or `decode(x0(…))`"),
        })
    }

    /// The logits of one classifier, or of one of several by a step condition.
    fn answer_of(
        &mut self,
        whom: &Judge,
        subject: &Subject,
        of: &Expr,
        span: Span,
    ) -> Option<NodeId> {
        match whom {
            Judge::One(name, _) => self.answer_of_one(name, subject, of, span),
            Judge::If(test, a, b) => {
                let a = self.answer_of(a, subject, of, span);
                let b = self.answer_of(b, subject, of, span);
                Some(self.scores(Op::If(*test, a?, b?), "logits", span))
            }
        }
    }

    fn answer_of_one(
        &mut self,
        name: &str,
        subject: &Subject,
        of: &Expr,
        span: Span,
    ) -> Option<NodeId> {
        let program = self.program;
        let declared = program.items.iter().find_map(|item| match &item.kind {
            ItemKind::Resource(resource) if item.name.node == name => Some(resource),
            _ => None,
        })?;
        if declared.kind == ResourceKind::Loss {
            self.fail(
                Diagnostic::new(
                    Code::WrongKind,
                    format!("`{name}` is a loss, which has no classes"),
                )
                .at(span, "a classifier is needed")
                .help(format!("ask for its value: `value({name}, …)`")),
            );
            return None;
        }
        let stated = stated(declared);
        let sees = stated.map_or(subject.seen, |(seen, _)| seen);
        // A raw value may be shown as any latent.
        let raw = subject.seen == Seen::X0
            && self.graph.node(subject.node).space.is_none()
            && sees == Seen::Noisy;
        if let Some((seen, at)) = stated.filter(|(seen, _)| *seen != subject.seen && !raw) {
            let text = self.text(of);
            let shown = match subject.seen {
                Seen::Noisy => "a noisy latent",
                Seen::X0 => "a clean latent",
                Seen::Image => "a picture",
            };
            let help = match seen {
                Seen::Noisy => "show it `x`".to_string(),
                Seen::X0 => "show it a prediction as `x0(…)`".to_string(),
                Seen::Image if subject.seen == Seen::X0 => format!("write `decode({text})`"),
                Seen::Image => "show it `decode(x0(…))`".to_string(),
            };
            let message = format!("`{name}` sees `{}`, and this is {shown}", seen.name());
            self.fail(
                Diagnostic::new(Code::WrongKind, message)
                    .at(of.span, format!("this is {shown}"))
                    .at(at, "declared here")
                    .help(help),
            );
            return None;
        }
        let shown = self.shown(declared);
        let judge = graph::Judge {
            classifier: name.to_string(),
            loss: false,
            sees,
            shown,
            of: subject.node,
        };
        Some(self.scores(Op::Judge(Box::new(judge)), "logits", span))
    }

    /// How a classifier is shown what it sees; what is wrong with it is said at the item.
    fn shown(&mut self, declared: &'p Resource) -> Shown {
        let mut shown = Shown::default();
        for (name, value) in &declared.args {
            match (name.node.as_str(), value) {
                ("range", ResourceValue::Range(from, to)) => {
                    shown.range = self.quiet_number(from).zip(self.quiet_number(to));
                }
                ("size", ResourceValue::Expr(expr)) => {
                    shown.size = self.quiet_number(expr).map(|size| size as u32);
                }
                ("normalise", ResourceValue::Expr(expr)) => {
                    shown.normalise = match &expr.node {
                        ExprNode::Word(word) => Normalise::find(word),
                        _ => None,
                    };
                }
                ("activation", ResourceValue::Expr(expr)) => {
                    if let ExprNode::Call(call) = &expr.node
                        && let [only] = call.args.as_slice()
                    {
                        shown.softplus = self.quiet_number(&only.value);
                    }
                }
                _ => {}
            }
        }
        shown
    }

    /// A number of an item's argument.
    fn quiet_number(&mut self, expr: &'p Expr) -> Option<f64> {
        match self.expr(expr) {
            Value::Data(data) => self.graph.constant(data.node),
            _ => None,
        }
    }

    /// A class; says so where it is none.
    pub(crate) fn class_of(&mut self, value: Value, expr: &'p Expr) -> Option<NodeId> {
        match value {
            Value::Error => None,
            Value::Data(data) if matches!(data.kind, Kind::Class | Kind::Open) => Some(data.node),
            Value::Data(data) if data.kind == Kind::Scalar => {
                let known = self.graph.constant(data.node).is_some();
                let whole = self.whole(&data, "a class", expr.span);
                if let Some(number) = whole.filter(|number| *number < 0) {
                    self.fail(
                        Diagnostic::new(Code::NotWhole, format!("there is no class {number}"))
                            .at(expr.span, "classes are counted from 0"),
                    );
                    return None;
                }
                (whole.is_some() || !known).then_some(data.node)
            }
            other => {
                self.wrong_kind(&other, "a class", expr.span, expr.span);
                None
            }
        }
    }
}

fn is_x0(data: &Data) -> bool {
    data.is_tensor() && data.space == SpaceTerm::Named(Space::X0)
}

/// What a classifier's item says that it sees, and where.
fn stated(declared: &Resource) -> Option<(Seen, Span)> {
    declared.args.iter().find_map(|(name, value)| match value {
        ResourceValue::Expr(expr) if name.node == "sees" => match &expr.node {
            ExprNode::Word(word) => Some((Seen::find(word)?, expr.span)),
            _ => None,
        },
        _ => None,
    })
}
