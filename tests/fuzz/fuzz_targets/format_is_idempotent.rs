//! What the formatter gives, it leaves alone the second time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(once) = guide_grammar::format(text) {
        let twice = guide_grammar::format(&once).expect("formatted text parses");
        assert_eq!(once, twice);
    }
});
