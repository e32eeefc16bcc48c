//! Spaces: conversions, what is converted by itself, and what the model's own space leaves open.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{CellId, Convert, NodeId, Op, SpaceTerm, TickName};
use crate::plan::Shape;
use crate::resolved::Expr;

use super::builder::Meta;
use super::engine::{Engine, Mode};
use super::state::CellDraft;
use super::value::{Data, Kind, Origin, Point, Value, space_text};
use super::weight::Weight;

/// How a node that no conversion looks into is converted: a prediction with the point it was made
/// at, or a direction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Affinity {
    Prediction(Point),
    Direction,
}

/// At which point the predictions behind a value were made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Moment {
    /// There are none.
    None,
    /// In this tick, at one point.
    At(Point),
    /// In the tick that state was kept in.
    Before,
    /// At one or another, as a branch says.
    Either,
    /// At several.
    Several,
}

impl Moment {
    fn join(self, other: Moment) -> Moment {
        match (self, other) {
            (Moment::None, one) | (one, Moment::None) => one,
            (a, b) if a == b && a != Moment::Either => a,
            _ => Moment::Several,
        }
    }

    /// Of what is one of two.
    fn branch(self, other: Moment) -> Moment {
        match (self, other) {
            (Moment::None, one) | (one, Moment::None) => one,
            (a, b) if a == b => a,
            _ => Moment::Either,
        }
    }
}

impl Engine<'_> {
    /// Remembers how the node of `data` is converted.
    pub(crate) fn remember_affinity(&mut self, data: &Data) {
        let affinity = match (&data.origin, data.weight.is_zero()) {
            (_, true) => Affinity::Direction,
            (Origin::At(point), _) => Affinity::Prediction(point.clone()),
            (Origin::Free | Origin::Mixed, _) => Affinity::Prediction(Point::default()),
        };
        self.affinities.entry(data.node).or_insert(affinity);
    }

    /// `data` in another space. Conversions are pushed down to predictions, so that `x0(c - u)` and
    /// `x0(c) - x0(u)` are one node.
    pub(crate) fn convert(&mut self, data: Data, to: &SpaceTerm, span: Span) -> Value {
        if data.kind == Kind::Open {
            return Value::Data(Data {
                kind: Kind::Tensor,
                space: to.clone(),
                ..data
            });
        }
        if data.space == *to {
            return Value::Data(data);
        }
        if data.kind == Kind::Tensor && data.space == SpaceTerm::Latent || *to == SpaceTerm::Latent
        {
            return self.fail(
                Diagnostic::new(
                    Code::NoConversion,
                    format!(
                        "a direction of latents is in no space of predictions, so not in `{}`",
                        space_text(to)
                    ),
                )
                .at(span, format!("this is {}", data.describe())),
            );
        }
        let settled = data.weight.is_zero() || data.weight.is_one();
        if !settled {
            let weight = self.weight_text(&data.weight);
            return self.fail(
                Diagnostic::new(Code::WeightUnfit, format!("a mix of weight `{weight}` has no place in `{}`", space_text(to)))
                    .at(span, "only predictions (weight 1) and directions (weight 0) can be converted")
                    .help("convert the predictions before they are mixed, or vouch for the mix with `prediction(...)` or `direction(...)`"),
            );
        }
        let node = self.convert_node(data.node, to, span);
        let origin = data.origin.clone();
        let converted = Data {
            node,
            space: to.clone(),
            pinned: false,
            origin,
            ..data
        };
        Value::Data(converted)
    }

    /// The node of `node` in `to`: through sums and factors down to what is asked of a network, as
    /// long as all of it was made at one point. A mix of several points belongs to this tick, so it
    /// is converted as one whole with this tick's `alpha`, `sigma` and `x`.
    pub(crate) fn convert_node(&mut self, node: NodeId, to: &SpaceTerm, span: Span) -> NodeId {
        let Some(from) = self.graph.node(node).space.clone() else {
            return node;
        };
        if from == *to {
            return node;
        }
        let kind = self.graph.node(node).kind.replace(
            &format!("in {}", space_text(&from)),
            &format!("in {}", space_text(to)),
        );
        let meta = Meta {
            shape: Shape::Tensor,
            space: Some(to.clone()),
            kind,
        };
        let mixed = !matches!(self.graph.node(node).op, Op::If(..) | Op::Where(..))
            && self.moment(node) == Moment::Several;
        let op = match self.graph.node(node).op.clone() {
            _ if mixed => self.convert_mix(node, from, to, span),
            Op::Add(a, b) => Op::Add(
                self.convert_node(a, to, span),
                self.convert_node(b, to, span),
            ),
            Op::Sub(a, b) => Op::Sub(
                self.convert_node(a, to, span),
                self.convert_node(b, to, span),
            ),
            Op::Neg(a) => Op::Neg(self.convert_node(a, to, span)),
            Op::Mul(a, b) => Op::Mul(
                self.convert_node(a, to, span),
                self.convert_node(b, to, span),
            ),
            Op::Div(a, b) => Op::Div(self.convert_node(a, to, span), b),
            Op::If(c, a, b) => Op::If(
                c,
                self.convert_node(a, to, span),
                self.convert_node(b, to, span),
            ),
            Op::Where(c, a, b) => Op::Where(
                c,
                self.convert_node(a, to, span),
                self.convert_node(b, to, span),
            ),
            Op::Prev(cell) => return self.convert_prev(node, cell, to, span),
            Op::Convert(convert) if convert.from == *to => return convert.value,
            Op::Convert(convert) => Op::Convert(Box::new(Convert {
                to: to.clone(),
                ..*convert
            })),
            _ => self.convert_leaf(node, from, to, span),
        };
        let span = self.graph.node(node).span;
        self.graph.add(op, meta, span)
    }

    fn convert_leaf(&mut self, node: NodeId, from: SpaceTerm, to: &SpaceTerm, span: Span) -> Op {
        let affinity = self
            .affinities
            .get(&node)
            .cloned()
            .unwrap_or(Affinity::Direction);
        let point = match &affinity {
            Affinity::Prediction(point) => point.clone(),
            Affinity::Direction => Point::default(),
        };
        let at = match &point.at {
            Some((at, _)) => *at,
            None => self.graph.latent(span),
        };
        let (alpha, sigma) = match point.t {
            Some(t) => (
                self.graph.scalar(Op::AlphaAt(t), span),
                self.graph.scalar(Op::SigmaAt(t), span),
            ),
            None => (
                self.graph.tick(TickName::Alpha, span),
                self.graph.tick(TickName::Sigma, span),
            ),
        };
        let origin = matches!(affinity, Affinity::Prediction(_)).then_some(at);
        Op::Convert(Box::new(Convert {
            value: node,
            from,
            to: to.clone(),
            origin,
            alpha,
            sigma,
        }))
    }

    fn convert_mix(&mut self, node: NodeId, from: SpaceTerm, to: &SpaceTerm, span: Span) -> Op {
        // The kind says what the checker found: a mix of weight 1, or of weight 0.
        if self.graph.node(node).kind.starts_with("prediction") {
            let here = Affinity::Prediction(Point::default());
            self.affinities.entry(node).or_insert(here);
        }
        self.convert_leaf(node, from, to, span)
    }

    /// At how many points the predictions behind a value were made.
    fn moment(&mut self, node: NodeId) -> Moment {
        if let Some(known) = self.moments.get(&node) {
            return known.clone();
        }
        let found = match self.graph.node(node).op.clone() {
            _ if self.graph.node(node).space.is_none() => Moment::None,
            Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) => {
                let a = self.moment(a);
                a.join(self.moment(b))
            }
            Op::If(_, a, b) | Op::Where(_, a, b) => {
                let a = self.moment(a);
                a.branch(self.moment(b))
            }
            Op::Neg(a) | Op::Div(a, _) => self.moment(a),
            Op::Convert(convert) => self.moment(convert.value),
            Op::Prev(_) => Moment::Before,
            _ => match self.affinities.get(&node) {
                Some(Affinity::Prediction(point)) => Moment::At(point.clone()),
                _ => Moment::At(Point::default()),
            },
        };
        self.moments.insert(node, found.clone());
        found
    }

    /// Conversion and `prev` commute: the state in the other space is a state of its own.
    fn convert_prev(&mut self, node: NodeId, cell: CellId, to: &SpaceTerm, span: Span) -> NodeId {
        let Some(draft) = self.cells.get(cell.0 as usize).cloned() else {
            return node;
        };
        let known = draft
            .derived
            .iter()
            .find(|(space, _)| space == to)
            .map(|(_, id)| *id);
        let derived = match known {
            Some(id) => id,
            None => {
                let id = CellId(self.cells.len() as u32);
                let (value, init) = (draft.value, draft.init);
                let path = format!("{}@{}", draft.path, space_text(to));
                self.cells.push(CellDraft {
                    path,
                    value: None,
                    derived: Vec::new(),
                    ..draft
                });
                if let Some(draft) = self.cells.get_mut(cell.0 as usize) {
                    draft.derived.push((to.clone(), id));
                }
                // The value reads the state itself, so the cell is there before its value.
                let init = self.convert_node(init, to, span);
                let value = value.map(|value| self.convert_node(value, to, span));
                if let Some(draft) = self.cells.get_mut(id.0 as usize) {
                    draft.init = init;
                    draft.value = value.or(draft.value);
                }
                id
            }
        };
        let old = self.graph.node(node).clone();
        let from = old.space.as_ref().map_or("", |s| space_text(s)).to_string();
        let kind = old
            .kind
            .replace(&format!("in {from}"), &format!("in {}", space_text(to)));
        let meta = Meta {
            shape: old.shape,
            space: Some(to.clone()),
            kind,
        };
        self.graph.prev(derived, meta, old.stage, old.span)
    }

    /// Two tensors in one space: what is native and affine goes over by itself.
    pub(crate) fn unify(
        &mut self,
        a: Data,
        b: Data,
        left: &Expr,
        right: &Expr,
        at: Span,
    ) -> Option<(Data, Data)> {
        if a.kind == Kind::Open || b.kind == Kind::Open || a.space == b.space {
            return Some((a, b));
        }
        let named = |s: &SpaceTerm| !matches!(s, SpaceTerm::Native | SpaceTerm::Latent);
        let movable = |d: &Data| d.space == SpaceTerm::Native && d.plain;
        if movable(&a) && named(&b.space) {
            return Some((self.carry_over(a, &b.space.clone(), left.span), b));
        }
        if movable(&b) && named(&a.space) {
            let to = a.space.clone();
            return Some((a, self.carry_over(b, &to, right.span)));
        }
        let (sa, sb) = (
            space_text(&a.space).to_string(),
            space_text(&b.space).to_string(),
        );
        let mut diagnostic = Diagnostic::new(
            Code::MixedSpaces,
            format!("`{sa}` and `{sb}` cannot be mixed"),
        )
        .at(at, "these are two spaces")
        .at(left.span, format!("this is {}", a.describe()))
        .at(right.span, format!("this is {}", b.describe()));
        diagnostic = match (&a.space, &b.space) {
            (SpaceTerm::Native, SpaceTerm::Named(_)) => {
                let help = format!("write `{sb}({})`", self.text(left));
                diagnostic.help(help).wrap(left.span, &sb)
            }
            (SpaceTerm::Latent, _) | (_, SpaceTerm::Latent) => {
                diagnostic.help("a direction of latents is added to a latent, as in `x + d`")
            }
            (_, SpaceTerm::Generic(_)) | (SpaceTerm::Generic(_), _) => diagnostic.help(format!(
                "give both the same space in the signature, as in `Direction<{sa}>`"
            )),
            _ => diagnostic
                .help(format!("write `{sa}({})`", self.text(right)))
                .wrap(right.span, &sa),
        };
        self.report(diagnostic);
        None
    }

    /// What is affine goes over term by term: each prediction in it is converted with its own point,
    /// so that a partial sum of any weight is right once the whole sum is complete.
    pub(crate) fn carry_over(&mut self, data: Data, to: &SpaceTerm, span: Span) -> Data {
        let node = self.convert_node(data.node, to, span);
        Data {
            node,
            space: to.clone(),
            pinned: false,
            ..data
        }
    }

    /// The origin of a sum; says so if points of two origins meet unpinned.
    pub(crate) fn join_origins(
        &mut self,
        a: &Data,
        b: &Data,
        weight: &Weight,
        pinned: bool,
        left: &Expr,
        right: &Expr,
    ) -> Option<Origin> {
        let origin = match (&a.origin, &b.origin) {
            (Origin::Free, other) | (other, Origin::Free) => other.clone(),
            (Origin::At(p), Origin::At(q)) if p == q => Origin::At(p.clone()),
            _ if !pinned && a.space == SpaceTerm::Native => {
                let place = |d: &Data| match &d.origin {
                    Origin::At(Point {
                        at: Some((_, name)),
                        ..
                    }) => format!("this was made at `{name}`"),
                    Origin::At(Point { t: Some(_), .. }) => {
                        "this was made at another time".to_string()
                    }
                    _ => "this was made at this tick's `x`".to_string(),
                };
                let help = format!(
                    "pin their space, for instance `x0({})` and `x0({})`",
                    self.text(left),
                    self.text(right)
                );
                self.report(
                    Diagnostic::new(
                        Code::MixedOrigins,
                        "predictions made at two points are mixed in the model's own space",
                    )
                    .at(left.span, place(a))
                    .at(right.span, place(b))
                    .help(help),
                );
                return None;
            }
            _ => Origin::Mixed,
        };
        Some(match origin {
            _ if weight.is_zero() => Origin::Free,
            Origin::Mixed if weight.is_one() => Origin::At(Point::default()),
            origin => origin,
        })
    }

    /// Warns that the result of an operation depends on what the model predicts.
    pub(crate) fn not_pinned(&mut self, what: &str, op: Span, of: Option<&Expr>) {
        if self.first_passes > 0 {
            return;
        }
        let mut at = self.frames.len().saturating_sub(1);
        while at > 0
            && self
                .frames
                .get(at)
                .is_some_and(|f| !f.function.generics.is_empty())
        {
            at -= 1;
        }
        let inner = self.frames.get(at + 1);
        if at > 0 && matches!(self.mode, Mode::Check) {
            // The function at that place has a check of its own.
            return;
        }
        let diagnostic = match inner {
            Some(frame) => {
                let name = self
                    .program
                    .items
                    .get(frame.item.index())
                    .map_or("", |i| i.name.node.as_str());
                Diagnostic::new(Code::NotPinned, format!("the result of `{name}` depends on the space that the model predicts in"))
                    .at(frame.call, "what is given here is in the model's own space")
                    .at(op, format!("{what} is not the same in every space"))
                    .help("convert what is given to it, as in `x0(predict(cond))`, or write `native(predict(cond))` to mean the model's own space on purpose")
            }
            None => {
                let text = of.map_or_else(|| "predict(cond)".to_string(), |e| self.text(e));
                let said = Diagnostic::new(Code::NotPinned, format!("{what} depends on the space that the model predicts in"))
                    .at(op, "taken in the model's own space")
                    .help(format!("write `x0({text})` to pin the space, or `native({text})` to mean the model's own on purpose"));
                match of {
                    Some(of) => said.wrap(of.span, "x0"),
                    None => said,
                }
            }
        };
        self.bag.push(diagnostic);
    }
}
