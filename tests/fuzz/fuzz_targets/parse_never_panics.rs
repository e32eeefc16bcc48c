//! Whatever the bytes: a tree and errors, never a panic.
#![no_main]

use guide_grammar::span::FileId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = guide_grammar::parse(FileId(0), text);
    for error in &parsed.errors {
        assert!(error.span.end as usize <= text.len());
        assert!(text.is_char_boundary(error.span.start as usize));
    }
});
