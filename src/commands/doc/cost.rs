//! What a rule costs with the embedded model.

use guide_compiler::diagnostics::{Bag, Code};
use guide_compiler::memory::Memory;
use guide_compiler::model;
use guide_compiler::pipeline::{Analysis, Request, Times, compile, means_objective, read};
use guide_compiler::plan::{Need, Plan};
use guide_compiler::resolved::{ItemKind, KindNode};
use guide_compiler::sources::Loaded;
use guide_compiler::timetable::{Sampler, SchedulerConfig};

use super::item::StdItem;
use crate::describe::EMBEDDED;

/// Two lines for a page.
pub struct Cost {
    /// How many evaluations.
    pub evaluations: String,
    /// What it needs of the model and the user.
    pub needs: String,
    /// Whether there is a plan; else `needs` says why there is none.
    pub is_possible: bool,
}

/// Prompts that a list is given for the page's numbers.
const PROMPTS: u32 = 2;

/// The cost of a rule or an objective; nothing for what is neither.
pub fn of(item: &StdItem) -> Option<Cost> {
    if !item.is_guide && item.folder != "objectives" {
        return None;
    }
    let mut request = Request {
        guide: Some(item.name.clone()),
        prompt_counts: vec![("prompts".to_owned(), PROMPTS)],
        ..Request::new(model::known(EMBEDDED)?)
    };
    let sources = Memory::with_library(guide_stdlib::files().iter().copied());
    let path = format!("stdlib/{}/{}.guide", item.folder, item.name);
    let analysis = read(
        Loaded {
            path,
            text: item.source.to_owned(),
        },
        &sources,
    );
    if means_objective(&analysis, Some(&item.name)) {
        request = of_objective(request);
    }
    of_request(&analysis, request)
}

/// The same for an objective, in as many turns.
fn of_objective(mut request: Request) -> Request {
    if let Times::Sampler { scheduler, .. } = request.times {
        request.times = Times::Turns {
            scheduler,
            range: (0.02, 0.98),
        };
    }
    request
}

/// The same for a flow model.
fn of_flow(request: Request) -> Option<Request> {
    let config = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler"}"#;
    let scheduler = SchedulerConfig::parse(config, None).ok()?;
    let mut facts = request.facts.clone();
    facts.space = scheduler.space;
    Some(Request {
        facts,
        times: Times::Sampler {
            scheduler,
            sampler: Sampler::Euler,
            spacing: None,
        },
        ..request
    })
}

/// The cost of a guide in the root of an analysis, with the embedded model and the usual settings.
pub fn of_guide(analysis: &Analysis, guide: &str) -> Option<Cost> {
    let lists = analysis.program.items.iter().filter(
        |item| matches!(&item.kind, ItemKind::Input(input) if input.kind.node == KindNode::Prompts),
    );
    let lists = lists.map(|item| (item.name.node.clone(), PROMPTS));
    let request = Request {
        guide: Some(guide.to_owned()),
        prompt_counts: lists.collect(),
        ..Request::new(model::known(EMBEDDED)?)
    };
    of_request(analysis, request)
}

fn of_request(analysis: &Analysis, request: Request) -> Option<Cost> {
    Some(match compile(analysis, &request) {
        Ok(compiled) => Cost {
            evaluations: evaluations(&compiled.plan),
            needs: needs(&compiled.plan),
            is_possible: true,
        },
        Err(bag) if bag.iter().any(|said| said.code == Code::NotFlow) => {
            match compile(analysis, &of_flow(request)?) {
                Ok(compiled) => Cost {
                    evaluations: evaluations(&compiled.plan),
                    needs: format!("a flow model, {}", needs(&compiled.plan)),
                    is_possible: true,
                },
                Err(bag) => impossible(bag),
            }
        }
        Err(bag) => impossible(bag),
    })
}

fn impossible(bag: Bag) -> Cost {
    Cost {
        evaluations: "not with the embedded model".to_owned(),
        needs: reasons(bag),
        is_possible: false,
    }
}

fn evaluations(plan: &Plan) -> String {
    let (least, most) = (plan.cost.least, plan.cost.most);
    let steps = plan.head.steps;
    let step = match plan.head.objective {
        Some(_) => "turn",
        None => "step",
    };
    let each = |count: u64| format!("{:.2}", count as f64 / f64::from(steps.max(1)));
    if least == most {
        format!(
            "{most} evaluations in {steps} {step}s, {} a {step}",
            each(most)
        )
    } else {
        format!(
            "{least} to {most} evaluations in {steps} {step}s, {} to {} a {step}",
            each(least),
            each(most)
        )
    }
}

fn needs(plan: &Plan) -> String {
    let needs = plan.head.needs.iter().map(|need| match need {
        Need::NullCondition => "null condition".to_owned(),
        Need::Layers(layers) => format!("layers {layers}"),
        Need::Model(name) => format!("model {name}"),
        Need::Classifier(name) => format!("classifier {name}"),
        Need::Loss(name) => format!("loss {name}"),
        Need::Input(id) => match plan.inputs.get(id.index()) {
            Some(input) => input.to_string(),
            None => "an input".to_owned(),
        },
        Need::Target => "a class to aim at".to_owned(),
    });
    let needs: Vec<String> = needs.collect();
    if needs.is_empty() {
        "nothing besides the model".to_owned()
    } else {
        needs.join(", ")
    }
}

fn reasons(bag: Bag) -> String {
    let all = bag.into_sorted();
    all.iter()
        .map(|diagnostic| diagnostic.message.clone())
        .collect::<Vec<_>>()
        .join("; ")
}
