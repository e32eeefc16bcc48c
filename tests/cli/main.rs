//! The built binary, as a user meets it.

mod bad_input;
#[cfg(feature = "run")]
mod broken_models;
mod check;
#[cfg(feature = "run")]
mod classifiers;
#[cfg(feature = "run")]
mod cluster;
#[cfg(feature = "run")]
mod compare;
mod doc;
#[cfg(feature = "download")]
mod download;
#[cfg(feature = "run")]
mod eval;
#[cfg(feature = "run")]
mod examples;
mod explain;
#[cfg(feature = "run")]
mod fit;
mod fmt;
mod help;
#[cfg(feature = "download")]
mod hub;
mod import;
mod import_refused;
mod imports;
mod init;
#[cfg(feature = "run")]
mod invert;
#[cfg(feature = "run")]
mod manual;
#[cfg(feature = "run")]
mod misfits;
#[cfg(feature = "run")]
mod models;
#[cfg(feature = "run")]
mod optimise;
#[cfg(feature = "run")]
mod output;
#[cfg(feature = "run")]
mod pages;
mod plan;
#[cfg(all(unix, feature = "run"))]
mod preview;
#[cfg(feature = "run")]
mod random_model;
#[cfg(feature = "run")]
mod resume;
#[cfg(feature = "run")]
mod run;
mod sandbox;
#[cfg(feature = "run")]
mod start;
mod test;
mod trace;
mod windows;
