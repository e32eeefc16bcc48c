//! What an executor does beside arithmetic: evaluations of a step, questions that are put with a
//! class or another time, samples that see one another, outcomes of several parts. Plans written by
//! hand, against slow computations in f64, with both engines.
#![allow(clippy::unwrap_used, reason = "tests")]

mod by_hand;

use by_hand::segments::*;
use by_hand::{Build, LATENT, num, number, p, state, term};
use candle_core::{Device, Tensor};
use guide_compiler::plan::*;
use guide_runtime::exec::{Bindings, Executor, Guided};

const BATCH: usize = 5;

/// Every tick with one engine, and then with the other.
fn run(plan: &Plan, bindings: &Bindings) -> [(Vec<Guided>, Formula); 2] {
    [Executor::new, Executor::with_tensor_operations].map(|make| {
        let mut executor = make(plan, BATCH, &LATENT, &Device::Cpu, bindings).unwrap();
        let mut formula = Formula::new();
        let guided = (0..plan.timetable.ticks.len())
            .map(|i| executor.tick(i, &latents(i, BATCH), &mut formula).unwrap())
            .collect();
        (guided, formula)
    })
}

/// Within f32's rounding of numbers of this size.
#[track_caller]
fn near(got: &Tensor, b: usize, want: &[f64]) {
    let got: Vec<f32> = got
        .get(b)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let off = (f64::from(*got) - want).abs();
        assert!(
            off <= 2e-6 * most,
            "sample {b}, element {i}: {got} is not {want}"
        );
    }
}

/// What a network says to a sample in a tick.
fn said(plan: &Plan, tick: usize, b: usize, label: &str) -> Vec<f64> {
    let t = plan.timetable.ticks[tick].t;
    wide(&answer(label, &latent(tick, b), t, 0))
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

/// `mean(prediction) > level`
fn gate(build: &mut Build, of: Operand, level: f64) -> Operand {
    let mean = build.reduce(ReduceOp::Mean, of, None);
    build.op(Shape::Bool, Code::Compare(Compare::Gt, mean, num(level)))
}

/// `m = c + 0.5*m'`; the first evaluation keeps it and decides by its own prediction whether the step
/// gives `m` or `c - 2*m'`.
fn twice_a_step(per_evaluation: bool) -> Plan {
    let segment = |substep: u32, steps: (u32, u32)| {
        let mut b = Build::default();
        b.ask(vec![plainly(0)], false);
        let decides = substep == 0 || per_evaluation;
        let high = match decides {
            true => gate(&mut b, p(0), LEVEL),
            false => Operand::Decision(DecisionId(0)),
        };
        let m = b.linear(vec![term(1.0, &[], p(0)), term(0.5, &[], state(0))]);
        let other = b.linear(vec![term(1.0, &[], p(0)), term(-2.0, &[], state(0))]);
        let out = b.op(Shape::Tensor, Code::Select(high.clone(), m.clone(), other));
        let mut segment = b.segment(steps, substep, out);
        if decides {
            segment.keep.push(Keep {
                state: StateId(0),
                value: m,
                when: None,
            });
        }
        if substep == 0 && !per_evaluation {
            segment.decide.push(Decide {
                decision: DecisionId(0),
                value: high,
            });
        }
        segment
    };
    let mut plan = plan_of(3, 2, vec![segment(0, (0, 3)), segment(1, (0, 2))]);
    plan.head.per_evaluation = per_evaluation;
    plan.states = vec![state_of("m", Shape::Tensor, Init::Number(0.25))];
    if !per_evaluation {
        plan.decisions = vec![Decision {
            name: "high".into(),
        }];
    }
    plan
}

/// Means of `cond` lie on both sides of it.
const LEVEL: f64 = 0.0;

fn evaluations_of_a_step(per_evaluation: bool) {
    let plan = twice_a_step(per_evaluation);
    assert_eq!(plan.timetable.ticks.len(), 5);
    for (guided, _) in run(&plan, &Bindings::default()) {
        let (mut decided, mut differs) = ([0, 0], false);
        for b in 0..BATCH {
            let mut m = vec![0.25; by_hand::SIZE];
            let (mut next, mut high) = (m.clone(), false);
            for (at, tick) in plan.timetable.ticks.iter().enumerate() {
                let c = said(&plan, at, b, "cond");
                let own = mean(&c) > LEVEL;
                if tick.substep == 0 || per_evaluation {
                    m = next;
                    high = own;
                    next = zip(&c, &m, |c, m| c + 0.5 * m);
                } else {
                    differs |= own != high;
                }
                let factor = if high { 0.5 } else { -2.0 };
                near(&guided[at].denoise, b, &zip(&c, &m, |c, m| c + factor * m));
                decided[usize::from(high)] += 1;
            }
        }
        assert!(decided[0] > 0 && decided[1] > 0, "{decided:?}");
        assert!(
            differs || per_evaluation,
            "a second evaluation would decide otherwise"
        );
    }
}

#[test]
fn the_evaluations_of_a_step_share_state_and_decisions() {
    evaluations_of_a_step(false);
}

#[test]
fn per_evaluation_each_is_a_tick() {
    evaluations_of_a_step(true);
}

/// `uncond` is asked where the mean of `cond` is low; in a coupled batch for all as soon as for one.
#[test]
fn samples_that_see_one_another_are_asked_together() {
    for coupled in [false, true] {
        let mut b = Build::default();
        b.ask(vec![plainly(0)], false);
        let high = gate(&mut b, p(0), LEVEL);
        let mut second = plainly(1);
        second.when = only(&high, false);
        b.ask(vec![second], coupled);
        let out = b.op(Shape::Tensor, Code::Select(high, p(0), p(1)));
        let plan = plan_of(12, 1, vec![b.segment((0, 12), 0, out)]);
        for (guided, formula) in run(&plan, &Bindings::default()) {
            let mut seen = [false; 3];
            for (tick, guided) in guided.iter().enumerate() {
                let low = |b: &usize| mean(&said(&plan, tick, *b, "cond")) <= LEVEL;
                let needs: Vec<usize> = (0..BATCH).filter(low).collect();
                let which = match needs.len() {
                    0 => 0,
                    BATCH => 2,
                    _ => 1,
                };
                seen[which] = true;
                let all = coupled && !needs.is_empty();
                let want = if all {
                    (0..BATCH).collect()
                } else {
                    needs.clone()
                };
                assert_eq!(formula.rows(tick, "uncond"), want, "tick {tick}");
                for b in 0..BATCH {
                    let label = if needs.contains(&b) { "uncond" } else { "cond" };
                    near(&guided.denoise, b, &said(&plan, tick, b, label));
                    let count = 1 + u32::from(want.contains(&b));
                    assert_eq!(guided.evaluated.counts[b], count);
                }
            }
            assert!(seen[1], "some samples need it and others do not: {seen:?}");
        }
    }
}

/// The class is the target's, or 7 where the mean of `cond` is high.
#[test]
fn a_class_is_chosen_for_each_sample() {
    let mut b = Build::default();
    b.ask(vec![plainly(0)], false);
    let high = gate(&mut b, p(0), LEVEL);
    let class = b.op(Shape::Class, Code::Select(high, num(7.0), Operand::Target));
    let mut question = plainly(2);
    question.class = Some(class);
    b.ask(vec![question], false);
    let out = b.linear(vec![term(1.0, &[], p(2)), term(-0.5, &[], p(0))]);
    let plan = plan_of(3, 1, vec![b.segment((0, 3), 0, out)]);
    let target = [1, 4, 2, 9, 3];
    let bindings = Bindings {
        target: Some(target.to_vec()),
        ..Bindings::default()
    };
    for (guided, _) in run(&plan, &bindings) {
        let mut sevens = 0;
        for (tick, guided) in guided.iter().enumerate() {
            for (b, own) in target.iter().enumerate() {
                let c = said(&plan, tick, b, "cond");
                let class = if mean(&c) > LEVEL { 7 } else { *own };
                sevens += u32::from(class == 7);
                let t = plan.timetable.ticks[tick].t;
                let rival = wide(&answer("class(rival)", &latent(tick, b), t, class));
                near(&guided.denoise, b, &zip(&rival, &c, |r, c| r - 0.5 * c));
            }
        }
        assert!(sevens > 0 && sevens < 15, "{sevens} of 15 are 7");
    }
}

/// The network is told `t + 200*mean(c)`, another time for each sample.
#[test]
fn a_network_is_told_another_time_for_each_sample() {
    let mut b = Build::default();
    b.ask(vec![plainly(0)], false);
    let size = b.reduce(ReduceOp::Mean, p(0), None);
    let times = Number {
        text: "t".into(),
        values: vec![900.0, 600.0, 300.0],
    };
    let here = Term {
        factor: times.clone(),
        by: Vec::new(),
        of: None,
    };
    let told = b.op(
        Shape::Scalar,
        Code::Linear(vec![here, term(200.0, &[], size)]),
    );
    let mut question = plainly(1);
    question.told = Some(told);
    b.ask(vec![question], false);
    let plan = plan_of(3, 1, vec![b.segment((0, 3), 0, p(1))]);
    for (guided, _) in run(&plan, &Bindings::default()) {
        for (tick, guided) in guided.iter().enumerate() {
            for b in 0..BATCH {
                let told = times.values[tick] + 200.0 * mean(&said(&plan, tick, b, "cond"));
                near(
                    &guided.denoise,
                    b,
                    &wide(&answer("uncond", &latent(tick, b), told, 0)),
                );
            }
        }
    }
}

/// `guided(denoise: c, renoise: u, shift: 2*u, move: x - c)` where the mean of `c` is high, else `c`
/// alone; the samples whose mean of `u` is high hold.
#[test]
fn an_outcome_has_its_parts_for_each_sample() {
    let mut b = Build::default();
    b.ask(vec![plainly(0), plainly(1)], false);
    let high = gate(&mut b, p(0), LEVEL);
    let holds = gate(&mut b, p(1), -0.4);
    let lazily =
        |b: &mut Build, terms| b.op_when(Shape::Tensor, Code::Linear(terms), only(&high, true));
    let renoise = lazily(&mut b, vec![term(1.0, &[], p(1))]);
    let shift = lazily(&mut b, vec![term(2.0, &[], p(1))]);
    let from = Term {
        factor: number(1.0),
        by: Vec::new(),
        of: Some(Operand::Latent),
    };
    let moves = lazily(&mut b, vec![from, term(-1.0, &[], p(0))]);
    let mut segment = b.segment((0, 9), 0, p(0));
    segment.result.renoise = Some(renoise);
    segment.result.shift = Some(shift);
    segment.result.moves = Some(moves);
    segment.result.hold = Hold::When(holds);
    let plan = plan_of(9, 1, vec![segment]);
    for (guided, _) in run(&plan, &Bindings::default()) {
        let mut seen = std::collections::BTreeSet::new();
        for (tick, guided) in guided.iter().enumerate() {
            for b in 0..BATCH {
                let (c, u) = (said(&plan, tick, b, "cond"), said(&plan, tick, b, "uncond"));
                let (high, holds) = (mean(&c) > LEVEL, mean(&u) > -0.4);
                seen.insert((high, holds));
                assert_eq!(guided.hold[b], holds);
                let x = wide(&latent(tick, b));
                let zero = vec![0.0; c.len()];
                let wanted = match (holds, high) {
                    (true, _) => [zero.clone(), zero.clone(), zero.clone(), zero],
                    (false, true) => {
                        let twice = u.iter().map(|u| 2.0 * u).collect();
                        let away = zip(&x, &c, |x, c| x - c);
                        [c, u, twice, away]
                    }
                    (false, false) => [c.clone(), c, zero.clone(), zero],
                };
                let parts = [
                    Some(&guided.denoise),
                    guided.renoise.as_ref(),
                    guided.shift.as_ref(),
                    guided.moves.as_ref(),
                ];
                for (got, want) in parts.into_iter().zip(&wanted) {
                    near(got.unwrap(), b, want);
                }
            }
        }
        assert_eq!(seen.len(), 4, "every case occurs: {seen:?}");
    }
}
