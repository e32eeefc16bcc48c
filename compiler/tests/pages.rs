//! The pages of the codes are tests: the wrong program gives that code and that picture, the right
//! one is clean. `UPDATE=1 cargo test -p guide-compiler` rewrites the pictures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use guide_compiler::analyse;
use guide_compiler::diagnostics::Code;
use guide_compiler::diagnostics::render::{Style, human};
use guide_compiler::memory::Memory;
use guide_compiler::sources::Loaded;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnostics/pages")
}

/// The first fenced block that opens with `fence`: where its text begins and ends.
fn block(page: &str, fence: &str) -> Option<(usize, usize)> {
    let opening = format!("```{fence}\n");
    let start = page.find(&opening)? + opening.len();
    // An empty block closes where it opens.
    let end = if page[start..].starts_with("```") {
        0
    } else {
        page[start..].find("\n```")? + 1
    };
    Some((start, start + end))
}

/// The codes that a program gives, and the picture. `//- path` begins another file.
fn said(program: &str) -> (Vec<Code>, String) {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in program.split_inclusive('\n') {
        if let Some(path) = line.strip_prefix("//- ") {
            files.push((path.trim().to_owned(), String::new()));
            continue;
        }
        if files.is_empty() {
            files.push(("rule.guide".to_owned(), String::new()));
        }
        if let Some((_, text)) = files.last_mut() {
            text.push_str(line);
        }
    }
    let mut memory = Memory::with_library(guide_stdlib::files().iter().copied());
    for (path, text) in &files {
        memory = memory.file(path, text);
    }
    let (path, text) = files.into_iter().next().unwrap_or_default();
    let (map, diagnostics) = analyse(Loaded { path, text }, &memory);
    let codes = diagnostics.iter().map(|d| d.code).collect();
    (codes, human(&diagnostics, &map, Style::default()))
}

#[test]
fn a_page_shows_what_its_wrong_program_gives() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = String::new();
    for code in Code::ALL {
        let path = folder().join(format!("{}.md", code.number()));
        let page = std::fs::read_to_string(&path).expect("a readable page");
        let Some((start, end)) = block(&page, "guide wrong") else {
            continue;
        };
        let (codes, picture) = said(&page[start..end]);
        if codes != [*code] {
            failures += &format!("{} gives {codes:?}\n{picture}\n", code.number());
            continue;
        }
        let (start, end) = block(&page, "text").expect("a picture after a wrong program");
        if page[start..end] == picture {
            continue;
        }
        if update {
            let page = format!("{}{picture}{}", &page[..start], &page[end..]);
            std::fs::write(&path, page).expect("a writable page");
        } else {
            failures += &format!("{} shows another picture than\n{picture}\n", code.number());
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn what_a_page_proposes_is_clean() {
    let mut failures = String::new();
    for code in Code::ALL {
        let page = code.page();
        if let Some((start, end)) = block(page, "guide right") {
            let (codes, picture) = said(&page[start..end]);
            if !codes.is_empty() {
                failures += &format!("{}\n{picture}\n", code.number());
            }
        } else {
            assert!(
                block(page, "console").is_some(),
                "{} has an example",
                code.number()
            );
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn each_code_has_a_page_and_each_page_a_code() {
    let names: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the folder of pages")
        .map(|entry| {
            entry
                .expect("a readable entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let wanted: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| format!("{}.md", code.number()))
        .collect();
    assert_eq!(names, wanted);
    for code in Code::ALL {
        let title = format!("# {}: {}\n", code.number(), code.title());
        assert!(
            code.page().starts_with(&title),
            "the page of {} begins {title}",
            code.number()
        );
    }
}

#[test]
fn the_manual_shows_what_is_drawn() {
    let program = "guide g() {\n    let d = predict(cond) - predict(uncond)\n    let m = d + 0.5 * m\n    predict(cond) + m\n}\n";
    let manual = include_str!("../reference/diagnostics.md");
    let (start, end) = block(manual, "text").expect("a picture");
    assert_eq!(&manual[start..end], said(program).1);
    let names = include_str!("../reference/names.md");
    let (start, end) = block(names, "guide").expect("an example");
    assert_eq!(said(&names[start..end]).0, []);
}
