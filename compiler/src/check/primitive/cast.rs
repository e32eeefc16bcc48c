//! Conversions between spaces, and casts that drop or state a meaning.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op, SpaceTerm, TickName};
use crate::plan::{Shape, Space};
use crate::resolved::{Arg, Call};

use super::super::builder::Meta;
use super::super::engine::Engine;
use super::super::value::{Data, Kind, Origin, PlainInput, Point, Source, Value, space_text};
use super::super::weight::Weight;

impl<'p> Engine<'p> {
    /// `eps(p)`, `x0(p)`, …, `native(p)`
    pub(crate) fn conversion(
        &mut self,
        to: SpaceTerm,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        let name = space_text(&to).to_string();
        let data = match value {
            Value::Error => return Value::Error,
            Value::Data(data) if data.kind == Kind::Tensor || data.kind == Kind::Open => data,
            Value::Data(data) if self.is_zero(&data) => {
                return Value::Data(Data {
                    kind: Kind::Tensor,
                    space: to,
                    weight: Weight::zero(),
                    ..data
                });
            }
            value @ Value::Outcome(_) => {
                return self.outcome_as_value(&value, &arg.value, arg.value.span);
            }
            other => {
                let text = self.text(&arg.value);
                let mut diagnostic = Diagnostic::new(
                    Code::NoConversion,
                    format!("{} cannot be converted to `{name}`", other.describe()),
                )
                .at(arg.value.span, format!("this is {}", other.describe()));
                if matches!(&other, Value::Data(d) if d.kind == Kind::Raw) {
                    diagnostic = diagnostic.help(format!(
                        "write `{name}(prediction({text}))` if it is a prediction"
                    ));
                }
                return self.fail(diagnostic);
            }
        };
        let pinned = to == SpaceTerm::Native;
        if data.plain
            && data.space == SpaceTerm::Native
            && !pinned
            && data.kind == Kind::Tensor
            && !self.is_open_weight(&data.weight)
        {
            // What is affine goes over whatever its weight, as long as its points agree.
            if data.weight.is_zero() || data.weight.is_one() {
                return Value::Data(self.carry_over(data, &to, span));
            }
        }
        match self.convert(data, &to, span) {
            Value::Data(data) => Value::Data(Data { pinned, ..data }),
            other => other,
        }
    }

    /// `prediction(v)`, `direction(v)`: the rule vouches for a weight.
    pub(crate) fn vouch(
        &mut self,
        prediction: bool,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        let value = self.expr(&arg.value);
        let weight = if prediction {
            Weight::one()
        } else {
            Weight::zero()
        };
        let data = match value {
            Value::Error => return Value::Error,
            Value::Data(data) => data,
            value @ Value::Outcome(_) => {
                return self.outcome_as_value(&value, &arg.value, arg.value.span);
            }
            other => return self.wrong_kind(&other, "a tensor", span, arg.value.span),
        };
        let origin = match (prediction, &data.origin) {
            (true, Origin::At(point)) => Origin::At(point.clone()),
            (true, _) => Origin::At(Point::default()),
            (false, _) => Origin::Free,
        };
        let data = match data.kind {
            Kind::Open => {
                return Value::Data(Data {
                    kind: Kind::Tensor,
                    weight,
                    ..data
                });
            }
            Kind::Tensor if data.weight.equals(&weight) => return Value::Data(data),
            Kind::Tensor | Kind::Raw => data,
            Kind::Latent if !prediction => Data {
                space: SpaceTerm::Latent,
                ..data
            },
            kind => {
                let what = if prediction {
                    "prediction"
                } else {
                    "direction"
                };
                let value = Value::Data(Data { kind, ..data });
                return self.wrong_kind(
                    &value,
                    &format!("a tensor to be vouched for as a {what}"),
                    span,
                    arg.value.span,
                );
            }
        };
        let declared = Data {
            kind: Kind::Tensor,
            weight,
            origin,
            plain: false,
            ..data
        };
        let result = self.tensor(Op::Declare(declared.node), declared, span);
        self.remember_affinity(&result);
        Value::Data(result)
    }

    /// `raw(v)`: without weight or space. It remembers the space for `prediction(raw(v))`.
    pub(crate) fn raw(&mut self, args: &[Option<&'p Arg>]) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        match self.expr(&arg.value) {
            Value::Error => Value::Error,
            Value::Data(data)
                if matches!(
                    data.kind,
                    Kind::Tensor | Kind::Latent | Kind::Raw | Kind::Open
                ) =>
            {
                Value::Data(Data {
                    kind: Kind::Raw,
                    weight: Weight::zero(),
                    ..data
                })
            }
            value @ Value::Outcome(_) => self.outcome_as_value(&value, &arg.value, arg.value.span),
            other => self.wrong_kind(&other, "a tensor or latent", arg.value.span, arg.value.span),
        }
    }

    /// `latent(r)`
    pub(crate) fn latent_of(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let Some(Some(arg)) = args.first() else {
            return Value::Error;
        };
        match self.expr(&arg.value) {
            Value::Error => Value::Error,
            Value::Data(data) if data.kind == Kind::Latent => Value::Data(data),
            Value::Data(data) if data.kind == Kind::Raw => {
                let meta = Meta {
                    shape: Shape::Tensor,
                    space: None,
                    kind: "latent".into(),
                };
                let node = self.graph.add(Op::Declare(data.node), meta, span);
                Value::Data(Data::of(Kind::Latent, node))
            }
            other => {
                let text = self.text(&arg.value);
                let diagnostic = Diagnostic::new(
                    Code::NoConversion,
                    format!("{} is no raw value", other.describe()),
                )
                .at(arg.value.span, format!("this is {}", other.describe()))
                .help(format!("write `latent(raw({text}))`"))
                .wrap(arg.value.span, "raw");
                self.fail(diagnostic)
            }
        }
    }

    /// The latent of an image or of a trajectory that is bound.
    pub(crate) fn bound_latent(&mut self, source: Source, span: Span) -> NodeId {
        let meta = Meta {
            shape: Shape::Tensor,
            space: None,
            kind: "latent".into(),
        };
        let op = match source {
            Source::Input(id) => Op::Input(id),
            Source::Parameter(name) => Op::Parameter(name),
        };
        self.graph.add(op, meta, span)
    }

    /// `noised(image)`, `noised(x0: p, eps: q)`: a latent at this tick's noise.
    pub(crate) fn noised(&mut self, args: &[Option<&'p Arg>], call: &Call, span: Span) -> Value {
        let [image, x0, eps] = args else {
            return Value::Error;
        };
        let alpha = self.graph.tick(TickName::Alpha, span);
        let sigma = self.graph.tick(TickName::Sigma, span);
        let (clean, noise) = match (image, x0, eps) {
            (Some(image), None, None) => {
                let clean = match self.expr(&image.value) {
                    Value::Error => return Value::Error,
                    Value::Plain(PlainInput::Image, source) => self.bound_latent(source, span),
                    other => {
                        return self.wrong_kind(
                            &other,
                            "an `Image`",
                            call.name.span,
                            image.value.span,
                        );
                    }
                };
                let key = self.call_path("noised");
                let meta = Meta {
                    shape: Shape::Tensor,
                    space: None,
                    kind: "raw".into(),
                };
                (clean, self.graph.add(Op::Gaussian(key), meta, span))
            }
            (None, Some(x0), Some(eps)) => {
                let part = |engine: &mut Self, arg: &'p Arg, space: Space, what: &str| {
                    let value = engine.expr(&arg.value);
                    let data = engine.prediction(value, what, &arg.value)?;
                    match engine.convert(data, &SpaceTerm::Named(space), arg.value.span) {
                        Value::Data(data) => Some(data.node),
                        _ => None,
                    }
                };
                let clean = part(self, x0, Space::X0, "`x0`");
                let noise = part(self, eps, Space::Eps, "`eps`");
                let (Some(clean), Some(noise)) = (clean, noise) else {
                    return Value::Error;
                };
                (clean, noise)
            }
            _ => {
                let diagnostic = Diagnostic::new(
                    Code::MissingArgument,
                    "`noised` takes an image, or `x0` and `eps`",
                )
                .at(call.name.span, "neither is given whole")
                .help("write `noised(image)` or `noised(x0: p, eps: q)`");
                return self.fail(diagnostic);
            }
        };
        let meta = Meta {
            shape: Shape::Tensor,
            space: None,
            kind: "raw".into(),
        };
        let signal = self.graph.add(Op::Mul(alpha, clean), meta.clone(), span);
        let noise = self.graph.add(Op::Mul(sigma, noise), meta, span);
        let meta = Meta {
            shape: Shape::Tensor,
            space: None,
            kind: "latent".into(),
        };
        let node = self.graph.add(Op::Add(signal, noise), meta, span);
        Value::Data(Data::of(Kind::Latent, node))
    }
}
