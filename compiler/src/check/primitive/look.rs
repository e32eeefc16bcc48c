//! `attention`, `regions`, `features`: what is seen of a network in an evaluation.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{NodeId, Op};
use crate::plan::{LayerTerm, Layers, Look, MOST_SPREAD, Sees, Tokens, USUAL_SPREAD};
use crate::resolved::{Arg, Expr};

use super::super::engine::Engine;
use super::super::value::{Kind, Value};

impl<'p> Engine<'p> {
    /// `attention(prediction, layers, of:, tokens:)`
    pub(crate) fn attention(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), Some(layers), kind, tokens] = args else {
            return Value::Error;
        };
        let Some((asked, layers)) = self.seen(of, layers) else {
            return Value::Error;
        };
        let Some(of_what) = self.attends(*kind) else {
            return Value::Error;
        };
        let Some(tokens) = self.tokens(*tokens, of_what, span) else {
            return Value::Error;
        };
        let look = Look {
            layers,
            of: of_what,
            tokens,
            spread: 0,
        };
        self.look(asked, look, span)
    }

    /// `regions(prediction, layers, spread:)`
    pub(crate) fn regions(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), layers, spread] = args else {
            return Value::Error;
        };
        let seen = match layers {
            Some(layers) => self.seen(of, layers),
            None => self
                .whose(of)
                .map(|asked| (asked, Layers::of(LayerTerm::All))),
        };
        let (Some((asked, layers)), Some(spread)) = (seen, self.spread(*spread)) else {
            return Value::Error;
        };
        let look = Look {
            layers,
            of: Sees::Regions,
            tokens: Tokens::default(),
            spread,
        };
        self.look(asked, look, span)
    }

    /// `features(prediction, layers)`
    pub(crate) fn features(&mut self, args: &[Option<&'p Arg>], span: Span) -> Value {
        let [Some(of), Some(layers)] = args else {
            return Value::Error;
        };
        let Some((asked, layers)) = self.seen(of, layers) else {
            return Value::Error;
        };
        let look = Look {
            layers,
            of: Sees::Features,
            tokens: Tokens::default(),
            spread: 0,
        };
        self.look(asked, look, span)
    }

    fn look(&mut self, asked: NodeId, look: Look, span: Span) -> Value {
        Value::Data(self.opaque(Op::Look(asked, look), Kind::Map, false, span))
    }

    /// Whose evaluation is looked into, and in which layers.
    fn seen(&mut self, of: &'p Arg, layers: &'p Arg) -> Option<(NodeId, Layers)> {
        let asked = self.whose(of)?;
        let value = self.expr(&layers.value);
        let layers = self.layers(value, &layers.value)?;
        // Layers that a parameter leaves open: any will do, since no graph is kept.
        Some((asked, layers.unwrap_or_else(|| Layers::of(LayerTerm::All))))
    }

    fn whose(&mut self, of: &'p Arg) -> Option<NodeId> {
        let value = self.expr(&of.value);
        let data = self.prediction(value, "what is looked into", &of.value)?;
        self.answer_behind(data.node, &of.value)
    }

    fn spread(&mut self, arg: Option<&'p Arg>) -> Option<u32> {
        let Some(arg) = arg else {
            return Some(USUAL_SPREAD);
        };
        let value = self.expr(&arg.value);
        let data = self.scalar(value, "`spread`", &arg.value)?;
        let known = self.graph.constant(data.node).is_some();
        match self.whole(&data, "`spread`", arg.value.span) {
            Some(times) if (1..=i64::from(MOST_SPREAD)).contains(&times) => Some(times as u32),
            Some(_) => {
                let message = format!("`spread` is a whole number from 1 to {MOST_SPREAD}");
                let diagnostic = Diagnostic::new(Code::NotWhole, message)
                    .at(arg.value.span, "this is another")
                    .help("more makes regions smoother; 4 is usual");
                self.report(diagnostic);
                None
            }
            None if known => None,
            // Of a parameter that nothing is known about, any will do: no graph is kept.
            None => Some(USUAL_SPREAD),
        }
    }

    fn attends(&mut self, kind: Option<&'p Arg>) -> Option<Sees> {
        let Some(kind) = kind else {
            return Some(Sees::Own);
        };
        match self.expr(&kind.value) {
            Value::Word(word) if word == "self" => Some(Sees::Own),
            Value::Word(word) if word == "cross" => Some(Sees::Cross),
            Value::Error => None,
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!(
                        "`of` is `self` or `cross`, and this is {}",
                        other.describe()
                    ),
                )
                .at(kind.value.span, "attention to what?")
                .help("write `of: self` for the picture, `of: cross` for the text");
                self.report(diagnostic);
                None
            }
        }
    }

    /// The tokens; attention to a text is always attention to some of them.
    fn tokens(&mut self, arg: Option<&'p Arg>, of: Sees, span: Span) -> Option<Tokens> {
        match (arg, of) {
            (None, Sees::Own | Sees::Regions | Sees::Features) => Some(Tokens::default()),
            (None, Sees::Cross) => {
                let diagnostic = Diagnostic::new(
                    Code::MissingArgument,
                    "attention to the text needs the tokens that are meant",
                )
                .at(span, "which words of the text?")
                .help("name them, as in `tokens: \"apple\"`, or give their places: `tokens: [2]`");
                self.report(diagnostic);
                None
            }
            (Some(arg), Sees::Own | Sees::Regions | Sees::Features) => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    "self-attention looks at places, not at tokens",
                )
                .at(arg.value.span, "tokens are of the text")
                .help("write `of: cross`, or leave out `tokens`");
                self.report(diagnostic);
                None
            }
            (Some(arg), Sees::Cross) => {
                let value = self.expr(&arg.value);
                self.tokens_of(value, &arg.value)
            }
        }
    }

    /// Tokens by the words of a text, or by their places.
    pub(crate) fn tokens_of(&mut self, value: Value, expr: &'p Expr) -> Option<Tokens> {
        match value {
            Value::Text(words) if words.trim().is_empty() => {
                let diagnostic = Diagnostic::new(Code::WrongKind, "no words are no tokens")
                    .at(expr.span, "nothing stands here");
                self.report(diagnostic);
                None
            }
            Value::Text(words) => Some(Tokens::Words(words)),
            value => self.token_places(value, expr).map(Tokens::Places),
        }
    }

    fn token_places(&mut self, value: Value, expr: &'p Expr) -> Option<Vec<u32>> {
        let parts = match value {
            Value::Error => return None,
            Value::List(parts) => parts,
            one => vec![one],
        };
        let mut places = Vec::new();
        for part in parts {
            let data = self.scalar(part, "a token's place", expr)?;
            let known = self.graph.constant(data.node).is_some();
            match self.whole(&data, "a token's place", expr.span) {
                Some(place) if (0..=i64::from(u16::MAX)).contains(&place) => {
                    places.push(place as u32);
                }
                Some(_) => {
                    let diagnostic = Diagnostic::new(Code::NotWhole, "tokens are counted from 0")
                        .at(expr.span, "there is no such token");
                    self.report(diagnostic);
                    return None;
                }
                None if known => return None,
                // Of a parameter that nothing is known about, any place will do: no graph is kept.
                None => places.push(0),
            }
        }
        Some(places)
    }

    /// The network's answer that a value is, in whatever space.
    pub(crate) fn answer_behind(&mut self, mut node: NodeId, expr: &Expr) -> Option<NodeId> {
        loop {
            match &self.graph.node(node).op {
                Op::Convert(convert) => node = convert.value,
                Op::Declare(inner) => node = *inner,
                Op::Predict(_) | Op::Parameter(_) | Op::Unsupported(..) => return Some(node),
                _ => break,
            }
        }
        let text = self.text(expr);
        let diagnostic = Diagnostic::new(
            Code::WrongKind,
            format!(
                "`{text}` is not a network's answer, so that there is nothing inside to look at"
            ),
        )
        .at(expr.span, "this was computed from answers")
        .help("name one answer and give that: `let c = predict(cond)`");
        self.report(diagnostic);
        None
    }
}
