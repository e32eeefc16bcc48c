//! The plan of every rule of the standard library, as text, in six steps.

mod fixture;

use fixture::target;
use guide_compiler::check::{self, Inline};
use guide_compiler::memory::Memory;
use guide_compiler::plan::{Plan, Space};
use guide_compiler::resolve::resolve;
use guide_compiler::resolved::{ItemId, ItemKind};
use guide_compiler::schedule::plan;
use guide_compiler::show;
use guide_compiler::sources::{Loaded, SourceMap};
use guide_grammar::ast::FunctionKind;

fn planned(path: &str, text: &str, space: Space) -> Plan {
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    let mut files = SourceMap::default();
    let root = Loaded {
        path: format!("stdlib/{path}"),
        text: text.to_string(),
    };
    let (program, bag) = resolve(root, &sources, &mut files);
    assert!(!bag.has_errors(), "{path}: {:?}", bag.into_sorted());
    let name = path.trim_start_matches("rules/").trim_end_matches(".guide");
    let is_guide = |id: &ItemId| {
        let item = &program.items[id.0 as usize];
        let guide = matches!(&item.kind, ItemKind::Function(f) if f.kind == FunctionKind::Guide);
        guide && item.name.node == name
    };
    let guide = program.modules[0]
        .items
        .iter()
        .copied()
        .find(is_guide)
        .expect("a guide");
    let request = Inline {
        prompt_counts: vec![("prompts".to_string(), 2)],
        negative: true,
        steps: Some(6),
        ..Inline::default()
    };
    let (graph, bag) = check::inline(&program, guide, &request);
    assert!(!bag.has_errors(), "{path}: {:?}", bag.into_sorted());
    let mut target = target(name, 6, space);
    target.file = format!("stdlib/{path}");
    plan(&graph, &target).unwrap_or_else(|bag| panic!("{path}: {:?}", bag.into_sorted()))
}

#[test]
fn every_rule_of_the_library_has_a_readable_plan() {
    let mut count = 0;
    for (path, text) in guide_stdlib::files()
        .iter()
        .filter(|(p, _)| p.starts_with("rules/"))
    {
        let plan = planned(path, text, Space::Eps);
        assert_eq!(plan.check(), Ok(()), "{path}");
        let name = path.trim_start_matches("rules/").trim_end_matches(".guide");
        insta::with_settings!({ snapshot_suffix => name, omit_expression => true }, {
            insta::assert_snapshot!("rule", show::text(&plan));
        });
        count += 1;
    }
    assert!(count > 15, "the library has {count} rules");
}

#[test]
fn every_rule_has_a_plan_in_every_space() {
    for (path, text) in guide_stdlib::files()
        .iter()
        .filter(|(p, _)| p.starts_with("rules/"))
    {
        for space in [Space::V, Space::X0, Space::Flow, Space::Score] {
            let plan = planned(path, text, space);
            assert_eq!(plan.check(), Ok(()), "{path} in {space:?}");
            let read: Plan = serde_json::from_str(&show::json(&plan)).expect("what was written");
            assert_eq!(read, plan, "{path} in {space:?}");
        }
    }
}
