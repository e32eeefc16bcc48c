//! What guides cost, found when somebody asks and kept with the state of the text.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use guide_compiler::diagnostics::{Bag, Diagnostic, Severity};
use guide_compiler::index::Indexed;
use guide_compiler::pipeline::Analysis;
use guide_compiler::resolved::{Item, ItemId, Meaning};
use guide_grammar::span::Span;

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
    let analysis = sound(indexed, guide)?;
    let cost = cost::of_guide(&analysis, guide)?;
    Some(if cost.is_possible {
        cost.evaluations
    } else {
        format!("no plan for the embedded model: {}", cost.needs)
    })
}

/// The analysis without the errors of what the guide has nothing to do with; nothing if there are errors in what it is
/// made of, or names that may stand in what cannot be read. They are said where they are.
fn sound<'a>(indexed: &'a Indexed, guide: &str) -> Option<Cow<'a, Analysis>> {
    let analysis = &indexed.analysis;
    if !analysis.diagnostics.has_errors() {
        return Some(Cow::Borrowed(analysis));
    }
    let parts = parts(indexed, indexed.in_scope(guide)?);
    if !parts.iter().all(|part| indexed.is_whole(*part)) {
        return None;
    }
    let mut others = Bag::default();
    for diagnostic in analysis.diagnostics.iter() {
        if diagnostic.severity != Severity::Error {
            others.push(diagnostic.clone());
        } else if !is_elsewhere(indexed, diagnostic, &parts) {
            return None;
        }
    }
    Some(Cow::Owned(Analysis {
        diagnostics: others,
        ..analysis.clone()
    }))
}

/// The items that one is made of: itself, those that it names, and theirs.
fn parts(indexed: &Indexed, item: ItemId) -> BTreeSet<ItemId> {
    let mut found = BTreeSet::from([item]);
    let mut open = vec![item];
    while let Some(item) = open.pop().and_then(|id| indexed.item(id)) {
        for name in &indexed.program().names {
            if let Meaning::Item(next) = name.meaning
                && holds(item.span, name.span)
                && found.insert(next)
            {
                open.push(next);
            }
        }
    }
    found
}

/// Whether no place of a diagnostic lies in one of `parts`.
fn is_elsewhere(indexed: &Indexed, diagnostic: &Diagnostic, parts: &BTreeSet<ItemId>) -> bool {
    let mut items = parts.iter().filter_map(|part| indexed.item(*part));
    let places = &diagnostic.labels;
    let lies_in = |item: &Item| places.iter().any(|label| holds(item.span, label.span));
    !places.is_empty() && !items.any(lies_in)
}

fn holds(item: Span, place: Span) -> bool {
    item.file == place.file && item.start <= place.start && place.end <= item.end
}
