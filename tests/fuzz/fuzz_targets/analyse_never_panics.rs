//! Any text is resolved and checked without a panic, and every label lies in a file.
#![no_main]

#[path = "../properties/text.rs"]
#[allow(dead_code, reason = "each target holds one property")]
mod text;

libfuzzer_sys::fuzz_target!(|input: &str| text::analyse_never_panics(input));
