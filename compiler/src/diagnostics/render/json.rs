//! Diagnostics for programs: a list of objects, one a diagnostic, in the order of the human text.

use serde::Serialize;

use super::excerpt::LineTables;
use crate::diagnostics::{Diagnostic, Severity};
use crate::sources::SourceMap;

#[derive(Serialize)]
struct Entry<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    labels: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    start: Position,
    end: Position,
    text: &'a str,
}

#[derive(Serialize)]
struct Position {
    line: usize,
    column: usize,
    byte: usize,
}

/// The list as JSON, indented, with a line break at its end. Lines and columns count from 1,
/// columns in characters; bytes count from 0; `end` is the place after the last character.
pub fn json(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let mut tables = LineTables::default();
    for label in diagnostics.iter().flat_map(|d| &d.labels) {
        tables.add(label.span.file, sources);
    }
    let entries: Vec<Entry> = diagnostics
        .iter()
        .map(|diagnostic| Entry {
            code: diagnostic.code.number(),
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
            labels: diagnostic
                .labels
                .iter()
                .map(|label| {
                    let excerpt = tables.excerpt(label.span.file, sources);
                    let position = |byte: usize| {
                        let (line, column) = excerpt.position(byte);
                        Position { line, column, byte }
                    };
                    let range = label.span.range();
                    Place {
                        file: sources.path(label.span.file),
                        start: position(range.start),
                        end: position(range.end),
                        text: &label.text,
                    }
                })
                .collect(),
        })
        .collect();
    // Strings and numbers alone always have a JSON form.
    let mut text = serde_json::to_string_pretty(&entries).unwrap_or_else(|_| "[]".to_owned());
    text.push('\n');
    text
}
