//! What is inferred for `let`s: `let d = c - u //: direction in eps, weight 0, sample`.

use std::path::Path;

use guide_compiler::check::{check, reveal};
use guide_compiler::memory::Memory;
use guide_compiler::resolve::resolve;
use guide_compiler::sources::{Loaded, SourceMap};

#[test]
fn every_revealed_value_is_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/language/values");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|e| e.expect("an entry").path())
        .collect();
    paths.sort();
    let mut failures = String::new();
    let mut claims = 0;
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a readable program");
        let memory = Memory::with_library(guide_stdlib::files().iter().copied());
        let mut files = SourceMap::default();
        let root = Loaded {
            path: "values.guide".into(),
            text: text.clone(),
        };
        let (program, mut bag) = resolve(root, &memory, &mut files);
        bag.extend(check(&program));
        for d in bag.iter() {
            failures += &format!("{}: {} {}\n", path.display(), d.code.number(), d.message);
        }
        let found = reveal(&program);
        for (at, line) in text.lines().enumerate() {
            let Some((_, claim)) = line.split_once("//: ") else {
                continue;
            };
            claims += 1;
            let here = found.iter().find(|(span, _)| {
                files.path(span.file) == "values.guide"
                    && files.position(span.file, span.start).0 == at + 1
            });
            let here = here.map_or("nothing", |(_, text)| text.as_str());
            if here != claim {
                failures += &format!(
                    "line {}: `{claim}` is claimed, and it is `{here}`\n",
                    at + 1
                );
            }
        }
    }
    assert!(claims > 20, "claims are found");
    assert!(failures.is_empty(), "\n{failures}");
}
