//! Sets of layers: how they are written, and which names they hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of layers: terms added and taken away in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// `true` adds the term, `false` takes it away.
    pub terms: Vec<(bool, LayerTerm)>,
}

/// One term of a set of layers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerTerm {
    /// `mid`
    Mid,
    /// `down`
    Down,
    /// `up`
    Up,
    /// `all`
    All,
    /// `self`
    #[serde(rename = "self")]
    SelfAttention,
    /// `cross`
    Cross,
    /// `"up.1.attn.0"`: that layer, or all layers below that name.
    Named(String),
    /// `[7, 8, 9]`
    Blocks(Vec<u32>),
    /// `(up - cross)`: a set that takes something away, inside another.
    Set(Layers),
}

impl Layers {
    /// The set of one term.
    pub fn of(term: LayerTerm) -> Self {
        Self {
            terms: vec![(true, term)],
        }
    }

    /// `self + other`, or `self - other`. A set that takes something away stays whole: what it took
    /// away was never in it, whatever the other holds.
    pub fn joined(mut self, other: Self, add: bool) -> Self {
        if other.terms.iter().all(|(adds, _)| *adds) {
            let terms = other.terms.into_iter();
            self.terms.extend(terms.map(|(_, term)| (add, term)));
        } else {
            self.terms.push((add, LayerTerm::Set(other)));
        }
        self
    }

    /// Whether a layer of this name (`down.0.attn.0.self`) is in the set.
    pub fn holds(&self, name: &str) -> bool {
        self.terms
            .iter()
            .rfind(|(_, term)| term.holds(name))
            .is_some_and(|(adds, _)| *adds)
    }

    /// The first term, taken away or added, that holds none of `names`.
    pub fn missing(&self, names: &[String]) -> Option<&LayerTerm> {
        self.terms.iter().find_map(|(_, term)| match term {
            LayerTerm::Set(set) => set.missing(names),
            term => (!term.is_there(names)).then_some(term),
        })
    }
}

impl LayerTerm {
    /// Whether a layer of this name is meant.
    pub fn holds(&self, name: &str) -> bool {
        match self {
            LayerTerm::Mid => below(name, "mid"),
            LayerTerm::Down => below(name, "down"),
            LayerTerm::Up => below(name, "up"),
            LayerTerm::All => true,
            LayerTerm::SelfAttention => layer_kind(name) == "self",
            LayerTerm::Cross => layer_kind(name) == "cross",
            LayerTerm::Named(prefix) => below(name, prefix),
            LayerTerm::Blocks(blocks) => blocks.iter().any(|block| in_block(name, *block)),
            LayerTerm::Set(set) => set.holds(name),
        }
    }

    /// Whether a model with layers of these names has what is meant: of blocks, each.
    fn is_there(&self, names: &[String]) -> bool {
        match self {
            LayerTerm::Blocks(blocks) => blocks
                .iter()
                .all(|block| names.iter().any(|name| in_block(name, *block))),
            term => names.iter().any(|name| term.holds(name)),
        }
    }
}

/// Whether `name` is `prefix`, or a layer below it.
fn below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The kind of a layer, where its name says one: its last word.
pub fn layer_kind(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn in_block(name: &str, block: u32) -> bool {
    below(name, &format!("blocks.{block}")) || below(name, &format!("block.{block}"))
}

/// As it is written in the language: `mid`, `[7, 8, 9]`, `all - cross`.
impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (adds, term)) in self.terms.iter().enumerate() {
            f.write_str(match (place, adds) {
                (0, true) => "",
                (0, false) => "-",
                (_, true) => " + ",
                (_, false) => " - ",
            })?;
            write!(f, "{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LayerTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerTerm::Mid => f.write_str("mid"),
            LayerTerm::Down => f.write_str("down"),
            LayerTerm::Up => f.write_str("up"),
            LayerTerm::All => f.write_str("all"),
            LayerTerm::SelfAttention => f.write_str("self"),
            LayerTerm::Cross => f.write_str("cross"),
            LayerTerm::Named(name) => write!(f, "{name:?}"),
            LayerTerm::Blocks(blocks) => write!(f, "{blocks:?}"),
            LayerTerm::Set(set) => write!(f, "({set})"),
        }
    }
}
