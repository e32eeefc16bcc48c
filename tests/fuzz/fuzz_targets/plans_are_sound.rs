//! A guide without errors has a plan that holds together, or is refused with a reason.
#![no_main]

#[path = "../properties/text.rs"]
#[allow(dead_code, reason = "each target holds one property")]
mod text;

libfuzzer_sys::fuzz_target!(|input: &str| text::plans_are_sound(input));
