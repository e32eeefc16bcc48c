//! The tables of a plan beside its segments: predictions, states, needs, cost.

use std::collections::{BTreeMap, BTreeSet};

use super::count;
use super::expr::{Exprs, Form};
use super::fold::Folded;
use super::guard::{ALWAYS, GuardId, NEVER};
use super::judging::UsedJudgements;
use super::live;
use super::lower::fixed_init;
use super::merge::Scheduled;
use super::{Backward, Target};
use crate::cost;
use crate::graph::{CellId, Graph, NodeId};
use crate::plan::{
    ArgValue, Code, Condition, Cost, Decision, DecisionId, Gives, Init, InputId, JudgementId, Need,
    Operand, Prediction, PredictionId, Seen, Segment, Shape, State, StateId,
};

/// The states that some tick reads, and their numbers.
pub fn states(
    graph: &Graph,
    target: &Target,
    folded: &Folded,
    scheduled: &Scheduled,
) -> (BTreeMap<CellId, StateId>, Vec<State>) {
    let mut used: BTreeSet<CellId> = BTreeSet::new();
    for part in &scheduled.parts {
        used.extend(part.live.iter().copied());
        used.extend(live::reads(&scheduled.exprs, &part.demand));
    }
    let mut ids = BTreeMap::new();
    let mut states: Vec<State> = Vec::new();
    for id in used {
        let Some(cell) = graph.cells.get(id.index()) else {
            continue;
        };
        let Some(node) = graph.nodes.get(cell.value.index()) else {
            continue;
        };
        let mut name = cell.name.clone();
        let mut count = 2;
        while states.iter().any(|s| s.name == name) {
            name = format!("{}{count}", cell.name);
            count += 1;
        }
        let init = match fixed_init(graph, folded, cell.init) {
            Some(value) if node.shape == Shape::Bool => Init::Bool(value != 0.0),
            Some(value) => Init::Number(value),
            None => Init::Computed,
        };
        ids.insert(id, StateId(states.len() as u32));
        let kind = if node.kind.is_empty() {
            super::expr::shape_name(node.shape).to_string()
        } else {
            node.kind.clone()
        };
        states.push(State {
            name,
            kind,
            shape: node.shape,
            init,
            bytes: bytes(node.shape, target),
        });
    }
    (ids, states)
}

/// The decisions that some step's other evaluations take over, and their numbers.
pub fn decisions(
    graph: &Graph,
    scheduled: &Scheduled,
) -> (BTreeMap<NodeId, DecisionId>, Vec<Decision>) {
    let taken: BTreeSet<NodeId> = scheduled
        .parts
        .iter()
        .flat_map(|part| part.decide.keys().copied())
        .collect();
    let mut ids = BTreeMap::new();
    let mut decisions: Vec<Decision> = Vec::new();
    for node in taken {
        let source = graph
            .nodes
            .get(node.index())
            .and_then(|n| n.name.as_deref());
        let base = source.unwrap_or("decided");
        let mut name = base.to_string();
        let mut count = 2;
        while decisions.iter().any(|d| d.name == name) {
            name = format!("{base}{count}");
            count += 1;
        }
        ids.insert(node, DecisionId(decisions.len() as u32));
        decisions.push(Decision { name });
    }
    (ids, decisions)
}

/// Bytes of a value for each sample: latents are f32, numbers f64.
fn bytes(shape: Shape, target: &Target) -> u64 {
    let [channels, height, width] = target.facts.latent.map(u64::from);
    match shape {
        Shape::Scalar => 8,
        Shape::Bool => 1,
        Shape::Class => 4,
        Shape::Tensor => 4 * channels * height * width,
        Shape::Map => 4 * height * width,
        Shape::PerChannel => 4 * channels,
        // No state is one.
        Shape::Scores => 0,
    }
}

/// The predictions that some tick needs, in order of first use.
pub fn used(scheduled: &Scheduled) -> Used {
    let mut used = Used {
        list: Vec::new(),
        ids: BTreeMap::new(),
    };
    for expr in scheduled.parts.iter().flat_map(|part| part.demand.keys()) {
        let Form::Predict(ask) = scheduled.exprs.form(*expr) else {
            continue;
        };
        if let Some(row) = scheduled.predictions.get(ask.prediction.index()) {
            used.ids.entry(ask.prediction).or_insert_with(|| {
                used.list.push(row.clone());
                PredictionId(used.list.len() as u32 - 1)
            });
        }
    }
    let Used { list, ids } = &mut used;
    let interventions = list.iter_mut().flat_map(|row| &mut row.interventions);
    for arg in interventions.flat_map(|with| &mut with.args) {
        if let ArgValue::Prediction(from) = &mut arg.value {
            *from = ids.get(from).copied().unwrap_or(*from);
        }
    }
    used
}

/// The predictions of a plan, and what they were called before.
pub struct Used {
    /// In order of first use.
    pub list: Vec<Prediction>,
    ids: BTreeMap<PredictionId, PredictionId>,
}

impl Used {
    /// The number in the plan.
    pub fn id(&self, lowered: PredictionId) -> PredictionId {
        self.ids.get(&lowered).copied().unwrap_or(lowered)
    }
}

/// All questions of a plan.
pub struct Asked {
    /// To networks.
    pub used: Used,
    /// To classifiers.
    pub judged: UsedJudgements,
}

/// What the plan costs.
pub fn cost(
    scheduled: &mut Scheduled,
    segments: &[Segment],
    asked_for: &Asked,
    (ids, states): (&BTreeMap<CellId, StateId>, &[State]),
    known_backward: Backward,
) -> Cost {
    let Asked { used, judged } = asked_for;
    let mut by_prediction = vec![(0, 0); used.list.len()];
    let mut by_judgement = vec![(0, 0); judged.list.len()];
    let (mut least, mut most) = (0, 0);
    for (part, segment) in scheduled.parts.iter().zip(segments) {
        let asked: BTreeSet<PredictionId> = segment.uses().map(|u| u.prediction).collect();
        let rows = rows(
            &scheduled.exprs,
            part.demand.iter().map(|(e, g)| (*e, *g)),
            used,
            &asked,
        );
        let questions: Vec<(JudgementId, GuardId)> = part
            .demand
            .iter()
            .filter_map(|(expr, guard)| match scheduled.exprs.form(*expr) {
                Form::Judge(id, ..) => Some((judged.id(*id), *guard)),
                _ => None,
            })
            .collect();
        for tick in &part.ticks {
            let unwritten = scheduled.unwritten.get(*tick);
            let known = known(&scheduled.exprs, &part.demand, unwritten, ids, states);
            let guards: Vec<GuardId> = rows
                .iter()
                .map(|(_, guard)| count::knowing(&mut scheduled.guards, *guard, &known))
                .collect();
            for ((id, _), guard) in rows.iter().zip(&guards) {
                if let Some(row) = by_prediction.get_mut(id.index()) {
                    row.0 += u64::from(*guard == ALWAYS);
                    row.1 += u64::from(*guard != NEVER);
                }
            }
            for (id, guard) in &questions {
                let guard = count::knowing(&mut scheduled.guards, *guard, &known);
                if let Some(row) = by_judgement.get_mut(id.index()) {
                    row.0 += u64::from(guard == ALWAYS);
                    row.1 += u64::from(guard != NEVER);
                }
            }
            // A gradient is no evaluation: it has a line of its own.
            let answers = rows.iter().zip(&guards).filter(|((id, _), _)| {
                let row = used.list.get(id.index());
                row.is_some_and(|row| !row.gradient)
            });
            let guards: Vec<GuardId> = answers.map(|(_, guard)| *guard).collect();
            let (low, high) = count::extremes(&mut scheduled.guards, &guards);
            least += low;
            most += high;
        }
    }
    Cost {
        least,
        most,
        by_prediction,
        by_judgement,
        backward_bytes: backward(asked_for, known_backward),
        peak_tensors: cost::peak(segments, states),
        state_bytes: states.iter().map(|s| s.bytes).sum(),
    }
}

fn rows(
    exprs: &Exprs,
    demand: impl Iterator<Item = (super::expr::ExprId, GuardId)>,
    used: &Used,
    asked: &BTreeSet<PredictionId>,
) -> Vec<(PredictionId, GuardId)> {
    demand
        .filter_map(|(expr, guard)| match exprs.form(expr) {
            Form::Predict(ask) => used.ids.get(&ask.prediction).map(|id| (*id, guard)),
            _ => None,
        })
        .filter(|(id, _)| asked.contains(id))
        .collect()
}

/// Truth values that a tick reads before any tick wrote them.
fn known(
    exprs: &Exprs,
    demand: &live::Demand,
    unwritten: Option<&BTreeSet<CellId>>,
    ids: &BTreeMap<CellId, StateId>,
    states: &[State],
) -> Vec<(super::expr::ExprId, bool)> {
    let mut known = Vec::new();
    for expr in demand.keys() {
        let Form::State(cell) = exprs.form(*expr) else {
            continue;
        };
        if !unwritten.is_some_and(|u| u.contains(cell)) {
            continue;
        }
        let state = ids.get(cell).and_then(|id| states.get(id.index()));
        if let Some(Init::Bool(value)) = state.map(|s| &s.init) {
            known.push((*expr, *value));
        }
    }
    known
}

/// Bytes that the largest backward pass holds for each sample, of those of which it is known.
fn backward(asked: &Asked, known: Backward) -> Option<u64> {
    let networks = asked.used.list.iter().filter(|row| row.gradient);
    let networks = networks.filter_map(|_| known.network);
    let asks = asked.judged.list.iter();
    let judges = asks.filter(|row| row.gives == Gives::Gradient);
    let judges = judges.filter_map(|row| {
        let classifier = asked.judged.classifiers.get(row.classifier.index())?;
        let decoder = match classifier.sees {
            Seen::Image => Some(known.decoder?),
            Seen::Noisy | Seen::X0 => None,
        };
        match classifier.loss {
            true => decoder,
            false => Some(decoder.unwrap_or(0).saturating_add(classifier.backward?)),
        }
    });
    networks.chain(judges).max()
}

/// What the plan needs to run.
pub fn needs(graph: &Graph, segments: &[Segment], asked: &Asked) -> Vec<Need> {
    let Asked { used, judged } = asked;
    let mut needs = Vec::new();
    if used
        .list
        .iter()
        .flat_map(|p| p.conditions())
        .any(|c| matches!(c.related(), Condition::Uncond | Condition::Null))
    {
        needs.push(Need::NullCondition);
    }
    let interventions = used.list.iter().flat_map(|p| &p.interventions);
    let changed = interventions.flat_map(|with| &with.args).filter_map(|arg| {
        let ArgValue::Layers(layers) = &arg.value else {
            return None;
        };
        Some(layers)
    });
    let seen = segments.iter().flat_map(Segment::ops).filter_map(|op| {
        let Code::Look { look, .. } = &op.code else {
            return None;
        };
        Some(&look.layers)
    });
    for layers in changed.chain(seen) {
        let need = Need::Layers(layers.clone());
        if !needs.contains(&need) {
            needs.push(need);
        }
    }
    let mut inputs: BTreeSet<InputId> = BTreeSet::new();
    let mut target = false;
    let mut look = |operand: &Operand| match operand {
        Operand::Input(id) | Operand::Entry(id, _, _) => {
            inputs.insert(*id);
        }
        Operand::Target => target = true,
        _ => {}
    };
    for segment in segments {
        segment.ends().into_iter().for_each(&mut look);
        segment
            .ops()
            .flat_map(|op| op.operands())
            .for_each(&mut look);
    }
    for condition in used.list.iter().flat_map(|p| p.conditions()) {
        if let Condition::Prompt(id) | Condition::PromptAt(id, _) | Condition::PromptOf(id, _) =
            condition.related()
        {
            inputs.insert(*id);
        }
    }
    for need in &graph.needs {
        let wanted = match need {
            Need::Model(name) => used.list.iter().any(|p| p.model.as_ref() == Some(name)),
            Need::Input(id) => inputs.contains(id),
            Need::Target => target,
            Need::NullCondition | Need::Layers(_) => false,
            Need::Classifier(name) => judged
                .classifiers
                .iter()
                .any(|c| !c.loss && c.name == *name),
            Need::Loss(name) => judged.classifiers.iter().any(|c| c.loss && c.name == *name),
        };
        if wanted && !needs.contains(need) {
            needs.push(need.clone());
        }
    }
    for need in inputs
        .into_iter()
        .map(Need::Input)
        .chain(target.then_some(Need::Target))
    {
        if !needs.contains(&need) {
            needs.push(need);
        }
    }
    needs
}
