//! The way back: from a clean latent to the noise that a run would have begun with.

use crate::plan::{Tick, Timetable};

/// The ticks of a run, walked from its end to its beginning. A tick stands where a step of the run leads
/// to, and leads to where that step began; the network is told the noisier one's time, at which the run
/// evaluates (Song, Meng and Ermon 2021, arXiv 2010.02502, section 4.3).
pub fn inverse(run: &Timetable) -> Timetable {
    let last = run.ticks.len().saturating_sub(1);
    let backwards = run.ticks.iter().rev().enumerate();
    let ticks = backwards.map(|(step, there)| Tick {
        step: step as u32,
        substep: 0,
        t: there.t,
        t1000: there.t1000,
        alpha: there.alpha_next,
        sigma: there.sigma_next,
        t_next: last
            .checked_sub(step + 1)
            .and_then(|noisier| run.ticks.get(noisier))
            .map_or(there.t, |noisier| noisier.t),
        alpha_next: there.alpha,
        sigma_next: there.sigma,
        posterior_variance: 0.0,
    });
    Timetable {
        ticks: ticks.collect(),
        ..run.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Space;
    use crate::timetable::{Sampler, SchedulerConfig, timetable};

    #[test]
    fn each_tick_leads_to_where_the_step_began() {
        let config = SchedulerConfig::stable_diffusion(Space::Eps);
        let run = timetable(&config, Sampler::Ddim, None, 5).expect("a timetable");
        let back = inverse(&run);
        assert_eq!(back.ticks.len(), 5);
        for (there, here) in run.ticks.iter().rev().zip(&back.ticks) {
            assert_eq!(
                (here.alpha, here.sigma),
                (there.alpha_next, there.sigma_next)
            );
            assert_eq!(
                (here.alpha_next, here.sigma_next),
                (there.alpha, there.sigma)
            );
            assert_eq!(here.t, there.t);
        }
        // The steps follow one another, from little noise to much.
        for pair in back.ticks.windows(2) {
            assert_eq!(pair[0].sigma_next, pair[1].sigma);
            assert_eq!(pair[0].t_next, pair[1].t);
            assert!(pair[0].sigma < pair[1].sigma);
        }
    }
}
