//! The result of tests as JUnit's XML: a suite for each file, a case for each snapshot.

use std::fmt::Write;

use guide_compiler::diagnostics::render::{Style, human as drawn};

use super::{Outcome, Report, Snapshot, Tested, cost, has_errors, human};

/// A case and what became of it.
struct Case {
    name: String,
    /// What is wrong: in a few words, and at length.
    failure: Option<(String, String)>,
}

/// The whole document.
pub fn text(report: &Report) -> String {
    let mut suites: Vec<(String, Vec<Case>)> = report
        .files
        .iter()
        .map(|file| (file.file.clone(), cases(file, report.update)))
        .collect();
    let mut others: Vec<Case> = report.stale.iter().map(|plan| stale(plan)).collect();
    if !report.found.is_silent() {
        let text = drawn(
            &report.found.sorted(),
            &report.found.files,
            Style::default(),
        );
        let failure = Some(("cannot be read".to_owned(), text));
        let name = "files are readable".to_owned();
        others.push(Case { name, failure });
    }
    if !others.is_empty() {
        suites.push(("files".to_owned(), others));
    }
    let all = suites.iter().flat_map(|(_, cases)| cases);
    let (tests, failures) = counts(all);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<testsuites name=\"guidec test\" tests=\"{tests}\" failures=\"{failures}\">"
    );
    for (name, cases) in &suites {
        suite(name, cases, &mut out);
    }
    out.push_str("</testsuites>\n");
    out
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> (usize, usize) {
    cases.fold((0, 0), |(all, failed), case| {
        (all + 1, failed + usize::from(case.failure.is_some()))
    })
}

fn suite(name: &str, cases: &[Case], out: &mut String) {
    let (tests, failures) = counts(cases.iter());
    let name = escaped(name);
    let _ = writeln!(
        out,
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">"
    );
    for case in cases {
        let own = escaped(&case.name);
        let _ = match &case.failure {
            None => writeln!(out, "    <testcase classname=\"{name}\" name=\"{own}\"/>"),
            Some((words, text)) => writeln!(
                out,
                "    <testcase classname=\"{name}\" name=\"{own}\">\n      \
                 <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(words),
                escaped(text)
            ),
        };
    }
    out.push_str("  </testsuite>\n");
}

fn cases(file: &Tested, update: bool) -> Vec<Case> {
    let said = file.said.sorted();
    let text = || drawn(&said, &file.said.files, Style::default());
    let failure = has_errors(&said).then(|| ("diagnostics".to_owned(), text()));
    let name = "compiles".to_owned();
    let mut cases = vec![Case { name, failure }];
    cases.extend(file.snapshots.iter().map(|s| of_snapshot(s, update)));
    cases
}

fn of_snapshot(snapshot: &Snapshot, update: bool) -> Case {
    let shown = snapshot.shown();
    let failure = match &snapshot.outcome {
        Outcome::Same(_) => None,
        Outcome::Failed => Some(("no plan".to_owned(), String::new())),
        _ if update => None,
        Outcome::Different { before, now } => {
            Some((cost::change(before, now), human::diff(before, now, &shown)))
        }
        Outcome::New(_) => Some((
            format!("{shown} is not there yet"),
            "`guidec test --update` writes it".to_owned(),
        )),
    };
    let name = match &snapshot.line {
        Some(line) => format!("{} ({line})", snapshot.guide),
        None => snapshot.guide.clone(),
    };
    Case { name, failure }
}

fn stale(plan: &str) -> Case {
    let failure = (
        "no guide has this snapshot".to_owned(),
        "remove it".to_owned(),
    );
    Case {
        name: plan.to_owned(),
        failure: Some(failure),
    }
}

/// A text as it may stand in XML; what no XML can hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn whatever_a_guide_holds_is_xml() {
        assert_eq!(
            escaped("a < b & \"c\"\n\u{1b}[31m→"),
            "a &lt; b &amp; &quot;c&quot;\n[31m→"
        );
    }
}
