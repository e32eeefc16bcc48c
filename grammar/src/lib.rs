//! Text to syntax tree to text. No IO, no meaning of names, no types.

pub mod ast;
pub mod span;
