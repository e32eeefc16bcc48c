//! A plan is checked before anything runs: it may come from a file.

use guide_compiler::plan::Plan;

use super::Place;
use super::sample::broken;
use crate::error::Result;

/// Checks a plan and finds the segment of each tick.
pub(super) fn plan(plan: &Plan) -> Result<Vec<Place>> {
    plan.check()
        .map_err(|what| broken(format!("the plan cannot be used: {what}")))?;
    let mut counts = vec![0usize; plan.segments.len()];
    let mut places = Vec::with_capacity(plan.timetable.ticks.len());
    for (index, tick) in plan.timetable.ticks.iter().enumerate() {
        let fits = |(_, s): &(usize, &guide_compiler::plan::Segment)| {
            s.substep == tick.substep && s.steps.0 <= tick.step && tick.step < s.steps.1
        };
        let Some((segment, _)) = plan.segments.iter().enumerate().find(fits) else {
            return Err(broken(format!(
                "tick {index} does not belong to a segment of the plan"
            )));
        };
        places.push(Place {
            segment,
            k: counts[segment],
        });
        counts[segment] += 1;
    }
    Ok(places)
}
