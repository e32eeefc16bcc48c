//! One sample: its numbers, buffers and state, and operations on numbers.

use std::sync::OnceLock;

use guide_compiler::plan::{
    Code, Guard, Look, NoiseCurve, NoisePart, Op, Operand, Plan, Segment, Shape, Term, Tick,
};

use super::bindings::Bound;
use super::dims::Dims;
use super::page::Sheet;
use super::pass::Outs;
use super::program::{Arg, Src};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::ops::random::Stream;
use crate::ops::scalar::wide;

/// What a sample keeps of a state besides its tensor.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Whether it was ever written.
    pub written: bool,
    /// Its value, for scalars and truth values.
    pub number: f64,
    /// What it will be when the tick's results are taken over.
    pub staged: Option<f64>,
    /// The tick that wrote something that is not finite, and the prediction it came from.
    pub bad: Option<Bad>,
    /// See `bad`, for what is staged.
    pub staged_bad: Option<Bad>,
    /// The earlier state whose tensor it takes over.
    pub moves_up: Option<usize>,
}

impl Cell {
    /// Takes over what was kept, and says whether anything was.
    pub fn take_over(&mut self) -> bool {
        let Some(number) = self.staged.take() else {
            return false;
        };
        (self.number, self.written, self.bad) = (number, true, self.staged_bad.take());
        true
    }
}

/// Where something that is not finite came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Bad {
    /// The tick.
    pub tick: usize,
    /// The prediction that carried it in, if one did.
    pub label: Option<String>,
}

/// A sample of the batch.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Seed of its random numbers.
    pub seed: u64,
    /// Scalars, truth values (0 and 1) and classes of the tick, by value.
    pub numbers: Vec<f64>,
    /// Numbers for each class, by value.
    pub lists: Vec<Vec<f64>>,
    /// What classifiers answered in this tick: logits, by judgement.
    pub ruled: Vec<Option<Vec<f64>>>,
    /// Which values were computed in this tick.
    pub done: Vec<bool>,
    /// Block buffers.
    pub regs: Vec<Vec<f32>>,
    /// Whole buffers; see [`super::places::Places`].
    pub rows: Vec<Vec<f32>>,
    /// State.
    pub cells: Vec<Cell>,
    /// What the step's first evaluation decided, where it was computed.
    pub decisions: Vec<Option<f64>>,
}

/// A prediction's answer for some samples.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The rows, one after the other.
    pub data: &'a [f32],
    /// The row of each sample.
    pub row: &'a [Option<usize>],
}

/// What was seen of a prediction's evaluation, for some samples.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Of which prediction.
    pub prediction: usize,
    /// At what was looked.
    pub look: &'a Look,
    /// The maps, and the row of each sample.
    pub maps: Answer<'a>,
}

/// A bound input as a sample reads it.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// Rows, as many as samples or one for all.
    Tensor(&'a [f32]),
    /// Anything else.
    Other(&'a Bound),
}

/// What all samples of a tick see.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its noise, worked out when something first asks.
    pub noise: &'a OnceLock<NoiseCurve>,
    /// The segment that the tick belongs to.
    pub segment: &'a Segment,
    /// The tick's place in its segment.
    pub k: usize,
    /// The tick's place in the run.
    pub index: usize,
    /// The tick.
    pub tick: &'a Tick,
    /// Sizes.
    pub dims: &'a Dims,
    /// `x`
    pub x: &'a [f32],
    /// The pages that networks were given, by their number; see [`super::places::PAGES`].
    pub points: &'a [Option<&'a [f32]>],
    /// Answers so far, by prediction; several where waves asked for different samples.
    pub answers: &'a [Vec<Answer<'a>>],
    /// What was seen so far.
    pub sights: &'a [Seen<'a>],
    /// Inputs.
    pub inputs: &'a [View<'a>],
    /// The class aimed at.
    pub target: Option<&'a [u32]>,
    /// Noise that stands for `gaussian` calls: this tick's rows, by salt.
    pub gaussian: &'a [(String, &'a [f32])],
}

impl<'a> Frame<'a> {
    /// The answer to a prediction for sample `b`.
    pub fn answer(&self, prediction: usize, b: usize) -> Option<&'a [f32]> {
        let n = self.dims.channels * self.dims.area;
        self.answers.get(prediction)?.iter().find_map(|answer| {
            let row = (*answer.row.get(b)?)?;
            answer.data.get(row * n..(row + 1) * n)
        })
    }

    /// The noise's factors at a time.
    fn noise_at(&self, part: NoisePart, t: f64) -> f64 {
        let curve = || self.plan.timetable.noise.curve();
        let (alpha, sigma) = self.noise.get_or_init(curve).at(t);
        match part {
            NoisePart::Alpha => alpha,
            NoisePart::Sigma => sigma,
        }
    }

    /// What sample `b` has on a page that a network was given.
    pub fn point(&self, page: usize, b: usize) -> Option<&'a [f32]> {
        sample_of((*self.points.get(page)?)?, b, self.dims.batch)
    }

    /// What was seen of a prediction's evaluation for sample `b`.
    pub fn sight(&self, prediction: usize, look: &Look, b: usize) -> Option<&'a [f32]> {
        let n = self.dims.area;
        let of = |seen: &&Seen<'a>| seen.prediction == prediction && seen.look == look;
        self.sights.iter().filter(of).find_map(|seen| {
            let row = (*seen.maps.row.get(b)?)?;
            seen.maps.data.get(row * n..(row + 1) * n)
        })
    }

    /// The label of the first prediction of sample `b` with something that is not finite.
    pub fn carrier(&self, b: usize) -> Option<String> {
        let predictions = self.plan.predictions.iter().map(|row| &row.label);
        let labels = predictions.chain(self.plan.judgements.iter().map(|row| &row.label));
        let mut labels = labels.enumerate();
        let (_, label) = labels.find(|(at, _)| {
            self.answer(*at, b)
                .is_some_and(|values| !super::kernels::finite(values))
        })?;
        Some(label.clone())
    }

    /// The error for something not finite in sample `b`.
    pub fn not_finite(&self, b: usize, what: &str, from: Option<&Bad>) -> RuntimeError {
        let label = from.map_or_else(|| self.carrier(b), |bad| bad.label.clone());
        let mut message = format!("{what} is not finite in tick {}, sample {b}", self.index);
        if let Some(bad) = from {
            message.push_str(&format!(", as computed in tick {}", bad.tick));
        }
        if let Some(label) = &label {
            message.push_str(&format!("; prediction `{label}` carried it in"));
        }
        let help = match label {
            Some(label) => format!("check what the network answers for `{label}`; half precision can overflow, `--dtype f32` does not"),
            None => "look for a division by 0, a logarithm or root of a negative number, or a scale that is too large".into(),
        };
        RuntimeError::new(ErrorKind::NotFinite, message).help(help)
    }
}

/// Something that the plan promises not to happen.
pub(super) fn broken(message: impl Into<String>) -> RuntimeError {
    RuntimeError::new(ErrorKind::BadPlan, message).help("make the plan again from its source")
}

impl Slot {
    /// A sample before its first tick.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            numbers: Vec::new(),
            lists: Vec::new(),
            ruled: Vec::new(),
            done: Vec::new(),
            regs: Vec::new(),
            rows: Vec::new(),
            cells: Vec::new(),
            decisions: Vec::new(),
        }
    }

    /// Forgets what the step before decided.
    pub fn begin_step(&mut self, plan: &Plan) {
        self.decisions.clear();
        self.decisions.resize(plan.decisions.len(), None);
    }

    /// Remembers what the step's other evaluations take over.
    pub fn decide(&mut self, frame: &Frame<'_>, b: usize) -> Result<()> {
        for decide in &frame.segment.decide {
            self.decisions[decide.decision.index()] = self.number(frame, b, &decide.value)?;
        }
        Ok(())
    }

    /// Whether a guard holds. What was not computed counts as false.
    pub fn guard(&self, frame: &Frame<'_>, b: usize, guard: Option<&Guard>) -> Result<bool> {
        let Some(guard) = guard else { return Ok(true) };
        for all in &guard.any {
            let mut holds = true;
            for literal in all {
                let value = self
                    .number(frame, b, &literal.of)?
                    .is_some_and(|v| v != 0.0);
                if value != literal.holds {
                    holds = false;
                    break;
                }
            }
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A number, if it was computed.
    pub fn number(&self, frame: &Frame<'_>, b: usize, operand: &Operand) -> Result<Option<f64>> {
        Ok(Some(match operand {
            Operand::Value(id) => {
                let i = id.index();
                if !self.done[i] {
                    return Ok(None);
                }
                self.numbers[i]
            }
            Operand::Number(number) => number.at(frame.k),
            Operand::State(id) => {
                self.readable(frame, b, id.index())?;
                self.cells[id.index()].number
            }
            Operand::Decision(id) => return Ok(self.decisions[id.index()]),
            Operand::Entry(input, row, column) => match &frame.inputs[input.index()] {
                // INVARIANT: the tables were measured against what the plan reads when they were bound.
                View::Other(Bound::Table(rows)) => {
                    rows[row.at(frame.k) as usize][column.at(frame.k) as usize]
                }
                _ => {
                    return Err(broken(
                        "the plan reads an entry of an input that is not a table",
                    ));
                }
            },
            Operand::Input(input) => match &frame.inputs[input.index()] {
                View::Other(Bound::Number(value)) => *value,
                _ => {
                    return Err(broken(format!(
                        "the plan reads `{}` as a number",
                        frame.plan.inputs[input.index()].name
                    )));
                }
            },
            Operand::Target => f64::from(
                *frame
                    .target
                    .and_then(|target| target.get(b))
                    .ok_or_else(|| {
                        RuntimeError::new(
                            ErrorKind::NotBound,
                            "the rule aims at a class, and none was given",
                        )
                        .help("give one with `--target N`")
                    })?,
            ),
            Operand::Judgement(id)
                if frame.plan.shape_of_judgement(*id) == guide_compiler::plan::Shape::Scalar =>
            {
                let ruled = self.ruled[id.index()].as_deref();
                return Ok(ruled.and_then(|value| value.first().copied()));
            }
            Operand::Prediction(_) | Operand::Judgement(_) | Operand::Latent => {
                return Err(broken("the plan reads a tensor as a number"));
            }
        }))
    }

    /// Refuses a state that holds something not finite.
    pub fn readable(&self, frame: &Frame<'_>, b: usize, state: usize) -> Result<()> {
        match &self.cells[state].bad {
            None => Ok(()),
            Some(bad) => Err(frame.not_finite(
                b,
                &format!("state `{}`", frame.plan.states[state].name),
                Some(bad),
            )),
        }
    }

    /// Whether the value that an operand needs was computed.
    pub fn ready(&self, arg: &Arg) -> bool {
        arg.value.is_none_or(|value| self.done[value])
    }

    /// A whole sample of a tensor-like operand. `None` where a prediction was not asked for.
    pub fn whole<'s>(
        &'s self,
        frame: &Frame<'s>,
        outs: &'s Outs<'_>,
        b: usize,
        src: &Src,
    ) -> Result<Option<&'s [f32]>> {
        Ok(match src {
            Src::Row(row) => {
                if *row < self.cells.len() {
                    self.readable(frame, b, *row)?;
                }
                Some(&self.rows[*row])
            }
            Src::Out(out) => frame
                .point(*out, b)
                .or_else(|| outs[*out].as_ref().map(Sheet::written)),
            Src::Prediction(id) => frame.answer(*id, b),
            Src::Latent => sample_of(frame.x, b, frame.dims.batch),
            Src::Input(id) => match frame.inputs[*id] {
                View::Tensor(data) => {
                    let len = frame
                        .dims
                        .len(super::bindings::shape_of(&frame.plan.inputs[*id]));
                    if data.len() == len {
                        Some(data)
                    } else {
                        sample_of(data, b, frame.dims.batch)
                    }
                }
                View::Other(_) => None,
            },
            Src::Reg(_) | Src::Num(_) => None,
        })
    }

    /// Runs an operation on numbers. A value that lacks an operand stays uncomputed.
    pub fn scalar(&mut self, frame: &Frame<'_>, b: usize, op: &Op) -> Result<()> {
        let out = op.out.index();
        if !self.guard(frame, b, op.when.as_ref())? {
            return Ok(());
        }
        if frame.segment.values[out].shape == Shape::Scores {
            if let Some(list) = self.list(frame, b, &op.code)? {
                self.lists[out] = list;
                self.done[out] = true;
            }
            return Ok(());
        }
        let value = self.evaluate(frame, b, &op.code)?;
        if let Some(value) = value {
            self.numbers[out] = value;
            self.done[out] = true;
        }
        Ok(())
    }

    fn evaluate(&self, frame: &Frame<'_>, b: usize, code: &Code) -> Result<Option<f64>> {
        let get = |operand: &Operand| self.number(frame, b, operand);
        let truth = |value: bool| Some(f64::from(u8::from(value)));
        let holds =
            |operand: &Operand| Ok::<_, RuntimeError>(get(operand)?.is_some_and(|v| v != 0.0));
        Ok(match code {
            Code::Linear(terms) => self.linear(frame, b, terms)?,
            Code::Div(a, c) => get(a)?.zip(get(c)?).map(|(a, c)| wide::div(a, c)),
            Code::Unary(f, a) => get(a)?.map(|a| wide::unary(*f, a)),
            Code::Binary(f, a, c) => get(a)?.zip(get(c)?).map(|(a, c)| wide::binary(*f, a, c)),
            Code::Compare(f, a, c) => get(a)?
                .zip(get(c)?)
                .and_then(|(a, c)| truth(wide::compare(*f, a, c))),
            Code::And(a, c) => truth(holds(a)? && holds(c)?),
            Code::Or(a, c) => truth(holds(a)? || holds(c)?),
            Code::Not(a) => get(a)?.and_then(|a| truth(a == 0.0)),
            Code::Select(by, a, c) => match get(by)? {
                None => None,
                Some(by) => get(if by != 0.0 { a } else { c })?,
            },
            Code::Clip(a, low, high) => get(a)?
                .zip(get(low)?)
                .zip(get(high)?)
                .map(|((a, low), high)| wide::min(wide::max(a, low), high)),
            Code::Fresh(state, init) => {
                if self.cells[state.index()].written {
                    get(&Operand::State(*state))?
                } else {
                    get(init)?
                }
            }
            Code::Random { key, low, high } => {
                let share = Stream::new(self.seed, frame.tick.step, key).uniform(0);
                get(low)?
                    .zip(get(high)?)
                    .map(|(low, high)| low + (high - low) * share)
            }
            Code::Gaussian { key } => {
                Some(Stream::new(self.seed, frame.tick.step, key).one_normal())
            }
            Code::NoiseAt(part, t) => get(t)?.map(|t| frame.noise_at(*part, t)),
            Code::Pick(..) | Code::Argmax(..) | Code::Reduce(_) => self.of_list(frame, b, code)?,
            Code::Filter(..)
            | Code::Softmax(_)
            | Code::OneHot(..)
            | Code::Look { .. }
            | Code::MeanWithin(..) => {
                return Err(broken("the plan gives a number where a tensor belongs"));
            }
        })
    }

    fn linear(&self, frame: &Frame<'_>, b: usize, terms: &[Term]) -> Result<Option<f64>> {
        let mut sum = None;
        for term in terms {
            let Some(value) = self.factor(
                frame,
                b,
                term.factor.at(frame.k),
                term.by.iter().chain(&term.of),
            )?
            else {
                return Ok(None);
            };
            // From the first term on, not from 0: -0 stays what it is.
            sum = Some(sum.map_or(value, |sum: f64| sum + value));
        }
        Ok(Some(sum.unwrap_or(0.0)))
    }

    /// The product of a number known beforehand and numbers of the sample.
    pub fn factor<'o>(
        &self,
        frame: &Frame<'_>,
        b: usize,
        factor: f64,
        by: impl Iterator<Item = &'o Operand>,
    ) -> Result<Option<f64>> {
        let mut product = factor;
        for operand in by {
            match self.number(frame, b, operand)? {
                Some(value) => product *= value,
                None => return Ok(None),
            }
        }
        Ok(Some(product))
    }
}

/// Sample `b` of `batch` that lie one after the other.
pub(super) fn sample_of(data: &[f32], b: usize, batch: usize) -> Option<&[f32]> {
    let n = data.len() / batch.max(1);
    data.get(b * n..(b + 1) * n)
}
