//! The parser that pest makes of `guide.pest`.

// The rules are documented where they stand, in `guide.pest`.
#![allow(missing_docs)]

/// Parses a chunk; used in `lib`, read in `build` and `expected`.
#[derive(pest_derive::Parser)]
#[grammar = "../guide.pest"]
pub(crate) struct GuideParser;
