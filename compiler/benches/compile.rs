//! How long the compiler takes: `check` and `plan` (50 steps) for every rule of the library, for a
//! generated file of 1,000 lines, and for generated guides of 1,000, 5,000 and 10,000 graph nodes.
//!
//! `check` is from text to diagnostics, `plan` from text to a plan; the library's modules that a
//! program uses are read anew each time. `rules/cfg` of the same run is what others are compared
//! with. At the end stands a table, and how the cost grows with the nodes: 1.00 is linear.

#![allow(missing_docs, reason = "criterion's macros make items of their own")]
#![allow(clippy::print_stdout, reason = "the table is what this is for")]

mod programs;

use std::fmt::Write;
use std::time::{Duration, Instant};

use criterion::Criterion;
use guide_compiler::check::{Inline, inline};
use guide_compiler::diagnostics::{Bag, Severity};
use guide_compiler::graph::Graph;
use guide_compiler::memory::Memory;
use guide_compiler::plan::{ModelFacts, Plan, Space};
use guide_compiler::resolve::resolve;
use guide_compiler::resolved::{ItemKind, Program};
use guide_compiler::schedule::{Target, plan};
use guide_compiler::sources::{Loaded, SourceMap};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_grammar::ast::FunctionKind;
use programs::{Subject, generated, library};

/// What everything is compared with.
const BASELINE: &str = "rules/cfg";
const STEPS: u32 = 50;

/// The fastest of the samples, for one turn.
#[derive(Clone, Copy)]
struct Row {
    check: Duration,
    plan: Option<Duration>,
    nodes: usize,
}

fn loaded(subject: &Subject) -> Loaded {
    Loaded {
        path: subject.path.clone(),
        text: subject.text.clone(),
    }
}

fn graph_of(program: &Program, guide: &str) -> (Graph, Bag) {
    let is_it = |id: &&guide_compiler::resolved::ItemId| {
        let item = program.items.get(id.index());
        item.is_some_and(|item| {
            let is_guide =
                matches!(&item.kind, ItemKind::Function(f) if f.kind == FunctionKind::Guide);
            is_guide && item.name.node == guide
        })
    };
    let items = &program.modules[0].items;
    let item = items.iter().find(is_it).expect("the guide is in the file");
    let request = Inline {
        prompt_counts: vec![("prompts".to_owned(), 2)],
        negative: true,
        steps: Some(STEPS),
        ..Inline::default()
    };
    inline(program, *item, &request)
}

fn target(guide: &str) -> Target {
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    let sampler = Sampler::Ddim;
    Target {
        guide: guide.to_owned(),
        file: format!("{guide}.guide"),
        source: String::new(),
        facts: ModelFacts {
            name: "sd15".to_owned(),
            space: Space::Eps,
            latent: [4, 64, 64],
            layers: None,
        },
        timetable: timetable(&config, sampler, None, STEPS).expect("50 steps of ddim"),
        sampler: sampler.name().to_owned(),
        solver: sampler.facts(),
        steps: STEPS,
        negative: true,
        classifiers: Vec::new(),
        objective: None,
        backward: Default::default(),
    }
}

/// From text to plan; nothing where the runtime cannot do yet what the rule asks for.
fn plan_of(subject: &Subject, memory: &Memory, target: &Target) -> Option<(usize, Plan)> {
    let mut files = SourceMap::default();
    let (program, _) = resolve(loaded(subject), memory, &mut files);
    let (graph, _) = graph_of(&program, &subject.guide);
    plan(&graph, target)
        .ok()
        .map(|plan| (graph.nodes.len(), plan))
}

/// Runs `work` under criterion and gives the fastest of its samples.
fn fastest(criterion: &mut Criterion, name: &str, mut work: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|turns| {
            let begin = Instant::now();
            (0..turns).for_each(|_| work());
            let spent = begin.elapsed();
            best = best.min(spent / u32::try_from(turns).unwrap_or(u32::MAX));
            spent
        });
    });
    best
}

fn measure(criterion: &mut Criterion, subject: &Subject, memory: &Memory) -> Row {
    let name = &subject.name;
    let (_, said) = guide_compiler::analyse(loaded(subject), memory);
    let wrong: Vec<_> = said
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    let check = fastest(criterion, &format!("check/{name}"), || {
        std::hint::black_box(guide_compiler::analyse(loaded(subject), memory));
    });
    let target = target(&subject.guide);
    let planned = plan_of(subject, memory, &target);
    let plan = planned.as_ref().map(|_| {
        fastest(criterion, &format!("plan/{name}"), || {
            std::hint::black_box(plan_of(subject, memory, &target));
        })
    });
    Row {
        check,
        plan,
        nodes: planned.map_or(0, |(nodes, _)| nodes),
    }
}

fn table(rows: &[(String, Row)]) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let base = rows.iter().find(|(name, _)| name == BASELINE);
    let base = base.map(|(_, row)| *row).expect("the baseline is measured");
    let mut text = format!(
        "\n{:<28} {:>7} {:>10} {:>10} {:>9} {:>9}\n",
        "program", "nodes", "check ms", "plan ms", "check x", "plan x"
    );
    for (name, row) in rows {
        let ratio = |a: Duration, b: Duration| format!("{:.2}", ms(a) / ms(b));
        let planned = row
            .plan
            .map_or("-".to_owned(), |plan| format!("{:.3}", ms(plan)));
        let slower = row
            .plan
            .zip(base.plan)
            .map_or("-".to_owned(), |(a, b)| ratio(a, b));
        let _ = writeln!(
            text,
            "{name:<28} {:>7} {:>10.3} {planned:>10} {:>9} {slower:>9}",
            row.nodes,
            ms(row.check),
            ratio(row.check, base.check),
        );
    }
    let _ = writeln!(
        text,
        "x: times as long as {BASELINE} in this run; -: not yet in the runtime"
    );
    text
}

/// How much longer a turn takes than it would if its cost grew with the nodes alone.
fn growth(rows: &[(String, Row)]) -> String {
    let graphs: Vec<_> = rows
        .iter()
        .filter(|(name, row)| name.starts_with("nodes/") && row.plan.is_some())
        .collect();
    let mut text = String::new();
    let Some((small, first)) = graphs.first() else {
        return text;
    };
    for (name, row) in graphs.iter().skip(1) {
        let linear = row.nodes as f64 / first.nodes as f64;
        let of = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64() / linear;
        let planned = row.plan.zip(first.plan).map_or(f64::NAN, |(a, b)| of(a, b));
        let checked = of(row.check, first.check);
        let _ = writeln!(
            text,
            "growth from {small} to {name} against linear: check {checked:.2}, plan {planned:.2}"
        );
    }
    text
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .without_plots()
        .configure_from_args();
    let memory = Memory::with_library(guide_stdlib::files().iter().copied());
    let rows: Vec<(String, Row)> = library()
        .into_iter()
        .chain(generated())
        .map(|subject| {
            let row = measure(&mut criterion, &subject, &memory);
            (subject.name, row)
        })
        .collect();
    criterion.final_summary();
    println!("{}{}", table(&rows), growth(&rows));
}
