//! What stands after a pass, for people who look into the compiler.

use std::fmt::{Debug, Write};

use super::expr::{ExprId, Exprs};
use super::fold::{self, Folded, Known};
use super::guard::{ALWAYS, GuardId, Guards};
use super::merge::{self, Part, Scheduled};
use super::{Target, build};
use crate::diagnostics::{Bag, Code, Diagnostic, suggest};
use crate::graph::{Graph, NodeId};
use crate::plan::Number;
use crate::show;

/// The passes in order, and what stands after each.
pub const PASSES: [(&str, &str); 7] = [
    ("graph", "the checked graph, one node a line"),
    ("fold", "what is known when the plan is made, tick by tick"),
    (
        "lower",
        "the expressions of each segment, branches cut and sums gathered",
    ),
    ("live", "for which samples each expression is needed"),
    ("merge", "the segments"),
    (
        "gather",
        "the operations, each a pass over memory of its own",
    ),
    ("order", "the plan"),
];

/// What stands after a pass, as text.
///
/// # Errors
/// A name that is no pass (`G0605`), and what [`super::plan`] refuses.
pub fn after(pass: &str, graph: &Graph, target: &Target) -> Result<String, Bag> {
    if !PASSES.iter().any(|(name, _)| *name == pass) {
        let names = PASSES.map(|(name, _)| name);
        let mut said = Diagnostic::new(
            Code::BadParameter,
            format!("`{pass}` is not a pass of the compiler"),
        );
        said = match suggest::nearest(pass, names) {
            Some(near) => said.help(format!("write `--after {near}`")),
            None => said.help(format!("choose one of {}", names.join(", "))),
        };
        let mut bag = Bag::default();
        bag.push(said);
        return Err(bag);
    }
    match pass {
        "graph" => return Ok(nodes(graph, None)),
        "gather" | "order" => return Ok(show::text(&build(graph, target, pass == "order")?)),
        _ => {}
    }
    // The rest exists for plans only: what the plan refuses is refused here too.
    build(graph, target, false)?;
    let folded = fold::fold(graph, &target.timetable, target.steps);
    if pass == "fold" {
        return Ok(nodes(graph, Some(&folded)));
    }
    let Some(outcome) = &graph.outcome else {
        return Ok(String::new());
    };
    let mut scheduled = merge::schedule(graph, target, &folded, outcome);
    let parts = std::mem::take(&mut scheduled.parts);
    let mut text = String::new();
    for part in &parts {
        segment(&mut scheduled, part, pass, &mut text);
    }
    Ok(text)
}

/// Writing to a string cannot fail.
fn line(text: &mut String, row: &str) {
    let _ = writeln!(text, "{}", row.trim_end());
}

/// A form without the names of the compiler's types.
fn plain(form: &impl Debug) -> String {
    let mut text = format!("{form:?}");
    for wrapper in [
        "NodeId(",
        "ExprId(",
        "ScalarId(",
        "CellId(",
        "InputId(",
        "PredictionId(",
        "JudgementId(",
    ] {
        while let Some(at) = text.find(wrapper) {
            let end = text[at..].find(')').map_or(text.len(), |e| at + e);
            let inner = text[at + wrapper.len()..end].to_string();
            let rest = text.get(end + 1..).unwrap_or("").to_string();
            text = format!("{}{}{inner}{rest}", &text[..at], sign(wrapper));
        }
    }
    text
}

fn sign(wrapper: &str) -> &'static str {
    match wrapper {
        "NodeId(" | "ExprId(" => "%",
        "ScalarId(" => "k",
        "CellId(" => "cell ",
        "InputId(" => "input ",
        "JudgementId(" => "judgement ",
        _ => "prediction ",
    }
}

fn nodes(graph: &Graph, folded: Option<&Folded>) -> String {
    let mut text = String::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let known = folded.and_then(|f| f.get(NodeId(at as u32)));
        let what = match known {
            Some(Known::Numbers(values)) => table(values.clone()),
            Some(Known::Bools(values)) => values
                .iter()
                .map(|v| if *v { 'T' } else { '-' })
                .collect::<String>(),
            None if folded.is_some() => continue,
            None => plain(&node.op),
        };
        let name = node.name.as_deref().unwrap_or("");
        line(
            &mut text,
            &format!("%{at:<4} {what:<56}  {}  {name}", node.kind),
        );
    }
    text
}

fn table(mut values: Vec<f64>) -> String {
    if values.windows(2).all(|w| w.first() == w.last()) {
        values.truncate(1);
    }
    show::table(&Number {
        text: String::new(),
        values,
    })
}

fn segment(scheduled: &mut Scheduled, part: &Part, pass: &str, text: &mut String) {
    let (from, to) = part.steps;
    let substep = if part.substep > 0 {
        format!(", substep {}", part.substep)
    } else {
        String::new()
    };
    let count = part.demand.len();
    line(
        text,
        &format!("steps {from}..{to}{substep}: {count} expressions"),
    );
    if pass == "merge" {
        return;
    }
    for (expr, guard) in part.demand.iter() {
        let name = scheduled.exprs.name(*expr).unwrap_or("").to_string();
        let what = match pass {
            "live" => when(&scheduled.exprs, &mut scheduled.guards, *guard),
            _ => plain(scheduled.exprs.form(*expr)),
        };
        line(text, &format!("  {:<6} {what:<56}  {name}", plain(expr)));
    }
}

fn when(exprs: &Exprs, guards: &mut Guards, guard: GuardId) -> String {
    if guard == ALWAYS {
        return "always".to_string();
    }
    let literal = |(of, holds): &(ExprId, bool)| {
        let name = exprs.name(*of).map_or_else(|| plain(of), str::to_string);
        format!("{}{name}", if *holds { "" } else { "not " })
    };
    let way = |way: &Vec<(ExprId, bool)>| way.iter().map(literal).collect::<Vec<_>>().join(" and ");
    guards
        .ways(guard)
        .iter()
        .map(way)
        .collect::<Vec<_>>()
        .join(" or ")
}
