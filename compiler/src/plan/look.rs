//! What a rule reads of an evaluation besides its answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Layers;

/// A look into a network while it answers: how its attention was spread.
///
/// Of self-attention, how much each place was looked at: the shares that all places gave it, added up, so
/// that 1 is what each has where all look everywhere alike. Of attention to the text, which share of its
/// attention each place gave to the tokens, in 0..=1. Both are means over heads and over layers, and are
/// enlarged to the latent by nearest neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The layers that are looked into; those of them that attend so.
    pub layers: Layers,
    /// To what they attend.
    pub of: Attends,
    /// Of attention to the text: to which tokens.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub tokens: Tokens,
}

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

/// What an attention attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attends {
    /// The places of the picture themselves.
    #[serde(rename = "self")]
    Own,
    /// The text.
    Cross,
}

impl Attends {
    /// The last word of such a layer's name, and the word in the language.
    pub fn word(self) -> &'static str {
        match self {
            Attends::Own => "self",
            Attends::Cross => "cross",
        }
    }
}

impl Look {
    /// Whether the layer of this name is looked into.
    pub fn holds(&self, name: &str) -> bool {
        self.layers.holds(name) && name.rsplit('.').next() == Some(self.of.word())
    }

    /// The call that reads it of a prediction with this label, which is also its name in recordings.
    pub fn label(&self, prediction: &str) -> String {
        format!("attention({prediction}, {self})")
    }
}

/// As the arguments are written: `mid`, `up, of: cross, tokens: [2, 3]`.
impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layers)?;
        if self.of == Attends::Cross {
            write!(f, ", of: cross")?;
        }
        if !self.tokens.is_none() {
            write!(f, ", tokens: {}", self.tokens)?;
        }
        Ok(())
    }
}
