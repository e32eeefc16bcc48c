//! A saved plan, whatever it says, is accepted or refused, never a panic.
#![no_main]

use guide_compiler::plan::Plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = serde_json::from_slice::<Plan>(bytes) {
        let _ = plan.check();
    }
});
