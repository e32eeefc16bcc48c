//! Diagnostics for people, drawn by miette. The one place where ours become miette's.

use std::fmt;

use guide_grammar::span::FileId;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::excerpt::{Excerpt, LineTables};
use super::wrap::wrap;
use crate::diagnostics::{Diagnostic, Label, Severity};
use crate::sources::SourceMap;

/// How the pictures are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Colours for a terminal; without, plain characters.
    pub colour: bool,
    /// Characters in a line for sentences; source lines keep their own length up to a limit.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            colour: false,
            width: 80,
        }
    }
}

/// Every diagnostic as text, a blank line between two.
pub fn human(diagnostics: &[Diagnostic], sources: &SourceMap, style: Style) -> String {
    let mut tables = LineTables::default();
    for label in diagnostics.iter().flat_map(|d| &d.labels) {
        tables.add(label.span.file, sources);
    }
    let width = style.width.max(40);
    let theme = if style.colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    // Sentences are wrapped here, so that source lines inside nested pictures are not.
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_urls(false)
        .with_width(width)
        .with_wrap_lines(false)
        .with_show_related_as_nested(true);
    let mut out = String::new();
    for diagnostic in diagnostics {
        let report = Report::new(diagnostic, sources, &tables, width);
        let mut drawn = String::new();
        // Writing into a string cannot fail; a refusal of miette's leaves the sentence.
        if handler.render_report(&mut drawn, &report).is_err() {
            drawn = format!("{}: {}\n", diagnostic.code.number(), diagnostic.message);
        }
        if !out.is_empty() {
            out.push('\n');
        }
        for line in drawn.trim_matches('\n').lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

/// A diagnostic, or a place of one that stands in another file, as miette sees it.
struct Report<'a> {
    code: Option<&'static str>,
    message: String,
    severity: miette::Severity,
    help: Option<String>,
    source: Option<Excerpt<'a>>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Report<'a>>,
}

impl<'a> Report<'a> {
    fn new(
        diagnostic: &Diagnostic,
        sources: &'a SourceMap,
        tables: &'a LineTables,
        width: usize,
    ) -> Self {
        let home = diagnostic.labels.first().map(|l| l.span.file);
        let source = home.map(|file| tables.excerpt(file, sources));
        // A label on a long line gets a picture of its own, since lines are shown in part there.
        let is_here = |at: usize, label: &Label| {
            let alone = source.is_some_and(|s| s.is_on_long_line(label.span));
            Some(label.span.file) == home && (at == 0 || !alone)
        };
        let (here, there): (Vec<_>, Vec<_>) = diagnostic
            .labels
            .iter()
            .enumerate()
            .partition(|(at, label)| is_here(*at, label));
        let labels = source.map_or_else(Vec::new, |source| {
            here.iter()
                .map(|(at, label)| {
                    let text = (!label.text.is_empty()).then(|| label.text.clone());
                    let span = source.drawn(label.span);
                    if *at == 0 {
                        LabeledSpan::new_primary_with_span(text, span)
                    } else {
                        LabeledSpan::new_with_span(text, span)
                    }
                })
                .collect()
        });
        let elsewhere = there
            .iter()
            .map(|(_, label)| Report::elsewhere(label, label.span.file, sources, tables, width))
            .collect();
        Self {
            code: Some(diagnostic.code.number()),
            message: wrap(&diagnostic.message, width - 4),
            severity: match diagnostic.severity {
                Severity::Error => miette::Severity::Error,
                Severity::Warning => miette::Severity::Warning,
            },
            help: diagnostic.help.as_ref().map(|help| wrap(help, width - 8)),
            source,
            labels,
            elsewhere,
        }
    }

    fn elsewhere(
        label: &Label,
        file: FileId,
        sources: &'a SourceMap,
        tables: &'a LineTables,
        width: usize,
    ) -> Self {
        let source = tables.excerpt(file, sources);
        Self {
            code: None,
            message: wrap(&label.text, width - 8),
            severity: miette::Severity::Advice,
            help: None,
            labels: vec![LabeledSpan::new_primary_with_span(
                None,
                source.drawn(label.span),
            )],
            source: Some(source),
            elsewhere: Vec::new(),
        }
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.code
            .map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty())
            .then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = _>>)
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn miette::Diagnostic> + 'b>> {
        (!self.elsewhere.is_empty()).then(|| {
            Box::new(self.elsewhere.iter().map(|r| r as &dyn miette::Diagnostic))
                as Box<dyn Iterator<Item = _>>
        })
    }
}
