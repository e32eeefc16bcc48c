//! The plan of one guide for one line of the header, beside its snapshot.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::pipeline::{self, Analysis};
use guide_compiler::show;
use guide_grammar::span::Span;

use super::header::Line;
use super::said::Said;
use super::{Outcome, Snapshot};
use crate::args::{Source, Target, given_twice};
use crate::compile::request;
use crate::describe::describe;
use crate::exit::{Failure, Result};

/// Steps of a plan whose line says nothing of them: enough to see windows, few enough to read.
const STEPS: u64 = 8;

/// A guide of a file.
pub struct Guide<'a> {
    /// The file.
    pub place: &'a Path,
    /// Its name.
    pub name: &'a str,
    /// Whether the file's snapshot is that of this guide.
    pub is_root: bool,
}

impl Guide<'_> {
    /// Where the snapshot lies: `FILE.plan`, `FILE.GUIDE.plan`, with `.LINE` before the ending.
    fn snapshot(&self, line: Option<&str>) -> PathBuf {
        let stem = self.place.file_stem().unwrap_or_default();
        let mut name = stem.to_string_lossy().into_owned();
        let parts = (!self.is_root).then_some(self.name).into_iter().chain(line);
        for part in parts {
            name.push('.');
            name.push_str(part);
        }
        self.place.with_file_name(name + ".plan")
    }

    /// The plan for a line, beside its snapshot; without a line, for what goes without one.
    pub fn compare(&self, analysis: &Analysis, line: Option<&Line>, said: &mut Said) -> Snapshot {
        let name = line.and_then(|line| line.name.clone());
        let place = self.snapshot(name.as_deref());
        let outcome = match self.plan(analysis, line, said) {
            Some(now) => compared(&place, now, said),
            None => Outcome::Failed,
        };
        Snapshot {
            guide: self.name.to_owned(),
            line: name,
            place,
            outcome,
        }
    }

    fn plan(&self, analysis: &Analysis, line: Option<&Line>, said: &mut Said) -> Option<String> {
        let mut target = line.map_or_else(Target::default, |line| line.options.target.clone());
        target.steps.get_or_insert(STEPS);
        let place = line.map(|line| line.span);
        match self.compiled(analysis, &target) {
            Ok((plan, warnings)) => {
                let warnings = warnings.into_iter().map(|d| placed(d, place));
                said.absorb(warnings, &analysis.files, str::to_owned);
                Some(plan)
            }
            Err(Failure::Said { diagnostics, files }) => {
                let diagnostics = diagnostics.into_iter().map(|d| placed(d, place));
                said.absorb(diagnostics, &files, str::to_owned);
                None
            }
            Err(other) => {
                said.fail(other, |sentence| {
                    placed(Diagnostic::new(Code::BadTestLine, sentence), place)
                });
                None
            }
        }
    }

    fn compiled(&self, analysis: &Analysis, target: &Target) -> Result<(String, Vec<Diagnostic>)> {
        if let Some(name) = given_twice(&target.set) {
            let sentence = format!("the parameter `{name}` is set twice");
            return Err(Failure::Usage(sentence));
        }
        let source = Source {
            file: analysis.path.clone(),
            guide: Some(self.name.to_owned()),
            allow_path: Vec::new(),
        };
        let negative = target.negative.as_deref() != Some("");
        let request = request(&source, target, describe(target)?, negative)?;
        match pipeline::compile(analysis, &request) {
            Ok(compiled) => Ok((show::text(&compiled.plan), compiled.warnings.into_sorted())),
            Err(bag) => Err(Failure::Said {
                diagnostics: bag.into_sorted(),
                files: analysis.files.clone(),
            }),
        }
    }
}

/// What has no place of its own is about the line that asked for it.
fn placed(diagnostic: Diagnostic, line: Option<Span>) -> Diagnostic {
    match line {
        Some(span) if diagnostic.labels.is_empty() => diagnostic.at(span, "for this test"),
        _ => diagnostic,
    }
}

fn compared(place: &Path, now: String, said: &mut Said) -> Outcome {
    match fs::read(place) {
        Ok(bytes) => {
            // What git makes of line ends is no difference.
            let before = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            match before == now {
                true => Outcome::Same(now),
                false => Outcome::Different { before, now },
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::New(now),
        Err(error) => {
            let message = format!("the snapshot `{}` cannot be read: {error}", place.display());
            said.say(Diagnostic::new(Code::Unreadable, message));
            Outcome::Failed
        }
    }
}
