//! Random programs from their text to their plan, against a slow reading of the syntax tree.
//!
//! The reading knows nothing of kinds, graphs or plans: it walks the tree of each tick anew, with
//! state by name and branches taken lazily, and converts with the formulas of the language.

#[path = "../fixture/arithmetic.rs"]
mod arithmetic;
#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../fixture/interpret.rs"]
mod interpret;
mod primitives;
mod read;
#[path = "../fixture/reference.rs"]
mod reference;
mod value;
mod write;

use std::cell::Cell;

use arithmetic::{SIZE, Value as Plain};
use fixture::{target, twice};
use guide_compiler::check::{Inline, check, inline};
use guide_compiler::diagnostics::Severity;
use guide_compiler::memory::Memory;
use guide_compiler::plan::{Plan, Segment, Space, Tick};
use guide_compiler::resolve::resolve;
use guide_compiler::schedule::plan;
use guide_compiler::show;
use guide_compiler::sources::{Loaded, SourceMap};
use proptest::prelude::*;
use value::{Guided, Place, Tensor};

const STEPS: u32 = 5;
const SAMPLES: usize = 2;

/// A program's plan for a sampler of so many evaluations a step; the text of its errors if it has any.
fn compile(text: &str, native: Space, evaluations: usize) -> Result<Plan, String> {
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
    let mut target = target("random", STEPS, native);
    if evaluations == 2 {
        target.timetable = twice(&target.timetable);
    }
    plan(&graph, &target).map_err(|b| format!("{:#?}", b.into_sorted()))
}

fn space_at(plan: &Plan, tick: &Tick) -> Space {
    let here =
        |s: &&Segment| s.substep == tick.substep && (s.steps.0..s.steps.1).contains(&tick.step);
    let segment = plan.segments.iter().find(here);
    segment.expect("a segment for each step").result.space
}

/// Compares every tick of every sample; programs in which rounding decides, as with numbers that run
/// away, are refused.
fn same(text: &str, plan: &Plan, native: Space) -> Result<(), TestCaseError> {
    for sample in 0..SAMPLES {
        let doubt = Cell::new(false);
        let (ticks, per) = (&plan.timetable.ticks, plan.head.per_evaluation);
        let expected = read::run(text, ticks, STEPS, native, sample, per, &doubt);
        let found = interpret::run(plan, sample);
        prop_assert_eq!(expected.len(), found.len());
        for (at, (expected, found)) in expected.iter().zip(&found).enumerate() {
            let place = Place {
                ticks,
                at,
                sample,
                doubt: &doubt,
            };
            let space = space_at(plan, &ticks[at]);
            let expected = expected.as_ref().map(|guided| halves(guided, space, place));
            let found = found.denoise.as_ref().map(|denoise| {
                let or_0 =
                    |value: &Option<Plain>| value.as_ref().map_or([0.0; SIZE], Plain::elements);
                let renoise = found.renoise.as_ref().unwrap_or(denoise);
                [
                    denoise.elements(),
                    renoise.elements(),
                    or_0(&found.shift),
                    or_0(&found.moves),
                ]
            });
            let about = || format!("tick {at}, sample {sample}\n{text}\n{}", show::text(plan));
            prop_assert_eq!(
                expected.is_some(),
                found.is_some(),
                "one holds: {}",
                about()
            );
            for (a, b) in expected.iter().flatten().zip(found.iter().flatten()) {
                let size = a.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
                if !size.is_finite() || size > 1e4 || doubt.get() {
                    return Err(TestCaseError::reject("rounding decides"));
                }
                let near = a
                    .iter()
                    .zip(b)
                    .all(|(x, y)| (x - y).abs() <= 1e-6 * (1.0 + size));
                prop_assert!(near, "{a:?} but {b:?}: {}", about());
            }
        }
    }
    Ok(())
}

/// What is stepped toward, what is re-noised with, and the two that are added.
fn halves(guided: &Guided, space: Space, place: Place<'_>) -> [[f64; SIZE]; 4] {
    // A step moves once, before it begins.
    let moves = guided.moves.clone();
    let moves = moves.filter(|_| place.ticks[place.at].substep == 0);
    let denoise = guided.denoise.leaving(space, place);
    let renoise = guided.renoise.as_ref();
    let or_0 = |added: &Option<Tensor>| added.as_ref().map_or([0.0; SIZE], Tensor::elements);
    [
        denoise,
        renoise.map_or(denoise, |renoise| renoise.leaving(space, place)),
        or_0(&guided.shift),
        or_0(&moves),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, max_global_rejects: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_does_what_the_text_says(choices in prop::collection::vec(any::<u16>(), 20..300)) {
        let text = write::program(&choices);
        for native in [Space::Eps, Space::V] {
            check_plan(&text, native, 1)?;
        }
    }

    #[test]
    fn a_plan_of_two_evaluations_a_step_does_what_the_text_says(
        choices in prop::collection::vec(any::<u16>(), 20..300),
    ) {
        let text = write::program(&choices);
        check_plan(&text, Space::Eps, 2)?;
        let each = text.replace("share: Scalar = 0.3) {", "share: Scalar = 0.3) per evaluation {");
        prop_assert_ne!(&text, &each);
        check_plan(&each, Space::Eps, 2)?;
    }
}

fn check_plan(text: &str, native: Space, evaluations: usize) -> Result<(), TestCaseError> {
    let plan = compile(text, native, evaluations)
        .map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
    prop_assert_eq!(plan.check(), Ok(()));
    same(text, &plan, native)
}

#[test]
fn a_known_program_is_read_as_the_language_says() {
    let text = "guide g() {\n    let c = x0(predict(cond))\n    let d = c - x0(predict(uncond))\n    \
                let m = d + 0.5 * prev(m, init: 0)\n    \
                c + (if progress in 0.2..0.6 { m } else { 0 })\n}\n";
    let plan = compile(text, Space::Eps, 1).expect("a plan");
    same(text, &plan, Space::Eps).expect("the same");
    let ticks = &plan.timetable.ticks;
    let read = read::run(text, ticks, STEPS, Space::Eps, 0, false, &Cell::new(false));
    let first = read[0].as_ref().expect("a prediction").denoise.elements();
    let tick = &ticks[0];
    let x = reference::latent(tick, 0).elements();
    let eps = reference::network("cond", &reference::latent(tick, 0), tick).elements();
    let x0 = (x[0] - tick.sigma * eps[0]) / tick.alpha;
    assert!((first[0] - x0).abs() < 1e-9, "{} is not {x0}", first[0]);
}

/// Each of two decisions is needed only where the other came out in some way.
#[test]
fn decisions_that_wait_for_each_other_are_made_for_every_sample() {
    for (z, first, second) in [(0.5, 0.5, 0.5), (2.0, 0.5, 2.0), (1.0, 1.0, 1.0)] {
        let text = format!(
            "guide g() {{\n    let c = x0(predict(cond))\n    let u = x0(predict(uncond))\n    \
             let n = x0(predict(null))\n    let z = norm(c) >= {z:?}\n    \
             let first = norm(u) >= {first:?}\n    let second = norm(n) >= {second:?}\n    \
             if z {{ if first {{ if second {{ c }} else {{ u }} }} else {{ n }} }}\n    \
             else {{ if second {{ if first {{ c }} else {{ n }} }} else {{ u }} }}\n}}\n"
        );
        let plan = compile(&text, Space::Eps, 1).expect("a plan");
        assert_eq!(plan.check(), Ok(()));
        same(&text, &plan, Space::Eps).expect("the same");
    }
}
