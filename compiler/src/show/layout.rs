//! What a drawing of a plan shows: one cluster a segment, in it predictions, passes, what is kept
//! and what leaves, with an arrow for each thing read.

use std::collections::BTreeMap;

use super::expression::Names;
use super::words;
use crate::plan::{
    DecisionId, JudgementId, Operand, Plan, PredictionId, Segment, StateId, ValueId,
};

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A prediction, or what a classifier answers.
    Network,
    /// Operations in one pass over memory.
    Pass,
    /// State, read or kept.
    State,
    /// What leaves.
    Result,
}

/// A box.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it stands for.
    pub kind: Kind,
    /// Its lines of text.
    pub lines: Vec<String>,
    /// Its row: every box that it reads stands in an earlier one.
    pub row: usize,
}

/// The boxes and arrows of a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    /// `steps 0..20`
    pub title: String,
    /// The boxes.
    pub items: Vec<Item>,
    /// Arrows, from box to box.
    pub arrows: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Value(ValueId),
    Prediction(PredictionId),
    Judgement(JudgementId),
    State(StateId),
    Decision(DecisionId),
}

struct Drawer<'a> {
    plan: &'a Plan,
    names: Names<'a>,
    drawing: Drawing,
    made: BTreeMap<Source, usize>,
}

/// The drawing of a segment.
pub fn drawing(plan: &Plan, segment: &Segment) -> Drawing {
    let title = match segment.steps {
        (from, to) if to == from + 1 => format!("{} {from}", words::step(plan)),
        (from, to) => format!("{}s {from}..{to}", words::step(plan)),
    };
    let title = if segment.substep > 0 {
        format!("{title}, substep {}", segment.substep)
    } else {
        title
    };
    let mut drawer = Drawer {
        plan,
        names: Names::new(plan, segment),
        drawing: Drawing {
            title,
            ..Drawing::default()
        },
        made: BTreeMap::new(),
    };
    for wave in &segment.waves {
        for one in wave.evaluate.iter().flat_map(|b| &b.uses) {
            let mut lines = vec![drawer.names.operand(&Operand::Prediction(one.prediction))];
            lines.extend(
                one.when
                    .as_ref()
                    .map(|w| format!("when {}", drawer.names.guard(w))),
            );
            let at = drawer.add(Kind::Network, lines, &one.operands());
            drawer.made.insert(Source::Prediction(one.prediction), at);
        }
        for one in &wave.judge {
            let mut lines = vec![drawer.names.operand(&Operand::Judgement(one.judgement))];
            lines.extend(
                one.when
                    .as_ref()
                    .map(|w| format!("when {}", drawer.names.guard(w))),
            );
            let at = drawer.add(Kind::Network, lines, &one.operands());
            drawer.made.insert(Source::Judgement(one.judgement), at);
        }
        for group in &wave.compute {
            let mut lines = Vec::new();
            let when = group.ops.first().and_then(|op| op.when.as_ref());
            lines.extend(when.map(|w| format!("when {}", drawer.names.guard(w))));
            for op in &group.ops {
                let name = drawer.names.operand(&Operand::Value(op.out));
                lines.push(format!("{name} = {}", drawer.names.code(&op.code)));
            }
            let own: Vec<ValueId> = group.ops.iter().map(|op| op.out).collect();
            let reads: Vec<&Operand> = group
                .ops
                .iter()
                .flat_map(|op| op.operands())
                .filter(|o| !matches!(o, Operand::Value(id) if own.contains(id)))
                .collect();
            let at = drawer.add(Kind::Pass, lines, &reads);
            for id in own {
                drawer.made.insert(Source::Value(id), at);
            }
        }
    }
    for keep in &segment.keep {
        let name = plan
            .states
            .get(keep.state.index())
            .map_or("?", |s| s.name.as_str());
        let mut lines = vec![format!("keep {name}")];
        lines.extend(
            keep.when
                .as_ref()
                .map(|w| format!("when {}", drawer.names.guard(w))),
        );
        drawer.add(Kind::State, lines, &[&keep.value]);
    }
    for decide in &segment.decide {
        let lines = vec![format!("decide {}", drawer.names.decided(decide))];
        drawer.add(Kind::State, lines, &[&decide.value]);
    }
    let result = &segment.result;
    let leaving = match &result.denoise {
        Some(denoise) => format!(
            "return {} in {}",
            drawer.names.operand(denoise),
            result.space.name()
        ),
        None => "hold".to_string(),
    };
    drawer.add(Kind::Result, vec![leaving], &result.operands());
    drawer.drawing
}

impl Drawer<'_> {
    fn add(&mut self, kind: Kind, lines: Vec<String>, reads: &[&Operand]) -> usize {
        let mut from = Vec::new();
        for operand in reads {
            let source = match operand {
                Operand::Value(id) => Source::Value(*id),
                Operand::Prediction(id) => Source::Prediction(*id),
                Operand::Judgement(id) => Source::Judgement(*id),
                Operand::State(id) => Source::State(*id),
                Operand::Decision(id) => Source::Decision(*id),
                _ => continue,
            };
            let at = match (self.made.get(&source), source) {
                (Some(at), _) => *at,
                (None, Source::State(id)) => self.state(id),
                (None, Source::Decision(id)) => self.decision(id),
                (None, _) => continue,
            };
            if !from.contains(&at) {
                from.push(at);
            }
        }
        let rows = from
            .iter()
            .filter_map(|at| self.drawing.items.get(*at))
            .map(|i| i.row + 1);
        let row = rows.max().unwrap_or(0);
        let at = self.drawing.items.len();
        self.drawing.items.push(Item { kind, lines, row });
        self.drawing
            .arrows
            .extend(from.into_iter().map(|f| (f, at)));
        at
    }

    fn state(&mut self, id: StateId) -> usize {
        let lines = match self.plan.states.get(id.index()) {
            Some(state) => vec![format!("{}'", state.name), words::bytes(state.bytes)],
            None => vec!["?".to_string()],
        };
        self.source(Source::State(id), lines)
    }

    fn decision(&mut self, id: DecisionId) -> usize {
        let lines = vec![self.names.operand(&Operand::Decision(id))];
        self.source(Source::Decision(id), lines)
    }

    /// A box for something that earlier evaluations left.
    fn source(&mut self, source: Source, lines: Vec<String>) -> usize {
        let at = self.drawing.items.len();
        self.drawing.items.push(Item {
            kind: Kind::State,
            lines,
            row: 0,
        });
        self.made.insert(source, at);
        at
    }
}
