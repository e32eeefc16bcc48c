//! What the language has and the runtime does not do yet: checked in full, and refused by `plan`.

use guide_grammar::span::Span;

use crate::graph::{NodeId, Op, SpaceTerm};
use crate::primitives::Primitive;
use crate::resolved::Arg;

use super::super::builder::Meta;
use super::super::engine::Engine;
use super::super::make::shape_of;
use super::super::value::{Data, Kind, Value};
use super::super::weight::Weight;

impl<'p> Engine<'p> {
    /// A call of one of them.
    pub(crate) fn later(
        &mut self,
        primitive: Primitive,
        args: &[Option<&'p Arg>],
        span: Span,
    ) -> Value {
        use Primitive as P;
        let name = primitive.name();
        let arg = |at: usize| args.get(at).copied().flatten();
        match (primitive, arg(0), arg(1)) {
            (P::Softmax, Some(of), over) => {
                let value = self.expr(&of.value);
                let Some(data) = self.element(value, name, of) else {
                    return Value::Error;
                };
                if let Some(over) = over {
                    let value = self.expr(&over.value);
                    if self.axes(value, &over.value).is_none() {
                        return Value::Error;
                    }
                }
                if matches!(data.kind, Kind::Logits | Kind::Probs) {
                    return self.softmax_of(&data, span);
                }
                let kind = match data.kind {
                    Kind::Map => Kind::Map,
                    Kind::PerChannel => Kind::PerChannel,
                    _ => Kind::Raw,
                };
                if data.is_unpinned() {
                    self.not_pinned("`softmax`", span, Some(&of.value));
                }
                self.not_yet(name, vec![data.node], kind, span)
            }
            _ => Value::Error,
        }
    }

    fn not_yet(&mut self, name: &str, nodes: Vec<NodeId>, kind: Kind, span: Span) -> Value {
        let op = Op::Unsupported(name.to_string(), nodes);
        if kind.is_factor() {
            return Value::Data(self.opaque(op, kind, false, span));
        }
        let meta = Meta {
            shape: shape_of(kind),
            space: None,
            kind: super::super::value::kind_text(kind, &SpaceTerm::Native, &Weight::zero()),
        };
        let node = self.graph.add(op, meta, span);
        Value::Data(Data {
            plain: false,
            ..Data::of(kind, node)
        })
    }
}
