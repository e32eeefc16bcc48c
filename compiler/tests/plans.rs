//! The plan of every rule of the standard library, as text, in six steps.

mod fixture;
#[path = "fixture/library.rs"]
mod library;

use fixture::target;
use guide_compiler::plan::{Plan, Space};
use guide_compiler::show;

fn planned(path: &str, text: &str, space: Space) -> Plan {
    let name = path.trim_start_matches("rules/").trim_end_matches(".guide");
    let path = format!("stdlib/{path}");
    let mut target = target(name, 6, space);
    target.file = path.clone();
    library::planned(&path, text, name, &target)
        .unwrap_or_else(|bag| panic!("{path}: {:?}", bag.into_sorted()))
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
