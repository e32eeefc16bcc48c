//! From the engine's nodes to the graph: only what the outcome and live state reach, renumbered.

use std::collections::BTreeMap;

use crate::graph::{self, Cell, CellId, Graph, NodeId, Op, WithArg};
use crate::plan::{Condition, InputId, Need};

use super::engine::Engine;
use super::operands::{operands, visit};
use super::value::{Data, Outcome};

/// What is kept.
#[derive(Default)]
struct Reached {
    nodes: Vec<bool>,
    cells: Vec<bool>,
}

impl Engine<'_> {
    /// The graph of an outcome.
    pub(crate) fn finish(&mut self, outcome: &Outcome, negative: bool) -> Graph {
        let mut reached = Reached {
            nodes: vec![false; self.graph.nodes.len()],
            cells: vec![false; self.cells.len()],
        };
        let mut todo = Vec::new();
        roots(outcome, &mut todo);
        while let Some(node) = todo.pop() {
            match reached.nodes.get_mut(node.index()) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            let op = &self.graph.node(node).op;
            todo.extend(operands(op));
            if let Op::Prev(cell) = op
                && let (Some(seen), Some(draft)) = (
                    reached.cells.get_mut(cell.0 as usize),
                    self.cells.get(cell.0 as usize),
                )
                && !*seen
            {
                *seen = true;
                todo.push(draft.init);
                todo.extend(draft.value);
                todo.extend(draft.region.iter().map(|(test, _)| *test));
            }
        }
        self.renumber(outcome, &reached, negative)
    }

    fn renumber(&self, outcome: &Outcome, reached: &Reached, negative: bool) -> Graph {
        let numbers = |kept: &[bool]| {
            let mut next = 0u32;
            kept.iter()
                .map(|keep| {
                    let number = next;
                    next += u32::from(*keep);
                    number
                })
                .collect::<Vec<_>>()
        };
        let (nodes, cells) = (numbers(&reached.nodes), numbers(&reached.cells));
        let node = |id: NodeId| NodeId(nodes.get(id.index()).copied().unwrap_or(0));
        let mut graph = Graph::default();
        for (old, _) in self
            .graph
            .nodes
            .iter()
            .zip(&reached.nodes)
            .filter(|(_, keep)| **keep)
        {
            let mut new = old.clone();
            visit(&mut new.op, &mut |operand| *operand = node(*operand));
            if let Op::Prev(cell) = &mut new.op {
                *cell = CellId(cells.get(cell.0 as usize).copied().unwrap_or(0));
            }
            graph.nodes.push(new);
        }
        for (draft, _) in self
            .cells
            .iter()
            .zip(&reached.cells)
            .filter(|(_, keep)| **keep)
        {
            graph.cells.push(Cell {
                name: draft.name.clone(),
                path: draft.path.clone(),
                // INVARIANT: a state without errors has its value by the end of its body.
                value: node(draft.value.unwrap_or(draft.init)),
                init: node(draft.init),
                region: draft
                    .region
                    .iter()
                    .map(|(test, holds)| (node(*test), *holds))
                    .collect(),
                span: draft.span,
            });
        }
        graph.outcome = Some(result(outcome, &node));
        self.needs(&mut graph, negative);
        graph
    }

    /// What the graph needs, in order of first use; inputs are renumbered likewise.
    fn needs(&self, graph: &mut Graph, negative: bool) {
        let mut needs: Vec<Need> = Vec::new();
        let mut inputs: BTreeMap<InputId, InputId> = BTreeMap::new();
        let mut list = Vec::new();
        let mut need = |need: Need| {
            if !needs.contains(&need) {
                needs.push(need);
            }
        };
        let mut input = |id: &mut InputId, need: &mut dyn FnMut(Need)| {
            let new = *inputs.entry(*id).or_insert_with(|| {
                list.extend(self.inputs.get(id.index()).cloned());
                InputId(list.len().saturating_sub(1) as u32)
            });
            *id = new;
            need(Need::Input(new));
        };
        for node in &mut graph.nodes {
            match &mut node.op {
                Op::Input(id) | Op::Entry(id, ..) | Op::Count(id) => input(id, &mut need),
                Op::Target => need(Need::Target),
                Op::Look(_, look) => need(Need::Layers(look.layers.clone())),
                Op::Judge(judge) | Op::JudgeGradient(judge, _) => {
                    let name = judge.classifier.clone();
                    need(match judge.loss {
                        true => Need::Loss(name),
                        false => Need::Classifier(name),
                    });
                }
                Op::Predict(predict) | Op::PredictGradient(predict, _) => {
                    if let Some(model) = &predict.model {
                        need(Need::Model(model.clone()));
                    }
                    let mut condition = |of: &mut Condition| match of.related_mut() {
                        Condition::Null => need(Need::NullCondition),
                        Condition::Uncond if !negative => need(Need::NullCondition),
                        Condition::Prompt(id)
                        | Condition::PromptAt(id, _)
                        | Condition::PromptOf(id, _) => input(id, &mut need),
                        _ => {}
                    };
                    condition(&mut predict.condition);
                    let args = predict.with.iter_mut().flat_map(|with| &mut with.args);
                    let mut layers = Vec::new();
                    for (_, arg, _) in args {
                        match arg {
                            WithArg::Condition(of) => condition(of),
                            WithArg::Layers(of) => layers.push(of.clone()),
                            _ => {}
                        }
                    }
                    layers.into_iter().map(Need::Layers).for_each(&mut need);
                }
                _ => {}
            }
        }
        graph.needs = needs;
        graph.inputs = list;
    }
}

fn roots(outcome: &Outcome, list: &mut Vec<NodeId>) {
    match outcome {
        Outcome::Hold => {}
        Outcome::If(test, a, b) => {
            list.push(*test);
            roots(a, list);
            roots(b, list);
        }
        Outcome::Guided {
            denoise,
            renoise,
            shift,
            moves,
        } => {
            list.push(denoise.node);
            list.extend(
                [renoise, shift, moves]
                    .into_iter()
                    .flatten()
                    .map(|d| d.node),
            );
        }
    }
}

fn result(outcome: &Outcome, node: &dyn Fn(NodeId) -> NodeId) -> graph::Outcome {
    let of = |data: &Option<Data>| data.as_ref().map(|d| node(d.node));
    match outcome {
        Outcome::Hold => graph::Outcome::Hold,
        Outcome::If(test, a, b) => graph::Outcome::If(
            node(*test),
            Box::new(result(a, node)),
            Box::new(result(b, node)),
        ),
        Outcome::Guided {
            denoise,
            renoise,
            shift,
            moves,
        } => graph::Outcome::Guided {
            denoise: node(denoise.node),
            renoise: of(renoise).filter(|r| *r != node(denoise.node)),
            shift: of(shift),
            moves: of(moves),
        },
    }
}
