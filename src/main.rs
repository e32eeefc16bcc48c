//! The `guidec` command line.
fn main() {}
