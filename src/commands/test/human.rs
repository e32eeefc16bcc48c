//! The result of tests for people.

use guide_compiler::diagnostics::{Diagnostic, render};
use similar::TextDiff;

use super::said::Said;
use super::{Outcome, Report, Snapshot, Tested, cost};
use crate::ui::{Tone, Ui};

/// Says how every snapshot compares, and what to do.
pub fn report(report: &Report, quiet: bool, ui: Ui) {
    let width = width(report);
    ui.diagnostics(&report.found.sorted(), &report.found.files);
    for file in &report.files {
        said(file, quiet, ui);
        for snapshot in &file.snapshots {
            line(snapshot, report.update, width, quiet, ui);
        }
    }
    for stale in &report.stale {
        let word = ui.toned(Tone::Notable, "stale    ");
        ui.say(&format!(
            "{word}  {stale:width$}  no guide has it; remove it"
        ));
    }
    let is_good = report.exit() == crate::exit::Exit::Done;
    if quiet && is_good {
        return;
    }
    ui.say(&summary(report));
    if waiting(report) {
        ui.say("look at the differences; `guidec test --update` accepts them");
    }
}

fn width(report: &Report) -> usize {
    let snapshots = report.files.iter().flat_map(|file| &file.snapshots);
    let names = snapshots.map(Snapshot::shown).chain(report.stale.clone());
    names.map(|name| name.chars().count()).max().unwrap_or(0)
}

fn said(file: &Tested, quiet: bool, ui: Ui) {
    let mut diagnostics = file.said.sorted();
    if quiet {
        diagnostics.retain(|d| super::has_errors(std::slice::from_ref(d)));
    }
    ui.diagnostics(&diagnostics, &file.said.files);
}

fn line(snapshot: &Snapshot, update: bool, width: usize, quiet: bool, ui: Ui) {
    let shown = snapshot.shown();
    let (tone, word, about) = match &snapshot.outcome {
        Outcome::Same(_) if quiet => return,
        Outcome::Same(now) => (Tone::Good, "same", cost::of(now)),
        Outcome::Different { before, now } => {
            let word = if update { "rewritten" } else { "different" };
            (tone_of(update), word, cost::change(before, now))
        }
        Outcome::New(now) => {
            let word = if update { "written" } else { "new" };
            (tone_of(update), word, cost::of(now))
        }
        Outcome::Failed => (Tone::Bad, "failed", "no plan".to_owned()),
    };
    let word = ui.toned(tone, &format!("{word:9}"));
    ui.say(&format!("{word}  {shown:width$}  {about}"));
    if let Outcome::Different { before, now } = &snapshot.outcome {
        ui.say(&coloured(&diff(before, now, &shown), ui));
    }
}

fn tone_of(update: bool) -> Tone {
    if update { Tone::Good } else { Tone::Bad }
}

/// The lines that differ, with those around them, as `diff -u` writes them.
pub fn diff(before: &str, now: &str, shown: &str) -> String {
    let text = TextDiff::from_lines(before, now)
        .unified_diff()
        .context_radius(3)
        .header(shown, "now")
        .to_string();
    text.trim_end().to_owned()
}

fn coloured(diff: &str, ui: Ui) -> String {
    let lines = diff.lines().map(|line| match line.chars().next() {
        Some('-') => ui.toned(Tone::Bad, line),
        Some('+') => ui.toned(Tone::Good, line),
        Some('@') => ui.toned(Tone::Place, line),
        _ => line.to_owned(),
    });
    lines.map(|line| format!("  {line}\n")).collect()
}

/// Whether there is something to accept.
fn waiting(report: &Report) -> bool {
    let is_waiting = |snapshot: &Snapshot| {
        matches!(
            snapshot.outcome,
            Outcome::Different { .. } | Outcome::New(_)
        )
    };
    let mut snapshots = report.files.iter().flat_map(|file| &file.snapshots);
    !report.update && snapshots.any(is_waiting)
}

fn summary(report: &Report) -> String {
    let count = |is: fn(&Outcome) -> bool| {
        let snapshots = report.files.iter().flat_map(|file| &file.snapshots);
        snapshots.filter(|s| is(&s.outcome)).count()
    };
    let [different, new] = match report.update {
        true => ["rewritten", "written"],
        false => ["different", "new"],
    };
    let sum = |of: fn(&Tested) -> usize| report.files.iter().map(of).sum::<usize>();
    let parts = [
        (count(|o| matches!(o, Outcome::Same(_))), "same"),
        (count(|o| matches!(o, Outcome::Different { .. })), different),
        (count(|o| matches!(o, Outcome::New(_))), new),
        (count(|o| matches!(o, Outcome::Failed)), "failed"),
        (report.stale.len(), "stale"),
    ];
    let mut parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let said: Vec<Diagnostic> = std::iter::once(&report.found)
        .chain(report.files.iter().map(|file| &file.said))
        .flat_map(Said::sorted)
        .collect();
    parts.extend(render::summary(&said));
    let examples = sum(|file| file.examples.programs);
    if examples > 0 {
        parts.push(counted(examples, "example"));
    }
    let values = sum(|file| file.examples.values);
    if values > 0 {
        parts.push(counted(values, "value"));
    }
    let skipped = sum(|file| file.examples.skipped);
    if skipped > 0 {
        let values = counted(skipped, "value");
        parts.push(format!("{values} skipped: this guidec computes nothing"));
    }
    if parts.is_empty() {
        parts.push("nothing to complain of".to_owned());
    }
    let files = counted(report.files.len(), "file");
    format!("tested {files}: {}", parts.join(", "))
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
