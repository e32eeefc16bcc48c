//! What guides cost, found when somebody asks and kept with the state of the text.

use std::cell::RefCell;
use std::collections::BTreeMap;

use guide_compiler::index::Indexed;

use crate::commands::doc::cost;

/// The costs of guides, by name.
#[derive(Default)]
pub struct Costs {
    known: RefCell<BTreeMap<String, Option<String>>>,
}

impl Costs {
    /// `40 evaluations in 20 steps, 2.00 a step`, or why there is no number.
    pub fn of(&self, indexed: &Indexed, guide: &str) -> Option<String> {
        if let Some(known) = self.known.borrow().get(guide) {
            return known.clone();
        }
        let found = find(indexed, guide);
        self.known
            .borrow_mut()
            .insert(guide.to_owned(), found.clone());
        found
    }
}

fn find(indexed: &Indexed, guide: &str) -> Option<String> {
    // The errors are said where they are.
    if indexed.analysis.diagnostics.has_errors() {
        return None;
    }
    let cost = cost::of_guide(&indexed.analysis, guide)?;
    Some(if cost.is_possible {
        cost.evaluations
    } else {
        format!("no plan for the embedded model: {}", cost.needs)
    })
}
