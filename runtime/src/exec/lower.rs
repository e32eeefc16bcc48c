//! Operations of a draft as instructions with places.

use guide_compiler::plan::{Code, Op, Operand, Plan, Segment, Shape};

use super::places::Places;
use super::program::{
    Arg, Does, Draft, Dst, Instr, Pass, PassTerm, Src, Step, is_number, shape_of,
};

/// Lowers one piece of work.
pub(super) fn step(
    plan: &Plan,
    segment: &Segment,
    ops: &[Op],
    draft: Draft,
    places: &mut Places,
) -> Step {
    let lower = Lower { plan, segment };
    match draft {
        Draft::Scalar(i) => Step::Scalar(i),
        Draft::Whole(i) => {
            let args = ops[i]
                .code
                .operands()
                .into_iter()
                .map(|operand| lower.arg(operand, places))
                .collect();
            let out = ops[i].out.index();
            let dst = (!is_number(segment.values[out].shape)).then(|| places.write(out));
            places.end_pass();
            Step::Whole(i, args, dst)
        }
        Draft::Pass(domain, members) => Step::Pass(lower.pass(domain, ops, &members, places)),
    }
}

struct Lower<'a> {
    plan: &'a Plan,
    segment: &'a Segment,
}

/// Expansions of a pass: the operand, and the block buffer that has it.
type Expanded = Vec<(Operand, usize)>;

impl Lower<'_> {
    fn shape(&self, operand: &Operand) -> Shape {
        shape_of(self.plan, self.segment, operand)
    }

    fn arg(&self, operand: &Operand, places: &Places) -> Arg {
        let value = if let Operand::Value(id) = operand {
            Some(id.index())
        } else {
            None
        };
        let src = if is_number(self.shape(operand)) {
            Src::Num(operand.clone())
        } else {
            places.read(operand)
        };
        Arg { src, value }
    }

    fn pass(&self, domain: Shape, ops: &[Op], members: &[usize], places: &mut Places) -> Pass {
        let mut pass = Pass {
            domain,
            instrs: Vec::new(),
            folds: 0,
        };
        let mut expanded: Expanded = Vec::new();
        for &i in members {
            for operand in ops[i].code.operands() {
                self.expand(
                    operand,
                    matches!(ops[i].code, Code::Reduce(_)),
                    &mut pass,
                    &mut expanded,
                    places,
                );
            }
        }
        for (at, &i) in members.iter().enumerate() {
            let op = &ops[i];
            let get = |operand: &Operand, places: &Places| -> Arg {
                let mut arg = self.arg(operand, places);
                if let Some((_, reg)) = expanded.iter().find(|(known, _)| known == operand)
                    && (!is_number(self.shape(operand)) || matches!(op.code, Code::Reduce(_)))
                {
                    arg.src = Src::Reg(*reg);
                }
                arg
            };
            let does = self.does(op, &|operand| get(operand, places));
            let dst = if let Does::Reduce(..) = does {
                pass.folds += 1;
                Dst::Fold(pass.folds - 1)
            } else {
                places.write(op.out.index())
            };
            pass.instrs.push(Instr {
                dst,
                op: Some(i),
                does,
            });
            // Block buffers of values that no later operation of the pass reads are free again.
            for operand in op.code.operands() {
                if let Operand::Value(id) = operand
                    && !members[at + 1..]
                        .iter()
                        .any(|&j| ops[j].code.operands().contains(&operand))
                {
                    places.free_reg(id.index());
                }
            }
        }
        places.end_pass();
        pass
    }

    /// Adds the instruction that repeats an operand over the pass, where it is smaller.
    fn expand(
        &self,
        operand: &Operand,
        in_reduction: bool,
        pass: &mut Pass,
        expanded: &mut Expanded,
        places: &mut Places,
    ) {
        let shape = self.shape(operand);
        let wanted = if is_number(shape) {
            in_reduction
        } else {
            shape != pass.domain
        };
        if !wanted || expanded.iter().any(|(known, _)| known == operand) {
            return;
        }
        let arg = self.arg(operand, places);
        let reg = places.take_reg(None);
        expanded.push((operand.clone(), reg));
        pass.instrs.push(Instr {
            dst: Dst::Reg(reg),
            op: None,
            does: Does::Expand(arg, shape == Shape::PerChannel),
        });
    }

    fn does(&self, op: &Op, get: &dyn Fn(&Operand) -> Arg) -> Does {
        match &op.code {
            Code::Linear(terms) => Does::Linear(
                terms
                    .iter()
                    .map(|term| {
                        let (scalars, elements): (Vec<&Operand>, Vec<&Operand>) = term
                            .by
                            .iter()
                            .chain(&term.of)
                            .partition(|operand| is_number(self.shape(operand)));
                        PassTerm {
                            factor: term.factor.clone(),
                            scalars: scalars.into_iter().cloned().collect(),
                            elements: elements.into_iter().map(get).collect(),
                        }
                    })
                    .collect(),
            ),
            Code::Div(a, b) => Does::Div(get(a), get(b)),
            Code::Unary(f, a) => Does::Unary(*f, get(a)),
            Code::Binary(f, a, b) => Does::Binary(*f, get(a), get(b)),
            Code::Compare(f, a, b) => Does::Compare(*f, get(a), get(b)),
            Code::Select(by, a, b) if is_number(self.shape(by)) => {
                Does::SelectBool(by.clone(), get(a), get(b))
            }
            Code::Select(by, a, b) => Does::SelectMap(get(by), get(a), get(b)),
            Code::Clip(a, low, high) => Does::Clip(get(a), get(low), get(high)),
            Code::Fresh(state, init) => Does::Fresh(*state, get(init)),
            Code::Reduce(reduce) => {
                Does::Reduce(reduce.op, get(&reduce.of), reduce.with.as_ref().map(get))
            }
            // Maps of truth values are numbers 0 and 1.
            Code::And(a, b) => Does::Binary(guide_compiler::plan::Binary::Min, get(a), get(b)),
            Code::Or(a, b) => Does::Binary(guide_compiler::plan::Binary::Max, get(a), get(b)),
            Code::Not(a) => Does::Compare(
                guide_compiler::plan::Compare::Eq,
                get(a),
                Arg {
                    src: Src::Num(zero()),
                    value: None,
                },
            ),
            // Whole-sample operations are never part of a pass.
            Code::Filter(..)
            | Code::Random { .. }
            | Code::Gaussian { .. }
            | Code::Look { .. }
            | Code::MeanWithin(..) => Does::Linear(Vec::new()),
            // Nor are those on numbers by class.
            Code::NoiseAt(..)
            | Code::Softmax(_)
            | Code::Pick(..)
            | Code::Argmax(..)
            | Code::OneHot(..) => Does::Linear(Vec::new()),
        }
    }
}

fn zero() -> Operand {
    Operand::Number(guide_compiler::plan::Number {
        text: "0".into(),
        values: vec![0.0],
    })
}
