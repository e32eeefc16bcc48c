//! Which ticks of a run end a step: those whose aim is worth a picture.

use guide_compiler::plan::Plan;
use guide_runtime::run::Progress;

/// The steps of a plan.
pub struct Steps {
    /// Of each tick, whether it is the last one of its step.
    ends: Vec<bool>,
    /// How many steps there are.
    pub count: u32,
}

impl Steps {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let ticks = &plan.timetable.ticks;
        let step_after = |at: usize| ticks.get(at + 1).map(|next| next.step);
        let ends = ticks.iter().enumerate();
        Self {
            ends: ends
                .map(|(at, tick)| step_after(at) != Some(tick.step))
                .collect(),
            count: plan.head.steps,
        }
    }

    /// How many steps are done after this tick, where it ends one.
    pub fn done(&self, progress: &Progress<'_>) -> Option<u32> {
        let ends = self.ends.get(progress.index).copied().unwrap_or(true);
        ends.then(|| progress.tick.step.saturating_add(1))
    }
}
