//! The lines of a file that a picture of it needs, found without reading the file again.

use std::collections::BTreeMap;

use guide_grammar::span::{FileId, Span};
use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::sources::SourceMap;

/// A line longer than this many bytes is shown in part.
pub(super) const LONG_LINE: usize = 240;
/// Bytes shown before and after a label on a long line.
const AROUND: usize = 60;
/// A label over more lines than this is drawn under its first line.
const TALL: usize = 6;

/// Where the lines of each file begin, found once for all diagnostics.
#[derive(Default)]
pub(super) struct LineTables {
    tables: BTreeMap<FileId, Vec<usize>>,
}

impl LineTables {
    /// Adds the table of a file, unless it is there.
    pub(super) fn add(&mut self, file: FileId, sources: &SourceMap) {
        self.tables.entry(file).or_insert_with(|| {
            let breaks = sources
                .text(file)
                .bytes()
                .enumerate()
                .filter(|(_, b)| *b == b'\n');
            std::iter::once(0)
                .chain(breaks.map(|(at, _)| at + 1))
                .collect()
        });
    }

    /// The lines of a file; `add` must have seen it, else it has one line.
    pub(super) fn excerpt<'a>(&'a self, file: FileId, sources: &'a SourceMap) -> Excerpt<'a> {
        Excerpt {
            path: sources.path(file),
            text: sources.text(file),
            starts: self.tables.get(&file).map_or(&[0], Vec::as_slice),
        }
    }
}

/// A file with its line table, as miette wants it.
#[derive(Clone, Copy)]
pub(super) struct Excerpt<'a> {
    path: &'a str,
    text: &'a str,
    starts: &'a [usize],
}

impl<'a> Excerpt<'a> {
    /// The line that holds a byte, from 0.
    fn line_of(&self, byte: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= byte)
            .saturating_sub(1)
    }

    /// The bytes of a line, its break included.
    fn line(&self, line: usize) -> std::ops::Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let end = self
            .starts
            .get(line + 1)
            .copied()
            .unwrap_or(self.text.len());
        start..end
    }

    /// The last byte that `span` touches.
    fn last_byte(start: usize, end: usize) -> usize {
        end.saturating_sub(1).max(start)
    }

    /// Line and column, from 1; columns in characters.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let byte = byte.min(self.text.len());
        let line = self.line_of(byte);
        let before = self.text.get(self.line(line).start..byte).unwrap_or("");
        (line + 1, before.chars().count() + 1)
    }

    /// Whether the span touches a line that is shown in part.
    pub(super) fn is_on_long_line(&self, span: Span) -> bool {
        let first = self.line_of(span.range().start);
        self.line(first).len() > LONG_LINE
    }

    /// The part of a span that is drawn: all of it, or what stands on its first line where it is
    /// taller than a reader wants to see, or a piece of that on a long line.
    pub(super) fn drawn(&self, span: Span) -> SourceSpan {
        // What stands after the last character is drawn behind it: no line follows.
        let last_character = self.text.trim_end().len();
        let start = span.range().start.min(last_character);
        let end = span.range().end.clamp(start, last_character.max(start));
        let first = self.line_of(start);
        let last = self.line_of(Self::last_byte(start, end));
        let line_end = self.line(first).end;
        let end = if last - first >= TALL || line_end - self.line(first).start > LONG_LINE {
            let text = self.text.get(start..line_end.min(end)).unwrap_or("");
            let shown = floor(self.text, start + text.trim_end().len().min(2 * AROUND));
            shown.max(start)
        } else {
            end
        };
        SourceSpan::from(start..end)
    }
}

/// The nearest boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, MietteError> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        if end > self.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let own = self.line_of(start);
        let mut first = own.saturating_sub(lines_before);
        let mut last = self.line_of(Self::last_byte(start, end));
        for _ in 0..lines_after {
            // A last line without text is no line to a reader.
            if !self.line(last + 1).is_empty() {
                last += 1;
            }
        }
        // Long neighbours are left out; a long line of its own is cut around the label.
        let long = |line: usize| self.line(line).len() > LONG_LINE;
        while first < own && long(first) {
            first += 1;
        }
        while last > self.line_of(Self::last_byte(start, end)) && long(last) {
            last -= 1;
        }
        let mut from = self.line(first).start;
        let mut to = self.line(last).end;
        if long(own) {
            (first, last) = (own, own);
            from = floor(self.text, start.saturating_sub(AROUND)).max(self.line(own).start);
            to = floor(self.text, end + AROUND).min(self.line(own).end);
        }
        // Asked without context, miette wants to know where the span itself begins.
        let (from, column) = if lines_before == 0 && lines_after == 0 {
            (start, self.position(start).1 - 1)
        } else {
            (from, 0)
        };
        let data = self.text.as_bytes().get(from..to.max(from)).unwrap_or(&[]);
        let line = if from == start && column > 0 {
            own
        } else {
            first
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.path.to_owned(),
            data,
            SourceSpan::from(from..to.max(from)),
            line,
            column,
            last - first + 1,
        )))
    }
}
