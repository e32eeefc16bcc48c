//! Kinds: their names, and the spaces in `<…>`.

use guide_grammar::ast;

use super::body::Body;
use super::modules::repeated;
use crate::diagnostics::suggest::nearest;
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::Space;
use crate::resolved::{Kind, KindNode, PlainKind, SpaceName};

/// Kinds without a space, by name.
const PLAIN: &[(&str, PlainKind)] = &[
    ("Axes", PlainKind::Axes),
    ("Class", PlainKind::Class),
    ("Guide", PlainKind::Guide),
    ("Image", PlainKind::Image),
    ("Latent", PlainKind::Latent),
    ("Layers", PlainKind::Layers),
    ("Logits", PlainKind::Logits),
    ("Map", PlainKind::Map),
    ("Mask", PlainKind::Mask),
    ("Outcome", PlainKind::Outcome),
    ("PerChannel", PlainKind::PerChannel),
    ("Probs", PlainKind::Probs),
    ("Prompt", PlainKind::Prompt),
    ("Raw", PlainKind::Raw),
    ("Table", PlainKind::Table),
    ("Tokens", PlainKind::Tokens),
    ("Trajectory", PlainKind::Trajectory),
];

/// Kinds that may state a space, and the two that never do and are not plain.
const OTHERS: [&str; 5] = ["Scalar", "Bool", "Prediction", "Direction", "Tensor"];

/// The names of all kinds.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PLAIN.iter().map(|(name, _)| *name).chain(OTHERS)
}

/// Whether a parameter of this kind can be called.
pub(super) fn is_guide(kind: &Kind) -> bool {
    matches!(kind.node, KindNode::Plain(PlainKind::Guide))
}

impl Body<'_, '_> {
    /// A kind as written.
    pub fn kind(&mut self, kind: &ast::Kind) -> Kind {
        let node = match &kind.node {
            ast::KindNode::Named(name, space) => self.named(&name.node, name.span, space.as_ref()),
            ast::KindNode::List(name) if name.node == "Prompt" => KindNode::Prompts,
            ast::KindNode::List(name) => {
                self.no_list(name, kind);
                KindNode::Error
            }
            ast::KindNode::Tuple(parts) => {
                KindNode::Tuple(parts.iter().map(|part| self.kind(part)).collect())
            }
            ast::KindNode::Choice(words) => {
                for (word, first) in repeated(words) {
                    self.world
                        .defined_twice(word, first, "an alternative already");
                }
                KindNode::Choice(words.iter().map(|word| word.node.clone()).collect())
            }
        };
        Kind {
            node,
            span: kind.span,
        }
    }

    fn named(
        &mut self,
        name: &str,
        span: guide_grammar::span::Span,
        space: Option<&ast::Name>,
    ) -> KindNode {
        let with_space: Option<fn(SpaceName) -> KindNode> = match name {
            "Prediction" => Some(KindNode::Prediction),
            "Direction" => Some(KindNode::Direction),
            "Tensor" => Some(KindNode::Tensor),
            _ => None,
        };
        if let Some(make) = with_space {
            return match space {
                None => make(SpaceName::Native),
                Some(space) => self.space(space).map_or(KindNode::Error, make),
            };
        }
        let plain = PLAIN
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, kind)| KindNode::Plain(*kind));
        let found = match name {
            "Scalar" => Some(KindNode::Scalar),
            "Bool" => Some(KindNode::Bool),
            _ => plain,
        };
        let Some(found) = found else {
            let names = PLAIN.iter().map(|(name, _)| *name).chain(OTHERS);
            let mut diagnostic =
                Diagnostic::new(Code::UnknownName, format!("no kind is called `{name}`"))
                    .at(span, "not a kind");
            diagnostic = match (nearest(name, names), name) {
                (Some(near), _) => diagnostic.help(format!("write `{near}`")).fix(span, near),
                (None, "Float" | "Number" | "Int" | "Integer" | "Real") => {
                    diagnostic.help("write `Scalar`").fix(span, "Scalar")
                }
                (None, _) => diagnostic,
            };
            self.world.bag.push(diagnostic);
            return KindNode::Error;
        };
        if let Some(space) = space {
            self.world.bag.push(
                Diagnostic::new(Code::WrongKind, format!("`{name}` has no space"))
                    .at(space.span, "states a space")
                    .help(format!("write `{name}`")),
            );
        }
        found
    }

    fn space(&mut self, name: &ast::Name) -> Option<SpaceName> {
        let text = name.node.as_str();
        if self.generics.iter().any(|generic| generic == text) {
            return Some(SpaceName::Generic(name.node.clone()));
        }
        let named = match text {
            "eps" => Space::Eps,
            "x0" => Space::X0,
            "v" => Space::V,
            "flow" => Space::Flow,
            "score" => Space::Score,
            "native" => return Some(SpaceName::Native),
            "latent" => return Some(SpaceName::Latent),
            _ => {
                let generics = self.generics.iter().map(String::as_str);
                let names = crate::primitives::SPACES.iter().copied().chain(generics);
                let near = nearest(text, names);
                let unknown =
                    Diagnostic::new(Code::UnknownName, format!("no space is called `{text}`"))
                        .at(name.span, "neither a space nor a generic of this function");
                let unknown = match near {
                    Some(near) => unknown.help(format!("write `{near}`")).fix(name.span, near),
                    None => {
                        unknown.help(format!("declare it after the name of the `fn`: `<{text}>`"))
                    }
                };
                self.world.bag.push(unknown);
                return None;
            }
        };
        Some(SpaceName::Named(named))
    }

    fn no_list(&mut self, name: &ast::Name, kind: &ast::Kind) {
        self.world.bag.push(
            Diagnostic::new(
                Code::UnknownName,
                format!("there is no list of `{}`", name.node),
            )
            .at(kind.span, "only prompts come as a list")
            .help("write `Prompt[]` for prompts, `Table` for numbers"),
        );
    }
}
