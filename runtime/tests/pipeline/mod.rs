//! From a guide's text to its plan, as the command line does it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use guide_compiler::check::{Inline, inline};
use guide_compiler::memory::Memory;
use guide_compiler::plan::{ModelFacts, Plan, Timetable};
use guide_compiler::resolve::resolve;
use guide_compiler::resolved::ItemKind;
use guide_compiler::schedule::{Target, plan};
use guide_compiler::sources::{Loaded, SourceMap};
use guide_compiler::timetable::{Sampler, SolverFacts};
use guide_grammar::ast::FunctionKind;

/// A recording follows any outcome.
const RECORDING: SolverFacts = SolverFacts {
    renoise: true,
    shift: true,
    moves: true,
    hold: true,
};

/// The text of a rule of the standard library.
pub fn rule(name: &str) -> Option<&'static str> {
    let path = format!("rules/{name}.guide");
    guide_stdlib::files()
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, text)| *text)
}

/// What a plan is made for.
pub struct Ask {
    pub settings: Vec<(String, String)>,
    /// How many prompts stand in each list.
    pub lists: Vec<(String, u32)>,
    pub facts: ModelFacts,
    pub timetable: Timetable,
    /// A recording follows any outcome.
    pub sampler: Option<Sampler>,
    /// Whether a negative prompt is given.
    pub negative: bool,
}

impl Ask {
    /// With all defaults, for a recording.
    pub fn new(facts: ModelFacts, timetable: Timetable) -> Self {
        Self {
            settings: Vec::new(),
            lists: Vec::new(),
            facts,
            timetable,
            sampler: None,
            negative: true,
        }
    }
}

/// Plans guide `name` of `text` with these settings, for a sampler or, without one, for a recording.
///
/// # Errors
/// All diagnostics, as text.
pub fn planned(
    name: &str,
    text: &str,
    settings: Vec<(String, String)>,
    facts: ModelFacts,
    timetable: Timetable,
    sampler: Option<Sampler>,
) -> Result<Plan, String> {
    let request = Ask {
        settings,
        sampler,
        ..Ask::new(facts, timetable)
    };
    ask(name, text, request)
}

/// Plans guide `name` of `text`.
///
/// # Errors
/// All diagnostics, as text.
pub fn ask(name: &str, text: &str, ask: Ask) -> Result<Plan, String> {
    let Ask {
        settings,
        lists,
        facts,
        timetable,
        sampler,
        negative,
    } = ask;
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    let mut files = SourceMap::default();
    let root = Loaded {
        path: format!("{name}.guide"),
        text: text.to_string(),
    };
    let (program, bag) = resolve(root, &sources, &mut files);
    if bag.has_errors() {
        return Err(format!("{:?}", bag.into_sorted()));
    }
    let is_guide = |id: &guide_compiler::resolved::ItemId| {
        let item = &program.items[id.index()];
        item.name.node == name
            && matches!(&item.kind, ItemKind::Function(f) if f.kind == FunctionKind::Guide)
    };
    let guide = program.modules[0]
        .items
        .iter()
        .copied()
        .find(is_guide)
        .ok_or(format!("there is no guide `{name}`"))?;
    let steps = timetable
        .ticks
        .iter()
        .map(|tick| tick.step + 1)
        .max()
        .unwrap_or(0);
    let request = Inline {
        settings,
        prompt_counts: lists,
        tables: Vec::new(),
        negative,
        steps: Some(steps),
    };
    let (graph, bag) = inline(&program, guide, &request);
    if bag.has_errors() {
        return Err(format!("{:?}", bag.into_sorted()));
    }
    let target = Target {
        guide: name.to_string(),
        file: format!("{name}.guide"),
        source: String::new(),
        facts,
        timetable,
        sampler: sampler.map_or("recording", Sampler::name).to_string(),
        solver: sampler.map_or(RECORDING, Sampler::facts),
        steps,
        negative,
        classifiers: Vec::new(),
        objective: None,
        backward: Default::default(),
    };
    plan(&graph, &target).map_err(|bag| format!("{:?}", bag.into_sorted()))
}
