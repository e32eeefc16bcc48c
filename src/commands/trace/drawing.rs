//! A trace as charts in one SVG, readable on light and on dark paper.

use std::fmt::Write;

use super::chart::{self, Frame};
use super::file::Trace;
use super::quantity::Quantities;
use super::table::{about, settings};

/// Around everything, and between charts.
const GAP: f64 = 24.0;

/// The charts of a row.
const COLUMNS: usize = 2;

/// The letters of a line below the title: about as many as are as wide as a row.
const LETTERS: usize = 140;

/// Plain colours first, and others where the reader's paper is dark: what knows no media query has
/// the first ones.
const STYLE: &str = "\
text{font:11px system-ui,sans-serif;fill:#57606a}\
.title{font-size:17px;font-weight:600;fill:#1c2128}\
.name{font-size:13px;font-weight:600;fill:#1c2128}\
.key{fill:#1c2128}\
.paper{fill:#ffffff}\
.grid{stroke:#e3e6ea;stroke-width:1}\
.axis{stroke:#8c959f;stroke-width:1}\
.line{fill:none;stroke-width:1.75;stroke-linejoin:round}\
.band{stroke:none;opacity:.16}\
.c0{stroke:#1f6feb}.f0{fill:#1f6feb}\
.c1{stroke:#c2570c}.f1{fill:#c2570c}\
.c2{stroke:#15803d}.f2{fill:#15803d}\
.c3{stroke:#8b3fc7}.f3{fill:#8b3fc7}\
.c4{stroke:#b4236b}.f4{fill:#b4236b}\
.c5{stroke:#0f7f8f}.f5{fill:#0f7f8f}\
@media (prefers-color-scheme:dark){\
text{fill:#9aa4af}\
.title,.name,.key{fill:#e6edf3}\
.paper{fill:#16181d}\
.grid{stroke:#2b3038}\
.axis{stroke:#6e7781}\
.band{opacity:.24}\
.c0{stroke:#6cb2ff}.f0{fill:#6cb2ff}\
.c1{stroke:#fb9a4b}.f1{fill:#fb9a4b}\
.c2{stroke:#4ade80}.f2{fill:#4ade80}\
.c3{stroke:#c99bff}.f3{fill:#c99bff}\
.c4{stroke:#ff7eb6}.f4{fill:#ff7eb6}\
.c5{stroke:#4fd1de}.f5{fill:#4fd1de}}";

/// The trace as SVG, with nothing from outside.
pub fn svg(trace: &Trace, all: &Quantities, only: Option<usize>) -> String {
    let width = GAP + COLUMNS as f64 * (chart::WIDTH + GAP);
    let about = about(trace, only);
    let (title, what) = match about.split_once(';') {
        Some((title, what)) => (title, what.trim()),
        None => (about.as_str(), ""),
    };
    let mut body = String::new();
    // Writing to a string cannot fail.
    let mut top = GAP + 16.0;
    text(&mut body, "title", top, title);
    let lines = settings(trace)
        .map(|line| wrapped(&line, LETTERS))
        .unwrap_or_default();
    for line in std::iter::once(what.to_owned()).chain(lines) {
        top += 17.0;
        text(&mut body, "note", top, &line);
    }
    if trace.samples() > 1 && only.is_none() {
        top += 17.0;
        let note = "lines are means of the samples; a band goes from the least of them to the most";
        text(&mut body, "note", top, note);
    }
    top += GAP;
    for row in all.groups.chunks(COLUMNS) {
        let mut lowest = top;
        for (column, group) in row.iter().enumerate() {
            let left = GAP + column as f64 * (chart::WIDTH + GAP);
            let frame = Frame { left, top };
            let bottom = chart::draw(group, &all.ticks, frame, &mut body);
            lowest = lowest.max(bottom);
        }
        top = lowest + GAP;
    }
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top:.0}\" width=\"{width}\" \
         height=\"{top:.0}\" role=\"img\">\n<title>trace of {}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>",
        escaped(&about)
    );
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

fn text(out: &mut String, class: &str, y: f64, text: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{GAP}\" y=\"{y}\">{}</text>",
        escaped(text)
    );
}

/// Words in lines of so many letters; a longer word has a line of its own.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let letters = word.chars().count();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + letters <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// As it may stand in a text of XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
