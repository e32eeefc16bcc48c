//! The plan as a picture: boxes in rows, readable on light and on dark paper.

use std::fmt::Write;

use super::layout::{Drawing, Item, Kind, drawing};
use crate::plan::Plan;

const LETTER: usize = 7;
const LINE: usize = 16;
const PAD: usize = 10;
const GAP: usize = 24;
const ROW: usize = 40;
const TITLE: usize = 28;

/// Colours that hold on light and on dark paper.
const STYLE: &str = "svg{color-scheme:light dark;background:light-dark(#ffffff,#16181d)}\
text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:light-dark(#1c2128,#e6edf3)}\
.title{font-weight:bold}\
rect{stroke-width:1.2}\
.network{fill:light-dark(#dbeafe,#173358);stroke:light-dark(#2563eb,#60a5fa)}\
.pass{fill:light-dark(#f6f8fa,#22272e);stroke:light-dark(#8c959f,#768390)}\
.state{fill:light-dark(#fef3c7,#3d3113);stroke:light-dark(#d97706,#fbbf24)}\
.result{fill:light-dark(#dcfce7,#12361f);stroke:light-dark(#16a34a,#4ade80)}\
.arrow{fill:none;stroke:light-dark(#6e7781,#909dab);stroke-width:1.2}\
.head{fill:light-dark(#6e7781,#909dab)}";

/// A box in its place.
struct Placed {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// The plan as SVG, with nothing from outside.
pub fn svg(plan: &Plan) -> String {
    let mut body = String::new();
    let (mut width, mut top) = (0, PAD);
    for segment in &plan.segments {
        let drawing = drawing(plan, segment);
        let (right, bottom) = draw(&drawing, top, &mut body);
        width = width.max(right);
        top = bottom + GAP;
    }
    let title = escaped(&format!(
        "plan {} for {}",
        plan.head.guide, plan.head.model.name
    ));
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {top}\" width=\"{w}\" height=\"{top}\" role=\"img\">",
        w = width + PAD
    );
    let _ = writeln!(out, "<title>{title}</title>");
    let _ = writeln!(out, "<style>{STYLE}</style>");
    let _ = writeln!(
        out,
        "<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>"
    );
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

/// Draws a segment below `top`; gives its right and lower edge.
fn draw(drawing: &Drawing, top: usize, out: &mut String) -> (usize, usize) {
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{PAD}\" y=\"{}\">{}</text>",
        top + LINE,
        escaped(&drawing.title)
    );
    let placed = place(&drawing.items, top + TITLE);
    for (from, to) in &drawing.arrows {
        if let (Some(a), Some(b)) = (placed.get(*from), placed.get(*to)) {
            let (x1, y1) = (a.x + a.width / 2, a.y + a.height);
            let (x2, y2) = (b.x + b.width / 2, b.y);
            let middle = (y1 + y2) / 2;
            let _ = writeln!(
                out,
                "<path class=\"arrow\" marker-end=\"url(#head)\" d=\"M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}\"/>"
            );
        }
    }
    for (item, at) in drawing.items.iter().zip(&placed) {
        let class = match item.kind {
            Kind::Network => "network",
            Kind::Pass => "pass",
            Kind::State => "state",
            Kind::Result => "result",
        };
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\"/>",
            at.x, at.y, at.width, at.height
        );
        for (row, text) in item.lines.iter().enumerate() {
            let (x, y) = (at.x + PAD, at.y + PAD + LINE * row + 11);
            let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(text));
        }
    }
    let right = placed.iter().map(|p| p.x + p.width).max().unwrap_or(0);
    let bottom = placed
        .iter()
        .map(|p| p.y + p.height)
        .max()
        .unwrap_or(top + TITLE);
    (right, bottom)
}

/// Boxes row by row, each row from the left.
fn place(items: &[Item], top: usize) -> Vec<Placed> {
    let rows = items.iter().map(|i| i.row + 1).max().unwrap_or(0);
    let mut left = vec![PAD; rows];
    let mut placed: Vec<Placed> = Vec::with_capacity(items.len());
    let mut heights = vec![0; rows];
    for item in items {
        let letters = item
            .lines
            .iter()
            .map(|l| l.chars().count())
            .max()
            .unwrap_or(0);
        let (width, height) = (
            letters * LETTER + LETTER + 2 * PAD,
            item.lines.len() * LINE + 2 * PAD - 4,
        );
        let x = left.get(item.row).copied().unwrap_or(PAD);
        if let (Some(left), Some(tallest)) = (left.get_mut(item.row), heights.get_mut(item.row)) {
            *left += width + GAP;
            *tallest = height.max(*tallest);
        }
        placed.push(Placed {
            x,
            y: 0,
            width,
            height,
        });
    }
    let mut tops = Vec::with_capacity(rows);
    let mut y = top;
    for height in &heights {
        tops.push(y);
        y += height + ROW;
    }
    for (item, place) in items.iter().zip(&mut placed) {
        place.y = tops.get(item.row).copied().unwrap_or(top);
    }
    placed
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
