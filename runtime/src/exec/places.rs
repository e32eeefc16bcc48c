//! Where a sample's values lie: block buffers inside a pass, whole buffers between passes.
//!
//! Whole buffers are numbered: first what each state holds, then what each state will hold, then
//! values, which share buffers where their lives do not overlap.

use guide_compiler::plan::{JudgementId, Judging, Op, Operand, Plan, Segment, Shape};

use super::program::{Draft, Dst, Src, is_number};
use super::sample::Slot;

/// The places of a segment's values.
#[derive(Clone, Debug)]
pub struct Places {
    /// By value; `None` for numbers and for what never leaves its pass.
    of: Vec<Option<Dst>>,
    /// Block buffers in use by values of the pass at hand.
    regs: Vec<Option<usize>>,
    /// How many predictions the plan has; what judgements give comes after them.
    predictions: usize,
    /// Which judgements are numbers.
    numbers: Vec<bool>,
    /// Which states.
    states: usize,
    /// Block buffers that a sample needs at once.
    pub most_regs: usize,
    /// Whole buffers that a sample needs at once, states included.
    pub rows: usize,
    /// What passes write to pages: the result's tensors (denoise, renoise, shift, move), then points.
    pub outs: [Option<usize>; PAGES],
}

/// Pages of a tick: the parts of the result, and the points where later waves ask.
pub const PAGES: usize = PARTS + POINTS;

/// Parts of a result.
pub const PARTS: usize = 4;

/// Points that get a page of their own, which a network is given as it is; others are copied.
const POINTS: usize = 4;

/// The parts of a result, in order: denoise, renoise, shift, move.
pub fn parts(segment: &Segment) -> [Option<&Operand>; PARTS] {
    let result = &segment.result;
    [
        result.denoise.as_ref(),
        result.renoise.as_ref(),
        result.shift.as_ref(),
        result.moves.as_ref(),
    ]
}

fn value_of(operand: &Operand) -> Option<usize> {
    if let Operand::Value(id) = operand {
        Some(id.index())
    } else {
        None
    }
}

impl Places {
    /// Whether a pass has written this part of a result itself, for this sample.
    pub(super) fn is_written(&self, part: usize, operand: &Operand, slot: &Slot) -> bool {
        value_of(operand).is_some_and(|v| self.outs[part] == Some(v) && slot.done[v])
    }

    /// Finds a place for every value that outlives its pass.
    pub(super) fn new(plan: &Plan, segment: &Segment, waves: &[(Vec<Op>, Vec<Draft>)]) -> Self {
        let states = plan.states.len();
        let count = segment.values.len();
        let mut places = Self {
            of: vec![None; count],
            regs: vec![None; count],
            predictions: plan.predictions.len(),
            numbers: (0..plan.judgements.len())
                .map(|id| is_number(plan.shape_of_judgement(JudgementId(id as u32))))
                .collect(),
            states,
            most_regs: 0,
            rows: 2 * states,
            outs: [None; PAGES],
        };
        let tensor = |v: &usize| !is_number(segment.values[*v].shape);

        // Results go straight to what the solver gets, kept values straight to their state.
        for (j, part) in parts(segment).into_iter().enumerate() {
            if let Some(v) = part
                .and_then(value_of)
                .filter(|v| segment.values[*v].shape == Shape::Tensor)
                && places.of[v].is_none()
            {
                places.of[v] = Some(Dst::Out(j));
                places.outs[j] = Some(v);
            }
        }
        for keep in &segment.keep {
            if let Some(v) = value_of(&keep.value).filter(tensor)
                && places.of[v].is_none()
                && segment.values[v].shape == plan.states[keep.state.index()].shape
            {
                places.of[v] = Some(Dst::Row(states + keep.state.index()));
            }
        }
        places.give_points_pages(segment);

        // The pieces of work in order of time, with where each value is made and read last.
        let mut made = vec![None; count];
        let mut last = vec![0usize; count];
        let mut time = 0;
        for (wave, (ops, drafts)) in waves.iter().enumerate() {
            time += 1;
            for question in segment.waves[wave]
                .evaluate
                .iter()
                .flat_map(|batch| &batch.uses)
            {
                for v in question
                    .at
                    .iter()
                    .chain(&question.time)
                    .chain(&question.told)
                    .chain(&question.class)
                    .chain(&question.maps)
                    .chain(&question.by)
                    .filter_map(value_of)
                {
                    last[v] = time;
                }
            }
            let judged = segment.waves[wave].judge.iter();
            for v in judged.flat_map(Judging::operands).filter_map(value_of) {
                last[v] = time;
            }
            for draft in drafts {
                time += 1;
                let mut own = |i: usize| {
                    made[ops[i].out.index()] = Some((time, matches!(draft, Draft::Pass(..))));
                    for v in ops[i].operands().into_iter().filter_map(value_of) {
                        last[v] = time;
                    }
                };
                match draft {
                    Draft::Scalar(i) | Draft::Whole(i) => own(*i),
                    Draft::Pass(_, all) => all.iter().copied().for_each(own),
                }
            }
        }
        let ends = segment
            .keep
            .iter()
            .map(|keep| &keep.value)
            .chain(parts(segment).into_iter().flatten());
        for v in ends.filter_map(value_of) {
            last[v] = usize::MAX;
        }

        let mut order: Vec<usize> = (0..count)
            .filter(|v| made[*v].is_some() && tensor(v))
            .collect();
        order.sort_by_key(|v| made[*v]);
        let mut free_after: Vec<usize> = Vec::new();
        for v in order {
            let Some((from, in_pass)) = made[v] else {
                continue;
            };
            if places.of[v].is_some() || (in_pass && last[v] <= from) {
                continue;
            }
            let row = free_after
                .iter()
                .position(|end| *end < from)
                .unwrap_or_else(|| {
                    free_after.push(0);
                    free_after.len() - 1
                });
            free_after[row] = last[v].max(from);
            places.of[v] = Some(Dst::Row(2 * states + row));
        }
        places.rows = 2 * states + free_after.len();
        places
    }

    /// Points where questions are put get the pages after the result's.
    fn give_points_pages(&mut self, segment: &Segment) {
        let uses = segment.waves.iter().flat_map(|wave| &wave.evaluate);
        let points = uses
            .flat_map(|batch| &batch.uses)
            .filter_map(|question| question.at.as_ref().and_then(value_of));
        for v in points {
            let free = (PARTS..PAGES).find(|j| self.outs[*j].is_none());
            if let Some(j) = free
                && self.of[v].is_none()
                && segment.values[v].shape == Shape::Tensor
            {
                self.of[v] = Some(Dst::Out(j));
                self.outs[j] = Some(v);
            }
        }
    }

    /// Where a value is written: its place, or a block buffer of the pass at hand.
    pub(super) fn write(&mut self, value: usize) -> Dst {
        match self.of[value] {
            Some(place) => place,
            None => Dst::Reg(self.take_reg(Some(value))),
        }
    }

    /// A free block buffer, for a value or for an expansion.
    pub(super) fn take_reg(&mut self, value: Option<usize>) -> usize {
        let busy: Vec<usize> = self.regs.iter().flatten().copied().collect();
        let reg = (0..).find(|reg| !busy.contains(reg)).unwrap_or_default();
        match value {
            Some(value) => self.regs[value] = Some(reg),
            None => self.regs.push(Some(reg)),
        }
        self.most_regs = self.most_regs.max(reg + 1);
        reg
    }

    /// Frees the block buffer of a value.
    pub(super) fn free_reg(&mut self, value: usize) {
        self.regs[value] = None;
    }

    /// Frees all block buffers: a pass has ended.
    pub(super) fn end_pass(&mut self) {
        self.regs.truncate(self.of.len());
        self.regs.fill(None);
    }

    /// Where a tensor-like operand is read.
    pub(super) fn read(&self, operand: &Operand) -> Src {
        match operand {
            Operand::Value(id) => match (self.of[id.index()], self.regs[id.index()]) {
                (Some(Dst::Row(row)), _) => Src::Row(row),
                (Some(Dst::Out(out)), _) => Src::Out(out),
                (_, Some(reg)) => Src::Reg(reg),
                _ => Src::Num(operand.clone()),
            },
            Operand::Prediction(id) => Src::Prediction(id.index()),
            Operand::Judgement(id) if self.numbers[id.index()] => Src::Num(operand.clone()),
            Operand::Judgement(id) => Src::Prediction(self.predictions + id.index()),
            Operand::State(id) => Src::Row(id.index()),
            Operand::Latent => Src::Latent,
            Operand::Input(id) => Src::Input(id.index()),
            Operand::Entry(..) | Operand::Number(_) | Operand::Target | Operand::Decision(_) => {
                Src::Num(operand.clone())
            }
        }
    }

    /// How many states the plan has.
    pub fn states(&self) -> usize {
        self.states
    }
}
