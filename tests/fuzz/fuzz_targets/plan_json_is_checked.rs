//! A saved plan, whatever it says, is accepted or refused, never a panic.
#![no_main]

#[path = "../properties/text.rs"]
#[allow(dead_code, reason = "each target holds one property")]
mod text;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| text::plan_json_is_checked(bytes));
