//! What holds for any text: of the parser, the formatter, the checker and the planner.

use guide_compiler::check::{Inline, inline};
use guide_compiler::memory::Memory;
use guide_compiler::plan::{ModelFacts, Plan, Space};
use guide_compiler::resolve::resolve;
use guide_compiler::resolved::ItemKind;
use guide_compiler::schedule::{Target, plan};
use guide_compiler::show;
use guide_compiler::sources::{Loaded, SourceMap};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_grammar::ast::FunctionKind;
use guide_grammar::span::FileId;

const STEPS: u32 = 4;

fn library() -> Memory {
    Memory::with_library(guide_stdlib::files().iter().copied())
}

fn root(text: &str) -> Loaded {
    Loaded {
        path: "fuzz.guide".to_owned(),
        text: text.to_owned(),
    }
}

/// Whatever the text: a tree and errors, each at a place in the text.
pub fn parse_never_panics(text: &str) {
    let parsed = guide_grammar::parse(FileId(0), text);
    for error in &parsed.errors {
        let labels = error.labels.iter().map(|label| label.span);
        for span in labels.chain([error.span]) {
            assert!(text.get(span.range()).is_some(), "{span:?} of {error:?}");
        }
    }
}

/// What the formatter gives, it leaves alone the second time.
pub fn format_is_idempotent(text: &str) {
    if let Ok(once) = guide_grammar::format(text) {
        let twice = guide_grammar::format(&once);
        assert_eq!(twice.as_deref(), Ok(once.as_str()));
    }
}

/// Whatever the text: it is resolved and checked, and every label lies in a file.
pub fn analyse_never_panics(text: &str) {
    let (files, diagnostics) = guide_compiler::analyse(root(text), &library());
    for label in diagnostics.iter().flat_map(|d| &d.labels) {
        let file = files.text(label.span.file);
        assert!(file.get(label.span.range()).is_some(), "{label:?}");
    }
}

/// Every guide of a text without errors has a plan that holds together and comes back from its
/// JSON, or is refused with a reason.
pub fn plans_are_sound(text: &str) {
    for plan in plans_of(text) {
        assert_eq!(plan.check(), Ok(()), "{}", show::text(&plan));
        assert!(plan.cost.least <= plan.cost.most);
        let json = serde_json::to_vec(&plan).expect("a plan is JSON");
        let back: Plan = serde_json::from_slice(&json).expect("and comes back");
        assert_eq!(back, plan);
    }
}

/// The plans of all guides of a text; none of one with errors.
pub fn plans_of(text: &str) -> Vec<Plan> {
    let mut files = SourceMap::default();
    let (program, bag) = resolve(root(text), &library(), &mut files);
    if bag.has_errors() || guide_compiler::check::check(&program).has_errors() {
        return Vec::new();
    }
    let mut plans = Vec::new();
    for item in program.modules.first().iter().flat_map(|m| &m.items) {
        let kind = program.items.get(item.index()).map(|item| &item.kind);
        if !matches!(kind, Some(ItemKind::Function(f)) if f.kind == FunctionKind::Guide) {
            continue;
        }
        let (graph, bag) = inline(&program, *item, &Inline::default());
        if bag.has_errors() {
            continue;
        }
        match plan(&graph, &target()) {
            Ok(plan) => plans.push(plan),
            Err(bag) => assert!(bag.has_errors(), "refused without a reason"),
        }
    }
    plans
}

/// A saved plan, whatever it says, is accepted or refused.
pub fn plan_json_is_checked(bytes: &[u8]) {
    if let Ok(plan) = serde_json::from_slice::<Plan>(bytes)
        && plan.check().is_ok()
    {
        // What is accepted can be shown.
        let _ = show::text(&plan);
    }
}

fn target() -> Target {
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    Target {
        guide: "fuzz".to_owned(),
        file: "fuzz.guide".to_owned(),
        source: String::new(),
        facts: ModelFacts {
            name: "sd15".to_owned(),
            space: Space::Eps,
            latent: [4, 64, 64],
            layers: None,
        },
        timetable: timetable(&config, Sampler::Ddim, None, STEPS).expect("4 steps of ddim"),
        sampler: "ddim".to_owned(),
        solver: Sampler::Ddim.facts(),
        steps: STEPS,
        negative: true,
        classifiers: Vec::new(),
        objective: None,
        backward: Default::default(),
    }
}
