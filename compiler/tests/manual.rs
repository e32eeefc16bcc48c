//! Every program in the manual's pages of this crate compiles, or fails with the code it names.

use std::path::Path;

use guide_compiler::analyse;
use guide_compiler::diagnostics::{Code, Severity};
use guide_compiler::memory::Memory;
use guide_compiler::sources::Loaded;

#[test]
fn every_program_of_the_reference_is_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference");
    let mut failures = String::new();
    let mut blocks = 0;
    for entry in std::fs::read_dir(folder).expect("the reference") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let page = std::fs::read_to_string(&path).expect("a readable page");
        for part in page.split("\n```guide").skip(1) {
            let Some((tag, rest)) = part.split_once('\n') else {
                continue;
            };
            let text = rest.split("\n```").next().unwrap_or_default();
            if tag.trim() == "fragment" {
                continue;
            }
            blocks += 1;
            let wanted: Vec<&str> = tag.trim().strip_prefix("error ").into_iter().collect();
            let memory = Memory::with_library(guide_stdlib::files().iter().copied());
            let (_, found) = analyse(
                Loaded {
                    path: "page.guide".into(),
                    text: text.into(),
                },
                &memory,
            );
            let errors: Vec<&str> = found
                .iter()
                .filter(|d| d.severity == Severity::Error || d.code == Code::NotPinned)
                .map(|d| d.code.number())
                .collect();
            if errors != wanted {
                failures += &format!(
                    "{}: {errors:?} where {wanted:?} is named\n{text}\n",
                    path.display()
                );
            }
        }
    }
    assert!(blocks > 10, "programs are found");
    assert!(failures.is_empty(), "\n{failures}");
}
