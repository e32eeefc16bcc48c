//! Plans of graphs built by hand, as text.

mod fixture;

use fixture::{Builder, target};
use guide_compiler::graph::{Graph, SpaceTerm, TickName};
use guide_compiler::plan::{
    Binary, Code, Compare, Condition, Filter, NoiseTable, Number, Operand, Plan, PredictionId,
    ReduceOp, Shape, Space, Unary,
};
use guide_compiler::schedule::{PASSES, after, plan};
use guide_compiler::show;

fn printed(name: &str, graph: &Graph, steps: u32) -> String {
    show::text(&plan(graph, &target(name, steps, Space::Eps)).expect("a plan"))
}

fn cfg(scale: f64) -> Graph {
    let mut b = Builder::default();
    let (c, u) = (b.predict(Condition::Cond), b.predict(Condition::Uncond));
    let d = b.sub(c, u);
    let scale = b.number(scale);
    let scaled = b.mul(scale, d);
    let g = b.add(u, scaled);
    b.graph.settings.push(("scale".into(), "7.5".into()));
    b.guided(g)
}

fn apg(scale: f64) -> Graph {
    let mut b = Builder::default();
    let (c, u) = (b.predict(Condition::Cond), b.predict(Condition::Uncond));
    let c = b.convert(c, SpaceTerm::Native, Space::X0, true);
    let u = b.convert(u, SpaceTerm::Native, Space::X0, true);
    b.named("c", c);
    b.named("u", u);
    let d = b.sub(c, u);
    let zero = b.number(0.0);
    let (cell, before) = b.prev("m", zero, Shape::Tensor, "direction in x0");
    let beta = b.number(-0.5);
    let damped = b.mul(beta, before);
    let m = b.add(d, damped);
    b.named("m", m);
    b.keep(cell, m, Vec::new());
    let (one, radius) = (b.number(1.0), b.number(15.0));
    let norm = b.reduce(ReduceOp::Norm, m, None);
    let share = b.div(radius, norm);
    let factor = b.binary(Binary::Min, one, share);
    let update = b.mul(factor, m);
    b.named("update", update);
    let size = b.reduce(ReduceOp::Norm, c, None);
    let inverse = b.unary(Unary::InverseOrZero, size);
    let axis = b.mul(inverse, c);
    b.named("axis", axis);
    let along = b.reduce(ReduceOp::Dot, update, Some(axis));
    let parallel = b.mul(along, axis);
    b.named("parallel", parallel);
    let orthogonal = b.sub(update, parallel);
    b.named("orthogonal", orthogonal);
    let eta = b.number(0.0);
    let kept = b.mul(eta, parallel);
    let both = b.add(orthogonal, kept);
    let weight = b.number(scale - 1.0);
    let guidance = b.mul(weight, both);
    let g = b.add(c, guidance);
    b.space(g, SpaceTerm::Named(Space::X0));
    b.guided(g)
}

fn adaptive() -> Graph {
    let mut b = Builder::default();
    let (c, u) = (b.predict(Condition::Cond), b.predict(Condition::Uncond));
    let no = b.bool(false);
    let (cell, before) = b.prev("converged", no, Shape::Bool, "bool");
    let agreement = b.reduce(ReduceOp::Cosine, c, Some(u));
    b.named("agreement", agreement);
    let threshold = b.number(0.991);
    let agrees = b.compare(Compare::Ge, agreement, threshold);
    let converged = b.or(before, agrees);
    b.named("converged", converged);
    b.keep(cell, converged, Vec::new());
    let d = b.sub(c, u);
    let scale = b.number(7.5);
    let scaled = b.mul(scale, d);
    let guided = b.add(u, scaled);
    let g = b.if_(before, c, guided);
    b.guided(g)
}

fn scheduled() -> Graph {
    let mut b = Builder::default();
    let (c, u) = (b.predict(Condition::Cond), b.predict(Condition::Uncond));
    let (two, progress) = (b.number(2.0), b.tick(TickName::Progress));
    let k = b.mul(two, progress);
    b.named("k", k);
    let scale = b.number(7.5);
    let weight = b.mul(scale, k);
    let d = b.sub(c, u);
    let scaled = b.mul(weight, d);
    let g = b.add(u, scaled);
    b.guided(g)
}

fn windowed() -> Graph {
    let mut b = Builder::default();
    let (c, u) = (b.predict(Condition::Cond), b.predict(Condition::Uncond));
    let progress = b.tick(TickName::Progress);
    let window = b.window(progress, 0.2, 0.6);
    let d = b.sub(c, u);
    let scale = b.number(7.5);
    let scaled = b.mul(scale, d);
    let guided = b.add(u, scaled);
    let g = b.if_(window, guided, c);
    b.guided(g)
}

#[test]
fn cfg_is_one_pass_over_two_predictions() {
    insta::assert_snapshot!(printed("cfg", &cfg(7.5), 20));
}

#[test]
fn cfg_of_scale_1_is_the_conditional_prediction() {
    insta::assert_snapshot!(printed("cfg", &cfg(1.0), 20));
}

#[test]
fn apg_keeps_its_momentum() {
    insta::assert_snapshot!(printed("apg", &apg(7.5), 20));
}

#[test]
fn apg_of_scale_1_drops_its_state() {
    insta::assert_snapshot!(printed("apg", &apg(1.0), 20));
}

#[test]
fn adaptive_asks_for_each_sample() {
    insta::assert_snapshot!(printed("adaptive", &adaptive(), 20));
}

#[test]
fn a_scale_that_changes_is_a_table() {
    insta::assert_snapshot!(printed("cfg_scheduled", &scheduled(), 20));
}

#[test]
fn a_window_is_the_steps_it_means() {
    insta::assert_snapshot!(printed("cfg_interval", &windowed(), 10));
}

#[test]
fn plans_read_back_as_they_were_written() {
    for graph in [cfg(7.5), apg(7.5), adaptive(), scheduled(), windowed()] {
        let plan = plan(&graph, &target("any", 7, Space::V)).expect("a plan");
        let read: guide_compiler::plan::Plan =
            serde_json::from_str(&show::json(&plan)).expect("what was written");
        assert_eq!(read, plan);
    }
}

#[test]
fn plans_that_were_tampered_with_are_refused() {
    let whole = plan(&apg(7.5), &target("apg", 7, Space::Eps)).expect("a plan");
    assert_eq!(whole.check(), Ok(()));
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = whole.clone();
        change(&mut plan);
        plan.check().expect_err("a reason")
    };
    assert!(broken(&|p| p.format = "guide-plan/2".into()).contains("format"));
    assert!(broken(&|p| p.predictions.truncate(1)).contains("predictions"));
    assert!(broken(&|p| p.states.clear()).contains("reads something"));
    assert!(broken(&|p| p.segments[0].steps = (0, 3)).contains("tick 3"));
    assert!(broken(&|p| p.segments[0].values.truncate(2)).contains("not listed"));
    assert!(broken(&|p| p.segments[0].waves[0].evaluate.clear()).contains("reads something"));
    assert!(broken(&|p| p.segments[0].waves[0].compute.reverse()).contains("not there yet"));
    assert!(broken(&|p| p.timetable.ticks.swap(0, 1)).contains("order"));
    assert!(broken(&|p| p.segments[0].result.denoise = None).contains("nothing"));
}

/// A saved plan may claim any size; nothing is made of that before it is refused.
#[test]
fn plans_of_impossible_sizes_are_refused() {
    let whole = plan(&apg(7.5), &target("apg", 7, Space::Eps)).expect("a plan");
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = whole.clone();
        change(&mut plan);
        plan.check().expect_err("a reason")
    };
    let betas = |count: u32| {
        broken(&|p| {
            p.timetable.noise = NoiseTable::Betas {
                schedule: "linear".into(),
                start: 0.0001,
                end: 0.02,
                count,
                zero_terminal_snr: false,
            }
        })
    };
    for count in [0, 100_001, u32::MAX] {
        assert_eq!(
            betas(count),
            format!("its noise has {count} training timesteps")
        );
    }
    let latent = |sides: [u32; 3]| broken(&|p| p.head.model.latent = sides);
    assert_eq!(latent([4, 0, 64]), "its latent is 4 x 0 x 64");
    assert!(latent([4, 64, u32::MAX]).contains("its latent is"));
    let each_fits = [1 << 20, 1 << 20, 1 << 20];
    assert!(latent(each_fits).contains("its latent is"));
    let steps = |steps: u32| broken(&|p| p.head.steps = steps);
    assert_eq!(
        [steps(0), steps(1001)],
        ["it has 0 steps", "it has 1001 steps"]
    );
    let tick = whole.timetable.ticks[0];
    let long = broken(&|p| p.timetable.ticks = vec![tick; 20_000]);
    assert_eq!(long, "it has 20000 ticks");
    assert_eq!(broken(&|p| p.timetable.ticks.clear()), "it has 0 ticks");
    let part = whole.segments[0].clone();
    let many = broken(&|p| p.segments = vec![part.clone(); 8]);
    assert_eq!(many, "it has 8 segments");
    // 70,000 tensors of 16,384 elements.
    let value = whole.segments[0].values[0].clone();
    assert_eq!(value.shape, Shape::Tensor);
    let values = broken(&|p| p.segments[0].values = vec![value.clone(); 70_000]);
    assert!(values.contains("it needs room for 11"), "{values}");
    let state = whole.states[0].clone();
    let states = broken(&|p| p.states = vec![state.clone(); 40_000]);
    assert!(states.contains("it needs room for 13"), "{states}");
}

/// A filter is a matrix of side by side, so that it has a limit of its own.
#[test]
fn filters_of_impossible_sizes_are_refused() {
    let mut whole = plan(&apg(7.5), &target("apg", 7, Space::Eps)).expect("a plan");
    let filter = |filter: Filter| Code::Filter(filter, Operand::Prediction(PredictionId(0)));
    let op = &mut whole.segments[0].waves[0].compute[0].ops[0];
    op.code = filter(Filter::Band { level: 0, of: 2 });
    assert_eq!(whole.check(), Ok(()));
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = whole.clone();
        change(&mut plan);
        plan.check().expect_err("a reason")
    };
    let with =
        |code: Code| broken(&|p| p.segments[0].waves[0].compute[0].ops[0].code = code.clone());
    let blur = |taps: u32| {
        let sigma = Number {
            text: "1".into(),
            values: vec![1.0],
        };
        with(filter(Filter::GaussianBlur { sigma, taps }))
    };
    assert_eq!(
        [blur(4), blur(1003)],
        ["it blurs with 4 taps", "it blurs with 1003 taps"]
    );
    let band = |level, of| with(filter(Filter::Band { level, of }));
    assert_eq!(
        [band(2, 2), band(3, 17)],
        ["it takes band 2 of 2", "it takes band 3 of 17"]
    );
    let wide = broken(&|p| p.head.model.latent = [1, 4, 8193]);
    assert_eq!(wide, "it filters a plane of 4 x 8193");
}

#[test]
fn drawings_stand_on_their_own() {
    let plan = plan(&adaptive(), &target("adaptive", 6, Space::Eps)).expect("a plan");
    insta::assert_snapshot!("adaptive_dot", show::dot(&plan));
    insta::assert_snapshot!("adaptive_svg", show::svg(&plan));
}

#[test]
fn every_pass_can_be_looked_at() {
    let target = target("adaptive", 6, Space::Eps);
    let mut text = String::new();
    for (pass, _) in PASSES {
        let stands = after(pass, &adaptive(), &target).expect("a text");
        text.push_str(&format!("# {pass}\n{stands}\n"));
    }
    insta::assert_snapshot!(text);
    let bag = after("gathr", &adaptive(), &target).expect_err("a diagnostic");
    let help = bag.into_sorted()[0].help.clone();
    assert_eq!(help.as_deref(), Some("write `--after gather`"));
}
