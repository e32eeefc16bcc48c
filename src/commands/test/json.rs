//! The result of tests for programs: `guide-test/1`.

use guide_compiler::diagnostics::render;
use serde_json::{Value, json};

use super::said::Said;
use super::{Outcome, Report, Snapshot, Tested, cost, human};

/// One object, with a line break at its end.
pub fn text(report: &Report) -> String {
    let files: Vec<Value> = report
        .files
        .iter()
        .map(|f| file(f, report.update))
        .collect();
    let object = json!({
        "format": "guide-test/1",
        "ok": report.exit() == crate::exit::Exit::Done,
        "files": files,
        "stale": report.stale,
        "diagnostics": diagnostics(&report.found),
    });
    format!("{object:#}\n")
}

fn file(file: &Tested, update: bool) -> Value {
    let snapshots: Vec<Value> = file.snapshots.iter().map(|s| snapshot(s, update)).collect();
    json!({
        "file": file.file,
        "snapshots": snapshots,
        "examples": {
            "programs": file.examples.programs,
            "values": file.examples.values,
            "skipped": file.examples.skipped,
        },
        "diagnostics": diagnostics(&file.said),
    })
}

fn snapshot(snapshot: &Snapshot, update: bool) -> Value {
    let shown = snapshot.shown();
    let (outcome, before, now) = match &snapshot.outcome {
        Outcome::Same(now) => ("same", Some(now), Some(now)),
        Outcome::Different { before, now } => ("different", Some(before), Some(now)),
        Outcome::New(now) => ("new", None, Some(now)),
        Outcome::Failed => ("failed", None, None),
    };
    let diff = match &snapshot.outcome {
        Outcome::Different { before, now } => Some(human::diff(before, now, &shown)),
        _ => None,
    };
    let is_written = update && matches!(outcome, "different" | "new");
    json!({
        "guide": snapshot.guide,
        "test": snapshot.line,
        "snapshot": shown,
        "outcome": outcome,
        "written": is_written,
        "evaluations": {
            "before": before.and_then(|plan| cost::cost(plan)),
            "now": now.and_then(|plan| cost::cost(plan)),
        },
        "diff": diff,
    })
}

fn diagnostics(said: &Said) -> Value {
    let text = render::json(&said.sorted(), &said.files);
    // What `render` writes is a list.
    serde_json::from_str(&text).unwrap_or_default()
}
