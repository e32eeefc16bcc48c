//! Programs with their diagnostics written under the places: `//   ^^^^ G0201: words of the message`.
//!
//! The carets stand under the first label. A line `//- path.guide` begins another file; the first
//! part is the root. Every diagnostic must be claimed by an annotation, and every annotation must
//! come true.

use std::collections::BTreeSet;
use std::path::Path;

use guide_compiler::analyse;
use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::memory::Memory;
use guide_compiler::model::known;
use guide_compiler::pipeline::{Request, Times, compile, read};
use guide_compiler::plan::{NoiseTable, Space};
use guide_compiler::sources::{Loaded, SourceMap};
use guide_compiler::timetable::{Sampler, SchedulerConfig};
use guide_grammar::span::FileId;

/// Path, line from 1, first and last column from 1, code, words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    path: String,
    line: usize,
    columns: (usize, usize),
    code: String,
    words: String,
}

#[test]
fn every_annotation_holds_and_every_diagnostic_is_annotated() {
    assert_hold("check", 20);
}

/// Programs that are right and have no plan for what they are planned for; see [`request`].
#[test]
fn what_a_plan_refuses_is_annotated() {
    assert_hold("refused", 5);
}

#[track_caller]
fn assert_hold(folder: &str, least: usize) {
    let language = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/language");
    let mut paths: Vec<_> = std::fs::read_dir(language.join(folder))
        .expect("the folder of annotated programs")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "guide"))
        .collect();
    paths.sort();
    assert!(paths.len() > least, "annotated programs are found");
    let mut failures = String::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a readable program");
        for failure in check(&text) {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            failures += &format!("{name}: {failure}\n");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// What a program is planned for: its first line says `// for MODEL, SAMPLER`. The models are those
/// that everybody knows, `zero_snr`, whose first step has no signal, and `flow`, likewise.
fn request(fixture: &str) -> Option<Request> {
    let wanted = fixture.lines().next()?.strip_prefix("// for ")?;
    let (name, sampler) = wanted.split_once(", ").expect("a model and a sampler");
    let mut model = known(name).or_else(|| known("sd15")).expect("a model");
    match name {
        "flow" => {
            model.scheduler.noise = NoiseTable::Flow;
            model.facts.space = Space::Flow;
        }
        "zero_snr" => {
            let text = r#"{"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}"#;
            model.scheduler = SchedulerConfig::parse(text, None).expect("a config");
        }
        _ => assert_eq!(model.facts.name, name),
    }
    let mut request = Request::new(model);
    if let Times::Sampler { sampler: one, .. } = &mut request.times {
        (*one, _) = Sampler::parse(sampler).expect("a sampler");
    }
    Some(request)
}

/// Everything that is said of a program: by its check, or by its plan too.
fn said(root: Loaded, memory: &Memory, request: Option<&Request>) -> (SourceMap, Vec<Diagnostic>) {
    let Some(request) = request else {
        return analyse(root, memory);
    };
    let analysis = read(root, memory);
    let bag = match compile(&analysis, request) {
        Ok(compiled) => compiled.warnings,
        Err(refused) => refused,
    };
    (analysis.files, bag.into_sorted())
}

fn check(fixture: &str) -> Vec<String> {
    let files = split(fixture);
    let mut memory = Memory::with_library(guide_stdlib::files().iter().copied());
    let mut claims: Vec<Claim> = Vec::new();
    for (path, text) in &files {
        memory = memory.file(path, text);
        claims.extend(annotations(path, text));
    }
    let (path, text) = files.first().cloned().unwrap_or_default();
    let request = request(fixture);
    let (map, diagnostics) = said(Loaded { path, text }, &memory, request.as_ref());
    let mut failures = Vec::new();
    for diagnostic in &diagnostics {
        let Some(label) = diagnostic.labels.first() else {
            failures.push(format!("no place: {diagnostic:?}"));
            continue;
        };
        let file = label.span.file;
        let (line, from) = map.position(file, label.span.start);
        let (last_line, to) = map.position(file, label.span.end);
        let found = Claim {
            path: map.path(file).to_owned(),
            line,
            columns: (
                from,
                if last_line == line {
                    to - 1
                } else {
                    usize::MAX
                },
            ),
            code: diagnostic.code.number().to_owned(),
            words: diagnostic.message.clone(),
        };
        let at = claims.iter().position(|claim| {
            let same_end = found.columns.1 == usize::MAX || claim.columns.1 == found.columns.1;
            claim.path == found.path
                && claim.line == found.line
                && claim.columns.0 == found.columns.0
                && same_end
                && claim.code == found.code
                && found.words.contains(&claim.words)
        });
        match at {
            Some(at) => {
                claims.remove(at);
            }
            None => failures.push(format!("not annotated: {found:?}")),
        }
    }
    failures.extend(
        claims
            .iter()
            .map(|claim| format!("did not come: {claim:?}")),
    );
    failures
}

/// The files of a fixture; without a `//- ` line it is `root.guide`.
fn split(fixture: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in fixture.split_inclusive('\n') {
        if let Some(path) = line.strip_prefix("//- ") {
            files.push((path.trim().to_owned(), String::new()));
        } else {
            if files.is_empty() {
                files.push(("root.guide".to_owned(), String::new()));
            }
            if let Some((_, text)) = files.last_mut() {
                text.push_str(line);
            }
        }
    }
    files
}

fn annotations(path: &str, text: &str) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut line = 0;
    for (at, content) in text.lines().enumerate() {
        let carets = content.trim_start().strip_prefix("//").map(str::trim_start);
        let Some(rest) = carets.filter(|rest| rest.starts_with('^')) else {
            line = at + 1;
            continue;
        };
        let from = content.chars().take_while(|c| *c != '^').count() + 1;
        let length = rest.chars().take_while(|c| *c == '^').count();
        let (code, words) = rest[length..]
            .trim()
            .split_once(": ")
            .expect("`G0000: words`");
        claims.push(Claim {
            path: path.to_owned(),
            line,
            columns: (from, from + length - 1),
            code: code.to_owned(),
            words: words.to_owned(),
        });
    }
    claims
}

/// Tries every fix of a program; says which diagnostic is as often there as before. Gives the codes.
fn try_fixes(fixture: &str, codes: &mut BTreeSet<&'static str>) -> Vec<String> {
    let files = split(fixture);
    let analysed = |root: &str| {
        let mut memory = Memory::with_library(guide_stdlib::files().iter().copied());
        for (path, text) in &files {
            memory = memory.file(path, text);
        }
        let path = files.first().map(|(path, _)| path.clone());
        let (path, text) = (path.unwrap_or_default(), root.to_owned());
        analyse(Loaded { path, text }, &memory).1
    };
    let text = files.first().map_or("", |(_, text)| text.as_str());
    let before = analysed(text);
    let mut failures = Vec::new();
    for diagnostic in &before {
        let Some(fix) = &diagnostic.fix else { continue };
        let mut edits = fix.edits.clone();
        if edits.iter().any(|edit| edit.span.file != FileId(0)) {
            continue;
        }
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.span));
        let mut mended = text.to_owned();
        for edit in edits {
            mended.replace_range(edit.span.range(), &edit.text);
        }
        let count = |all: &[Diagnostic]| {
            let same =
                |d: &&Diagnostic| d.code == diagnostic.code && d.message == diagnostic.message;
            all.iter().filter(same).count()
        };
        if count(&analysed(&mended)) < count(&before) {
            codes.insert(diagnostic.code.number());
        } else {
            let (code, message) = (diagnostic.code.number(), &diagnostic.message);
            failures.push(format!(
                "{code} {message}: {} does not mend\n{mended}",
                fix.title
            ));
        }
    }
    failures
}

#[test]
fn every_fix_mends_what_it_is_offered_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/language/check");
    let entries = std::fs::read_dir(folder).expect("the folder of annotated programs");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut programs: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "guide"))
        .map(|path| std::fs::read_to_string(path).expect("a readable program"))
        .collect();
    let wrong = Code::ALL.iter().filter_map(|code| {
        let (_, rest) = code.page().split_once("```guide wrong\n")?;
        rest.split_once("```")
            .map(|(program, _)| program.to_owned())
    });
    programs.extend(wrong);
    programs.extend(SLIPS.iter().map(|slip| (*slip).to_owned()));
    let mut codes = BTreeSet::new();
    let failures: Vec<String> = programs
        .iter()
        .flat_map(|program| try_fixes(program, &mut codes))
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), FIXED);
}

/// The codes that have a fix, at least for some of their mistakes.
const FIXED: &[&str] = &[
    "G0101", "G0102", "G0106", "G0107", "G0109", "G0110", "G0201", "G0202", "G0208", "G0209",
    "G0301", "G0302", "G0305", "G0306", "G0309", "G0401", "G0402", "G0509",
];

/// Mistakes with a fix that no other program of these tests has.
const SLIPS: &[&str] = &[
    "guide g() { predict(cond); }\n",
    "guide g(a: Bool = true && false) { predict(cond) }\n",
    "guide g(a: Scalar = 2 × 3) { predict(cond) }\n",
    "guide g(a: Bool = 2 ≤ 3) { predict(cond) }\n",
    "# a comment\nguide g() { predict(cond) }\n",
    "guide g(a: Scalar = 1_000) { predict(cond) }\n",
    "guide g(a: Scalar = .5) { predict(cond) }\n",
    "guide g(a: Scalar = 2x) { predict(cond) }\n",
    "guide g(myScale: Scalar = 2) { predict(cond) }\n",
    "guide g(a: scalar = 2) { predict(cond) }\n",
    "guide g() { if a { b } elif c { d } else { e } }\n",
    "guide g(a: Scalar = +2) { predict(cond) }\n",
    "guide g(a: Bool = 1 = 2) { predict(cond) }\n",
    "guide g() { predict(cond at: x) }\n",
    "guide g() { predict(cond]) }\n",
    "guide g() { f(predict(cond] }\n",
    "guide g() { predict(cond) }\n}\n",
    "guied g() { predict(cond) }\n",
    "guide g(a: Bool = 1 < 2 < 3) { predict(cond) }\n",
    "guide g(a: Bool = true == not false) { predict(cond) }\n",
    "guide g() {\n    let m = predict(cond) - predict(uncond) + prev(m)\n    predict(cond) + m\n}\n",
];

#[test]
fn a_wrong_annotation_and_a_missing_one_are_found() {
    assert_eq!(
        check("guide g() {\n    predict(cond)\n}\n"),
        Vec::<String>::new()
    );
    assert_eq!(check("guide g() {\n    predict(wat)\n}\n").len(), 1);
    assert_eq!(
        check("guide g() {\n    predict(cond)\n    //      ^^^^ G0201: x\n}\n").len(),
        1
    );
}
