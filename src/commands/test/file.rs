//! All tests of one file: its guides and the programs in its doc comments.

use std::path::{Path, PathBuf};

use guide_compiler::diagnostics::{Code, Diagnostic, suggest};
use guide_compiler::pipeline;
use guide_compiler::sources::Loaded;
use guide_grammar::ast::{self, FunctionKind, ItemKind};
use guide_grammar::parse;
use guide_grammar::span::FileId;

use super::find::shown;
use super::guide::Guide;
use super::header::{self, Header};
use super::said::Said;
use super::{Examples, Tested, example, has_errors};
use crate::files::folder_of;
use crate::sources::{self, Disk};

/// Tests a file.
pub fn test(place: &Path, allowed: &[PathBuf]) -> Tested {
    let file = shown(place);
    let mut tested = Tested {
        file: file.clone(),
        place: place.to_owned(),
        snapshots: Vec::new(),
        examples: Examples::default(),
        said: Said::default(),
        is_whole: false,
    };
    match sources::root(&place.to_string_lossy()) {
        Ok(root) => {
            let root = Loaded {
                path: file,
                text: root.text,
            };
            compile(&mut tested, root, allowed);
        }
        Err(failure) => tested.said.fail(failure, unreadable),
    }
    tested
}

fn unreadable(sentence: String) -> Diagnostic {
    Diagnostic::new(Code::Unreadable, sentence)
}

fn compile(tested: &mut Tested, root: Loaded, allowed: &[PathBuf]) {
    let tree = parse(FileId(0), &root.text);
    let folder = folder_of(&tested.place);
    tested.said = Said::about(root.clone());
    let (header, refused) = header::read(&tree.file, &root.text, &folder);
    let header_is_whole = !has_errors(&refused);
    refused.into_iter().for_each(|d| tested.said.say(d));
    let lines = header
        .lines
        .iter()
        .flat_map(|line| &line.options.allow_path);
    let allowed: Vec<PathBuf> = allowed.iter().chain(lines).cloned().collect();

    let mut analysis = pipeline::read(root.clone(), &Disk::new(&root.path, &allowed));
    let found = analysis.diagnostics.clone().into_sorted();
    let is_sound = !has_errors(&found);
    tested.said.absorb(found, &analysis.files, str::to_owned);
    let names = guides(&tree.file);
    unknown_guides(&header, &names, &mut tested.said);
    // A plan does not depend on where the test was started.
    analysis.path = file_name(&tested.place);
    tested.is_whole = tree.errors.is_empty() && header_is_whole;
    if is_sound && header_is_whole {
        for name in &names {
            let guide = Guide {
                place: &tested.place,
                name,
                is_root: is_root(&tested.place, name, &names),
            };
            let said = &mut tested.said;
            let mut lines = header.of(name).peekable();
            let without = lines.peek().is_none().then_some(None);
            let lines = lines.map(Some).chain(without);
            let compared = lines.map(|line| guide.compare(&analysis, line, said));
            tested.snapshots.extend(compared);
        }
    } else {
        tested.is_whole = false;
    }
    let neighbour = example::Neighbour {
        place: &tested.place,
        text: &root,
        allowed: &allowed,
        #[cfg(feature = "run")]
        recording: header.recording.as_ref(),
    };
    tested.examples = neighbour.test(&tree.file, &mut tested.said);
}

/// The names of a file's guides, in order.
fn guides(file: &ast::File) -> Vec<&str> {
    file.items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::Function(function) if function.kind == FunctionKind::Guide => {
                Some(function.name.node.as_str())
            }
            _ => None,
        })
        .collect()
}

fn is_root(place: &Path, name: &str, names: &[&str]) -> bool {
    names.len() == 1 || place.file_stem().is_some_and(|stem| stem == name)
}

fn file_name(place: &Path) -> String {
    let name = place.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn unknown_guides(header: &Header, names: &[&str], said: &mut Said) {
    for line in &header.lines {
        let Some(guide) = line.options.guide.as_deref() else {
            continue;
        };
        if names.contains(&guide) {
            continue;
        }
        let message = format!("no guide of this file is called `{guide}`");
        let unknown = Diagnostic::new(Code::BadTestLine, message).at(line.span, "for this test");
        let near = suggest::nearest(guide, names.iter().copied());
        said.say(match near {
            Some(near) => unknown.help(format!("write `--guide {near}`")),
            None => unknown.help("name one of its guides, or leave `--guide` out"),
        });
    }
}
