//! The plan of every rule of the standard library, as text, in six steps.

mod fixture;
#[path = "fixture/library.rs"]
mod library;

use fixture::target;
use guide_compiler::diagnostics::Code;
use guide_compiler::memory::Memory;
use guide_compiler::model;
use guide_compiler::pipeline::{Request, Times, compile, read};
use guide_compiler::plan::{Plan, Space};
use guide_compiler::show;
use guide_compiler::sources::Loaded;
use guide_compiler::timetable::{Sampler, SchedulerConfig};

/// The files of the library that hold a guide: path, name and text.
fn guides() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let named = |(path, text): &(&'static str, &'static str)| {
        let stem = path.rsplit('/').next()?.strip_suffix(".guide")?;
        let holds = text.contains(&format!("\nguide {stem}("));
        holds.then_some((*path, stem, *text))
    };
    guide_stdlib::files().iter().filter_map(named)
}

/// The plan of a rule for a model of `space`; `None` for a flow model's rule, where no flow model can
/// answer so: without signal, as in its first step, a score says nothing of the sample.
fn planned(path: &str, name: &str, text: &str, space: Space) -> Option<Plan> {
    let path = format!("stdlib/{path}");
    let mut target = target(name, 6, space);
    target.file = path.clone();
    match library::for_some_model(&path, text, name, target, Sampler::Euler) {
        Ok(plan) => Some(plan),
        Err(bag) if bag.iter().all(|d| d.code == Code::ConversionUndefined) => None,
        Err(bag) => panic!("{path}: {:?}", bag.into_sorted()),
    }
}

#[test]
fn every_rule_of_the_library_has_a_readable_plan() {
    let (mut rules, mut dialects) = (0, 0);
    for (path, name, text) in guides() {
        let plan = planned(path, name, text, Space::Eps).expect("a plan");
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
            let Some(plan) = planned(path, name, text, space) else {
                assert_eq!(space, Space::Score, "{path}");
                continue;
            };
            assert_eq!(plan.check(), Ok(()), "{path} in {space:?}");
            let read: Plan = serde_json::from_str(&show::json(&plan)).expect("what was written");
            assert_eq!(read, plan, "{path} in {space:?}");
        }
    }
}

/// The plan of an objective in six turns.
fn of_objective(path: &str, text: &str, space: Space) -> Plan {
    let mut request = Request::new(model::known("sd15").expect("a model"));
    request.facts.space = space;
    let scheduler = match space {
        Space::Flow => {
            let config = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler"}"#;
            SchedulerConfig::parse(config, None).expect("a config")
        }
        space => SchedulerConfig::stable_diffusion(space),
    };
    request.times = Times::Turns {
        scheduler,
        range: (0.02, 0.98),
    };
    request.steps = 6;
    let root = Loaded {
        path: format!("stdlib/{path}"),
        text: text.to_owned(),
    };
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    match compile(&read(root, &sources), &request) {
        Ok(compiled) => compiled.plan,
        Err(bag) => panic!("{path}: {:?}", bag.into_sorted()),
    }
}

#[test]
fn every_objective_of_the_library_has_a_readable_plan() {
    let mut objectives = 0;
    for (path, text) in guide_stdlib::files() {
        let Some(name) = path.strip_prefix("objectives/") else {
            continue;
        };
        for space in [Space::Eps, Space::V, Space::X0, Space::Flow, Space::Score] {
            let plan = of_objective(path, text, space);
            assert_eq!(plan.check(), Ok(()), "{path} in {space:?}");
            let read: Plan = serde_json::from_str(&show::json(&plan)).expect("what was written");
            assert_eq!(read, plan, "{path} in {space:?}");
        }
        let name = name.trim_end_matches(".guide");
        let plan = of_objective(path, text, Space::V);
        insta::with_settings!({ snapshot_suffix => name, omit_expression => true }, {
            insta::assert_snapshot!("objective", show::text(&plan));
        });
        objectives += 1;
    }
    assert!(objectives >= 3, "the library has {objectives} objectives");
}

/// A saved plan may say anything; what an objective's turn asks must be a number's worth.
#[test]
fn a_saved_turn_is_checked() {
    let text = "objective o() { eps(predict(cond)) - noise }\n";
    let plan = of_objective("o.guide", text, Space::Eps);
    let saved: serde_json::Value = serde_json::from_str(&show::json(&plan)).expect("json");
    let with = |path: &str, value: serde_json::Value| {
        let mut changed = saved.clone();
        *changed.pointer_mut(path).expect("it is there") = value;
        let read: Plan = serde_json::from_value(changed).expect("a plan");
        read.check()
    };
    let segment = "/segments/0";
    let ask = format!("{segment}/waves/1/evaluate/0/uses/0/time");
    let refused = with(&ask, serde_json::json!("latent")).expect_err("a tensor is no time");
    assert!(refused.contains("a time that is not a number"), "{refused}");
    let shift = format!("{segment}/result/shift");
    let refused = with(&shift, serde_json::json!("latent")).expect_err("more than a direction");
    assert!(refused.contains("more than a direction"), "{refused}");
    assert!(with("/head/steps", serde_json::json!(10_001)).is_err());
}
