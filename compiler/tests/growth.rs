//! Large graphs: the plan is made without work that grows with the square of the graph.

mod fixture;

use fixture::{Builder, target};
use guide_compiler::plan::{Binary, Condition, ReduceOp, Space};
use guide_compiler::schedule::plan;

#[test]
fn ten_thousand_nodes_in_fifty_steps_have_a_plan() {
    let mut b = Builder::default();
    let (c, u) = (b.predict(Condition::Cond), b.predict(Condition::Uncond));
    let mut at = b.sub(c, u);
    let progress = b.tick(guide_compiler::graph::TickName::Progress);
    for turn in 0..2000 {
        let number = b.number(1.0 + f64::from(turn));
        let step = b.mul(number, progress);
        let length = b.reduce(ReduceOp::Norm, at, None);
        let less = b.binary(Binary::Min, length, step);
        let scaled = b.mul(less, at);
        at = b.add(scaled, u);
    }
    let nodes = b.graph.nodes.len();
    assert!(nodes > 9_000, "{nodes} nodes");
    let graph = b.guided(at);
    let plan = plan(&graph, &target("large", 50, Space::Eps)).expect("a plan");
    assert_eq!(plan.check(), Ok(()));
    assert_eq!((plan.cost.least, plan.cost.most), (100, 100));
}
