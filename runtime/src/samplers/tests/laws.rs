//! What holds in every solver, over timetables of a real model.

use guide_compiler::timetable::{Sampler, SchedulerConfig, Spacing, timetable};
use proptest::prelude::*;

use super::*;

/// A run to its very end: noise that is left at the last timestep is no law's business.
fn timed(sampler: Sampler, steps: u32) -> Timetable {
    let mut config = SchedulerConfig::stable_diffusion(Space::Eps);
    config.last_without_noise = true;
    timetable(&config, sampler, Some(Spacing::Leading), steps).expect("a timetable")
}

/// Draws that differ, as many as any of these runs takes.
fn draws() -> Supplied {
    Supplied::new((0..64).map(|row| {
        (0..4)
            .map(|i| ((row * 5 + i * 3) % 7) as f32 / 3.0 - 1.0)
            .collect()
    }))
}

/// What a network says at a tick, different each time.
fn told(tick: &Tick) -> Vec<f32> {
    (0..4)
        .map(|i| ((tick.t / 130.0 + f64::from(i)).sin() * 0.8) as f32)
        .collect()
}

/// Whether a solver draws noise; then a shift is an addition.
fn draws_noise(sampler: Sampler) -> bool {
    matches!(
        sampler,
        Sampler::Ddpm
            | Sampler::EulerAncestral
            | Sampler::Dpmpp2mSde
            | Sampler::DpmppSde
            | Sampler::Lcm
    )
}

/// Runs some ticks from `x`, with an outcome for each.
fn run(
    solver: &mut dyn Solver,
    ticks: &[Tick],
    x: &[f32],
    noise: &mut dyn NoiseSource,
    outcome: &dyn Fn(&Tick) -> Guided,
) -> Tensor {
    ticks.iter().fold(tensor(x), |x, tick| {
        solver
            .step(tick, &x, &outcome(tick), noise)
            .expect("a step")
    })
}

fn plain(tick: &Tick) -> Guided {
    guided(Space::Eps, &told(tick))
}

fn same(found: &Tensor, wanted: &Tensor, about: &str, bound: f32) {
    for (a, b) in numbers(found).iter().zip(numbers(wanted)) {
        assert!(
            (a - b).abs() <= bound * b.abs().max(1.0),
            "{about}: {a} is not {b}"
        );
    }
}

proptest! {
    /// A network that knows the picture leads every solver to it.
    #[test]
    fn perfect_predictions_recover_the_picture(
        picture in proptest::array::uniform4(-3.0f32..3.0),
        noise in proptest::array::uniform4(-3.0f32..3.0),
        steps in 1u32..12,
    ) {
        for sampler in Sampler::ALL {
            let table = timed(sampler, steps);
            let first = table.ticks[0];
            let start: Vec<f32> = (0..4)
                .map(|i| (first.alpha * f(&picture, i) + first.sigma * f(&noise, i)) as f32)
                .collect();
            let mut solver = solver(sampler.name(), &table, Space::X0).expect("a solver");
            let known = |_: &Tick| guided(Space::X0, &picture);
            let end = run(&mut *solver, &table.ticks, &start, &mut draws(), &known);
            // LCM mixes some of the latent in, as its models were trained to expect.
            let bound = if sampler == Sampler::Lcm { 1e-4 } else { 2e-5 };
            for (found, wanted) in numbers(&end).iter().zip(&picture) {
                prop_assert!((found - wanted).abs() < bound, "{sampler}: {found} is not {wanted}");
            }
        }
    }
}

/// After a hold a run goes on as one that begins there.
#[test]
fn a_hold_breaks_the_chain() {
    for sampler in Sampler::ALL {
        let table = timed(sampler, 6);
        let at = |step: u32| {
            table
                .ticks
                .iter()
                .position(|t| t.step == step)
                .expect("a step")
        };
        let (held, after) = (at(3), at(4));
        let mut long = solver(sampler.name(), &table, Space::Eps).expect("a solver");
        let mut noise = draws();
        let before = run(&mut *long, &table.ticks[..held], &X, &mut noise, &plain);
        let kept = numbers(&before);
        let holding = |tick: &Tick| Guided {
            hold: vec![true, false],
            ..plain(tick)
        };
        let next = run(
            &mut *long,
            &table.ticks[held..after],
            &kept,
            &mut noise,
            &holding,
        );
        assert_eq!(numbers(&next)[..2], kept[..2], "{sampler}");
        assert_ne!(numbers(&next)[2..], kept[2..], "{sampler}");

        let mut new = solver(sampler.name(), &table, Space::Eps).expect("a solver");
        let still = numbers(&next);
        let end = run(
            &mut *long,
            &table.ticks[after..],
            &still,
            &mut draws(),
            &plain,
        );
        let other = run(
            &mut *new,
            &table.ticks[after..],
            &still,
            &mut draws(),
            &plain,
        );
        assert_eq!(numbers(&end)[..2], numbers(&other)[..2], "{sampler}");
    }
}

/// Without fresh noise a shift `variance*g` is a score `g`, which changes what was predicted.
#[test]
fn a_shift_is_a_change_of_the_prediction() {
    let by = [0.01, -0.02, 0.03, 0.005];
    for sampler in Sampler::ALL.into_iter().filter(|s| !draws_noise(*s)) {
        let table = timed(sampler, 5);
        // The last step has no variance, so that a shift is an addition there.
        let ticks: Vec<Tick> = table
            .ticks
            .iter()
            .filter(|t| t.posterior_variance > 0.0)
            .copied()
            .collect();
        assert!(ticks.len() > 3, "{sampler}");
        let shifted = |tick: &Tick| Guided {
            shift: Some(tensor(&by)),
            ..plain(tick)
        };
        let changed = |tick: &Tick| {
            let score = |i: usize| f(&by, i) * tick.sigma / tick.posterior_variance;
            let eps: Vec<f32> = (0..4)
                .map(|i| (f64::from(told(tick)[i]) - score(i)) as f32)
                .collect();
            guided(Space::Eps, &eps)
        };
        let of = |outcome: &dyn Fn(&Tick) -> Guided| {
            let mut solver = solver(sampler.name(), &table, Space::Eps).expect("a solver");
            run(&mut *solver, &ticks, &X, &mut draws(), outcome)
        };
        same(&of(&shifted), &of(&changed), sampler.name(), 1e-5);
        let (with, without) = (of(&shifted), of(&plain));
        assert_ne!(numbers(&with), numbers(&without), "{sampler}");
    }
}

/// With fresh noise a shift is added to the mean, and so to the next latent.
#[test]
fn a_shift_of_the_mean_is_added() {
    let by = [0.1, -0.2, 0.3, 0.05];
    for sampler in Sampler::ALL.into_iter().filter(|s| draws_noise(*s)) {
        let table = timed(sampler, 5);
        let one_step = table.ticks.iter().take_while(|t| t.step == 0).count();
        let of = |shift: Option<Tensor>| {
            let mut solver = solver(sampler.name(), &table, Space::Eps).expect("a solver");
            // Clean samples that do not depend on where a second evaluation stands.
            let outcome = |tick: &Tick| Guided {
                shift: shift.clone(),
                ..guided(Space::X0, &told(tick))
            };
            run(
                &mut *solver,
                &table.ticks[..one_step],
                &X,
                &mut draws(),
                &outcome,
            )
        };
        let without = numbers(&of(None));
        near(&of(Some(tensor(&by))), |i| {
            f64::from(without[i]) + f(&by, i)
        });
    }
}

/// A move changes where the first evaluation of a step stands, and what the network said stays.
#[test]
fn a_move_is_a_step_from_elsewhere() {
    let by = [0.1, -0.2, 0.3, 0.05];
    let moved: Vec<f32> = X.iter().zip(&by).map(|(x, d)| x + d).collect();
    for sampler in Sampler::ALL.into_iter().filter(|s| s.facts().moves) {
        let table = timed(sampler, 5);
        let step: Vec<Tick> = table
            .ticks
            .iter()
            .take_while(|t| t.step == 0)
            .copied()
            .collect();
        let moving = |tick: &Tick| Guided {
            moves: (tick.substep == 0).then(|| tensor(&by)),
            ..plain(tick)
        };
        let of = |x: &[f32], outcome: &dyn Fn(&Tick) -> Guided| {
            let mut solver = solver(sampler.name(), &table, Space::Eps).expect("a solver");
            run(&mut *solver, &step, x, &mut draws(), outcome)
        };
        same(&of(&X, &moving), &of(&moved, &plain), sampler.name(), 1e-6);
    }
}

/// UniPC corrects where a step stands, and a move goes from there.
#[test]
fn a_move_is_added_to_what_was_corrected() {
    let by = [0.1, -0.2, 0.3, 0.05];
    let table = timed(Sampler::UniPc, 5);
    let of = |moves: Option<Tensor>| {
        let mut solver = solver("unipc", &table, Space::X0).expect("a solver");
        let outcome = |tick: &Tick| Guided {
            moves: moves.clone().filter(|_| tick.step == 2),
            ..guided(Space::X0, &told(tick))
        };
        run(&mut *solver, &table.ticks[..3], &X, &mut draws(), &outcome)
    };
    let without = numbers(&of(None));
    let last = table.ticks[2];
    near(&of(Some(tensor(&by))), |i| {
        f64::from(without[i]) + last.sigma_next / last.sigma * f(&by, i)
    });
}

/// What the planner is told of a solver is what it does.
#[test]
fn solvers_refuse_what_they_cannot_follow() {
    for sampler in Sampler::ALL {
        let table = timed(sampler, 5);
        let takes = |outcome: Guided| {
            let mut solver = solver(sampler.name(), &table, Space::Eps).expect("a solver");
            match solver.step(&table.ticks[0], &tensor(&X), &outcome, &mut draws()) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::BadPlan, "{sampler}");
                    false
                }
            }
        };
        let facts = sampler.facts();
        let answer = || guided(Space::Eps, &P);
        let renoise = Some(tensor(&Q));
        let moves = Some(tensor(&Q));
        assert_eq!(
            takes(Guided {
                renoise,
                ..answer()
            }),
            facts.renoise,
            "{sampler}"
        );
        assert_eq!(
            takes(Guided { moves, ..answer() }),
            facts.moves,
            "{sampler}"
        );
    }
}

/// What is cut is the clean sample: a plan that asks for the impossible does no harm.
#[test]
fn clips_of_a_broken_plan_do_not_end_the_program() {
    let names = [
        "ddim",
        "ddpm",
        "heun",
        "dpmpp_2m",
        "dpmpp_2m_sde",
        "dpmpp_2s",
        "unipc",
        "lcm",
    ];
    let clips = [
        Clip::Range(-1.0),
        Clip::Range(f64::NAN),
        Clip::Quantile {
            ratio: 7.0,
            most: f64::NAN,
        },
        Clip::Quantile {
            ratio: f64::NAN,
            most: -1.0,
        },
    ];
    for (name, clip) in names.iter().flat_map(|n| clips.map(|c| (n, c))) {
        let (sampler, _) = Sampler::parse(name).expect("a sampler");
        let mut table = timed(sampler, 4);
        table.method.clip = clip;
        table.method.orders = vec![u32::MAX; 4];
        let mut solver = solver(name, &table, Space::Eps).expect("a solver");
        let mut x = tensor(&X);
        for tick in &table.ticks {
            match solver.step(tick, &x, &plain(tick), &mut draws()) {
                Ok(next) => x = next,
                Err(error) => assert_eq!(error.kind, ErrorKind::NotFinite, "{name}"),
            }
        }
    }
}
