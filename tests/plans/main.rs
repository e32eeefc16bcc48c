//! The plan of every example, as people read it.

use std::fs;
use std::path::Path;

use guide_compiler::diagnostics::render::{Style, human};
use guide_compiler::memory::Memory;
use guide_compiler::model;
use guide_compiler::pipeline::{Request, compile, read};
use guide_compiler::show;
use guide_compiler::sources::Loaded;

/// Steps of a snapshot: enough for windows to show, few enough to read.
const STEPS: u32 = 8;

/// The source, and under it the plan.
fn shown(path: &str, text: &str) -> String {
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    // Lists of prompts hold two.
    let prompt_counts = vec![("prompts".to_owned(), 2)];
    let analysis = read(
        Loaded {
            path: path.to_owned(),
            text: text.to_owned(),
        },
        &sources,
    );
    let pocket = model::known("pocket").expect("the embedded model is known");
    let request = Request {
        steps: STEPS,
        prompt_counts,
        ..Request::new(pocket)
    };
    let drawn = match compile(&analysis, &request) {
        Ok(compiled) => show::text(&compiled.plan),
        Err(bag) => human(&bag.into_sorted(), &analysis.files, Style::default()),
    };
    let docs = |line: &&str| !line.trim_start().starts_with("///") && !line.starts_with("//!");
    let source: Vec<&str> = text.trim().lines().filter(docs).collect();
    format!("{}\n\n--- plan\n{drawn}", source.join("\n").trim())
}

fn name(path: &str) -> String {
    path.trim_end_matches(".guide").replace('/', "__")
}

#[test]
fn examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(&folder).expect("there are examples");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".guide"))
        .collect();
    names.sort();
    for file in names {
        let path = format!("examples/{file}");
        let text = fs::read_to_string(folder.join(&file)).expect("an example is text");
        insta::assert_snapshot!(name(&path), shown(&path, &text));
    }
}
