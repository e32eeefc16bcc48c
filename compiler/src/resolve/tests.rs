//! Names, modules and cycles, on programs in memory.

use crate::diagnostics::render::{Style, human};
use crate::memory::Memory;
use crate::resolve::resolve;
use crate::sources::{Loaded, SourceMap};

fn library() -> Memory {
    Memory::with_library(guide_stdlib::files().iter().copied())
}

#[test]
fn the_standard_library_resolves() {
    let mut said = String::new();
    for (path, text) in guide_stdlib::files() {
        let mut files = SourceMap::default();
        let root = Loaded {
            path: format!("stdlib/{path}"),
            text: (*text).to_owned(),
        };
        let (program, bag) = resolve(root, &library(), &mut files);
        assert!(!program.items.is_empty(), "{path} defines something");
        said += &human(&bag.into_sorted(), &files, Style::default());
    }
    assert_eq!(said, "");
}
