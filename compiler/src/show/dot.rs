//! The plan as a graph in Graphviz's language.

use std::fmt::Write;

use super::layout::{Kind, drawing};
use crate::plan::Plan;

/// The plan in DOT: a cluster a segment.
pub fn dot(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "digraph {} {{", quoted(&plan.head.guide));
    let _ = writeln!(
        out,
        "  rankdir=TB; node [fontname=\"monospace\", fontsize=10];"
    );
    for (at, segment) in plan.segments.iter().enumerate() {
        let drawing = drawing(plan, segment);
        let _ = writeln!(out, "  subgraph cluster_{at} {{");
        let _ = writeln!(out, "    label={};", quoted(&drawing.title));
        for (place, item) in drawing.items.iter().enumerate() {
            let shape = match item.kind {
                Kind::Network => "box, style=bold",
                Kind::Pass => "box, style=rounded",
                Kind::State => "cylinder",
                Kind::Result => "box, peripheries=2",
            };
            let label = quoted(&item.lines.join("\n"));
            let _ = writeln!(out, "    s{at}_{place} [label={label}, shape={shape}];");
        }
        for (from, to) in &drawing.arrows {
            let _ = writeln!(out, "    s{at}_{from} -> s{at}_{to};");
        }
        let _ = writeln!(out, "  }}");
    }
    out.push_str("}\n");
    out
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\l");
    if text.contains('\n') {
        format!("\"{escaped}\\l\"")
    } else {
        format!("\"{escaped}\"")
    }
}
