//! A wave's operations as the CPU runs them: passes over memory, with scalars between.
//!
//! Time runs in stages: scalars and whole-sample operations of stage 0, the passes of stage 0, those
//! of stage 1, and so on. An elementwise operation joins the earliest pass in which its operands
//! are known, or a later one where nothing needs it before (so that what only the last pass reads is
//! never written to memory); a reduction ends the pass of its operands.

use guide_compiler::plan::{
    Axes, Binary, Code, Compare, Number, Op, Operand, Plan, ReduceOp, Segment, Shape, StateId,
    Unary,
};

use super::bindings;
use super::places::Places;

/// Where an operand lies while a sample is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Src {
    /// A block buffer.
    Reg(usize),
    /// A buffer as long as the value; states come first (see [`Places`]).
    Row(usize),
    /// A part of the tick's result.
    Out(usize),
    /// The answer to a prediction.
    Prediction(usize),
    /// `x`
    Latent,
    /// A bound map or image.
    Input(usize),
    /// One number for the sample.
    Num(Operand),
}

/// An operand with the value that must have been computed before, if it is one.
#[derive(Clone, Debug)]
pub struct Arg {
    /// Where it lies.
    pub src: Src,
    /// The value's index, where it is a value.
    pub value: Option<usize>,
}

/// Where a result goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dst {
    /// A block buffer.
    Reg(usize),
    /// A whole buffer.
    Row(usize),
    /// A part of the tick's result.
    Out(usize),
    /// A reduction of the pass.
    Fold(usize),
}

/// A term of a linear combination.
#[derive(Clone, Debug)]
pub struct PassTerm {
    /// Known beforehand.
    pub factor: Number,
    /// Scalar factors.
    pub scalars: Vec<Operand>,
    /// Elementwise factors, the thing multiplied last.
    pub elements: Vec<Arg>,
}

/// What an instruction of a pass does.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the same as in the plan")]
pub enum Does {
    /// Repeats a smaller value over a block of the pass; the flag says that it has one number a
    /// channel, else it has one a pixel.
    Expand(Arg, bool),
    Linear(Vec<PassTerm>),
    Div(Arg, Arg),
    Unary(Unary, Arg),
    Binary(Binary, Arg, Arg),
    Compare(Compare, Arg, Arg),
    SelectBool(Operand, Arg, Arg),
    SelectMap(Arg, Arg, Arg),
    Clip(Arg, Arg, Arg),
    Fresh(StateId, Arg),
    Reduce(ReduceOp, Arg, Option<Arg>),
}

/// An instruction of a pass.
#[derive(Clone, Debug)]
pub struct Instr {
    /// Where it goes.
    pub dst: Dst,
    /// The operation; none for an expansion.
    pub op: Option<usize>,
    /// What it does.
    pub does: Does,
}

/// One pass over the memory of a sample.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The shape that all its elementwise values have.
    pub domain: Shape,
    /// In order.
    pub instrs: Vec<Instr>,
    /// How many reductions it ends in.
    pub folds: usize,
}

/// A piece of a wave's work.
#[derive(Clone, Debug)]
pub enum Step {
    /// An operation on numbers.
    Scalar(usize),
    /// A pass.
    Pass(Pass),
    /// An operation that reads whole samples, with its operands and, unless the result is a number,
    /// where it goes.
    Whole(usize, Vec<Arg>, Option<Dst>),
}

/// A wave, ready to run.
#[derive(Clone, Debug)]
pub struct WaveProgram {
    /// The operations, in the plan's order.
    pub ops: Vec<Op>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Instructions times elements a sample, roughly: whether threads are worth it.
    pub work: usize,
}

/// How an operation is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Class {
    Scalar,
    Elementwise(Shape),
    Fold(Shape),
    Whole,
}

/// The shape of an operand.
pub(super) fn shape_of(plan: &Plan, segment: &Segment, operand: &Operand) -> Shape {
    match operand {
        Operand::Value(id) => segment.values[id.index()].shape,
        Operand::Prediction(_) | Operand::Latent => Shape::Tensor,
        Operand::Judgement(id) => plan.shape_of_judgement(*id),
        Operand::State(id) => plan.states[id.index()].shape,
        Operand::Input(id) => bindings::shape_of(&plan.inputs[id.index()]),
        Operand::Decision(_) => Shape::Bool,
        Operand::Entry(..) | Operand::Number(_) => Shape::Scalar,
        Operand::Target => Shape::Class,
    }
}

/// Whether values of this shape are one number a sample, or one for each class: no tensors.
pub(super) fn is_number(shape: Shape) -> bool {
    matches!(
        shape,
        Shape::Scalar | Shape::Bool | Shape::Class | Shape::Scores
    )
}

/// The smallest shape that all of these fit in.
pub(super) fn join(shapes: impl Iterator<Item = Shape>) -> Shape {
    shapes
        .filter(|shape| !is_number(*shape))
        .fold(Shape::Scalar, |joined, shape| match joined {
            Shape::Scalar => shape,
            same if same == shape => same,
            _ => Shape::Tensor,
        })
}

pub(super) fn classify(plan: &Plan, segment: &Segment, op: &Op) -> Class {
    let shape = segment.values[op.out.index()].shape;
    match &op.code {
        Code::Gaussian { .. } if is_number(shape) => Class::Scalar,
        Code::Filter(..) | Code::Gaussian { .. } | Code::Look { .. } | Code::MeanWithin(..) => {
            Class::Whole
        }
        Code::Reduce(reduce) if shape_of(plan, segment, &reduce.of) == Shape::Scores => {
            Class::Scalar
        }
        Code::Reduce(reduce) => {
            let of = join(
                [Some(&reduce.of), reduce.with.as_ref()]
                    .into_iter()
                    .flatten()
                    .map(|o| shape_of(plan, segment, o)),
            );
            if reduce.over != Axes::All || reduce.op == ReduceOp::Quantile || is_number(of) {
                Class::Whole
            } else {
                Class::Fold(of)
            }
        }
        _ if is_number(shape) => Class::Scalar,
        _ => Class::Elementwise(shape),
    }
}

/// The times at which operations run: an even time is a stage's scalars and whole operations, the
/// odd time after it that stage's passes.
fn times(ops: &[Op], classes: &[Class], producer: &[Option<usize>]) -> Vec<usize> {
    let of_value = |operand: &Operand| match operand {
        Operand::Value(id) => producer.get(id.index()).copied().flatten(),
        _ => None,
    };
    let mut times: Vec<usize> = Vec::with_capacity(ops.len());
    for (op, class) in ops.iter().zip(classes) {
        let mut time = match class {
            Class::Scalar | Class::Whole => 0,
            Class::Elementwise(_) | Class::Fold(_) => 1,
        };
        for from in op
            .operands()
            .into_iter()
            .filter_map(of_value)
            .filter(|from| *from < times.len())
        {
            time = time.max(times[from] + distance(classes[from], *class));
        }
        times.push(time);
    }
    for i in (0..ops.len()).rev() {
        if !matches!(classes[i], Class::Elementwise(_)) {
            continue;
        }
        let latest = (i + 1..ops.len())
            .filter(|user| {
                ops[*user]
                    .operands()
                    .into_iter()
                    .any(|operand| of_value(operand) == Some(i))
            })
            .map(|user| times[user] - distance(classes[i], classes[user]))
            .min();
        times[i] = latest.map_or(times[i], |latest| latest.max(times[i]));
    }
    times
}

/// How much later than its operand an operation can run at the earliest.
fn distance(from: Class, to: Class) -> usize {
    match (from, to) {
        (Class::Elementwise(a), Class::Elementwise(b) | Class::Fold(b)) if a == b => 0,
        (Class::Elementwise(_) | Class::Fold(_), Class::Elementwise(_) | Class::Fold(_)) => 2,
        (Class::Scalar | Class::Whole, Class::Scalar | Class::Whole) => 0,
        _ => 1,
    }
}

/// What runs together: operations by index, in order.
pub(super) enum Draft {
    Scalar(usize),
    Whole(usize),
    Pass(Shape, Vec<usize>),
}

/// Sorts a wave's operations into passes and what lies between.
pub(super) fn draft(plan: &Plan, segment: &Segment, ops: &[Op]) -> Vec<Draft> {
    let classes: Vec<Class> = ops.iter().map(|op| classify(plan, segment, op)).collect();
    let mut producer = vec![None; segment.values.len()];
    for (i, op) in ops.iter().enumerate() {
        producer[op.out.index()] = Some(i);
    }
    let times = times(ops, &classes, &producer);
    let mut drafts = Vec::new();
    for time in 0..=times.iter().copied().max().unwrap_or(0) {
        let here = (0..ops.len()).filter(|i| times[*i] == time);
        if time % 2 == 0 {
            drafts.extend(here.map(|i| {
                if classes[i] == Class::Whole {
                    Draft::Whole(i)
                } else {
                    Draft::Scalar(i)
                }
            }));
            continue;
        }
        let here: Vec<usize> = here.collect();
        for domain in [Shape::PerChannel, Shape::Map, Shape::Tensor] {
            let part: Vec<usize> = here
                .iter()
                .copied()
                .filter(|i| matches!(classes[*i], Class::Elementwise(d) | Class::Fold(d) if d == domain))
                .collect();
            if !part.is_empty() {
                drafts.push(Draft::Pass(domain, part));
            }
        }
    }
    drafts
}

/// Compiles the waves of a segment; the second is how many block buffers and whole buffers a sample
/// needs.
pub fn compile(plan: &Plan, segment: &Segment) -> (Vec<WaveProgram>, Places) {
    let waves: Vec<(Vec<Op>, Vec<Draft>)> = segment
        .waves
        .iter()
        .map(|wave| {
            let ops: Vec<Op> = wave
                .compute
                .iter()
                .flat_map(|group| group.ops.iter().cloned())
                .collect();
            let drafts = draft(plan, segment, &ops);
            (ops, drafts)
        })
        .collect();
    let mut places = Places::new(plan, segment, &waves);
    let programs = waves
        .into_iter()
        .map(|(ops, drafts)| {
            let steps: Vec<Step> = drafts
                .into_iter()
                .map(|draft| super::lower::step(plan, segment, &ops, draft, &mut places))
                .collect();
            let work = steps
                .iter()
                .map(|step| {
                    if let Step::Pass(pass) = step {
                        pass.instrs.len()
                    } else {
                        1
                    }
                })
                .sum();
            WaveProgram { ops, steps, work }
        })
        .collect();
    (programs, places)
}
