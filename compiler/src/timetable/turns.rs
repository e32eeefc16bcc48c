//! The turns of an objective: the same noise to draw from in each.

use super::SchedulerConfig;
use crate::plan::{NoiseTable, Objective, Tick, Timetable};

/// The timetable of `count` turns that draw times from a range of the noise, given as shares of it from 0,
/// the least, to 1; and the range in times. What is known of a turn beforehand is its number.
pub fn turns(config: &SchedulerConfig, range: (f64, f64), count: u32) -> (Timetable, Objective) {
    let time = |share: f64| match &config.noise {
        // As is usual: `int(share * timesteps)`, and no timestep beyond the last.
        NoiseTable::Betas { count, .. } => (share * f64::from(*count))
            .floor()
            .min(f64::from(count.saturating_sub(1))),
        _ => share * 1000.0,
    };
    let objective = Objective {
        from: time(range.0),
        to: time(range.1),
    };
    let middle = 0.5 * (objective.from + objective.to);
    let (alpha, sigma) = config.noise.curve().at(middle);
    let turn = |step: u32| Tick {
        step,
        substep: 0,
        t: middle,
        t1000: middle,
        alpha,
        sigma,
        t_next: middle,
        alpha_next: alpha,
        sigma_next: sigma,
        posterior_variance: 0.0,
    };
    let ticks = (0..count).map(turn).collect();
    (Timetable::new(ticks, config.noise.clone()), objective)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Space;

    #[test]
    fn times_are_those_that_a_network_was_trained_on() {
        let config = SchedulerConfig::stable_diffusion(Space::Eps);
        let (table, range) = turns(&config, (0.02, 0.98), 3);
        assert_eq!((range.from, range.to), (20.0, 980.0));
        assert_eq!(table.ticks.len(), 3);
        let (_, all) = turns(&config, (0.0, 1.0), 1);
        assert_eq!((all.from, all.to), (0.0, 999.0));
    }
}
