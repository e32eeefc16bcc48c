//! What a rule reads of an evaluation besides its answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Layers, layer_kind};

/// A look into a network while it answers: a number for each place.
///
/// - Of self-attention, how much each place was looked at: the shares that all places gave it, added up, so
///   that 1 is what each has where all look everywhere alike.
/// - Of attention to the text, which share of its attention each place gave to the tokens, in 0..=1. Both are
///   means over heads and over layers.
/// - Of regions, the token of the text that is strongest there, by its place. In each transformer block the
///   attention `C` to the text is spread by the self-attention `S`, `(S + S^2 + ... + S^spread) C / spread`, and
///   each token's map divided by its mean over the picture; the mean over the blocks decides (Shen et al. 2024,
///   arXiv 2404.05384).
/// - Of features, the root of the mean square over the channels of what a residual block or an attention adds;
///   the mean over the layers.
///
/// What is smaller than the latent is enlarged to it by nearest neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The layers that are looked into; those of them that attend so.
    pub layers: Layers,
    /// At what.
    pub of: Sees,
    /// Of attention to the text: to which tokens.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub tokens: Tokens,
    /// Of regions: how often the attention to the text is spread by the self-attention.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spread: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How often regions are spread where nothing is said.
pub const USUAL_SPREAD: u32 = 4;
/// How often they are spread at most.
pub const MOST_SPREAD: u32 = 64;

/// Tokens of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tokens {
    /// By their places, the start of the text being 0.
    Places(Vec<u32>),
    /// Those of words, wherever they stand in the prediction's text.
    Words(String),
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens::Places(Vec::new())
    }
}

impl Tokens {
    /// Whether none are meant.
    pub fn is_none(&self) -> bool {
        matches!(self, Tokens::Places(places) if places.is_empty())
    }
}

/// As they are written: `[2, 3]`, `"apple"`.
impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tokens::Places(places) => write!(f, "{places:?}"),
            Tokens::Words(words) => write!(f, "{words:?}"),
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sees {
    /// Attention to the places of the picture themselves.
    #[serde(rename = "self")]
    Own,
    /// Attention to the text.
    Cross,
    /// The regions that tokens of the text have.
    Regions,
    /// What layers add.
    Features,
}

impl Sees {
    /// What a layer must have for this to be seen there.
    pub fn noun(self) -> &'static str {
        match self {
            Sees::Own => "self-attention",
            Sees::Cross => "cross-attention",
            Sees::Regions => "transformer block",
            Sees::Features => "residual block or attention",
        }
    }

    /// The primitive by which a rule looks, and the word that begins the name in recordings.
    pub fn call(self) -> &'static str {
        match self {
            Sees::Own | Sees::Cross => "attention",
            Sees::Regions => "regions",
            Sees::Features => "features",
        }
    }

    /// Whether it is seen in a layer of this name.
    fn is_in(self, name: &str) -> bool {
        let kind = layer_kind(name);
        match self {
            Sees::Own => kind == "self",
            Sees::Cross => kind == "cross",
            Sees::Regions => matches!(kind, "self" | "cross"),
            Sees::Features => {
                matches!(kind, "self" | "cross") || name.split('.').any(|word| word == "resnet")
            }
        }
    }
}

impl Look {
    /// Whether the layer of this name is looked into.
    pub fn holds(&self, name: &str) -> bool {
        self.layers.holds(name) && self.of.is_in(name)
    }

    /// Whether there is anything to be seen in layers of these names.
    pub fn sees_any(&self, names: &[String]) -> bool {
        match self.of {
            // A block is read by its two attentions.
            Sees::Regions => names.iter().any(|name| {
                let other = name
                    .strip_suffix("cross")
                    .map(|block| format!("{block}self"));
                self.holds(name) && other.is_some_and(|other| self.holds(&other))
            }),
            _ => names.iter().any(|name| self.holds(name)),
        }
    }

    /// The call that reads it of a prediction with this label.
    pub fn label(&self, prediction: &str) -> String {
        format!("{}({prediction}, {self})", self.of.call())
    }

    /// Its name in recordings.
    pub fn recorded(&self, prediction: &str) -> String {
        format!("{}/{prediction}/{self}", self.of.call())
    }
}

/// As the arguments are written: `mid`, `up, of: cross, tokens: [2, 3]`, `all, spread: 8`.
impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layers)?;
        if self.of == Sees::Cross {
            write!(f, ", of: cross")?;
        }
        if self.of == Sees::Regions && self.spread != USUAL_SPREAD {
            write!(f, ", spread: {}", self.spread)?;
        }
        if !self.tokens.is_none() {
            write!(f, ", tokens: {}", self.tokens)?;
        }
        Ok(())
    }
}
