//! Prompts as text encoders read them: in parts of as many tokens as an encoder takes, each token with
//! a weight.
//!
//! A prompt that is longer than the encoder's positions is read in parts, each with a start and an end
//! of its own, and the parts' states stand one after another, as in most tools. Weights are written as in
//! AUTOMATIC1111's: `(word:1.3)`, `(word)`, `[word]`; see `runtime/reference/prompts.md`.

mod emphasis;
mod parts;

pub use emphasis::{Fragment, fragments};
pub use parts::{MOST_PARTS, Part, empty, read};

/// How a prompt is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Every character stands for itself.
    #[default]
    Literal,
    /// Brackets and `:1.3` are weights, and `BREAK` begins a new part.
    Weighted,
}
