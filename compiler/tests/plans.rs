//! The plan of every rule of the standard library, as text, in six steps.

mod fixture;
#[path = "fixture/library.rs"]
mod library;

use fixture::target;
use guide_compiler::plan::{Plan, Space};
use guide_compiler::show;

/// The files of the library that hold a guide: path, name and text.
fn guides() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let named = |(path, text): &(&'static str, &'static str)| {
        let stem = path.rsplit('/').next()?.strip_suffix(".guide")?;
        let holds = text.contains(&format!("\nguide {stem}("));
        holds.then_some((*path, stem, *text))
    };
    guide_stdlib::files().iter().filter_map(named)
}

fn planned(path: &str, name: &str, text: &str, space: Space) -> Plan {
    let path = format!("stdlib/{path}");
    let mut target = target(name, 6, space);
    target.file = path.clone();
    library::planned(&path, text, name, &target)
        .unwrap_or_else(|bag| panic!("{path}: {:?}", bag.into_sorted()))
}

#[test]
fn every_rule_of_the_library_has_a_readable_plan() {
    let (mut rules, mut dialects) = (0, 0);
    for (path, name, text) in guides() {
        let plan = planned(path, name, text, Space::Eps);
        assert_eq!(plan.check(), Ok(()), "{path}");
        let variant = path.strip_prefix("dialects/");
        let file = variant.and_then(|path| path.strip_suffix(".guide"));
        let snapshot = file.map_or("rule", |_| "dialect");
        let suffix = file.map_or(name.to_owned(), |file| file.replace('/', "__"));
        insta::with_settings!({ snapshot_suffix => suffix, omit_expression => true }, {
            insta::assert_snapshot!(snapshot, show::text(&plan));
        });
        *if variant.is_some() {
            &mut dialects
        } else {
            &mut rules
        } += 1;
    }
    assert!(rules > 15, "the library has {rules} rules");
    assert!(dialects > 25, "the library has {dialects} dialects");
}

#[test]
fn every_rule_has_a_plan_in_every_space() {
    for (path, name, text) in guides() {
        for space in [Space::V, Space::X0, Space::Flow, Space::Score] {
            let plan = planned(path, name, text, space);
            assert_eq!(plan.check(), Ok(()), "{path} in {space:?}");
            let read: Plan = serde_json::from_str(&show::json(&plan)).expect("what was written");
            assert_eq!(read, plan, "{path} in {space:?}");
        }
    }
}
