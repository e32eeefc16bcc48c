//! A recording, whatever its bytes, is read or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = guide_runtime::recording::parse(bytes, "fuzz");
});
