//! A tick with the device's tensor operations, all samples at once.
//!
//! Numbers stay on the host, in the same [`Slot`]s that the passes use. A tensor has a row for every
//! sample; the rows of samples that did not compute a value hold something that nobody reads.

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{Code, Hold, Op, Operand, Plan, Shape, Use};

use super::ask::{Heard, Known, Now, ask, pick};
use super::bindings::Bound;
use super::device_ops::{self as ops, Wide};
use super::dims::Dims;
use super::program::{self, Class, is_number};
use super::run::{Job, fresh_cells};
use super::sample::{Bad, Frame, Slot, View, broken};
use super::{Parts, held, places, whole};
use crate::error::Result;
use crate::ops::filter::Kernel;
use crate::ops::random::Stream;
use crate::predictor::Predictor;

/// The engine.
#[derive(Debug)]
pub(super) struct Dense {
    slots: Vec<Slot>,
    /// What each tensor-like state holds and will hold.
    states: Vec<Option<(Tensor, Tensor)>>,
    filters: whole::Filters,
}

impl Dense {
    pub fn new(plan: &Plan, dims: &Dims, device: &Device, seeds: &[u64]) -> Result<Self> {
        let slot = |seed: &u64| Slot {
            seed: *seed,
            numbers: Vec::new(),
            done: Vec::new(),
            regs: Vec::new(),
            rows: Vec::new(),
            cells: Vec::new(),
        };
        let mut new = Self {
            slots: seeds.iter().map(slot).collect(),
            states: Vec::new(),
            filters: whole::Filters::default(),
        };
        new.reset(plan, dims, device)?;
        Ok(new)
    }

    pub fn reset(&mut self, plan: &Plan, dims: &Dims, device: &Device) -> Result<()> {
        for slot in &mut self.slots {
            slot.cells = fresh_cells(plan);
        }
        let cells = fresh_cells(plan);
        self.states = plan
            .states
            .iter()
            .zip(&cells)
            .map(|(state, cell)| {
                if is_number(state.shape) {
                    return Ok(None);
                }
                let start = Tensor::full(
                    cell.number as f32,
                    dims.rows(dims.batch, state.shape),
                    device,
                )?;
                Ok(Some((start.clone(), start)))
            })
            .collect::<Result<_>>()?;
        Ok(())
    }

    pub fn tick(
        &mut self,
        job: &Job<'_>,
        predictor: &mut dyn Predictor,
    ) -> Result<(Parts, Vec<bool>, Vec<Heard>)> {
        if job.commit {
            self.commit()?;
        }
        let mut tensors = vec![None; job.segment.values.len()];
        for slot in &mut self.slots {
            slot.done = vec![false; tensors.len()];
            slot.numbers = vec![0.0; tensors.len()];
        }
        let mut heard: Vec<Heard> = Vec::new();
        for wave in &job.segment.waves {
            let now = Now {
                plan: job.plan,
                index: job.index,
                tick: job.tick,
                k: job.place.1,
                dims: job.dims,
                x: job.x,
            };
            for batch in &wave.evaluate {
                let known = Tick {
                    job,
                    engine: self,
                    tensors: &tensors,
                    heard: &heard,
                };
                let answers = ask(&now, batch, &known, &heard, predictor)?;
                heard.extend(answers);
            }
            for op in wave.compute.iter().flat_map(|group| &group.ops) {
                self.op(job, op, &mut tensors, &heard)?;
            }
        }
        self.keep(job, &tensors, &heard)?;
        let at = Tick {
            job,
            engine: self,
            tensors: &tensors,
            heard: &heard,
        };
        let batch = job.dims.batch;
        let hold = held(&job.segment.result.hold, batch, |b, operand| {
            Ok(at.number_of(b, operand)?.is_some_and(|v| v != 0.0))
        })?;
        let mut parts: Parts = [None, None, None, None];
        for (j, operand) in places::parts(job.segment).into_iter().enumerate() {
            let Some(operand) = operand else { continue };
            let ready: Vec<bool> = (0..batch).map(|b| at.ready(b, operand)).collect();
            let missing = match j {
                0 => match (0..batch).find(|b| !ready[*b] && !hold[*b]) {
                    Some(b) => {
                        return Err(broken(format!(
                            "the plan gives no result for sample {b} in tick {}",
                            job.index
                        )));
                    }
                    None => None,
                },
                1 => parts[0].clone(),
                _ => None,
            };
            let value = at
                .tensor(operand)?
                .broadcast_as(job.x.shape())?
                .contiguous()?;
            let value = match missing {
                Some(other) => ops::pick_rows(&ready, &value, &other)?,
                None => ops::pick_rows(&ready, &value, &value.zeros_like()?)?,
            };
            let free: Vec<bool> = hold.iter().map(|hold| !hold).collect();
            let value = ops::pick_rows(&free, &value, &value.zeros_like()?)?;
            if let Some(b) = ops::finite_rows(&value)?.iter().position(|finite| !finite) {
                return Err(at.not_finite(b, super::run::PART_NAMES[j], None)?);
            }
            parts[j] = Some(value);
        }
        let hold = if matches!(job.segment.result.hold, Hold::Never) {
            vec![false; batch]
        } else {
            hold
        };
        Ok((parts, hold, heard))
    }

    fn commit(&mut self) -> Result<()> {
        for s in 0..self.states.len() {
            let written: Vec<bool> = self
                .slots
                .iter()
                .map(|slot| slot.cells[s].staged.is_some())
                .collect();
            if let Some((now, next)) = &mut self.states[s] {
                *now = ops::pick_rows(&written, next, now)?;
            }
            for slot in &mut self.slots {
                let cell = &mut slot.cells[s];
                if let Some(number) = cell.staged.take() {
                    (cell.number, cell.written, cell.bad) = (number, true, cell.staged_bad.take());
                }
            }
        }
        Ok(())
    }

    fn op(
        &mut self,
        job: &Job<'_>,
        op: &Op,
        tensors: &mut [Option<Tensor>],
        heard: &[Heard],
    ) -> Result<()> {
        let out = op.out.index();
        if program::classify(job.plan, job.segment, op) == Class::Scalar {
            let inputs = views(job);
            let frame = frame(job, &inputs);
            for (b, slot) in self.slots.iter_mut().enumerate() {
                slot.scalar(&frame, b, op)?;
            }
            return Ok(());
        }
        let at = Tick {
            job,
            engine: self,
            tensors,
            heard,
        };
        let ready = (0..job.dims.batch)
            .map(|b| at.runs(b, op))
            .collect::<Result<Vec<bool>>>()?;
        if !ready.contains(&true) {
            return Ok(());
        }
        let made = at.evaluate(op, &ready)?;
        match made {
            Wide::Tensor(tensor) => {
                let shape = job.dims.rows(job.dims.batch, job.segment.values[out].shape);
                tensors[out] = Some(tensor.broadcast_as(shape)?.contiguous()?);
            }
            Wide::Numbers(numbers) => {
                for (slot, number) in self.slots.iter_mut().zip(numbers) {
                    slot.numbers[out] = number;
                }
            }
        }
        for (slot, ready) in self.slots.iter_mut().zip(ready) {
            slot.done[out] = ready;
        }
        Ok(())
    }

    fn keep(&mut self, job: &Job<'_>, tensors: &[Option<Tensor>], heard: &[Heard]) -> Result<()> {
        for keep in &job.segment.keep {
            let s = keep.state.index();
            let at = Tick {
                job,
                engine: self,
                tensors,
                heard,
            };
            let inherited = if let Operand::State(from) = &keep.value {
                Some(from.index())
            } else {
                None
            };
            let mut staged = Vec::new();
            let batch = job.dims.batch;
            for b in 0..batch {
                staged.push(at.guard(b, keep.when.as_ref())? && at.ready(b, &keep.value));
            }
            let numbers: Vec<Option<f64>> = if is_number(job.plan.states[s].shape) {
                (0..batch)
                    .map(|b| match inherited {
                        Some(from) => Ok(Some(self.slots[b].cells[from].number)),
                        None => at.number_of(b, &keep.value),
                    })
                    .collect::<Result<_>>()?
            } else {
                vec![Some(0.0); batch]
            };
            let mut finite: Vec<bool> = numbers
                .iter()
                .map(|n| n.is_none_or(|n| !n.is_nan()))
                .collect();
            let next = if is_number(job.plan.states[s].shape) {
                None
            } else {
                let value = match inherited {
                    Some(from) => self.states[from].as_ref().map(|(now, _)| now.clone()),
                    None => Some(at.tensor(&keep.value)?),
                };
                let Some(value) = value else { continue };
                let value = value
                    .broadcast_as(job.dims.rows(batch, job.plan.states[s].shape))?
                    .contiguous()?;
                finite = ops::finite_rows(&value)?;
                Some(value)
            };
            let bads = (0..batch)
                .map(|b| match inherited {
                    Some(from) => Ok(self.slots[b].cells[from].bad.clone()),
                    None if finite[b] => Ok(None),
                    None => Ok(Some(Bad {
                        tick: job.index,
                        label: at.carrier(b)?,
                    })),
                })
                .collect::<Result<Vec<_>>>()?;
            if let (Some(next), Some((_, old))) = (next, &mut self.states[s]) {
                *old = next;
            }
            for (((slot, staged), number), bad) in
                self.slots.iter_mut().zip(staged).zip(numbers).zip(bads)
            {
                if let (true, Some(number)) = (staged, number) {
                    slot.cells[s].staged = Some(number);
                    slot.cells[s].staged_bad = bad;
                }
            }
        }
        Ok(())
    }
}

fn views<'a>(job: &Job<'a>) -> Vec<View<'a>> {
    job.inputs
        .iter()
        .map(|bound| match bound {
            Bound::Tensor(_) => View::Tensor(&[]),
            other => View::Other(other),
        })
        .collect()
}

/// A frame for operations on numbers, which read no tensors.
fn frame<'a>(job: &'a Job<'a>, inputs: &'a [View<'a>]) -> Frame<'a> {
    Frame {
        plan: job.plan,
        segment: job.segment,
        k: job.place.1,
        index: job.index,
        tick: job.tick,
        dims: job.dims,
        x: &[],
        answers: &[],
        inputs,
        target: job.target,
        gaussian: &[],
    }
}

/// A tick as far as it has come.
struct Tick<'a> {
    job: &'a Job<'a>,
    engine: &'a Dense,
    tensors: &'a [Option<Tensor>],
    heard: &'a [Heard],
}

impl Tick<'_> {
    fn with<T>(&self, f: impl FnOnce(&Frame<'_>) -> Result<T>) -> Result<T> {
        let inputs = views(self.job);
        f(&frame(self.job, &inputs))
    }

    fn guard(&self, b: usize, guard: Option<&guide_compiler::plan::Guard>) -> Result<bool> {
        self.with(|frame| self.engine.slots[b].guard(frame, b, guard))
    }

    fn number_of(&self, b: usize, operand: &Operand) -> Result<Option<f64>> {
        self.with(|frame| self.engine.slots[b].number(frame, b, operand))
    }

    /// Whether a sample has an operand.
    fn ready(&self, b: usize, operand: &Operand) -> bool {
        match operand {
            Operand::Value(id) => self.engine.slots[b].done[id.index()],
            Operand::Prediction(id) => self
                .heard
                .iter()
                .any(|h| h.prediction == id.index() && h.row[b].is_some()),
            _ => true,
        }
    }

    /// Whether a sample computes an operation: its guard holds and what it reads is there.
    fn runs(&self, b: usize, op: &Op) -> Result<bool> {
        if !self.guard(b, op.when.as_ref())? {
            return Ok(false);
        }
        let slot = &self.engine.slots[b];
        let read: Vec<Operand> = match &op.code {
            Code::Select(by, yes, no) if is_number(self.shape(by)) => {
                match self.number_of(b, by)? {
                    None => return Ok(false),
                    Some(by) => vec![if by != 0.0 { yes.clone() } else { no.clone() }],
                }
            }
            Code::Fresh(state, _) if slot.cells[state.index()].written => {
                vec![Operand::State(*state)]
            }
            code => super::reads::operands(code).into_iter().cloned().collect(),
        };
        for operand in &read {
            if let Operand::State(state) = operand {
                self.readable(b, state.index())?;
            }
        }
        Ok(read.iter().all(|operand| self.ready(b, operand)))
    }

    fn readable(&self, b: usize, state: usize) -> Result<()> {
        self.with(|frame| self.engine.slots[b].readable(frame, b, state))
    }

    fn carrier(&self, b: usize) -> Result<Option<String>> {
        for (id, prediction) in self.job.plan.predictions.iter().enumerate() {
            for h in self.heard.iter().filter(|h| h.prediction == id) {
                if let Some(row) = h.row[b]
                    && !ops::finite_rows(&h.data.narrow(0, row, 1)?)?
                        .into_iter()
                        .all(|finite| finite)
                {
                    return Ok(Some(prediction.label.clone()));
                }
            }
        }
        Ok(None)
    }

    fn not_finite(
        &self,
        b: usize,
        what: &str,
        from: Option<&Bad>,
    ) -> Result<crate::error::RuntimeError> {
        let bad = Bad {
            tick: self.job.index,
            label: self.carrier(b)?,
        };
        self.with(|frame| {
            let error = frame.not_finite(b, what, Some(from.unwrap_or(&bad)));
            Ok(error)
        })
    }

    fn shape(&self, operand: &Operand) -> Shape {
        program::shape_of(self.job.plan, self.job.segment, operand)
    }

    /// A number for each sample, 0 where it was not computed.
    fn numbers(&self, operand: &Operand) -> Result<Vec<f64>> {
        (0..self.job.dims.batch)
            .map(|b| Ok(self.number_of(b, operand)?.unwrap_or(0.0)))
            .collect()
    }

    /// An operand as a tensor that broadcasts over latents.
    fn tensor(&self, operand: &Operand) -> Result<Tensor> {
        let (dims, device) = (self.job.dims, self.job.x.device());
        Ok(match operand {
            Operand::Value(id) if !is_number(self.shape(operand)) => {
                match &self.tensors[id.index()] {
                    Some(tensor) => tensor.clone(),
                    None => Tensor::zeros(
                        dims.rows(dims.batch, self.shape(operand)),
                        DType::F32,
                        device,
                    )?,
                }
            }
            Operand::State(id) if !is_number(self.shape(operand)) => {
                match &self.engine.states[id.index()] {
                    Some((now, _)) => now.clone(),
                    None => return Err(broken("the plan reads a number as a tensor")),
                }
            }
            Operand::Prediction(id) => ops::scatter(
                self.heard.iter().filter(|h| h.prediction == id.index()),
                dims,
                device,
            )?,
            Operand::Latent => self.job.x.clone(),
            Operand::Input(id) => match &self.job.inputs[id.index()] {
                Bound::Tensor(tensor) => tensor.clone(),
                _ => ops::column(&self.numbers(operand)?, dims, device)?,
            },
            _ => ops::column(&self.numbers(operand)?, dims, device)?,
        })
    }

    fn evaluate(&self, op: &Op, ready: &[bool]) -> Result<Wide> {
        let dims = self.job.dims;
        let device = self.job.x.device();
        Ok(Wide::Tensor(match &op.code {
            Code::Linear(terms) => {
                let mut sum: Option<Tensor> = None;
                for term in terms {
                    let (numbers, tensors): (Vec<&Operand>, Vec<&Operand>) = term
                        .by
                        .iter()
                        .chain(&term.of)
                        .partition(|operand| is_number(self.shape(operand)));
                    let mut factors = vec![term.factor.at(self.job.place.1); dims.batch];
                    for operand in numbers {
                        factors
                            .iter_mut()
                            .zip(self.numbers(operand)?)
                            .for_each(|(factor, by)| *factor *= by);
                    }
                    let mut product = ops::column(&factors, dims, device)?;
                    for operand in tensors {
                        product = product.broadcast_mul(&self.tensor(operand)?)?;
                    }
                    sum = Some(match sum {
                        Some(sum) => sum.broadcast_add(&product)?,
                        None => product,
                    });
                }
                match sum {
                    Some(sum) => sum,
                    None => ops::column(&vec![0.0; dims.batch], dims, device)?,
                }
            }
            Code::Select(by, yes, no) if is_number(self.shape(by)) => {
                let by: Vec<bool> = self.numbers(by)?.into_iter().map(|by| by != 0.0).collect();
                let shape = dims.rows(dims.batch, self.job.segment.values[op.out.index()].shape);
                let (yes, no) = (
                    self.tensor(yes)?.broadcast_as(shape.as_slice())?,
                    self.tensor(no)?.broadcast_as(shape.as_slice())?,
                );
                ops::pick_rows(&by, &yes.contiguous()?, &no.contiguous()?)?
            }
            Code::Fresh(state, init) => {
                let written: Vec<bool> = self
                    .engine
                    .slots
                    .iter()
                    .map(|slot| slot.cells[state.index()].written)
                    .collect();
                let kept = self.tensor(&Operand::State(*state))?;
                let init = self
                    .tensor(init)?
                    .broadcast_as(kept.shape())?
                    .contiguous()?;
                ops::pick_rows(&written, &kept, &init)?
            }
            Code::Filter(filter, of) => {
                let shape = dims.rows(dims.batch, self.job.segment.values[op.out.index()].shape);
                let of = self.tensor(of)?.broadcast_as(shape)?.contiguous()?;
                let separable = self
                    .engine
                    .filters
                    .get(Kernel::at(filter, self.job.place.1), dims)?;
                ops::filter(&separable, &of)?
            }
            Code::Gaussian { key } => {
                let salt = key.split(['/', ':', '@']).next().unwrap_or(key);
                let named = |name: &str| self.job.gaussian.iter().find(|(known, _)| known == name);
                if let Some((_, recorded)) = named(key).or_else(|| named(salt)) {
                    recorded.get(self.job.index)?
                } else {
                    let n = dims.channels * dims.area;
                    let mut all = vec![0f32; n * dims.batch];
                    for (slot, row) in self.engine.slots.iter().zip(all.chunks_mut(n.max(1))) {
                        Stream::new(slot.seed, self.job.tick.step, key).normal(row);
                    }
                    Tensor::from_vec(all, dims.rows(dims.batch, Shape::Tensor), device)?
                }
            }
            Code::Reduce(reduce) => {
                let joined = program::join(
                    [Some(&reduce.of), reduce.with.as_ref()]
                        .into_iter()
                        .flatten()
                        .map(|o| self.shape(o)),
                );
                let domain = if reduce.over == guide_compiler::plan::Axes::All {
                    joined
                } else {
                    Shape::Tensor
                };
                let shape = dims.rows(dims.batch, domain);
                let of = self.tensor(&reduce.of)?;
                let whole =
                    |tensor: Tensor| -> Result<Tensor> { Ok(tensor.flatten_to_batch(&shape)?) };
                let with = reduce
                    .with
                    .as_ref()
                    .map(|with| whole(self.tensor(with)?))
                    .transpose()?;
                let level = reduce
                    .level
                    .as_ref()
                    .map(|level| self.numbers(level))
                    .transpose()?;
                return ops::reduce(
                    reduce.op,
                    reduce.over,
                    &whole(of)?,
                    with.as_ref(),
                    level.as_deref(),
                    dims,
                    ready,
                );
            }
            code => ops::elementwise(code, |operand| self.tensor(operand))?,
        }))
    }
}

/// Repeats a tensor to a shape that may be a single number a sample.
trait Repeat {
    fn flatten_to_batch(&self, shape: &[usize]) -> candle_core::Result<Tensor>;
}

impl Repeat for Tensor {
    fn flatten_to_batch(&self, shape: &[usize]) -> candle_core::Result<Tensor> {
        if shape.len() == 1 {
            self.flatten_all()
        } else {
            self.broadcast_as(shape)?.contiguous()
        }
    }
}

impl Known for Tick<'_> {
    fn asks(&self, b: usize, question: &Use) -> Result<bool> {
        self.guard(b, question.when.as_ref())
    }

    fn number(&self, b: usize, operand: &Operand) -> Result<f64> {
        self.number_of(b, operand)?
            .ok_or_else(|| broken("the plan asks with a number that it did not compute"))
    }

    fn latent(&self, rows: &[usize], operand: &Operand) -> Result<Tensor> {
        pick(
            &self
                .tensor(operand)?
                .broadcast_as(self.job.x.shape())?
                .contiguous()?,
            rows,
        )
    }
}
