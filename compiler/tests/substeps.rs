//! Plans for samplers that evaluate twice a step: decisions are made once, in the first evaluation.

mod fixture;
#[path = "fixture/library.rs"]
mod library;

use fixture::twice;
use guide_compiler::plan::{DecisionId, Operand, Plan, Segment, Space};
use guide_compiler::show;
use guide_compiler::timetable::Sampler;

/// A rule whose decision hangs on this step's own predictions.
const GATE: &str = "guide gate(scale: Scalar = 7.5) {\n    let c = predict(cond)\n    \
                    let agreement = cosine(eps(c), eps(predict(weaker)))\n    \
                    let close = agreement > 0.99\n    \
                    if close { c } else { c + scale * (c - predict(uncond)) }\n}\n\
                    \ninput weaker: Prompt\n";

fn planned(text: &str, name: &str) -> Plan {
    let mut target = fixture::target(name, 6, Space::Eps);
    target.sampler = "heun".to_string();
    target.timetable = twice(&target.timetable);
    let plan = library::for_some_model("gate.guide", text, name, target, Sampler::Heun)
        .unwrap_or_else(|bag| panic!("{name}: {:?}", bag.into_sorted()));
    assert_eq!(plan.check(), Ok(()), "{name}");
    plan
}

#[test]
fn the_plan_shows_what_is_decided_once() {
    insta::assert_snapshot!(show::text(&planned(GATE, "gate")));
}

/// `weaker` is only there to decide: the second evaluation does not ask for it.
#[test]
fn a_prediction_that_only_decides_is_asked_once_a_step() {
    let plan = planned(GATE, "gate");
    let place = plan.predictions.iter().position(|p| p.label == "weaker");
    let place = place.expect("the prediction");
    assert_eq!(plan.cost.by_prediction[place], (6, 6));
    let second = plan.segments.iter().filter(|s| s.substep == 1);
    assert!(
        second
            .flat_map(|s| s.uses())
            .all(|u| u.prediction.index() != place)
    );
}

/// A branch that only the second evaluation takes asks its question of the first all the same.
#[test]
fn a_decision_that_only_the_second_evaluation_uses_is_made_in_the_first() {
    let text = "guide late() {\n    let c = predict(cond)\n    let u = predict(uncond)\n    \
                let close = cosine(eps(c), eps(u)) > 0.99\n    \
                c + substep * (if close { 0 } else { c - u })\n}\n";
    let plan = planned(text, "late");
    let first = plan.segments.iter().find(|s| s.substep == 0);
    let first = first.expect("a first evaluation");
    assert_eq!(first.uses().count(), 2);
    assert_eq!(first.decide.len(), 1);
    let second = plan.segments.iter().find(|s| s.substep == 1);
    let second = second.expect("a second evaluation");
    let read = |o: &&Operand| matches!(o, Operand::Decision(DecisionId(0)));
    assert!(second.ops().any(|op| op.operands().iter().any(read)));
    assert!(
        second.uses().any(|u| u.when.is_some()),
        "{}",
        show::text(&plan)
    );
    // The last step has one evaluation, in which nothing hangs on it.
    assert_eq!(plan.cost.least, 6 + 5 + 5);
}

#[test]
fn per_evaluation_each_one_decides_for_itself() {
    let text = GATE.replace("7.5) {", "7.5) per evaluation {");
    let plan = planned(&text, "gate");
    assert!(plan.head.per_evaluation && plan.decisions.is_empty());
    assert!(plan.segments.iter().all(|s| s.decide.is_empty()));
    assert!(show::text(&plan).contains("per evaluation: each"));
}

#[test]
fn every_rule_of_the_library_has_a_plan() {
    for (path, text) in guide_stdlib::files()
        .iter()
        .filter(|(p, _)| p.starts_with("rules/"))
    {
        let name = path.trim_start_matches("rules/").trim_end_matches(".guide");
        let plan = planned(text, name);
        let read: Plan = serde_json::from_str(&show::json(&plan)).expect("what was written");
        assert_eq!(read, plan, "{path}");
    }
}

/// A saved plan may say anything.
#[test]
fn what_contradicts_the_steps_is_found() {
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut plan = planned(GATE, "gate");
        change(&mut plan);
        plan.check().expect_err("refused")
    };
    fn of(plan: &mut Plan, substep: u32) -> &mut Segment {
        let mut segments = plan.segments.iter_mut();
        segments.find(|s| s.substep == substep).expect("a segment")
    }
    let wrong = [
        refused(&|plan| plan.decisions.clear()),
        refused(&|plan| of(plan, 0).decide.clear()),
        refused(&|plan| of(plan, 0).decide[0].value = Operand::Latent),
        refused(&|plan| of(plan, 1).decide = of(plan, 0).decide.clone()),
        refused(&|plan| plan.head.per_evaluation = true),
    ];
    let said = [
        "makes a decision that is not listed",
        "reads something that is not there yet",
        "decides by something that is not a truth value",
        "decides for no other evaluation",
        "decides for no other evaluation",
    ];
    for (wrong, said) in wrong.iter().zip(said) {
        assert!(wrong.contains(said), "{wrong}");
    }
}

fn refusals(body: &str) -> Vec<String> {
    let text = format!(
        "guide g() {{\n    let c = predict(cond)\n    let u = predict(uncond)\n    {body}\n}}\n"
    );
    let mut target = fixture::target("g", 6, Space::Eps);
    target.sampler = "heun".to_string();
    target.solver = Sampler::Heun.facts();
    target.timetable = twice(&target.timetable);
    match library::planned("g.guide", &text, "g", &target) {
        Ok(plan) => {
            assert_eq!(plan.check(), Ok(()), "{body}");
            Vec::new()
        }
        Err(bag) => {
            let said = bag.into_sorted().into_iter();
            said.map(|d| format!("{}: {}", d.code.number(), d.message))
                .collect()
        }
    }
}

#[test]
fn heun_follows_all_but_a_second_prediction() {
    assert_eq!(
        refusals("guided(denoise: c, renoise: u)"),
        ["G0606: the sampler `heun` cannot follow a `renoise` of its own"]
    );
    assert!(refusals("guided(denoise: c, renoise: c)").is_empty());
    assert!(refusals("guided(denoise: c, shift: posterior_variance * (c - u))").is_empty());
    assert!(refusals("if progress in 0.2..0.5 { hold } else { c }").is_empty());
}

/// A step moves once: the second evaluation has no use for what only the move needs.
#[test]
fn a_move_is_not_computed_again() {
    let text = "guide g() {\n    let c = predict(cond)\n    \
                guided(denoise: c, move: x - noised(x0: x0(predict(uncond)), eps: eps(c)))\n}\n";
    let plan = planned(text, "g");
    let [first, second] = [0, 1].map(|substep| {
        let mut all = plan.segments.iter();
        all.find(|s| s.substep == substep).expect("a segment")
    });
    assert!(first.result.moves.is_some() && first.uses().count() == 2);
    assert!(second.result.moves.is_none() && second.uses().count() == 1);
    let mut tampered = plan.clone();
    for segment in &mut tampered.segments {
        segment.result.moves = Some(Operand::Latent);
    }
    let said = tampered.check().expect_err("refused");
    assert!(said.contains("moves x in the middle of a step"), "{said}");
}
