//! Every program in the project's own pages does what they say.
//!
//! A fenced block ```` ```guide ```` compiles without errors; ```` ```guide error G0401 ```` has
//! exactly these errors; ```` ```guide fragment ```` is a piece that does not stand alone.

use std::fs;
use std::path::{Path, PathBuf};

use guide_compiler::analyse;
use guide_compiler::diagnostics::Severity;
use guide_compiler::diagnostics::render::{Style, human};
use guide_compiler::memory::Memory;
use guide_compiler::sources::Loaded;

/// A fenced block of guide code.
struct Block {
    place: String,
    tags: Vec<String>,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn manual() -> [PathBuf; 3] {
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|file| root().join(file))
}

fn blocks(path: &Path) -> Vec<Block> {
    let text = fs::read_to_string(path).expect("the manual is readable");
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line.trim_end() == "```" => found.extend(open.take()),
            Some(block) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {
                let info = line.strip_prefix("```").map(|info| info.split_whitespace());
                let mut info = info.into_iter().flatten().map(str::to_owned);
                if info.next().as_deref() == Some("guide") {
                    let place = format!("{}:{}", path.display(), at + 1);
                    open = Some(Block {
                        place,
                        tags: info.collect(),
                        text: String::new(),
                    });
                }
            }
        }
    }
    assert!(open.is_none(), "{} ends inside a block", path.display());
    found
}

/// What is wrong with a block, if anything.
fn complaint(block: &Block) -> Option<String> {
    let tags: Vec<&str> = block.tags.iter().map(String::as_str).collect();
    let expected: &[&str] = match tags.as_slice() {
        ["fragment"] => return None,
        ["error", codes @ ..] if !codes.is_empty() => codes,
        [] => &[],
        _ => return Some("the tags are `error G0xxx` and `fragment`".to_owned()),
    };
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    let file = Loaded {
        path: "block.guide".to_owned(),
        text: block.text.clone(),
    };
    let (files, diagnostics) = analyse(file, &sources);
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let mut codes: Vec<&str> = errors.map(|d| d.code.number()).collect();
    codes.sort_unstable();
    codes.dedup();
    let drawn = human(&diagnostics, &files, Style::default());
    (codes != expected).then(|| format!("expected {expected:?}, found {codes:?}; tag the block `error G0xxx` or `fragment`\n{drawn}"))
}

#[test]
fn every_block_does_what_the_manual_says() {
    let blocks: Vec<Block> = manual().iter().flat_map(|path| blocks(path)).collect();
    assert!(!blocks.is_empty(), "the manual has programs");
    let complaints: Vec<String> = blocks
        .iter()
        .filter_map(|block| Some(format!("{}: {}", block.place, complaint(block)?)))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_example_and_every_file_of_the_library_is_formatted() {
    let examples = fs::read_dir(root().join("examples")).expect("there are examples");
    let examples = examples.map(|entry| entry.expect("an entry").path());
    let guides = examples.filter(|path| path.extension().is_some_and(|ending| ending == "guide"));
    let mut files: Vec<(String, String)> = guides
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(&path).expect("it is text"),
            )
        })
        .collect();
    files.extend(
        guide_stdlib::files()
            .iter()
            .map(|(p, t)| ((*p).to_owned(), (*t).to_owned())),
    );
    for (path, text) in files {
        let formatted = guide_grammar::format(&text);
        assert_eq!(
            formatted.as_ref().ok(),
            Some(&text),
            "{path}: run `guidec fmt`"
        );
    }
}
