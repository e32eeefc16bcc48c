//! A segment as the plan holds it: operations with numbered values, waves, batches, guards.

mod tasks;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::expr::{ExprId, Exprs, FilterForm, Form, Term};
use super::gather::Impossible;
use super::guard::{ALWAYS, GuardId, Guards, NEVER};
use super::judging::UsedJudgements;
use super::live::{Demand, Formulas};
use super::lower::Lowered;
use super::merge;
use super::order::{self, Stage};
use super::scalar::{ScalarId, Scalars};
use super::tables::Used;
use crate::graph::{CellId, NodeId};
use crate::plan::{
    Batch, Code, Compare, Decide, DecisionId, Filter, Group, Guard, Hold, Judging, Keep, Literal,
    Number, Op, Operand, Outcome, PredictionId, Reduce, Segment, Shape, StateId, Use, Value,
    ValueId, Wave,
};

/// All that segments share.
pub struct Emit<'a> {
    /// All expressions.
    pub exprs: &'a Exprs,
    /// All known numbers.
    pub scalars: &'a mut Scalars,
    /// All truth functions.
    pub guards: &'a mut Guards,
    /// Truth values as functions.
    pub formulas: &'a mut Formulas,
    /// The plan's predictions.
    pub used: &'a Used,
    /// The plan's questions to classifiers.
    pub judged: &'a UsedJudgements,
    /// The plan's number of each state.
    pub states: &'a BTreeMap<CellId, StateId>,
    /// The plan's number of each decision.
    pub decisions: &'a BTreeMap<NodeId, DecisionId>,
    /// Names that values must not take.
    pub taken: &'a BTreeSet<String>,
    /// What the result is called that has no name: `guided`.
    pub leaves: &'static str,
    /// How many ticks the plan has.
    pub ticks: usize,
    /// Whether operations share passes over memory.
    pub fuse: bool,
}

/// The ticks of a segment and what they do.
pub struct Work<'a> {
    /// Places in the timetable.
    pub ticks: &'a [usize],
    /// First step, and the step after the last.
    pub steps: (u32, u32),
    /// Which evaluation of each step.
    pub substep: u32,
    /// What is to be done.
    pub tick: &'a Lowered,
    /// What is needed of it.
    pub demand: &'a Demand,
    /// The state that goes on.
    pub live: &'a BTreeSet<CellId>,
    /// What the step's other evaluations take over.
    pub decide: &'a merge::Decide,
}

/// One segment while it is put together.
struct Draft<'a, 'b> {
    emit: &'b mut Emit<'a>,
    work: &'b Work<'b>,
    sums: HashMap<ExprId, Vec<Term>>,
    guards_of: BTreeMap<ExprId, GuardId>,
    values: HashMap<ExprId, ValueId>,
    rows: Vec<Value>,
}

/// Sums that only products ask for, and for which samples.
type Extra = BTreeMap<ExprId, GuardId>;

/// A state to be kept: the cell, the value, and for which samples.
type Keeping = (CellId, ExprId, GuardId);

impl<'a> Emit<'a> {
    /// The segment.
    ///
    /// # Errors
    /// A conversion that a tick of it makes impossible.
    pub fn segment(&mut self, work: &Work<'_>) -> Result<Segment, Impossible> {
        let keeps = self.keeps(work);
        let mut draft = Draft {
            emit: self,
            work,
            sums: HashMap::new(),
            guards_of: BTreeMap::new(),
            values: HashMap::new(),
            rows: Vec::new(),
        };
        draft.collect(&keeps)?;
        let tasks = draft.ordered_tasks();
        let stages = order::order(&tasks, draft.emit.fuse);
        draft.number(&stages);
        Ok(draft.finish(&stages, &keeps))
    }

    fn keeps(&mut self, work: &Work<'_>) -> Vec<Keeping> {
        let mut keeps = Vec::new();
        for cell in work.live {
            let Some(kept) = work.tick.cells.get(cell.index()) else {
                continue;
            };
            let Some(region) = &kept.region else { continue };
            let mut guard = ALWAYS;
            for (condition, holds) in region {
                let mut formula = self.formulas.of(self.exprs, self.guards, *condition);
                if !holds {
                    formula = self.guards.not(formula);
                }
                guard = self.guards.and(guard, formula);
            }
            if guard == NEVER {
                continue;
            }
            keeps.push((*cell, kept.value, guard));
        }
        keeps
    }
}

impl Draft<'_, '_> {
    /// Numbers the values in order of execution and names them.
    fn number(&mut self, stages: &[Stage]) {
        let mut used = self.emit.taken.clone();
        let result = &self.work.tick.result;
        let leaves = self.emit.leaves;
        let mut made = 0;
        for expr in stages.iter().flat_map(|s| s.passes.iter().flatten()) {
            let leaving = [(result.denoise, leaves), (result.renoise, "renoised")];
            let given = leaving
                .iter()
                .find(|(e, _)| *e == Some(*expr))
                .map(|(_, name)| *name);
            let name = match self.emit.exprs.name(*expr).or(given) {
                Some(base) => {
                    let mut name = base.to_string();
                    let mut count = 2;
                    while !used.insert(name.clone()) {
                        name = format!("{base}{count}");
                        count += 1;
                    }
                    name
                }
                None => {
                    made += 1;
                    format!("%{made}")
                }
            };
            let id = ValueId(self.rows.len() as u32);
            self.values.insert(*expr, id);
            self.rows.push(Value {
                name,
                kind: self.emit.exprs.kind(*expr),
                shape: self.emit.exprs.shape(*expr),
                stored: false,
            });
        }
    }

    fn number_of(&self, id: ScalarId) -> Number {
        self.emit.scalars.number(id, self.work.ticks)
    }

    fn operand(&mut self, expr: ExprId) -> Operand {
        match self.emit.exprs.form(expr) {
            Form::Latent => return Operand::Latent,
            Form::Target => return Operand::Target,
            Form::Input(input) => return Operand::Input(*input),
            Form::Entry(input, row, column) => {
                let (input, row, column) = (*input, *row, *column);
                return Operand::Entry(input, self.number_of(row), self.number_of(column));
            }
            Form::State(cell) => {
                return Operand::State(self.emit.states.get(cell).copied().unwrap_or(StateId(0)));
            }
            Form::Held(node) => {
                let decision = self.emit.decisions.get(node).copied();
                return Operand::Decision(decision.unwrap_or(DecisionId(0)));
            }
            Form::Predict(ask) => return Operand::Prediction(self.emit.used.id(ask.prediction)),
            Form::Judge(id, ..) => return Operand::Judgement(self.emit.judged.id(*id)),
            _ => {}
        }
        if let Some(number) = self.emit.exprs.as_scalar(expr) {
            let zero = self.emit.scalars.literal(0.0);
            return Operand::Number(self.number_of(number.unwrap_or(zero)));
        }
        // INVARIANT: every task but a prediction has a value.
        Operand::Value(self.values.get(&expr).copied().unwrap_or(ValueId(0)))
    }

    fn guard(&mut self, guard: GuardId) -> Option<Guard> {
        if guard == ALWAYS {
            return None;
        }
        let ways = self.emit.guards.ways(guard);
        let mut any = Vec::new();
        for way in ways {
            let all = way.into_iter().map(|(of, holds)| Literal {
                of: self.operand(of),
                holds,
            });
            any.push(all.collect());
        }
        Some(Guard { any })
    }

    fn finish(mut self, stages: &[Stage], keeps: &[Keeping]) -> Segment {
        let mut waves = Vec::new();
        for stage in stages {
            let mut evaluate: Vec<Batch> = Vec::new();
            for expr in &stage.uses {
                self.add_use(&mut evaluate, *expr);
            }
            let judge = stage.uses.iter().filter_map(|expr| self.judging(*expr));
            let judge = judge.collect();
            let mut compute = Vec::new();
            for pass in &stage.passes {
                let ops = pass.iter().map(|expr| self.op(*expr)).collect();
                compute.push(Group { ops });
            }
            waves.push(Wave {
                evaluate,
                judge,
                compute,
            });
        }
        let mut keep = Vec::new();
        for (cell, value, guard) in keeps {
            let Some(state) = self.emit.states.get(cell).copied() else {
                continue;
            };
            let value = self.operand(*value);
            keep.push(Keep {
                state,
                value,
                when: self.guard(*guard),
            });
        }
        let mut decide = Vec::new();
        for (node, value) in self.work.decide {
            if let Some(decision) = self.emit.decisions.get(node).copied() {
                let value = self.operand(*value);
                decide.push(Decide { decision, value });
            }
        }
        let result = self.work.tick.result.clone();
        let hold = match self.emit.exprs.as_flag(result.hold) {
            Some(true) => Hold::Always,
            Some(false) => Hold::Never,
            None => Hold::When(self.operand(result.hold)),
        };
        let result = Outcome {
            space: result.space,
            denoise: result.denoise.map(|e| self.operand(e)),
            renoise: result.renoise.map(|e| self.operand(e)),
            shift: result.shift.map(|e| self.operand(e)),
            moves: result.moves.map(|e| self.operand(e)),
            hold,
        };
        let mut segment = Segment {
            steps: self.work.steps,
            substep: self.work.substep,
            values: self.rows,
            waves,
            keep,
            decide,
            result,
        };
        segment.mark_stored();
        segment
    }

    fn add_use(&mut self, batches: &mut Vec<Batch>, expr: ExprId) {
        let Form::Predict(ask) = self.emit.exprs.form(expr) else {
            return;
        };
        let ask = ask.clone();
        let guard = self.guards_of.get(&expr).copied().unwrap_or(ALWAYS);
        let prediction = self.emit.used.id(ask.prediction);
        let one = Use {
            prediction,
            at: ask.at.map(|e| self.operand(e)),
            t: ask.t.map(|t| self.number_of(t)),
            time: ask.time.map(|e| self.operand(e)),
            told: ask.told.map(|e| self.operand(e)),
            class: ask.class.map(|e| self.operand(e)),
            maps: ask.maps.iter().map(|e| self.operand(*e)).collect(),
            by: ask.by.map(|e| self.operand(e)),
            when: self.guard(guard),
            shares: None,
        };
        let used = self.emit.used;
        let row = |id: PredictionId| used.list.get(id.index());
        let Some(own) = row(prediction) else { return };
        let together = |batch: &&mut Batch| {
            let other = batch.uses.first().and_then(|u| row(u.prediction));
            other.is_some_and(|other| {
                other.model == own.model
                    && other.interventions == own.interventions
                    && other.control == own.control
                    && other.gradient == own.gradient
            })
        };
        match batches.iter_mut().find(together) {
            Some(batch) => batch.uses.push(one),
            None => {
                batches.push(Batch {
                    uses: vec![one],
                    coupled: own.couples(),
                });
            }
        }
    }

    /// A question to a classifier.
    fn judging(&mut self, expr: ExprId) -> Option<Judging> {
        let Form::Judge(id, of, by) = *self.emit.exprs.form(expr) else {
            return None;
        };
        let guard = self.guards_of.get(&expr).copied().unwrap_or(ALWAYS);
        Some(Judging {
            judgement: self.emit.judged.id(id),
            of: self.operand(of),
            by: by.map(|by| self.operand(by)),
            when: self.guard(guard),
        })
    }

    fn op(&mut self, expr: ExprId) -> Op {
        let guard = self.guards_of.get(&expr).copied().unwrap_or(ALWAYS);
        Op {
            out: self.values.get(&expr).copied().unwrap_or(ValueId(0)),
            code: self.code(expr),
            when: self.guard(guard),
        }
    }

    fn code(&mut self, expr: ExprId) -> Code {
        let form = self.form(expr);
        match form {
            Form::Linear(_) => {
                let terms = self.sums.get(&expr).cloned().unwrap_or_default();
                Code::Linear(terms.into_iter().map(|t| self.term(t)).collect())
            }
            Form::Flag(value) => {
                let one = Number {
                    text: "1".into(),
                    values: vec![1.0],
                };
                let other = if value { 1.0 } else { 0.0 };
                let other = Number {
                    text: crate::show::number(other),
                    values: vec![other],
                };
                Code::Compare(Compare::Eq, Operand::Number(other), Operand::Number(one))
            }
            Form::Div(a, b) => Code::Div(self.operand(a), self.operand(b)),
            Form::Unary(op, a) => Code::Unary(op, self.operand(a)),
            Form::Binary(op, a, b) => Code::Binary(op, self.operand(a), self.operand(b)),
            Form::Compare(op, a, b) => Code::Compare(op, self.operand(a), self.operand(b)),
            Form::And(a, b) => Code::And(self.operand(a), self.operand(b)),
            Form::Or(a, b) => Code::Or(self.operand(a), self.operand(b)),
            Form::Not(a) => Code::Not(self.operand(a)),
            Form::Select(c, a, b) | Form::Where(c, a, b) => {
                Code::Select(self.operand(c), self.operand(a), self.operand(b))
            }
            Form::Clip(a, b, c) => Code::Clip(self.operand(a), self.operand(b), self.operand(c)),
            Form::Reduce {
                op,
                over,
                of,
                with,
                level,
            } => Code::Reduce(Reduce {
                op,
                over,
                of: self.operand(of),
                with: with.map(|w| self.operand(w)),
                level: level.map(|l| self.operand(l)),
            }),
            Form::Filter(filter, of) => Code::Filter(self.filter(filter), self.operand(of)),
            Form::Random(key, low, high) => Code::Random {
                key,
                low: self.operand(low),
                high: self.operand(high),
            },
            Form::Gaussian(key) => Code::Gaussian { key },
            Form::Look(of, look) => Code::Look {
                of: self.operand(of),
                look,
            },
            Form::NoiseAt(part, t) => Code::NoiseAt(part, self.operand(t)),
            Form::Softmax(a) => Code::Softmax(self.operand(a)),
            Form::Pick(a, class) => Code::Pick(self.operand(a), self.operand(class)),
            Form::Argmax(a, except) => {
                let except = except.map(|class| self.operand(class));
                Code::Argmax(self.operand(a), except)
            }
            Form::MeanWithin(a, regions) => {
                Code::MeanWithin(self.operand(a), self.operand(regions))
            }
            Form::OneHot(a, class) => Code::OneHot(self.operand(a), self.operand(class)),
            Form::Fresh(cell, init) => {
                let state = self.emit.states.get(&cell).copied().unwrap_or(StateId(0));
                Code::Fresh(state, self.operand(init))
            }
            // INVARIANT: none of these is a task; `Refused` ends the plan before it is emitted.
            Form::Latent
            | Form::Target
            | Form::Input(_)
            | Form::Entry(..)
            | Form::State(_)
            | Form::Held(_)
            | Form::Predict(_)
            | Form::Judge(..)
            | Form::Shift(_)
            | Form::Share(_)
            | Form::Refused(..) => Code::Linear(Vec::new()),
        }
    }

    fn term(&mut self, term: Term) -> crate::plan::Term {
        let factor = self.number_of(term.factor);
        let mut by = term.by;
        // The largest factor is what the others scale.
        let rank = |s: Shape| match s {
            Shape::Tensor => 2,
            Shape::Map | Shape::PerChannel => 1,
            _ => 0,
        };
        let largest = (0..by.len()).max_by_key(|i| (rank(self.emit.exprs.shape(by[*i])), *i));
        let of = largest.map(|i| by.remove(i));
        crate::plan::Term {
            factor,
            by: by.into_iter().map(|e| self.operand(e)).collect(),
            of: of.map(|e| self.operand(e)),
        }
    }

    fn filter(&self, filter: FilterForm) -> Filter {
        match filter {
            FilterForm::GaussianBlur { sigma, taps } => Filter::GaussianBlur {
                sigma: self.number_of(sigma),
                taps,
            },
            FilterForm::Band { level, of } => Filter::Band { level, of },
            FilterForm::Resample(factor) => Filter::Resample {
                factor: self.number_of(factor),
            },
            FilterForm::FftDisk(radius) => Filter::FftDisk {
                radius: self.number_of(radius),
            },
            FilterForm::FftBox(radius) => Filter::FftBox {
                radius: self.number_of(radius),
            },
            FilterForm::DctHighpass(cutoff) => Filter::DctHighpass {
                cutoff: self.number_of(cutoff),
            },
        }
    }
}
