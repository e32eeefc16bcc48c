//! A value where a kind is stated: a parameter, a named `let`, a result.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::graph::SpaceTerm;
use crate::plan::{Axes, LayerTerm, Layers};
use crate::resolved::{Expr, Kind as Stated, KindNode, PlainKind, SpaceName};

use super::engine::Engine;
use super::expr::plain_name;
use super::value::{Choice, Data, Kind, Outcome, PlainInput, Value, space_text};
use super::weight::Weight;

impl<'p> Engine<'p> {
    /// `value` as the stated kind; says so where it is not one.
    pub(crate) fn coerce(&mut self, value: Value, kind: &'p Stated, expr: &'p Expr) -> Value {
        let value = match &kind.node {
            KindNode::Plain(PlainKind::Table) => value,
            _ => self.flatten(value, expr.span),
        };
        if value.is_error() {
            return value;
        }
        match &kind.node {
            KindNode::Error => Value::Error,
            KindNode::Scalar => self.expect_data(value, Kind::Scalar, kind, expr),
            KindNode::Bool => self.expect_data(value, Kind::Bool, kind, expr),
            KindNode::Choice(words) => self.choice(value, words, expr),
            KindNode::Prediction(space) => {
                self.stated_tensor(value, space, Some(Weight::one()), kind, expr)
            }
            KindNode::Direction(space) => {
                self.stated_tensor(value, space, Some(Weight::zero()), kind, expr)
            }
            KindNode::Tensor(space) => self.stated_tensor(value, space, None, kind, expr),
            KindNode::Plain(plain) => self.plain(value, *plain, kind, expr),
            KindNode::Prompts => match value {
                value @ Value::Prompts(_) => value,
                other => self.wrong_kind(&other, "a `Prompt[]`", kind.span, expr.span),
            },
            KindNode::Tuple(kinds) => match value {
                Value::Tuple(parts) if parts.len() == kinds.len() => Value::Tuple(
                    parts
                        .into_iter()
                        .zip(kinds)
                        .map(|(part, kind)| self.coerce(part, kind, expr))
                        .collect(),
                ),
                other => {
                    let diagnostic = Diagnostic::new(
                        Code::TupleShape,
                        format!(
                            "a tuple of {} is stated and {} is given",
                            kinds.len(),
                            other.describe()
                        ),
                    )
                    .at(expr.span, format!("this is {}", other.describe()))
                    .at(kind.span, "stated here");
                    self.fail(diagnostic)
                }
            },
        }
    }

    fn expect_data(&mut self, value: Value, wanted: Kind, kind: &Stated, expr: &Expr) -> Value {
        match value {
            Value::Data(data) if data.kind == wanted || data.kind == Kind::Open => {
                Value::Data(Data {
                    kind: wanted,
                    ..data
                })
            }
            other => {
                let what = if wanted == Kind::Scalar {
                    "a `Scalar`"
                } else {
                    "a `Bool`"
                };
                self.wrong_kind(&other, what, kind.span, expr.span)
            }
        }
    }

    fn plain(&mut self, value: Value, plain: PlainKind, kind: &'p Stated, expr: &'p Expr) -> Value {
        let name = format!("a `{}`", plain_name(plain));
        let data = |wanted: Kind, value: Value, engine: &mut Self| match value {
            Value::Data(data) if data.kind == wanted || data.kind == Kind::Open => {
                Value::Data(Data {
                    kind: wanted,
                    ..data
                })
            }
            Value::Data(data) if engine.is_zero(&data) && wanted.is_factor() => Value::Data(Data {
                kind: wanted,
                ..data
            }),
            other => engine.wrong_kind(&other, &name, kind.span, expr.span),
        };
        match (plain, value) {
            (PlainKind::Latent, v) => data(Kind::Latent, v, self),
            (PlainKind::Map | PlainKind::Mask, v) => data(Kind::Map, v, self),
            (PlainKind::PerChannel, v) => data(Kind::PerChannel, v, self),
            (PlainKind::Raw, v) => data(Kind::Raw, v, self),
            (PlainKind::Probs, v) => data(Kind::Probs, v, self),
            (PlainKind::Logits, v) => data(Kind::Logits, v, self),
            (PlainKind::Class, Value::Data(d)) if d.kind == Kind::Scalar => {
                match self.whole(&d, "a class", expr.span) {
                    Some(_) => Value::Data(Data {
                        kind: Kind::Class,
                        ..d
                    }),
                    None => Value::Error,
                }
            }
            (PlainKind::Class, v) => data(Kind::Class, v, self),
            (PlainKind::Layers, v) => match self.layers(v, expr) {
                Some(layers) => Value::Layers(layers),
                None => Value::Error,
            },
            (PlainKind::Axes, v) => match self.axes(v, expr) {
                Some(axes) => Value::Axes(axes),
                None => Value::Error,
            },
            (PlainKind::Prompt, v @ Value::Condition(_))
            | (PlainKind::Table, v @ (Value::Table(_) | Value::List(_)))
            | (PlainKind::Image, v @ Value::Plain(PlainInput::Image, _))
            | (PlainKind::Trajectory, v @ Value::Plain(PlainInput::Trajectory, _))
            | (PlainKind::Tokens, v @ Value::Plain(PlainInput::Tokens, _))
            | (PlainKind::Guide, v @ Value::Guide(_))
            | (PlainKind::Outcome, v @ Value::Outcome(_)) => v,
            (PlainKind::Outcome, v @ Value::Data(_)) => match self.outcome(v, expr) {
                Some(outcome) => Value::Outcome(outcome),
                None => Value::Error,
            },
            (_, other) => self.wrong_kind(&other, &name, kind.span, expr.span),
        }
    }

    fn stated_tensor(
        &mut self,
        value: Value,
        space: &SpaceName,
        weight: Option<Weight>,
        kind: &'p Stated,
        expr: &'p Expr,
    ) -> Value {
        let name = match &weight {
            Some(w) if w.is_one() => "a `Prediction`",
            Some(_) => "a `Direction`",
            None => "a `Tensor`",
        };
        let (stated, pinned) = self.stated_space(space);
        let data = match value {
            Value::Data(data) if data.kind == Kind::Open => {
                let space = stated.unwrap_or(SpaceTerm::Native);
                return Value::Data(Data {
                    kind: Kind::Tensor,
                    space,
                    ..data
                });
            }
            Value::Data(data)
                if self.is_zero(&data) && weight.as_ref().is_some_and(Weight::is_zero) =>
            {
                let space = stated.unwrap_or(SpaceTerm::Native);
                return Value::Data(Data {
                    kind: Kind::Tensor,
                    space,
                    pinned,
                    weight: Weight::zero(),
                    ..data
                });
            }
            Value::Data(data) if data.is_tensor() => data,
            other @ Value::Outcome(_) => return self.outcome_as_value(&other, expr, expr.span),
            other => return self.wrong_kind(&other, name, kind.span, expr.span),
        };
        let data = match stated {
            Some(space) if space != data.space => {
                match self.fit_space(data, &space, kind.span, expr) {
                    Some(data) => data,
                    None => return Value::Error,
                }
            }
            Some(_) => data,
            None => {
                if let SpaceName::Generic(generic) = space {
                    let bound = (data.space.clone(), data.pinned);
                    if let Some(frame) = self.frames.last_mut() {
                        frame.generics.insert(generic.clone(), bound);
                    }
                }
                data
            }
        };
        match weight {
            Some(wanted) if !data.weight.equals(&wanted) && !self.is_open_weight(&data.weight) => {
                self.wrong_weight(&data, &wanted, Some(kind.span), expr)
            }
            _ => Value::Data(data),
        }
    }

    /// The space that a signature states, as far as it is known; and whether it is pinned.
    pub(crate) fn stated_space(&self, space: &SpaceName) -> (Option<SpaceTerm>, bool) {
        match space {
            SpaceName::Named(space) => (Some(SpaceTerm::Named(*space)), true),
            SpaceName::Native => (Some(SpaceTerm::Native), false),
            SpaceName::Latent => (Some(SpaceTerm::Latent), true),
            SpaceName::Generic(name) => match self.frame().and_then(|f| f.generics.get(name)) {
                Some((space, pinned)) => (Some(space.clone()), *pinned),
                None => (None, false),
            },
        }
    }

    fn fit_space(&mut self, data: Data, to: &SpaceTerm, stated: Span, expr: &Expr) -> Option<Data> {
        if data.space == SpaceTerm::Native
            && data.plain
            && !matches!(to, SpaceTerm::Latent | SpaceTerm::Native)
        {
            return Some(self.carry_over(data, to, expr.span));
        }
        let (from, to) = (space_text(&data.space), space_text(to));
        let help = format!("write `{to}({})`", self.text(expr));
        let diagnostic = Diagnostic::new(
            Code::MixedSpaces,
            format!("`{to}` is needed and `{from}` is given"),
        )
        .at(expr.span, format!("this is {}", data.describe()))
        .at(stated, format!("`{to}` is needed here"))
        .help(help)
        .wrap(expr.span, to);
        self.report(diagnostic);
        None
    }

    /// Says that a weight is not 1 (or not 0), with the mend.
    pub(crate) fn wrong_weight(
        &mut self,
        data: &Data,
        wanted: &Weight,
        stated: Option<Span>,
        expr: &Expr,
    ) -> Value {
        let found = self.weight_text(&data.weight);
        let text = self.text(expr);
        let one = wanted.is_one();
        let mut diagnostic = if one {
            Diagnostic::new(
                Code::WeightNotOne,
                format!("the weights add up to `{found}`, not to 1"),
            )
            .at(
                expr.span,
                format!("a prediction is needed, and this has weight `{found}`"),
            )
        } else {
            Diagnostic::new(
                Code::WeightNotZero,
                format!("a direction is needed, and the weights add up to `{found}`, not to 0"),
            )
            .at(expr.span, format!("this has weight `{found}`"))
        };
        if let Some(stated) = stated {
            diagnostic = diagnostic.at(
                stated,
                if one {
                    "a prediction is needed here"
                } else {
                    "a direction is needed here"
                },
            );
        }
        let help = match (one, data.weight.is_zero(), data.weight.is_one()) {
            (true, true, _) => format!("add it to a prediction, as in `predict(cond) + {text}`"),
            (false, _, true) => {
                format!("take another prediction from it, as in `{text} - predict(uncond)`")
            }
            (true, ..) => format!(
                "write `prediction({text})` if this is meant, or let the factors add up to 1"
            ),
            (false, ..) => format!(
                "write `direction({text})` if this is meant, or let the factors add up to 0"
            ),
        };
        // What has the other weight for certain is no slip that a word mends.
        let vouched = match one {
            true if !data.weight.is_zero() => diagnostic.wrap(expr.span, "prediction"),
            false if !data.weight.is_one() => diagnostic.wrap(expr.span, "direction"),
            _ => diagnostic,
        };
        self.fail(vouched.help(help))
    }

    pub(crate) fn wrong_kind(
        &mut self,
        value: &Value,
        wanted: &str,
        stated: Span,
        at: Span,
    ) -> Value {
        if value.is_error() {
            return Value::Error;
        }
        let diagnostic = Diagnostic::new(
            Code::WrongKind,
            format!("{wanted} is needed, and this is {}", value.describe()),
        )
        .at(at, format!("this is {}", value.describe()))
        .at(stated, format!("{wanted} is needed here"));
        self.fail(diagnostic)
    }

    /// The word of a choice.
    pub(crate) fn choice(&mut self, value: Value, words: &[String], expr: &Expr) -> Value {
        match value {
            Value::Text(word) | Value::Choice(Choice::Known(word, _)) => {
                if words.contains(&word) {
                    Value::Choice(Choice::Known(word, words.to_vec()))
                } else {
                    self.no_such_word(&word, words, expr.span)
                }
            }
            Value::Choice(Choice::Open(name, own)) => match own.iter().find(|w| !words.contains(w))
            {
                None => Value::Choice(Choice::Open(name, own)),
                Some(word) => {
                    let word = word.clone();
                    self.no_such_word(&word, words, expr.span)
                }
            },
            Value::Error => Value::Error,
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!(
                        "one of {} is needed, and this is {}",
                        list(words),
                        other.describe()
                    ),
                )
                .at(expr.span, format!("this is {}", other.describe()));
                self.fail(diagnostic)
            }
        }
    }

    pub(crate) fn no_such_word(&mut self, word: &str, words: &[String], at: Span) -> Value {
        let mut diagnostic = Diagnostic::new(
            Code::WrongKind,
            format!("`\"{word}\"` is none of {}", list(words)),
        )
        .at(at, "not one of the alternatives");
        if let Some(near) = suggest::nearest(word, words.iter().map(String::as_str)) {
            diagnostic = diagnostic
                .help(format!("write `\"{near}\"`"))
                .fix(at, format!("\"{near}\""));
        }
        self.fail(diagnostic)
    }

    /// Layers, `Some(None)` where a parameter leaves them open.
    pub(crate) fn layers(&mut self, value: Value, expr: &Expr) -> Option<Option<Layers>> {
        let term = |term: LayerTerm| Some(Some(Layers::of(term)));
        match value {
            Value::Layers(layers) => Some(layers),
            Value::Text(name) => term(LayerTerm::Named(name)),
            Value::Word(word) if layer_word(&word).is_some() => layer_word(&word).and_then(term),
            Value::List(parts) => {
                let mut blocks = Vec::new();
                let mut open = false;
                for part in parts {
                    match part {
                        Value::Data(data) if data.kind == Kind::Scalar => match self
                            .whole(&data, "a block", expr.span)
                        {
                            Some(block) if (0..=i64::from(u32::MAX)).contains(&block) => {
                                blocks.push(block as u32)
                            }
                            Some(_) => {
                                let diagnostic =
                                    Diagnostic::new(Code::NotWhole, "blocks are counted from 0")
                                        .at(expr.span, "there is no such block");
                                self.report(diagnostic);
                                return None;
                            }
                            None if self.graph.constant(data.node).is_none() => open = true,
                            None => return None,
                        },
                        other => {
                            self.wrong_kind(&other, "the number of a block", expr.span, expr.span);
                            return None;
                        }
                    }
                }
                if open {
                    Some(None)
                } else {
                    term(LayerTerm::Blocks(blocks))
                }
            }
            Value::Error => None,
            other => {
                let diagnostic = Diagnostic::new(Code::WrongKind, format!("layers are needed, and this is {}", other.describe()))
                    .at(expr.span, format!("this is {}", other.describe()))
                    .help("write `mid`, `down`, `up`, `all`, `self`, `cross`, a name like `\"up.1.attn.0\"` or blocks like `[7, 8, 9]`");
                self.report(diagnostic);
                None
            }
        }
    }

    /// Axes, `Some(None)` where a parameter leaves them open.
    pub(crate) fn axes(&mut self, value: Value, expr: &Expr) -> Option<Option<Axes>> {
        match value {
            Value::Axes(axes) => Some(axes),
            Value::Word(word) if word == "all" => Some(Some(Axes::All)),
            Value::Word(word) if word == "channels" => Some(Some(Axes::Channels)),
            Value::Word(word) if word == "space" => Some(Some(Axes::Space)),
            Value::Error => None,
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("axes are needed, and this is {}", other.describe()),
                )
                .at(expr.span, format!("this is {}", other.describe()))
                .help("write `all`, `channels` or `space`");
                self.report(diagnostic);
                None
            }
        }
    }

    /// A map; says so where it is none.
    pub(crate) fn map(&mut self, value: Value, what: &str, expr: &Expr) -> Option<Data> {
        match value {
            Value::Error => None,
            Value::Data(data) if matches!(data.kind, Kind::Map | Kind::Open) => Some(data),
            other => {
                let found = other.describe();
                let message =
                    format!("{what} is a map, a number for each place, and this is {found}");
                let diagnostic = Diagnostic::new(Code::WrongKind, message)
                    .at(expr.span, format!("this is {found}"))
                    .help("give an `input` of kind `Mask`, or what `attention` or a comparison of maps gives");
                self.report(diagnostic);
                None
            }
        }
    }

    /// A truth value; says so where it is none, a map above all.
    pub(crate) fn truth(&mut self, value: Value, expr: &Expr) -> Option<Data> {
        match value {
            Value::Error => None,
            Value::Data(data) if matches!(data.kind, Kind::Bool | Kind::Open) => Some(Data {
                kind: Kind::Bool,
                ..data
            }),
            Value::Data(data) if data.kind == Kind::Map => {
                let text = self.text(expr);
                self.report(
                    Diagnostic::new(Code::MapAsCondition, "a map is not one truth value")
                        .at(expr.span, "this has a value at every place")
                        .help(format!(
                            "write `where({text}, …, …)` to choose at every place"
                        )),
                );
                None
            }
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("a truth value is needed, and this is {}", other.describe()),
                )
                .at(expr.span, format!("this is {}", other.describe()))
                .help("compare it, as in `a < b`");
                self.report(diagnostic);
                None
            }
        }
    }

    /// A scalar; says so where it is none.
    pub(crate) fn scalar(&mut self, value: Value, what: &str, expr: &Expr) -> Option<Data> {
        match self.flatten(value, expr.span) {
            Value::Error => None,
            Value::Data(data) if matches!(data.kind, Kind::Scalar | Kind::Open) => Some(Data {
                kind: Kind::Scalar,
                ..data
            }),
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!("{what} must be a scalar, and this is {}", other.describe()),
                )
                .at(expr.span, format!("this is {}", other.describe()));
                self.report(diagnostic);
                None
            }
        }
    }

    /// A prediction (weight 1); says so where it is none.
    pub(crate) fn prediction(&mut self, value: Value, what: &str, expr: &Expr) -> Option<Data> {
        match value {
            Value::Error => None,
            Value::Data(data) if data.kind == Kind::Open => Some(Data {
                kind: Kind::Tensor,
                weight: Weight::one(),
                ..data
            }),
            Value::Data(data) if data.is_tensor() => {
                if data.weight.is_one()
                    || self.is_open_weight(&data.weight)
                    || data.weight.equals(&Weight::one())
                {
                    return Some(Data {
                        weight: Weight::one(),
                        ..data
                    });
                }
                self.wrong_weight(&data, &Weight::one(), None, expr);
                None
            }
            Value::Outcome(Outcome::Guided { .. } | Outcome::If(..) | Outcome::Hold) => {
                self.outcome_as_value(&value, expr, expr.span);
                None
            }
            other => {
                let text = self.text(expr);
                let mut diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!(
                        "{what} must be a prediction, and this is {}",
                        other.describe()
                    ),
                )
                .at(expr.span, format!("this is {}", other.describe()));
                if matches!(&other, Value::Data(d) if d.kind == Kind::Raw) {
                    diagnostic =
                        diagnostic.help(format!("write `prediction({text})` if it is one"));
                }
                self.report(diagnostic);
                None
            }
        }
    }
}

/// The layers that a word means.
pub(crate) fn layer_word(word: &str) -> Option<LayerTerm> {
    Some(match word {
        "all" => LayerTerm::All,
        "mid" => LayerTerm::Mid,
        "down" => LayerTerm::Down,
        "up" => LayerTerm::Up,
        "self" => LayerTerm::SelfAttention,
        "cross" => LayerTerm::Cross,
        _ => return None,
    })
}

fn list(words: &[String]) -> String {
    words
        .iter()
        .map(|w| format!("`\"{w}\"`"))
        .collect::<Vec<_>>()
        .join(", ")
}
