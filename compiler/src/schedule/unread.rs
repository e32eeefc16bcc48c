//! Rows of bound tables that a finished plan never reads: most often a table made for another number
//! of steps or of prompts.

use crate::diagnostics::{Bag, Code, Diagnostic};
use crate::graph::Graph;
use crate::plan::{Operand, Plan};
use crate::show::counted;

/// What a plan reads of a table.
struct Reading {
    /// The last row.
    last: usize,
    /// Whether the row changes from step to step.
    by_step: bool,
}

/// A warning (`G0613`) for each bound table whose last row no step reads. A table with a row for each
/// step is right even where a window reads only some.
pub fn warn(graph: &Graph, plan: &Plan, steps: u32) -> Bag {
    let mut bag = Bag::default();
    for (at, input) in plan.inputs.iter().enumerate() {
        let Some(rows) = graph.tables.get(&input.name) else {
            continue;
        };
        let Some(read) = reading(plan, at) else {
            continue;
        };
        if read.last + 1 >= rows.len() || (read.by_step && rows.len() == steps as usize) {
            continue;
        }
        let name = &input.name;
        let message = format!(
            "the table `{name}` has {}, and only the first {} read",
            counted(rows.len(), "row"),
            match read.last {
                0 => "is".to_owned(),
                last => format!("{} are", last + 1),
            }
        );
        let help = if read.by_step {
            format!(
                "bind a table made for {steps} steps, or give the `--steps` that `{name}` is for"
            )
        } else {
            format!("bind `{name}` to a table without the other rows")
        };
        bag.push(Diagnostic::new(Code::RowsUnread, message).help(help));
    }
    bag
}

/// What is read of an input, if anything is.
fn reading(plan: &Plan, input: usize) -> Option<Reading> {
    let operands = plan.segments.iter().flat_map(|segment| {
        let ops = segment.ops().flat_map(|op| op.operands());
        ops.chain(segment.ends())
    });
    let rows = operands.filter_map(|operand| match operand {
        Operand::Entry(id, row, _) if id.index() == input => Some(&row.values),
        _ => None,
    });
    rows.fold(None, |before: Option<Reading>, values| {
        let last = values.iter().fold(0.0, |last: f64, row| last.max(*row)) as usize;
        Some(Reading {
            last: before.as_ref().map_or(last, |before| before.last.max(last)),
            by_step: values.len() > 1 || before.is_some_and(|before| before.by_step),
        })
    })
}
