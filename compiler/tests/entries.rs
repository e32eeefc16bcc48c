//! Entries of tables: rows by step, and rows that no table has.

mod fixture;
#[allow(dead_code, reason = "the tests of plans use the rest")]
#[path = "fixture/library.rs"]
mod library;

use fixture::target;
use guide_compiler::plan::{Operand, Plan, Space};
use guide_compiler::show;

/// The plan of a guide that scales by an entry of a table, or all that is said against it.
fn planned(entry: &str) -> Result<Plan, Vec<String>> {
    let text = format!(
        "input pace: Table\n\nguide g() {{\n    let c = predict(cond)\n    \
         let u = predict(uncond)\n    u + {entry} * (c - u)\n}}\n"
    );
    library::planned("g.guide", &text, "g", &target("g", 6, Space::Eps)).map_err(|bag| {
        let all = bag.into_sorted();
        all.iter().map(|d| d.message.clone()).collect()
    })
}

#[test]
fn a_row_may_change_from_step_to_step() {
    let plan = planned("pace[step][1 + step % 2]").expect("a plan");
    assert_eq!(plan.segments.len(), 1);
    assert_eq!(plan.check(), Ok(()));
    let mut reads = plan.segments[0].ops().flat_map(|op| op.operands());
    let entry = reads.find_map(|operand| match operand {
        Operand::Entry(_, row, column) => Some((row.values.clone(), column.values.clone())),
        _ => None,
    });
    let (rows, columns) = entry.expect("an entry is read");
    assert_eq!(rows, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(columns, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    let text = show::text(&plan);
    assert!(text.contains("pace[step]["), "{text}");
    let read: Plan = serde_json::from_str(&show::json(&plan)).expect("what was written");
    assert_eq!(read, plan);
}

#[test]
fn a_row_that_is_not_there_in_some_step_is_said_once() {
    let said = |entry| planned(entry).expect_err("no table has it");
    assert_eq!(said("pace[step - 1]"), ["row -1 of `pace` is asked for"]);
    assert_eq!(said("pace[step / 2]"), ["row 0.5 of `pace` is asked for"]);
    assert_eq!(said("pace[0][-2]"), ["column -2 of `pace` is asked for"]);
}

#[test]
fn a_row_that_no_step_asks_for_does_not_matter() {
    let entry = "if step == 0 { 1 } else { pace[step - 1] }";
    assert!(planned(&format!("({entry})")).is_ok());
}

#[test]
fn a_saved_plan_asks_for_rows_that_can_be() {
    let plan = planned("pace[step]").expect("a plan");
    let mut saved: serde_json::Value =
        serde_json::from_str(&show::json(&plan)).expect("what was written");
    let entry = find(&mut saved).expect("an entry is saved");
    entry[1]["values"][2] = serde_json::json!(1.5);
    let read: Plan = serde_json::from_value(saved).expect("it still reads");
    assert!(read.check().is_err_and(|what| what.contains("entry 1.5")));
}

/// The first entry of a table in a saved plan.
fn find(value: &mut serde_json::Value) -> Option<&mut serde_json::Value> {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            if map.contains_key("entry") {
                return map.get_mut("entry");
            }
            map.values_mut().find_map(find)
        }
        Value::Array(all) => all.iter_mut().find_map(find),
        _ => None,
    }
}
