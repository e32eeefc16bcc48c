//! How far back a state has been filled: `prev(v, 3, init: e)` is this tick's `e` until `v` was kept
//! three times.
//!
//! A cell further back takes over what the one before it held. Where `init` is the same in every tick,
//! an empty cell may take it over as well. Where it changes, a cell must stay empty until the one before
//! it holds something, and a truth value beside each cell says so.

use super::builder::Meta;
use super::engine::Engine;
use super::state::CellDraft;
use crate::graph::{CellId, NodeId, Op, Stage};
use crate::plan::Shape;

impl Engine<'_> {
    pub(crate) fn new_cell(&mut self, draft: CellDraft, meta: Meta, stage: Stage) -> CellId {
        let id = CellId(self.cells.len() as u32);
        self.graph.prev(id, meta, stage, draft.span);
        self.cells.push(draft);
        id
    }

    /// Sees to it that the cell after this one can know whether this one holds anything.
    pub(crate) fn flag(&mut self, cell: CellId) {
        let Some(draft) = self.cells.get(cell.index()) else {
            return;
        };
        if draft.flag.is_some() || self.graph.constant(draft.init).is_some() {
            return;
        }
        let (name, path, span) = (draft.name.clone(), draft.path.clone(), draft.span);
        let flag = CellDraft {
            name,
            path: format!("{path}/kept"),
            value: None,
            init: self.graph.bool(Op::Bool(false), span),
            region: Vec::new(),
            span,
            derived: Vec::new(),
            flag: None,
        };
        let meta = Meta {
            shape: Shape::Bool,
            space: None,
            kind: "bool".into(),
        };
        let flag = self.new_cell(flag, meta, Stage::Step);
        if let Some(draft) = self.cells.get_mut(cell.index()) {
            draft.flag = Some(flag);
        }
    }

    /// When a cell is kept whose state is evaluated in `region`: also only where the cell before it
    /// holds something.
    pub(crate) fn kept_when(
        &self,
        before: Option<CellId>,
        region: &[(NodeId, bool)],
    ) -> Vec<(NodeId, bool)> {
        let mut all = region.to_vec();
        let held = before
            .and_then(|before| self.flag_of(before))
            .and_then(|flag| self.prev_node(flag));
        all.extend(held.map(|held| (held, true)));
        all
    }

    /// What the flag of a cell will be after this tick.
    pub(crate) fn fill_flag(
        &mut self,
        cell: CellId,
        before: Option<CellId>,
        region: &[(NodeId, bool)],
    ) {
        let Some(flag) = self.flag_of(cell) else {
            return;
        };
        let value = match before.and_then(|before| self.flag_of(before)) {
            Some(held) => self.prev_node(held),
            None => {
                let span = self.cells.get(flag.index()).map(|draft| draft.span);
                span.map(|span| self.graph.bool(Op::Bool(true), span))
            }
        };
        if let Some(value) = value {
            self.finish_cell(flag, value, region);
        }
    }

    fn flag_of(&self, cell: CellId) -> Option<CellId> {
        self.cells.get(cell.index())?.flag
    }
}
