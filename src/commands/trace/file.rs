//! A trace as `guidec run --trace` wrote it, read and checked.

use std::collections::BTreeMap;
use std::ops::Range;

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::sources::{Loaded, SourceMap};
use guide_grammar::span::Span;
use serde::Deserialize;

use crate::exit::{Failure, Result};

/// The form that is read.
const FORMAT: &str = "guide-trace/1";

/// A whole trace.
pub struct Trace {
    /// What was run.
    pub head: Head,
    /// What each line says, in the file's order; with a large batch several lines have one tick.
    pub lines: Vec<Line>,
    /// What the whole run took.
    pub total: Total,
}

/// The first line.
#[derive(Deserialize)]
pub struct Head {
    pub guide: String,
    pub model: String,
    pub sampler: String,
    pub steps: u64,
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// A number of each sample, where there is one.
pub type Numbers = Vec<Option<f64>>;

/// An evaluation of the rule for some samples.
#[derive(Deserialize)]
pub struct Line {
    pub tick: u64,
    pub step: u64,
    pub substep: u64,
    /// The first sample, and that after the last.
    samples: [usize; 2],
    /// Which samples asked each prediction.
    pub evaluated: BTreeMap<String, Vec<usize>>,
    /// Which samples asked each classifier.
    #[serde(default)]
    pub judged: BTreeMap<String, Vec<usize>>,
    #[serde(default)]
    pub held: usize,
    pub norm: Numbers,
    /// For the samples that asked the prediction.
    pub norms: BTreeMap<String, Numbers>,
    pub update: Numbers,
    pub apart: Option<Numbers>,
    pub cosine: Option<Numbers>,
    pub scale: Option<Numbers>,
    pub seconds: Seconds,
}

/// Where the time of a line went.
#[derive(Deserialize)]
pub struct Seconds {
    pub network: f64,
    pub rule: f64,
    pub solver: f64,
}

/// The last line.
#[derive(Deserialize)]
struct Last {
    total: Total,
}

/// What the whole run took.
#[derive(Deserialize)]
pub struct Total {
    pub evaluations: u64,
    pub seconds: TotalSeconds,
}

/// Where the time of the run went.
#[derive(Deserialize)]
pub struct TotalSeconds {
    pub network: f64,
    pub arithmetic: f64,
}

impl Line {
    /// The samples that the line is about.
    pub fn samples(&self) -> Range<usize> {
        self.samples[0]..self.samples[1]
    }

    /// Whether each list has a number for each sample that it is about.
    fn fits(&self) -> bool {
        let samples = self.samples();
        let each = [
            Some(&self.norm),
            Some(&self.update),
            self.apart.as_ref(),
            self.cosine.as_ref(),
            self.scale.as_ref(),
        ];
        let asked = self.evaluated.values().chain(self.judged.values());
        !samples.is_empty()
            && each
                .iter()
                .flatten()
                .all(|list| list.len() == samples.len())
            && asked.flatten().all(|sample| samples.contains(sample))
            && self.norms.iter().all(|(label, list)| {
                let asked = self.evaluated.get(label);
                asked.is_some_and(|asked| asked.len() == list.len())
            })
    }
}

impl Trace {
    /// How many samples it is about.
    pub fn samples(&self) -> usize {
        let ends = self.lines.iter().map(|line| line.samples().end);
        ends.max().unwrap_or(0)
    }

    /// Reads the text of `file`.
    ///
    /// # Errors
    /// One diagnostic, at its place in the text where it has one.
    pub fn read(file: &str, text: String) -> Result<Self> {
        let shown = if file == "-" {
            "the standard input"
        } else {
            file
        };
        let mut files = SourceMap::default();
        let id = files.add(Loaded {
            path: shown.to_owned(),
            text,
        });
        let refused = |wrong: Wrong| {
            let mut diagnostic = Diagnostic::new(Code::BadTrace, wrong.sentence);
            if let Some((place, label)) = wrong.place {
                diagnostic = diagnostic.at(Span::new(id, place.start, place.end), label);
            }
            diagnostic.help(wrong.help)
        };
        match read(shown, files.text(id)) {
            Ok(trace) => Ok(trace),
            Err(wrong) => {
                let diagnostics = vec![refused(wrong)];
                Err(Failure::Said { diagnostics, files })
            }
        }
    }
}

/// Why a text is no trace.
struct Wrong {
    sentence: String,
    place: Option<(Range<usize>, String)>,
    help: &'static str,
}

const WRITE_ONE: &str = "write one with `guidec run FILE --trace run.jsonl`";
const WRITE_AGAIN: &str =
    "copy the file again, or write it again with `guidec run FILE --trace run.jsonl`";

impl Wrong {
    fn new(sentence: String, help: &'static str) -> Self {
        Self {
            sentence,
            place: None,
            help,
        }
    }

    fn at(mut self, place: Range<usize>, label: impl Into<String>) -> Self {
        self.place = Some((place, label.into()));
        self
    }
}

fn read(file: &str, text: &str) -> std::result::Result<Trace, Wrong> {
    let mut lines = placed(text);
    let Some((_, first)) = lines.next() else {
        return Err(Wrong::new(format!("`{file}` is empty"), WRITE_ONE));
    };
    let head = head(file, first)?;
    let mut trace = Vec::new();
    while let Some((start, line)) = lines.next() {
        if let Ok(Last { total }) = serde_json::from_str(line) {
            if let Some((start, line)) = lines.next() {
                let sentence = format!("`{file}` goes on after the line with `total`");
                return Err(Wrong::new(sentence, "keep one run in a file")
                    .at(start..start + line.len(), "another run begins here"));
            }
            return finished(file, head, trace, total);
        }
        let is_last = start + line.len() == text.trim_end().len();
        trace.push(tick(file, text, start, line, is_last)?);
    }
    let sentence = format!("`{file}` ends before its run: no line has `total`");
    Err(Wrong::new(sentence, WRITE_AGAIN))
}

/// The lines that hold something, each with the byte it begins at.
fn placed(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.split_inclusive('\n').scan(0, |start, line| {
        let from = *start;
        *start += line.len();
        Some((from, line.trim_end()))
    });
    lines.filter(|(_, line)| !line.is_empty())
}

fn head(file: &str, line: &str) -> std::result::Result<Head, Wrong> {
    let none = || {
        let sentence = format!("`{file}` is no trace: its first line does not say `{FORMAT}`");
        Wrong::new(sentence, WRITE_ONE)
    };
    let value: serde_json::Value = serde_json::from_str(line).map_err(|_| none())?;
    match value.get("format").and_then(|format| format.as_str()) {
        Some(FORMAT) => {}
        Some(other) if other.starts_with("guide-trace/") => {
            let sentence = format!("`{file}` says `{other}`, and `{FORMAT}` is read");
            return Err(Wrong::new(sentence, "use the guidec that wrote it"));
        }
        _ => return Err(none()),
    }
    serde_json::from_value(value).map_err(|error| {
        let sentence = format!("the first line of `{file}` cannot be used: {error}");
        Wrong::new(sentence, WRITE_ONE)
    })
}

fn tick(
    file: &str,
    text: &str,
    start: usize,
    line: &str,
    is_last: bool,
) -> std::result::Result<Line, Wrong> {
    let read: std::result::Result<Line, _> = serde_json::from_str(line);
    match read {
        Ok(tick) if tick.fits() => Ok(tick),
        Ok(_) => {
            let sentence = format!("a line of `{file}` has lists that do not fit its samples");
            let place = start..start + line.len();
            Err(Wrong::new(sentence, WRITE_AGAIN).at(place, "this line"))
        }
        Err(error) if error.is_eof() && is_last => {
            let end = start + line.len();
            let sentence = format!("`{file}` ends in the middle of a line");
            let last = line.chars().next_back().map_or(0, char::len_utf8);
            Err(Wrong::new(sentence, WRITE_AGAIN).at(end - last..end, "cut off here"))
        }
        Err(error) => {
            let sentence = format!("a line of `{file}` is none of a trace");
            // serde counts bytes from 1, and says where in the line at the end of its sentence.
            let at = floor(text, start + error.column().saturating_sub(1));
            let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            let said = error.to_string();
            let reason = said.split(" at line ").next().unwrap_or(&said).to_owned();
            Err(Wrong::new(sentence, WRITE_AGAIN).at(at..end, reason))
        }
    }
}

/// The nearest place at or before a byte where a character begins.
fn floor(text: &str, byte: usize) -> usize {
    let byte = byte.min(text.len());
    (0..=byte)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

fn finished(
    file: &str,
    head: Head,
    lines: Vec<Line>,
    total: Total,
) -> std::result::Result<Trace, Wrong> {
    if lines.is_empty() {
        return Err(Wrong::new(format!("`{file}` has no step"), WRITE_ONE));
    }
    Ok(Trace { head, lines, total })
}
