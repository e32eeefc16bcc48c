//! The promises of `ARCHITECTURE.md` that can be read off the sources.

mod boundaries;
mod habits;
mod tree;
