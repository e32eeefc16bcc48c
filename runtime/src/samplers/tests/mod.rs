//! Outcomes other than a plain prediction, against formulas written out here.

mod laws;
mod sde;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Clip, NoiseTable, Space, Tick, Timetable};

use super::*;
use crate::exec::Evaluated;
use crate::noise::Supplied;

fn tensor(numbers: &[f32]) -> Tensor {
    Tensor::from_vec(numbers.to_vec(), (2, 2), &Device::Cpu).expect("a tensor")
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor
        .flatten_all()
        .and_then(|t| t.to_vec1())
        .expect("numbers")
}

fn guided(space: Space, denoise: &[f32]) -> Guided {
    Guided {
        space,
        denoise: tensor(denoise),
        renoise: None,
        shift: None,
        moves: None,
        hold: vec![false; 2],
        evaluated: Evaluated::default(),
    }
}

/// A tick of a diffusion model between two levels of `sigma`.
fn tick(step: u32, sigma: f64, sigma_next: f64) -> Tick {
    let (alpha, alpha_next) = (
        (1.0 - sigma * sigma).sqrt(),
        (1.0 - sigma_next * sigma_next).sqrt(),
    );
    let kept = alpha * sigma_next / (alpha_next * sigma);
    Tick {
        step,
        substep: 0,
        t: 500.0,
        t1000: 500.0,
        alpha,
        sigma,
        t_next: 400.0,
        alpha_next,
        sigma_next,
        posterior_variance: sigma_next * sigma_next * (1.0 - kept * kept),
    }
}

fn table(ticks: Vec<Tick>, flow: bool) -> Timetable {
    let noise = if flow {
        NoiseTable::Flow
    } else {
        NoiseTable::Points(Vec::new())
    };
    Timetable::new(ticks, noise)
}

const X: [f32; 4] = [0.5, -1.25, 2.0, 0.75];
const P: [f32; 4] = [0.25, -0.5, 1.5, 1.0];
const Q: [f32; 4] = [0.75, 0.5, -1.0, 0.25];

fn near(found: &Tensor, expected: impl Fn(usize) -> f64) {
    for (i, n) in numbers(found).iter().enumerate() {
        assert!(
            (f64::from(*n) - expected(i)).abs() < 1e-6,
            "element {i}: {n} is not {}",
            expected(i)
        );
    }
}

fn f(numbers: &[f32; 4], i: usize) -> f64 {
    f64::from(numbers[i])
}

#[test]
fn one_half_is_denoised_and_the_other_kept() {
    let t = tick(0, 0.8, 0.6);
    let mut answer = guided(Space::Eps, &P);
    answer.renoise = Some(tensor(&Q));
    let x0 = |i: usize| (f(&X, i) - t.sigma * f(&P, i)) / t.alpha;
    let mut none = Supplied::new([]);
    for name in ["ddim", "euler", "euler_karras", "dpmpp_2m"] {
        let mut solver = solver(name, &table(vec![t], false), Space::Eps).expect("a solver");
        let next = solver
            .step(&t, &tensor(&X), &answer, &mut none)
            .expect("a step");
        near(&next, |i| t.alpha_next * x0(i) + t.sigma_next * f(&Q, i));
    }
    // k-diffusion: sigma_up and sigma_down in units of x/alpha.
    let fresh = [1.0, -2.0, 0.5, 0.25];
    let mut solver = solver("euler_a", &table(vec![t], false), Space::Eps).expect("a solver");
    let next = solver
        .step(
            &t,
            &tensor(&X),
            &answer,
            &mut Supplied::new([fresh.to_vec()]),
        )
        .expect("a step");
    let (from, to) = (t.sigma / t.alpha, t.sigma_next / t.alpha_next);
    let up = (to * to * (from * from - to * to) / (from * from)).sqrt();
    let down = (to * to - up * up).sqrt();
    near(&next, |i| {
        t.alpha_next * (x0(i) + down * f(&Q, i) + up * f(&fresh, i))
    });
}

#[test]
fn the_second_order_looks_back_at_what_was_kept() {
    let (first, second) = (tick(0, 0.9, 0.7), tick(1, 0.7, 0.4));
    let plan = table(vec![first, second, tick(2, 0.4, 0.2)], false);
    let mut solver = solver("dpmpp_2m", &plan, Space::Eps).expect("a solver");
    let mut none = Supplied::new([]);
    let mut answer = guided(Space::Eps, &P);
    answer.renoise = Some(tensor(&Q));
    let x1 = solver
        .step(&first, &tensor(&X), &answer, &mut none)
        .expect("a step");
    let x2 = solver
        .step(&second, &x1, &answer, &mut none)
        .expect("a step");
    // CFG++'s own loop for x/alpha: `t = -ln(sigma/alpha)`.
    let time = |alpha: f64, sigma: f64| -(sigma / alpha).ln();
    let (t0, t1) = (
        time(first.alpha, first.sigma),
        time(second.alpha, second.sigma),
    );
    let t2 = time(second.alpha_next, second.sigma_next);
    let (h, r) = (t2 - t1, (t1 - t0) / (t2 - t1));
    let y1 = numbers(&x1);
    near(&x2, |i| {
        let y = f64::from(y1[i]) / second.alpha;
        let level = second.sigma / second.alpha;
        let (denoised, kept) = (y - level * f(&P, i), y - level * f(&Q, i));
        let old = (f(&X, i) - first.sigma * f(&Q, i)) / first.alpha;
        let mix = -(-h).exp() * kept - (-h).exp_m1() / (2.0 * r) * (denoised - old);
        second.alpha_next * (denoised + mix + (-h).exp() * y)
    });
}

#[test]
fn a_held_sample_stays_and_breaks_the_chain() {
    let (first, second) = (tick(0, 0.9, 0.7), tick(1, 0.7, 0.4));
    let plan = table(vec![first, second, tick(2, 0.4, 0.2)], false);
    let mut none = Supplied::new([]);
    for name in ["ddim", "dpmpp_2m", "heun", "euler_a"] {
        let mut solver = solver(name, &plan, Space::Eps).expect("a solver");
        let mut held = guided(Space::Eps, &P);
        held.hold = vec![true, false];
        let mut fresh = Supplied::new([vec![1.0; 4], vec![0.0; 4]]);
        let next = solver
            .step(&first, &tensor(&X), &held, &mut fresh)
            .expect("a step");
        assert_eq!(numbers(&next)[..2], X[..2], "{name}");
        assert_ne!(numbers(&next)[2..], X[2..], "{name}");
    }
    let mut solver = solver("dpmpp_2m", &plan, Space::Eps).expect("a solver");
    let mut held = guided(Space::Eps, &P);
    held.hold = vec![true, true];
    let x1 = solver
        .step(&first, &tensor(&X), &held, &mut none)
        .expect("a step");
    let x2 = solver
        .step(&second, &x1, &guided(Space::Eps, &P), &mut none)
        .expect("a step");
    near(&x2, |i| {
        second.alpha_next * (f(&X, i) - second.sigma * f(&P, i)) / second.alpha
            + second.sigma_next * f(&P, i)
    });
}

#[test]
fn a_shift_is_a_score_or_an_addition_to_the_mean() {
    let t = tick(0, 0.8, 0.6);
    let shift = [0.1, -0.2, 0.3, 0.05];
    let mut answer = guided(Space::Eps, &P);
    answer.shift = Some(tensor(&shift));
    let mut plain = solver("ddim", &table(vec![t], false), Space::Eps).expect("a solver");
    let next = plain
        .step(&t, &tensor(&X), &answer, &mut Supplied::new([]))
        .expect("a step");
    near(&next, |i| {
        let eps = f(&P, i) - t.sigma * f(&shift, i) / t.posterior_variance;
        t.alpha_next * (f(&X, i) - t.sigma * eps) / t.alpha + t.sigma_next * eps
    });
    let mut ancestral = solver("euler_a", &table(vec![t], false), Space::Eps).expect("a solver");
    let mut noise = Supplied::new([vec![0.0; 4], vec![0.0; 4]]);
    let with = ancestral
        .step(&t, &tensor(&X), &answer, &mut noise)
        .expect("a step");
    let without = ancestral
        .step(&t, &tensor(&X), &guided(Space::Eps, &P), &mut noise)
        .expect("a step");
    let without = numbers(&without);
    near(&with, |i| f64::from(without[i]) + f(&shift, i));
}

#[test]
fn a_moved_latent_keeps_what_the_network_said() {
    let t = tick(0, 0.8, 0.6);
    let by = [0.1, -0.2, 0.3, 0.05];
    let mut none = Supplied::new([]);
    let mut ddim = solver("ddim", &table(vec![t], false), Space::V).expect("a solver");
    let moved: Vec<f32> = X.iter().zip(&by).map(|(x, d)| x + d).collect();
    let expected = ddim
        .step(&t, &tensor(&moved), &guided(Space::V, &P), &mut none)
        .expect("a step");
    let expected = numbers(&expected);
    // The rule may return any space; what the network said is the same.
    let x0: Vec<f32> = (0..4)
        .map(|i| (t.alpha * f(&X, i) - t.sigma * f(&P, i)) as f32)
        .collect();
    for (space, denoise) in [(Space::V, P.to_vec()), (Space::X0, x0)] {
        let mut answer = guided(space, &denoise);
        answer.moves = Some(tensor(&by));
        let next = ddim
            .step(&t, &tensor(&X), &answer, &mut none)
            .expect("a step");
        near(&next, |i| f64::from(expected[i]));
    }
}

#[test]
fn a_flow_is_corrected_along_its_velocity() {
    let start = Tick {
        alpha: 0.0,
        sigma: 1.0,
        alpha_next: 0.4,
        sigma_next: 0.6,
        ..tick(0, 0.8, 0.6)
    };
    let end = Tick {
        substep: 1,
        alpha: 0.4,
        sigma: 0.6,
        ..start
    };
    let mut heun = solver("heun", &table(vec![start, end], true), Space::Flow).expect("a solver");
    let mut none = Supplied::new([]);
    let half = heun
        .step(&start, &tensor(&X), &guided(Space::Flow, &P), &mut none)
        .expect("a step");
    near(&half, |i| f(&X, i) - 0.4 * f(&P, i));
    let next = heun
        .step(&end, &half, &guided(Space::Flow, &Q), &mut none)
        .expect("a step");
    near(&next, |i| f(&X, i) - 0.4 * 0.5 * (f(&P, i) + f(&Q, i)));
}

/// Heun's method for `x/alpha` over `sigma/alpha`, from `start`, with these slopes at both ends.
fn corrected(t: &Tick, start: f64, slopes: [f64; 2]) -> f64 {
    let way = t.sigma_next / t.alpha_next - t.sigma / t.alpha;
    t.alpha_next * (start / t.alpha + way * (slopes[0] + slopes[1]) / 2.0)
}

/// A step of Heun's method and where it leads: both evaluations with their outcomes.
fn both_ends(native: Space, flow: bool, first: Tick, answers: [Guided; 2]) -> [Tensor; 2] {
    let second = Tick {
        substep: 1,
        alpha: first.alpha_next,
        sigma: first.sigma_next,
        ..first
    };
    let plan = table(vec![first, second], flow);
    let mut heun = solver("heun", &plan, native).expect("a solver");
    let mut none = Supplied::new([]);
    let [start, end] = answers;
    let half = heun.step(&first, &tensor(&X), &start, &mut none);
    let half = half.expect("a step");
    let next = heun.step(&second, &half, &end, &mut none);
    [half, next.expect("a step")]
}

#[test]
fn a_shift_turns_the_slope_at_both_ends() {
    let t = tick(0, 0.8, 0.6);
    let shifts = [[0.1, -0.2, 0.3, 0.05], [-0.15, 0.25, 0.1, 0.2]];
    let mut answers = [guided(Space::Eps, &P), guided(Space::Eps, &Q)];
    for (answer, shift) in answers.iter_mut().zip(&shifts) {
        answer.shift = Some(tensor(shift));
    }
    // A score `g = d/variance` moves `eps` by `-sigma*g`, each at its own noise.
    let slope = |end: usize, i: usize| {
        let (p, sigma) = [(&P, t.sigma), (&Q, t.sigma_next)][end];
        f(p, i) - sigma * f(&shifts[end], i) / t.posterior_variance
    };
    let [half, next] = both_ends(Space::Eps, false, t, answers);
    near(&half, |i| corrected(&t, f(&X, i), [slope(0, i); 2]));
    near(&next, |i| {
        corrected(&t, f(&X, i), [slope(0, i), slope(1, i)])
    });
}

/// Without signal the first end's shift is an addition; the second end's has a slope to move.
#[test]
fn a_shift_from_pure_noise_counts_by_half() {
    let t = Tick {
        alpha: 0.0,
        sigma: 1.0,
        alpha_next: 0.4,
        sigma_next: 0.6,
        posterior_variance: 0.36,
        ..tick(0, 0.8, 0.6)
    };
    let shift = [0.1, -0.2, 0.3, 0.05];
    let mut answers = [guided(Space::Flow, &P), guided(Space::Flow, &Q)];
    for answer in &mut answers {
        answer.shift = Some(tensor(&shift));
    }
    let [half, next] = both_ends(Space::Flow, true, t, answers);
    near(&half, |i| f(&X, i) - 0.4 * f(&P, i) + f(&shift, i));
    near(&next, |i| {
        let score = f(&shift, i) / 0.36;
        let (eps, x0) = (-0.6 * score, 0.6 * 0.6 / 0.4 * score);
        let slope = f(&Q, i) + eps - x0;
        f(&X, i) + 0.5 * (f(&shift, i) - 0.4 * f(&P, i)) + 0.5 * -0.4 * slope
    });
}

#[test]
fn a_step_of_two_evaluations_moves_once() {
    let t = tick(0, 0.8, 0.6);
    let by = [0.1, -0.2, 0.3, 0.05];
    let mut answers = [guided(Space::Eps, &P), guided(Space::Eps, &Q)];
    answers[0].moves = Some(tensor(&by));
    let [half, next] = both_ends(Space::Eps, false, t, answers.clone());
    let start = |i: usize| f(&X, i) + f(&by, i);
    near(&half, |i| corrected(&t, start(i), [f(&P, i); 2]));
    near(&next, |i| corrected(&t, start(i), [f(&P, i), f(&Q, i)]));
    let second = Tick { substep: 1, ..t };
    let mut heun = solver("heun", &table(vec![t, second], false), Space::Eps).expect("a solver");
    let again = heun.step(&second, &tensor(&X), &answers[0], &mut Supplied::new([]));
    assert_eq!(again.expect_err("refused").kind, ErrorKind::BadPlan);
}

#[test]
fn noise_says_nothing_where_there_is_no_signal() {
    let t = tick(0, 1.0, 0.6);
    let mut ddim = solver("ddim", &table(vec![t], false), Space::Eps).expect("a solver");
    let error = ddim
        .step(
            &t,
            &tensor(&X),
            &guided(Space::Eps, &P),
            &mut Supplied::new([]),
        )
        .expect_err("refused");
    assert_eq!(error.kind, ErrorKind::NotFinite);
    assert!(
        ddim.step(
            &t,
            &tensor(&X),
            &guided(Space::V, &P),
            &mut Supplied::new([])
        )
        .is_ok()
    );
    assert!(solver("rk4", &table(vec![t], false), Space::Eps).is_err());
}

/// What DDIM made of some predictions, the way back with the same ones takes apart again, also where a
/// rule re-noises with another prediction.
#[test]
fn the_way_back_undoes_a_step() {
    let forth = tick(0, 0.8, 0.6);
    let back = Tick {
        alpha: forth.alpha_next,
        sigma: forth.sigma_next,
        alpha_next: forth.alpha,
        sigma_next: forth.sigma,
        ..forth
    };
    for renoise in [None, Some(tensor(&Q))] {
        let answer = Guided {
            renoise,
            ..guided(Space::Eps, &P)
        };
        let step = |name: &str, tick: Tick, x: &Tensor| {
            let mut solver = solver(name, &table(vec![tick], false), Space::Eps).expect("a solver");
            let mut none = Supplied::new([]);
            solver.step(&tick, x, &answer, &mut none).expect("a step")
        };
        let there = step("ddim", forth, &tensor(&X));
        near(&step("ddim_inverse", back, &there), |i| f(&X, i));
    }
}
