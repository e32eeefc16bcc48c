//! `dpmpp_sde` against k-diffusion's loop, written out for `y = x/alpha` and `s = sigma/alpha`.

use guide_compiler::timetable::{Levels, Sampler, SchedulerConfig, timetable};

use super::*;

/// A network for `y`: what it says is clean.
fn clean(y: f64, s: f64) -> f64 {
    (0.7 * y / (1.0 + s)).sin() + 0.1 * s.cos()
}

/// `sigma_up` and `sigma_down` of an ancestral step with eta 1.
fn ancestral(from: f64, to: f64) -> (f64, f64) {
    let up = (to * to * (from * from - to * to) / (from * from))
        .sqrt()
        .min(to);
    (up, (to * to - up * up).sqrt())
}

/// `sample_dpmpp_sde` with r 1/2 for one element; `path` is Brownian motion over `s` from above, by the
/// draws: of each step up to its middle, then from there.
fn by_hand(levels: &[f64], mut y: f64, draws: &[f64]) -> f64 {
    let mut draws = draws.iter();
    let mut draw = || *draws.next().expect("a draw");
    for pair in levels.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let denoised = clean(y, from);
        if to == 0.0 {
            // Euler's step to the end.
            y += (y - denoised) / from * (to - from);
            continue;
        }
        let (t, t_next) = (-from.ln(), -to.ln());
        let h = t_next - t;
        let middle = (-(t + 0.5 * h)).exp();
        let (up, down) = ancestral(from, middle);
        let first = draw();
        let t_down = -down.ln();
        let half = (down / from) * y - (t - t_down).exp_m1() * denoised + up * first;
        let denoised = clean(half, middle);
        let (up, down) = ancestral(from, to);
        let t_down = -down.ln();
        let walked = (from - middle).sqrt() * first + (middle - to).sqrt() * draw();
        y = (down / from) * y - (t - t_down).exp_m1() * denoised + up * walked / (from - to).sqrt();
    }
    y
}

#[test]
fn two_evaluations_follow_one_path() {
    let mut config = SchedulerConfig::stable_diffusion(Space::X0);
    for levels in [Levels::Timesteps, Levels::Karras] {
        config.levels = levels;
        let table = timetable(&config, Sampler::DpmppSde, None, 5).expect("a timetable");
        assert_eq!(table.ticks.len(), 9);
        let steps: Vec<Tick> = table
            .ticks
            .iter()
            .filter(|t| t.substep == 0)
            .copied()
            .collect();
        let mut visited: Vec<f64> = steps.iter().map(|t| t.sigma / t.alpha).collect();
        visited.push(0.0);

        let rows: Vec<Vec<f32>> = (0..9)
            .map(|row| {
                (0..4)
                    .map(|i| ((row * 5 + i * 3) % 7) as f32 / 3.0 - 1.0)
                    .collect()
            })
            .collect();
        let mut noise = Supplied::new(rows.clone());
        let mut solver = solver("dpmpp_sde", &table, Space::X0).expect("a solver");
        let mut x = tensor(&X);
        for tick in &table.ticks {
            let answers: Vec<f32> = numbers(&x)
                .iter()
                .map(|x| clean(f64::from(*x) / tick.alpha, tick.sigma / tick.alpha) as f32)
                .collect();
            let answer = guided(Space::X0, &answers);
            x = solver.step(tick, &x, &answer, &mut noise).expect("a step");
        }
        for (i, found) in numbers(&x).iter().enumerate() {
            let draws: Vec<f64> = rows.iter().map(|row| f64::from(row[i])).collect();
            let wanted = by_hand(&visited, f(&X, i) / steps[0].alpha, &draws);
            assert!(
                (f64::from(*found) - wanted).abs() < 1e-5,
                "{found} is not {wanted}"
            );
        }
    }
}
