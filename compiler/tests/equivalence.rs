//! Random graphs: the plan gives what the language says, and never asks more often than it promises.

#[path = "fixture/arithmetic.rs"]
mod arithmetic;
mod fixture;
#[path = "fixture/interpret.rs"]
mod interpret;
#[path = "fixture/reference.rs"]
mod reference;

use fixture::{Builder, target, twice};
use guide_compiler::diagnostics::Code;
use guide_compiler::graph::{CellId, Graph, NodeId, Op, Predict, SpaceTerm, Stage, TickName};
use guide_compiler::plan::{Binary, Compare, Condition, Plan, ReduceOp, Shape, Space, Unary};
use guide_compiler::schedule::{Target, plan};
use guide_compiler::show;
use proptest::prelude::*;

const STEPS: u32 = 5;
const SAMPLES: usize = 3;

/// Draws from a list of random numbers, then zeros.
struct Draw<'a> {
    from: std::slice::Iter<'a, u16>,
}

impl Draw<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.from.next().copied().unwrap_or(0)) % end.max(1)
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A random graph in which every kind of value may depend on every other.
fn graph(choices: &[u16]) -> Graph {
    let mut d = Draw {
        from: choices.iter(),
    };
    let mut b = Builder::default();
    let mut tensors: Vec<NodeId> = [Condition::Cond, Condition::Uncond, Condition::Class(3)]
        .into_iter()
        .map(|c| b.predict(c))
        .collect();
    tensors.push(b.latent());
    let mut scalars: Vec<NodeId> = [0.0, 1.0, -1.0, 2.5, 0.25]
        .into_iter()
        .map(|v| b.number(v))
        .collect();
    let progress = b.tick(TickName::Progress);
    scalars.push(progress);
    let mut bools = vec![b.window(progress, 0.2, 0.7)];
    let mut cells: Vec<(CellId, Shape)> = Vec::new();
    let mut points = 0;
    for _ in 0..8 + d.below(40) {
        match d.below(16) {
            0..=4 => {
                let (x, y) = (d.of(&tensors), d.of(&tensors));
                let node = match d.below(3) {
                    0 => b.add(x, y),
                    _ => b.sub(x, y),
                };
                tensors.push(node);
            }
            5 | 6 => {
                let node = b.mul(d.of(&scalars), d.of(&tensors));
                tensors.push(node);
            }
            7 => {
                let (x, y) = (d.of(&scalars), d.of(&scalars));
                let node = match d.below(5) {
                    0 => b.add(x, y),
                    1 => b.sub(x, y),
                    2 => b.mul(x, y),
                    3 => b.binary(d.of(&[Binary::Min, Binary::Max]), x, y),
                    _ => b.unary(d.of(&[Unary::Abs, Unary::Sin, Unary::Sigmoid]), x),
                };
                scalars.push(node);
            }
            8 => {
                let (x, y) = (d.of(&tensors), d.of(&tensors));
                let node = match d.below(3) {
                    0 => b.reduce(ReduceOp::Dot, x, Some(y)),
                    1 => b.reduce(ReduceOp::Norm, x, None),
                    _ => b.reduce(ReduceOp::Mean, x, None),
                };
                scalars.push(node);
            }
            9 => {
                let node = b.compare(
                    d.of(&[Compare::Lt, Compare::Ge]),
                    d.of(&scalars),
                    d.of(&scalars),
                );
                bools.push(node);
            }
            10 => {
                let (x, y) = (d.of(&bools), d.of(&bools));
                let node = match d.below(3) {
                    0 => b.and(x, y),
                    1 => b.or(x, y),
                    _ => b.not(x),
                };
                bools.push(node);
            }
            11 | 12 => {
                let c = d.of(&bools);
                match d.below(4) {
                    0 => {
                        let node = b.if_(c, d.of(&scalars), d.of(&scalars));
                        scalars.push(node);
                    }
                    1 => {
                        let node = b.if_(c, d.of(&bools), d.of(&bools));
                        bools.push(node);
                    }
                    _ => {
                        let node = b.if_(c, d.of(&tensors), d.of(&tensors));
                        tensors.push(node);
                    }
                }
            }
            13 => {
                let spaces = [Space::Eps, Space::X0, Space::V, Space::Flow, Space::Score];
                let from = match d.below(2) {
                    0 => SpaceTerm::Native,
                    _ => SpaceTerm::Named(d.of(&spaces)),
                };
                let node = b.convert(d.of(&tensors), from, d.of(&spaces), d.below(2) == 0);
                tensors.push(node);
            }
            14 => {
                let name = format!("s{}", cells.len());
                let (shape, init) = match d.below(4) {
                    0 => (Shape::Bool, b.bool(false)),
                    1 => (Shape::Scalar, d.of(&scalars)),
                    2 => (Shape::Tensor, d.of(&tensors)),
                    _ => (Shape::Tensor, b.number(0.0)),
                };
                let (cell, node) = b.prev(&name, init, shape, "");
                cells.push((cell, shape));
                match shape {
                    Shape::Bool => bools.push(node),
                    Shape::Scalar => scalars.push(node),
                    _ => tensors.push(node),
                }
            }
            _ => {
                let at = d.of(&tensors);
                points += 1;
                let predict = Predict {
                    model: None,
                    condition: d.of(&[0, 1]).pipe_condition(),
                    class: None,
                    at: Some((at, format!("p{points}"))),
                    t: None,
                    told: None,
                    control: 1.0,
                    with: Vec::new(),
                };
                let node = b.predict_with(predict);
                if b.graph.nodes[at.index()].op != Op::Latent {
                    tensors.push(node);
                }
            }
        }
    }
    for (cell, shape) in cells {
        let value = match shape {
            Shape::Bool => d.of(&bools),
            Shape::Scalar => d.of(&scalars),
            _ => d.of(&tensors),
        };
        let region = (0..d.below(3))
            .map(|_| (d.of(&bools), d.below(2) == 0))
            .collect();
        b.keep(cell, value, region);
    }
    let late = tensors.len() - 1 - d.below(3).min(tensors.len() - 1);
    settle(&mut b.graph);
    b.guided(tensors[late])
}

trait PipeCondition {
    fn pipe_condition(self) -> Condition;
}

impl PipeCondition for i32 {
    fn pipe_condition(self) -> Condition {
        if self == 0 {
            Condition::Cond
        } else {
            Condition::Uncond
        }
    }
}

/// A node that reads state is found by the run; the builder thought so of its operands only.
fn settle(graph: &mut Graph) {
    for node in &mut graph.nodes {
        if matches!(node.op, Op::Prev(_)) {
            node.stage = Stage::Sample;
        }
    }
}

fn close(a: f64, b: f64, size: f64) -> bool {
    a == b || (a - b).abs() <= 1e-6 * (1.0 + size) || (a.is_nan() && b.is_nan())
}

/// Compares a plan with the language for every sample; `false` if the numbers run away, where
/// rounding decides.
fn same(graph: &Graph, plan: &Plan, native: Space) -> Result<(), TestCaseError> {
    let mut asked_in_all = Vec::new();
    for sample in 0..SAMPLES {
        let expected = reference::run(graph, &plan.timetable.ticks, STEPS, native, sample);
        let found = interpret::run(plan, sample);
        let mut total = 0;
        for (tick, (e, f)) in expected.iter().zip(&found).enumerate() {
            let f_denoise = f.denoise.clone().expect("a prediction");
            let (a, b) = (e.denoise.elements(), f_denoise.elements());
            let size = a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            if !size.is_finite() || size > 1e4 {
                return Err(TestCaseError::reject("numbers that run away"));
            }
            for (x, y) in a.iter().zip(b) {
                prop_assert!(
                    close(*x, y, size),
                    "tick {tick}, sample {sample}: {a:?} but {b:?}\n{}\n{:#?}",
                    show::text(plan),
                    graph.nodes
                );
            }
            let in_vain = f.asked.iter().find(|q| !e.asked.contains(*q));
            prop_assert!(
                in_vain.is_none(),
                "tick {tick}: {in_vain:?} of {:?}\n{}",
                e.asked,
                show::text(plan)
            );
            total += f.asked.len() as u64;
        }
        asked_in_all.push(total);
    }
    for total in asked_in_all {
        prop_assert!(
            (plan.cost.least..=plan.cost.most).contains(&total),
            "{total} evaluations\n{}",
            show::text(plan)
        );
    }
    Ok(())
}

fn check(graph: &Graph, target: &Target, native: Space) -> Result<(), TestCaseError> {
    let plan = plan(graph, target).map_err(|bag| {
        // What the graph asks for cannot be in any plan.
        let cannot = [Code::NotFlow, Code::DividedByNothing];
        if bag.iter().all(|said| cannot.contains(&said.code)) {
            return TestCaseError::reject("a graph without a plan");
        }
        TestCaseError::fail(format!("{:?}", bag.into_sorted()))
    })?;
    prop_assert!(
        plan.check() == Ok(()),
        "{:?}\n{}",
        plan.check(),
        show::text(&plan)
    );
    same(graph, &plan, native)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_global_rejects: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_does_what_the_graph_says(choices in prop::collection::vec(any::<u16>(), 0..260)) {
        let graph = graph(&choices);
        for native in [Space::Eps, Space::Flow] {
            check(&graph, &target("random", STEPS, native), native)?;
        }
    }

    #[test]
    fn a_plan_of_two_evaluations_a_step_does_what_the_graph_says(
        choices in prop::collection::vec(any::<u16>(), 0..260),
        per_evaluation in any::<bool>(),
    ) {
        let mut graph = graph(&choices);
        graph.per_evaluation = per_evaluation;
        let mut target = target("random", STEPS, Space::Eps);
        target.timetable = twice(&target.timetable);
        check(&graph, &target, Space::Eps)?;
    }
}
