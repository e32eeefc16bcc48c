//! One file a command.

pub mod check;
#[cfg(feature = "run")]
pub mod compare;
pub mod completions;
pub mod debug;
pub mod doc;
#[cfg(feature = "run")]
pub mod eval;
pub mod explain;
#[cfg(feature = "run")]
pub mod fit;
pub mod fmt;
pub mod import;
pub mod init;
#[cfg(feature = "run")]
pub mod invert;
pub mod lsp;
#[cfg(feature = "run")]
pub mod models;
#[cfg(feature = "run")]
pub mod optimise;
pub mod plan;
#[cfg(feature = "run")]
pub mod run;
pub mod test;
pub mod trace;
