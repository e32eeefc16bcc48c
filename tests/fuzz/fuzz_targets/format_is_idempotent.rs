//! What the formatter gives, it leaves alone the second time.
#![no_main]

#[path = "../properties/text.rs"]
#[allow(dead_code, reason = "each target holds one property")]
mod text;

libfuzzer_sys::fuzz_target!(|input: &str| text::format_is_idempotent(input));
