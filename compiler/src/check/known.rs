//! What is known of a value, as texts: for those who show it beside the source.

use guide_grammar::span::Span;

use crate::graph::{SpaceTerm, Stage};

use super::engine::Engine;
use super::value::{Data, Kind, Value, space_text};

/// What the check found of an expression or a name, with its item's parameters unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// In words: `a direction in x0`.
    pub what: String,
    /// Its kind as a signature would state it, where one can: `Direction<x0>`.
    pub kind: Option<String>,
    /// Of a tensor: how many predictions' worth it is.
    pub weight: Option<String>,
    /// When it is known: `const`, `step` or `sample`.
    pub stage: Option<&'static str>,
}

impl Engine<'_> {
    /// Keeps what is known of a value, where somebody asks and the item's own body is being read.
    pub(crate) fn observe(&mut self, span: Span, value: &Value) {
        if self.known.is_none() || self.first_passes > 0 || self.frames.len() != 1 {
            return;
        }
        let Some(found) = self.known_of(value) else {
            return;
        };
        if let Some(known) = &mut self.known {
            known.insert(span, found);
        }
    }

    fn known_of(&self, value: &Value) -> Option<Known> {
        let data = match value {
            Value::Error => return None,
            Value::Data(data) => data,
            other => {
                return Some(Known {
                    what: other.describe(),
                    kind: None,
                    weight: None,
                    stage: None,
                });
            }
        };
        let stage = match self.graph.stage(data.node) {
            Stage::Const => "const",
            Stage::Step => "step",
            Stage::Sample => "sample",
        };
        Some(Known {
            what: data.describe().replace('`', ""),
            kind: stated(data),
            weight: data.is_tensor().then(|| self.weight_text(&data.weight)),
            stage: Some(stage),
        })
    }
}

/// The kind as a signature states it.
fn stated(data: &Data) -> Option<String> {
    let plain = match data.kind {
        Kind::Tensor => return stated_tensor(data),
        Kind::Scalar => "Scalar",
        Kind::Bool => "Bool",
        Kind::Latent => "Latent",
        Kind::Map => "Map",
        Kind::PerChannel => "PerChannel",
        Kind::Raw => "Raw",
        Kind::Class => "Class",
        Kind::Probs => "Probs",
        Kind::Logits => "Logits",
        Kind::Picture | Kind::Open => return None,
    };
    Some(plain.to_owned())
}

fn stated_tensor(data: &Data) -> Option<String> {
    let name = match (data.weight.is_one(), data.weight.is_zero()) {
        (true, _) => "Prediction",
        (_, true) => "Direction",
        _ => "Tensor",
    };
    let space = space_text(&data.space);
    // The space of a guide that only a caller knows has no name in the language.
    let nameless = matches!(&data.space, SpaceTerm::Generic(name) if name.contains(' '));
    (!nameless).then(|| format!("{name}<{space}>"))
}
