//! Timetables of made-up runs.

use guide_compiler::plan::{NoiseTable, Tick, Timetable};

/// How noise grows with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// `alpha^2 + sigma^2 = 1`.
    Preserving,
    /// `alpha + sigma = 1`, from pure noise.
    Flow,
}

impl Noise {
    /// `alpha` and `sigma` where `left` of the run is left. A preserving run begins with some signal,
    /// as trained schedules do; both end with some noise.
    pub fn at(self, left: f64) -> (f64, f64) {
        match self {
            Noise::Preserving => {
                let angle = 0.1 + 1.4 * left;
                (angle.cos(), angle.sin())
            }
            Noise::Flow => (1.0 - left, left),
        }
    }
}

/// A run of `steps` steps with `substeps` evaluations each, the last step one.
pub fn timetable(noise: Noise, steps: u32, substeps: u32) -> Timetable {
    // As f32, in which recordings hold them.
    let narrow = |v: f64| f64::from(v as f32);
    let place = |step: u32| {
        let left = 1.0 - f64::from(step) / f64::from(steps);
        let (alpha, sigma) = noise.at(left);
        (narrow(1000.0 * left), narrow(alpha), narrow(sigma))
    };
    let mut ticks = Vec::new();
    for step in 0..steps {
        let next = if step + 1 < steps {
            place(step + 1)
        } else {
            (0.0, 1.0, 0.0)
        };
        for substep in 0..if step + 1 < steps { substeps } else { 1 } {
            let (t, alpha, sigma) = if substep == 0 { place(step) } else { next };
            ticks.push(Tick {
                step,
                substep,
                t,
                t1000: t,
                alpha,
                sigma,
                t_next: next.0,
                alpha_next: next.1,
                sigma_next: next.2,
                posterior_variance: 0.0,
            });
        }
    }
    let mut points: Vec<(f64, f64, f64)> = ticks.iter().map(|t| (t.t, t.alpha, t.sigma)).collect();
    points.push((0.0, 1.0, 0.0));
    let noise = match noise {
        Noise::Flow => NoiseTable::Flow,
        Noise::Preserving => NoiseTable::Points(points),
    };
    Timetable::new(ticks, noise)
}
