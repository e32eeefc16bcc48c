//! What operations read.

use guide_compiler::plan::{Code, Guard, Op, Operand};

/// Every operand of an operation, in order, those of its guard not included.
pub fn operands(code: &Code) -> Vec<&Operand> {
    match code {
        Code::Linear(terms) => terms
            .iter()
            .flat_map(|term| term.by.iter().chain(&term.of))
            .collect(),
        Code::Unary(_, a) | Code::Not(a) | Code::Filter(_, a) | Code::Fresh(_, a) => vec![a],
        Code::Div(a, b)
        | Code::Binary(_, a, b)
        | Code::Compare(_, a, b)
        | Code::And(a, b)
        | Code::Or(a, b) => vec![a, b],
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
        Code::Gaussian { .. } => Vec::new(),
    }
}

/// The operands of a guard.
pub fn of_guard(guard: Option<&Guard>) -> impl Iterator<Item = &Operand> {
    guard
        .into_iter()
        .flat_map(|guard| guard.any.iter().flatten())
        .map(|literal| &literal.of)
}

/// All operands of an operation with those of its guard.
pub fn all(op: &Op) -> Vec<&Operand> {
    let mut all = operands(&op.code);
    all.extend(of_guard(op.when.as_ref()));
    all
}
