//! Random programs from their text to their plan, against a slow reading of the syntax tree.
//!
//! The reading knows nothing of kinds, graphs or plans: it walks the tree of each tick anew, with
//! state by name and branches taken lazily, and converts with the formulas of the language.

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../fixture/interpret.rs"]
mod interpret;
mod read;
#[path = "../fixture/reference.rs"]
mod reference;
mod write;

use fixture::target;
use guide_compiler::check::{Inline, check, inline};
use guide_compiler::diagnostics::Severity;
use guide_compiler::memory::Memory;
use guide_compiler::plan::{Plan, Space};
use guide_compiler::resolve::resolve;
use guide_compiler::schedule::plan;
use guide_compiler::show;
use guide_compiler::sources::{Loaded, SourceMap};
use proptest::prelude::*;

const STEPS: u32 = 5;
const SAMPLES: usize = 2;

/// A program's plan; the text of its errors if it has any.
fn compile(text: &str, native: Space) -> Result<Plan, String> {
    let memory = Memory::with_library(guide_stdlib::files().iter().copied());
    let mut files = SourceMap::default();
    let root = Loaded {
        path: "random.guide".to_owned(),
        text: text.to_owned(),
    };
    let (program, mut bag) = resolve(root, &memory, &mut files);
    bag.extend(check(&program));
    let said = bag.into_sorted();
    if let Some(error) = said.iter().find(|d| d.severity == Severity::Error) {
        return Err(format!("{error:#?}"));
    }
    let guide = program.modules[0].items.last().expect("a guide");
    let request = Inline {
        negative: true,
        ..Inline::default()
    };
    let (graph, bag) = inline(&program, *guide, &request);
    if bag.has_errors() {
        return Err(format!("{:#?}", bag.into_sorted()));
    }
    plan(&graph, &target("random", STEPS, native)).map_err(|b| format!("{:#?}", b.into_sorted()))
}

fn space_at(plan: &Plan, step: u32) -> Space {
    let here = |s: &&guide_compiler::plan::Segment| (s.steps.0..s.steps.1).contains(&step);
    let segment = plan.segments.iter().find(here);
    segment.expect("a segment for each step").result.space
}

/// Compares every tick of every sample; numbers that run away, where rounding decides, are refused.
fn same(text: &str, plan: &Plan, native: Space) -> Result<(), TestCaseError> {
    for sample in 0..SAMPLES {
        let expected = read::run(text, &plan.timetable.ticks, STEPS, native, sample, |step| {
            space_at(plan, step)
        });
        let found = interpret::run(plan, sample);
        prop_assert_eq!(expected.len(), found.len());
        for (tick, (a, b)) in expected.iter().zip(&found).enumerate() {
            let b = b.denoise.clone().expect("a prediction").elements();
            let size = a.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
            if !size.is_finite() || size > 1e4 {
                return Err(TestCaseError::reject("numbers that run away"));
            }
            for (x, y) in a.iter().zip(b) {
                prop_assert!(
                    (x - y).abs() <= 1e-6 * (1.0 + size),
                    "tick {tick}, sample {sample}: {a:?} but {b:?}\n{text}\n{}",
                    show::text(plan)
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, max_global_rejects: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_does_what_the_text_says(choices in prop::collection::vec(any::<u16>(), 20..300)) {
        let text = write::program(&choices);
        for native in [Space::Eps, Space::V] {
            let plan = compile(&text, native)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(plan.check(), Ok(()));
            same(&text, &plan, native)?;
        }
    }
}

#[test]
fn a_known_program_is_read_as_the_language_says() {
    let text = "guide g() {\n    let c = x0(predict(cond))\n    let d = c - x0(predict(uncond))\n    \
                let m = d + 0.5 * prev(m, init: 0)\n    \
                c + (if progress in 0.2..0.6 { m } else { 0 })\n}\n";
    let plan = compile(text, Space::Eps).expect("a plan");
    same(text, &plan, Space::Eps).expect("the same");
    let first = read::run(text, &plan.timetable.ticks, STEPS, Space::Eps, 0, |_| {
        Space::X0
    });
    let tick = &plan.timetable.ticks[0];
    let x = reference::latent(tick, 0).elements();
    let eps = reference::network("cond", &reference::latent(tick, 0), tick).elements();
    let x0 = (x[0] - tick.sigma * eps[0]) / tick.alpha;
    assert!(
        (first[0][0] - x0).abs() < 1e-9,
        "{} is not {x0}",
        first[0][0]
    );
}
