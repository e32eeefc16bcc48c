//! The built binary, as a user meets it.

mod bad_input;
mod check;
mod doc;
#[cfg(feature = "run")]
mod eval;
mod explain;
mod fmt;
mod help;
mod imports;
mod plan;
#[cfg(feature = "run")]
mod run;
mod sandbox;
