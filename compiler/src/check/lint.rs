//! The lint of state in a branch: a program that stands, but is probably not what was meant.

use guide_grammar::span::Span;

use super::engine::Engine;
use crate::diagnostics::{Code, Diagnostic};

impl Engine<'_> {
    /// State inside a branch advances only when the branch is taken: said at a call in a branch that
    /// holds state.
    pub(crate) fn lint_state_in_branch(&mut self, name: &str, span: Span) {
        if self.first_passes > 0 {
            return;
        }
        let Some(frame) = self.frames.last() else {
            return;
        };
        let outer = self
            .frames
            .len()
            .checked_sub(2)
            .and_then(|at| self.frames.get(at))
            .map_or(0, |f| f.region);
        let Some((test, _)) = self
            .region
            .get(outer..)
            .and_then(|inner| inner.last())
            .copied()
        else {
            return;
        };
        let inside = format!("{}/", frame.path);
        let Some(cell) = self.cells.iter().find(|c| c.path.starts_with(&inside)) else {
            return;
        };
        let (state, at) = (cell.name.clone(), self.graph.node(test).span);
        let caller = self.frames.pop();
        self.report(
            Diagnostic::new(
                Code::StateInBranch,
                format!(
                    "the state `{state}` of `{name}` advances only in the ticks that come here"
                ),
            )
            .at(span, "called inside a branch")
            .at(at, "the branch is taken by this")
            .help(format!(
                "write `let g = {name}(…)` before the branch to advance in every tick"
            )),
        );
        self.frames.extend(caller);
    }
}
