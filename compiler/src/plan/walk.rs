//! What operations read: one walk for the checker, the printers, the cost and the executor.

use std::collections::BTreeSet;

use super::{
    Code, Filter, Guard, Hold, Judging, Number, Op, Operand, Outcome, Segment, Use, ValueId,
};

impl Code {
    /// What the operation reads, in order.
    pub fn operands(&self) -> Vec<&Operand> {
        match self {
            Code::Linear(terms) => terms
                .iter()
                .flat_map(|t| t.by.iter().chain(&t.of))
                .collect(),
            Code::Div(a, b) | Code::Binary(_, a, b) | Code::Compare(_, a, b) => vec![a, b],
            Code::And(a, b) | Code::Or(a, b) => vec![a, b],
            Code::Unary(_, a) | Code::Not(a) | Code::Filter(_, a) | Code::Fresh(_, a) => vec![a],
            Code::Select(a, b, c) | Code::Clip(a, b, c) => vec![a, b, c],
            Code::Reduce(reduce) => [
                Some(&reduce.of),
                reduce.with.as_ref(),
                reduce.level.as_ref(),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Code::Random { low, high, .. } => vec![low, high],
            Code::Softmax(a) => vec![a],
            Code::Pick(a, b) | Code::OneHot(a, b) | Code::MeanWithin(a, b) => vec![a, b],
            Code::Argmax(a, except) => std::iter::once(a).chain(except).collect(),
            Code::Gaussian { .. } => Vec::new(),
            Code::Look { of, .. } | Code::NoiseAt(_, of) => vec![of],
        }
    }

    /// The numbers that stand in the operation beside its operands.
    pub fn numbers(&self) -> Vec<&Number> {
        match self {
            Code::Linear(terms) => terms.iter().map(|t| &t.factor).collect(),
            Code::Filter(filter, _) => match filter {
                Filter::GaussianBlur { sigma: number, .. }
                | Filter::Resample { factor: number }
                | Filter::FftDisk { radius: number }
                | Filter::FftBox { radius: number }
                | Filter::DctHighpass { cutoff: number } => vec![number],
                Filter::Band { .. } => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

impl Guard {
    /// The truth values that decide.
    pub fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.any.iter().flatten().map(|literal| &literal.of)
    }
}

impl Op {
    /// What the operation and its condition read.
    pub fn operands(&self) -> Vec<&Operand> {
        let mut all = self.code.operands();
        all.extend(self.when.iter().flat_map(Guard::operands));
        all
    }
}

impl Use {
    /// What the question and its condition read.
    pub fn operands(&self) -> Vec<&Operand> {
        let mut all: Vec<&Operand> = [&self.at, &self.time, &self.told, &self.class, &self.by]
            .into_iter()
            .flatten()
            .chain(&self.maps)
            .collect();
        all.extend(self.when.iter().flat_map(Guard::operands));
        all
    }
}

impl Outcome {
    /// What leaves.
    pub fn operands(&self) -> Vec<&Operand> {
        let mut all: Vec<&Operand> = [&self.denoise, &self.renoise, &self.shift, &self.moves]
            .into_iter()
            .flatten()
            .collect();
        if let Hold::When(of) = &self.hold {
            all.push(of);
        }
        all
    }
}

impl Segment {
    /// The number of ticks.
    pub fn len(&self) -> usize {
        self.steps.1.saturating_sub(self.steps.0) as usize
    }

    /// Whether it has no ticks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All operations in order.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.waves
            .iter()
            .flat_map(|w| &w.compute)
            .flat_map(|g| &g.ops)
    }

    /// All questions in order.
    pub fn uses(&self) -> impl Iterator<Item = &Use> {
        self.waves
            .iter()
            .flat_map(|w| &w.evaluate)
            .flat_map(|b| &b.uses)
    }

    /// All questions to classifiers in order.
    pub fn judgings(&self) -> impl Iterator<Item = &Judging> {
        self.waves.iter().flat_map(|w| &w.judge)
    }

    /// Every operand outside operations: questions, what is kept, decided, and what leaves.
    pub fn ends(&self) -> Vec<&Operand> {
        let mut all: Vec<&Operand> = self.uses().flat_map(Use::operands).collect();
        all.extend(self.judgings().flat_map(Judging::operands));
        for keep in &self.keep {
            all.push(&keep.value);
            all.extend(keep.when.iter().flat_map(Guard::operands));
        }
        all.extend(self.decide.iter().map(|decide| &decide.value));
        all.extend(self.result.operands());
        all
    }

    /// Every number: of operations, operands and questions.
    pub fn numbers(&self) -> Vec<&Number> {
        let mut all: Vec<&Number> = Vec::new();
        let mut operands = self.ends();
        for op in self.ops() {
            all.extend(op.code.numbers());
            operands.extend(op.operands());
        }
        all.extend(self.uses().filter_map(|u| u.t.as_ref()));
        all.extend(operands.into_iter().flat_map(|operand| match operand {
            Operand::Number(number) => vec![number],
            Operand::Entry(_, row, column) => vec![row, column],
            _ => Vec::new(),
        }));
        all
    }

    /// Sets [`super::Value::stored`] of every value: whether something outside its group reads it.
    pub fn mark_stored(&mut self) {
        let mut stored: BTreeSet<ValueId> = self.ends().into_iter().filter_map(value).collect();
        for group in self.waves.iter().flat_map(|w| &w.compute) {
            let own: BTreeSet<ValueId> = group.ops.iter().map(|op| op.out).collect();
            for op in &group.ops {
                let read = op.operands().into_iter().filter_map(value);
                stored.extend(read.filter(|id| !own.contains(id)));
            }
        }
        for (at, row) in self.values.iter_mut().enumerate() {
            row.stored = stored.contains(&ValueId(at as u32));
        }
    }
}

fn value(operand: &Operand) -> Option<ValueId> {
    match operand {
        Operand::Value(id) => Some(*id),
        _ => None,
    }
}
