//! Whatever the text: a tree and errors, never a panic.
#![no_main]

#[path = "../properties/text.rs"]
#[allow(dead_code, reason = "each target holds one property")]
mod text;

libfuzzer_sys::fuzz_target!(|input: &str| text::parse_never_panics(input));
