//! Whole programs: every rule of the library and every program under `tests/language/programs` is
//! clean, and inlines into a graph.

use std::path::Path;

use guide_compiler::check::{Inline, check, inline};
use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::graph::{Graph, Op};
use guide_compiler::memory::Memory;
use guide_compiler::resolve::resolve;
use guide_compiler::resolved::{ItemId, ItemKind, Program};
use guide_compiler::sources::{Loaded, SourceMap};
use guide_grammar::ast::FunctionKind;

fn load(path: &str, text: &str) -> (SourceMap, Program, Vec<Diagnostic>) {
    let memory = Memory::with_library(guide_stdlib::files().iter().copied());
    let mut files = SourceMap::default();
    let root = Loaded {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let (program, mut bag) = resolve(root, &memory, &mut files);
    bag.extend(check(&program));
    (files, program, bag.into_sorted())
}

fn guides(program: &Program) -> Vec<ItemId> {
    let is_guide = |id: &ItemId| matches!(&program.items[id.index()].kind, ItemKind::Function(f) if f.kind == FunctionKind::Guide);
    program.modules[0]
        .items
        .iter()
        .copied()
        .filter(is_guide)
        .collect()
}

fn programs() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = guide_stdlib::files()
        .iter()
        .map(|(path, text)| (format!("stdlib/{path}"), (*text).to_owned()))
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/language/programs");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the programs")
        .map(|e| e.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 8);
    for path in paths {
        all.push((
            path.display().to_string(),
            std::fs::read_to_string(&path).expect("a program"),
        ));
    }
    all
}

#[test]
fn every_program_is_clean_and_inlines() {
    let mut failures = String::new();
    for (path, text) in programs() {
        let (files, program, diagnostics) = load(&path, &text);
        for d in diagnostics.iter().filter(|d| d.code != Code::NotPinned) {
            let place = d
                .labels
                .first()
                .map(|l| files.position(l.span.file, l.span.start));
            failures += &format!(
                "{path}:{place:?} {} {} {:?}\n",
                d.code.number(),
                d.message,
                d.help
            );
        }
        for guide in guides(&program) {
            let request = Inline {
                prompt_counts: vec![("prompts".into(), 2)],
                ..Inline::default()
            };
            let (graph, bag) = inline(&program, guide, &request);
            for d in bag.iter().filter(|d| d.code != Code::NotPinned) {
                failures += &format!(
                    "{path}: inlined: {} {} {:?}\n",
                    d.code.number(),
                    d.message,
                    d.labels
                );
            }
            if graph.outcome.is_none() {
                failures += &format!("{path}: no outcome\n");
            }
            failures += &ill_formed(&path, &graph);
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// Operands stand before their operations, and nothing unknown is left.
fn ill_formed(path: &str, graph: &Graph) -> String {
    let mut failures = String::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Parameter(_)) {
            failures += &format!("{path}: an unknown is left: {node:?}\n");
        }
        if let Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) = node.op
            && (a.index() >= at || b.index() >= at)
        {
            failures += &format!("{path}: operands after {node:?}\n");
        }
    }
    failures
}
