//! What inlining makes of a guide: shared nodes, settings in force, state, and limits.

use guide_compiler::check::{Inline, check, inline};
use guide_compiler::diagnostics::{Bag, Code};
use guide_compiler::graph::{Graph, Node, NodeId, Op, Outcome};
use guide_compiler::memory::Memory;
use guide_compiler::plan::{Need, Space};
use guide_compiler::resolve::resolve;
use guide_compiler::resolved::ItemKind;
use guide_compiler::sources::{Loaded, SourceMap};

fn run(text: &str, request: &Inline) -> (Graph, Bag) {
    let memory = Memory::with_library(guide_stdlib::files().iter().copied());
    let mut files = SourceMap::default();
    let root = Loaded {
        path: "g.guide".into(),
        text: text.into(),
    };
    let (program, bag) = resolve(root, &memory, &mut files);
    assert!(!bag.has_errors(), "{bag:?}");
    let items = &program.modules[0].items;
    let guide = items
        .iter()
        .rev()
        .find(|id| matches!(program.items[id.index()].kind, ItemKind::Function(_)));
    inline(&program, *guide.expect("a guide"), request)
}

fn graph(text: &str) -> Graph {
    let (graph, bag) = run(text, &Inline::default());
    assert!(!bag.has_errors(), "{bag:?}");
    graph
}

fn count(graph: &Graph, is: impl Fn(&Op) -> bool) -> usize {
    graph.nodes.iter().filter(|n: &&Node| is(&n.op)).count()
}

fn predictions(graph: &Graph) -> usize {
    count(graph, |op| matches!(op, Op::Predict(_)))
}

fn denoise(graph: &Graph) -> &Node {
    match &graph.outcome {
        Some(Outcome::Guided { denoise, .. }) => &graph.nodes[denoise.index()],
        other => panic!("{other:?}"),
    }
}

fn set(name: &str, text: &str) -> Inline {
    Inline {
        settings: vec![(name.into(), text.into())],
        ..Inline::default()
    }
}

#[test]
fn equal_questions_are_one_prediction() {
    let g = graph(
        "guide g() { predict(cond) + (predict(cond) - predict(uncond)) + (predict(negative) - predict(cond, at: x)) }",
    );
    assert_eq!(predictions(&g), 2);
}

#[test]
fn a_converted_difference_is_the_difference_of_the_converted() {
    let g = graph(
        "guide g() {
    let c = predict(cond)
    let u = predict(uncond)
    x0(c) + (x0(c - u) - (x0(c) - x0(u)))
}",
    );
    // The two differences are one node, subtracted from itself.
    let twins = count(&g, |op| matches!(op, Op::Sub(a, b) if a == b));
    assert_eq!(twins, 1);
    assert_eq!(count(&g, |op| matches!(op, Op::Convert(_))), 2);
}

#[test]
fn conversions_compose_and_one_to_its_own_space_is_nothing() {
    let g = graph("guide g() { x0(x0(eps(v(predict(cond))))) }");
    assert_eq!(count(&g, |op| matches!(op, Op::Convert(_))), 1);
    let back = graph("guide g() { native(x0(predict(cond))) }");
    assert_eq!(count(&back, |op| matches!(op, Op::Convert(_))), 0);
    let Op::Convert(convert) = &denoise(&g).op else {
        panic!("{:?}", denoise(&g))
    };
    assert!(convert.origin.is_some());
    assert_eq!(
        convert.to,
        guide_compiler::graph::SpaceTerm::Named(Space::X0)
    );
}

#[test]
fn a_vouched_value_is_converted_as_one_whole() {
    let g = graph("guide g() { x0(prediction(0.7 * predict(cond))) }");
    let Op::Convert(convert) = &denoise(&g).op else {
        panic!("{:?}", denoise(&g))
    };
    assert!(matches!(g.nodes[convert.value.index()].op, Op::Declare(_)));
}

#[test]
fn two_uses_of_momentum_are_two_states_and_share_their_predictions() {
    let g = graph(
        "use std::ops::momentum
guide g(beta: Scalar = 0.5) {
    let d = x0(predict(cond) - predict(uncond))
    x0(predict(cond)) + momentum(d, beta) + momentum(2 * d, beta)
}",
    );
    let paths: Vec<&str> = g.cells.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, ["g/momentum#0/m", "g/momentum#1/m"]);
    assert_eq!(predictions(&g), 2);
    assert!(g.cells.iter().all(|c| c.region.is_empty()));
}

#[test]
fn a_state_knows_the_branches_it_stands_in() {
    let g = graph(
        "guide g() {
    let c = native(predict(cond))
    if progress in 0.2..0.5 {
        let m = c - native(predict(uncond)) + 0.5 * prev(m, init: 0)
        c + m
    } else { c }
}",
    );
    assert_eq!(g.cells.len(), 1);
    let region = &g.cells[0].region;
    assert_eq!(region.len(), 1);
    assert!(region[0].1 && matches!(g.nodes[region[0].0.index()].op, Op::Window { .. }));
}

#[test]
fn two_ticks_back_is_a_chain_of_cells() {
    let g = graph("guide g() { let c = x0(predict(cond))\n c + (c - prev(c, 2, init: c)) }");
    let paths: Vec<&str> = g.cells.iter().map(|cell| cell.path.as_str()).collect();
    assert_eq!(paths, ["g/c", "g/c/kept", "g/c/2"]);
    let reads =
        |node: NodeId, of: u32| matches!(g.nodes[node.index()].op, Op::Prev(cell) if cell.0 == of);
    let later = &g.cells[2];
    assert!(reads(later.value, 0));
    // What it starts with changes from tick to tick, so it takes over nothing that was not kept.
    let [(held, true)] = later.region[..] else {
        panic!("{:?}", later.region);
    };
    assert!(reads(held, 1));
    let g = graph(
        "guide g() {
    let c = x0(predict(cond))
    let d = c - x0(predict(uncond))
    c + prev(d, 2, init: 0)
}",
    );
    assert!(g.cells.iter().all(|cell| !cell.path.ends_with("kept")));
}

#[test]
fn a_converted_state_is_a_state_in_that_space() {
    let kinds = kept(
        "guide g() {
    let d = native(predict(cond) - predict(uncond))
    x0(predict(cond)) + x0(prev(d, init: 0))
}",
    );
    assert_eq!(kinds, ["direction in x0"]);
}

#[test]
fn a_sum_over_ticks_stays_in_its_space_and_is_converted_whole() {
    let kinds = kept(
        "guide g() {
    let m = native(predict(cond) - predict(uncond)) + 0.5 * prev(m, init: 0)
    x0(predict(cond)) + x0(m)
}",
    );
    assert_eq!(kinds, ["direction in native"]);
}

/// The kinds of what is kept, cell by cell.
fn kept(text: &str) -> Vec<String> {
    let g = graph(text);
    g.cells
        .iter()
        .map(|c| g.nodes[c.value.index()].kind.clone())
        .collect()
}

#[test]
fn settings_are_in_force_and_shown() {
    let guide =
        "guide g(scale: Scalar = 7.50, shape: \"one\" | \"two\" = \"one\", layers: Layers = mid) {
    let k = match shape { \"one\" => scale, \"two\" => 2 }
    let c = predict(cond)
    c + k * (c - predict(cond, with: identity_attention(layers)))
}";
    let shown = |request: &Inline| {
        let (graph, bag) = run(guide, request);
        assert!(!bag.has_errors(), "{bag:?}");
        graph
            .settings
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        shown(&Inline::default()),
        "scale=7.5 shape=\"one\" layers=mid"
    );
    assert_eq!(
        shown(&set("shape", "two")),
        "scale=7.5 shape=\"two\" layers=mid"
    );
    assert_eq!(
        shown(&set("scale", "-1/4")),
        "scale=-0.25 shape=\"one\" layers=mid"
    );
    assert_eq!(
        shown(&set("layers", "mid - (up + down)")),
        "scale=7.5 shape=\"one\" layers=mid - up - down"
    );
    assert_eq!(
        shown(&set("layers", "all - (up - cross)")),
        "scale=7.5 shape=\"one\" layers=all - (up - cross)"
    );
    assert_eq!(
        shown(&set("layers", "[7, 8] + up - \"up.1.attn.0\"")),
        "scale=7.5 shape=\"one\" layers=[7, 8] + up - \"up.1.attn.0\""
    );
}

#[test]
fn a_wrong_setting_is_said_once() {
    let guide = "guide g(scale: Scalar = 1, shape: \"one\" | \"two\" = \"one\") { predict(cond) }";
    for (name, text, code) in [
        ("skale", "1", Code::UnknownParameter),
        ("scale", "mid", Code::BadParameter),
        ("scale", "1) } fn f() { (2", Code::BadParameter),
        ("scale", "", Code::BadParameter),
        ("shape", "three", Code::BadParameter),
    ] {
        let (graph, bag) = run(guide, &set(name, text));
        let codes: Vec<Code> = bag.iter().map(|d| d.code).collect();
        assert_eq!(codes, [code], "{name}={text}");
        assert!(graph.outcome.is_none());
    }
}

#[test]
fn prompts_are_counted_and_unrolled() {
    let request = Inline {
        prompt_counts: vec![("prompts".into(), 3)],
        ..Inline::default()
    };
    let (g, bag) = run(
        guide_stdlib::files()
            .iter()
            .find(|(p, _)| *p == "rules/composed.guide")
            .expect("composed")
            .1,
        &request,
    );
    assert!(!bag.has_errors(), "{bag:?}");
    assert_eq!(predictions(&g), 4);
    assert!(g.needs.contains(&Need::NullCondition));
    assert_eq!(g.inputs.len(), 2);
}

#[test]
fn a_guide_parameter_is_inlined_with_other_defaults() {
    let g = graph(
        "use std::rules::cfg
fn ahead(inner: Guide) -> Outcome {
    let c = predict(cond)
    let y = noised(x0: x0(c), eps: eps(c))
    inner(at: y)
}
guide g() { ahead(cfg(scale: 3)) }",
    );
    let at = count(
        &g,
        |op| matches!(op, Op::Predict(p) if p.at.as_ref().is_some_and(|(_, name)| name == "y")),
    );
    assert_eq!((at, predictions(&g)), (2, 3));
}

#[test]
fn what_is_too_large_is_refused() {
    let text = "guide g() {
    let s = total i in 0..1000 { total j in 0..1000 { i * j * progress } }
    predict(cond) + s * (predict(cond) - predict(uncond))
}";
    let (_, bag) = run(text, &Inline::default());
    assert_eq!(
        bag.iter().map(|d| d.code).collect::<Vec<_>>(),
        [Code::TooManyNodes]
    );
}

#[test]
fn long_chains_of_state_cost_what_they_are_long() {
    let mut text = String::from(
        "fn f0(d: Direction<x0>) -> Direction<x0> { let m = d + 0.5 * prev(m, init: 0)\n m }\n",
    );
    for at in 1..60 {
        text += &format!(
            "fn f{at}(d: Direction<x0>) -> Direction<x0> {{ let m = f{}(d) + 0.5 * prev(m, init: 0)\n m }}\n",
            at - 1
        );
    }
    text += "guide g() { x0(predict(cond)) + f59(x0(predict(cond) - predict(uncond))) }";
    let g = graph(&text);
    assert_eq!(g.cells.len(), 60);
    let memory = Memory::default();
    let mut files = SourceMap::default();
    let (program, _) = resolve(
        Loaded {
            path: "g.guide".into(),
            text,
        },
        &memory,
        &mut files,
    );
    assert_eq!(check(&program), Bag::default());
}

#[test]
fn a_state_that_is_read_below_its_let_keeps_that_let() {
    let g = graph(
        "guide g() {
    let d = x0(predict(cond) - predict(uncond))
    let before = prev(d, init: 0)
    x0(predict(cond)) + before
}",
    );
    assert_eq!(g.cells.len(), 1);
    let kept = &g.nodes[g.cells[0].value.index()];
    assert_eq!(kept.name.as_deref(), Some("d"));
}
