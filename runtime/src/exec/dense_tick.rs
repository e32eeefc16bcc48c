//! A tick on a device as far as it has come: what its values are, and its operations.

use candle_core::{DType, Tensor};
use guide_compiler::plan::{Code, Guard, JudgementId, Op, Operand, Shape};

use super::ask::{Heard, Known, pick};
use super::bindings::Bound;
use super::dense::Dense;
use super::device_ops::{self as ops, Wide};
use super::program::{self, is_number};
use super::run::Job;
use super::sample::{Bad, Frame, View, broken};
use crate::error::Result;
use crate::ops::filter::Kernel;
use crate::ops::random::Stream;
use crate::ops::regions::mean_within;

pub(super) fn views<'a>(job: &Job<'a>) -> Vec<View<'a>> {
    job.inputs
        .iter()
        .map(|bound| match bound {
            Bound::Tensor(_) => View::Tensor(&[]),
            other => View::Other(other),
        })
        .collect()
}

/// A frame for operations on numbers, which read no tensors.
pub(super) fn frame<'a>(job: &'a Job<'a>, inputs: &'a [View<'a>]) -> Frame<'a> {
    Frame {
        plan: job.plan,
        noise: job.noise,
        segment: job.segment,
        k: job.place.1,
        index: job.index,
        tick: job.tick,
        dims: job.dims,
        x: &[],
        points: &[],
        answers: &[],
        sights: &[],
        inputs,
        target: job.target,
        gaussian: &[],
    }
}

/// A tick as far as it has come.
pub(super) struct Tick<'a> {
    pub job: &'a Job<'a>,
    pub engine: &'a Dense,
    pub tensors: &'a [Option<Tensor>],
    pub heard: &'a [Heard],
}

impl Tick<'_> {
    fn with<T>(&self, f: impl FnOnce(&Frame<'_>) -> Result<T>) -> Result<T> {
        let inputs = views(self.job);
        f(&frame(self.job, &inputs))
    }

    pub fn guard(&self, b: usize, guard: Option<&Guard>) -> Result<bool> {
        self.with(|frame| self.engine.slots[b].guard(frame, b, guard))
    }

    /// Where the gradient of a judgement stands among what was heard: after the predictions.
    fn place_of(&self, id: JudgementId) -> usize {
        self.job.plan.predictions.len() + id.index()
    }

    pub fn number_of(&self, b: usize, operand: &Operand) -> Result<Option<f64>> {
        self.with(|frame| self.engine.slots[b].number(frame, b, operand))
    }

    /// The answers to a prediction, one for each wave that asked.
    fn answers_to(&self, prediction: usize) -> impl Iterator<Item = &Heard> {
        self.heard
            .iter()
            .filter(move |h| h.prediction == prediction)
    }

    /// Whether a sample has an operand.
    pub fn ready(&self, b: usize, operand: &Operand) -> bool {
        match operand {
            Operand::Value(id) => self.engine.slots[b].done[id.index()],
            Operand::Prediction(id) => self
                .heard
                .iter()
                .any(|h| h.prediction == id.index() && h.row[b].is_some()),
            Operand::Judgement(id) => {
                let at = self.place_of(*id);
                self.engine.slots[b].ruled[id.index()].is_some()
                    || self
                        .heard
                        .iter()
                        .any(|h| h.prediction == at && h.row[b].is_some())
            }
            Operand::Decision(id) => self.engine.slots[b].decisions[id.index()].is_some(),
            _ => true,
        }
    }

    /// Whether a sample computes an operation: its guard holds and what it reads is there.
    pub fn runs(&self, b: usize, op: &Op) -> Result<bool> {
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
            code => code.operands().into_iter().cloned().collect(),
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

    pub fn carrier(&self, b: usize) -> Result<Option<String>> {
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

    pub fn not_finite(
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
    pub fn tensor(&self, operand: &Operand) -> Result<Tensor> {
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
            Operand::Prediction(id) => {
                let answers = self.answers_to(id.index());
                let answers = answers.map(|h| (h.row.as_slice(), &h.data));
                ops::scatter(answers, Shape::Tensor, dims, device)?
            }
            Operand::Judgement(id) if !is_number(self.shape(operand)) => {
                let answers = self.answers_to(self.place_of(*id));
                let answers = answers.map(|h| (h.row.as_slice(), &h.data));
                ops::scatter(answers, Shape::Tensor, dims, device)?
            }
            Operand::Latent => self.job.x.clone(),
            Operand::Input(id) => match &self.job.inputs[id.index()] {
                Bound::Tensor(tensor) => tensor.clone(),
                _ => ops::column(&self.numbers(operand)?, dims, device)?,
            },
            _ => ops::column(&self.numbers(operand)?, dims, device)?,
        })
    }

    pub fn evaluate(&self, op: &Op, ready: &[bool]) -> Result<Wide> {
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
            Code::MeanWithin(of, regions) => {
                let shape = dims.rows(dims.batch, Shape::Map);
                let read = |operand: &Operand| -> Result<Vec<f32>> {
                    let map = self.tensor(operand)?.broadcast_as(shape.as_slice())?;
                    Ok(map.flatten_all()?.to_vec1()?)
                };
                let (of, regions) = (read(of)?, read(regions)?);
                let n = dims.len(Shape::Map).max(1);
                let mut all = vec![0f32; of.len()];
                let samples = of.chunks(n).zip(regions.chunks(n)).zip(all.chunks_mut(n));
                for ((of, regions), to) in samples {
                    mean_within(of, regions, to);
                }
                Tensor::from_vec(all, shape, device)?
            }
            Code::Look { of, look } => {
                let Operand::Prediction(id) = of else {
                    return Err(broken("the plan looks into something that is no answer"));
                };
                let maps = self.answers_to(id.index()).flat_map(|h| {
                    let seen = h.sights.iter().filter(|(known, _)| known == look);
                    seen.map(|(_, map)| (h.row.as_slice(), map))
                });
                ops::scatter(maps, Shape::Map, dims, device)?
            }
            Code::Gaussian { key } => {
                let shape = self.job.segment.values[op.out.index()].shape;
                let salt = key.split(['/', ':', '@']).next().unwrap_or(key);
                let named = |name: &str| self.job.gaussian.iter().find(|(known, _)| known == name);
                if let Some((_, recorded)) = named(key).or_else(|| named(salt))
                    && shape == Shape::Tensor
                {
                    recorded.get(self.job.index)?
                } else {
                    let n = dims.len(shape);
                    let mut all = vec![0f32; n * dims.batch];
                    for (slot, row) in self.engine.slots.iter().zip(all.chunks_mut(n.max(1))) {
                        Stream::new(slot.seed, self.job.tick.step, key).normal(row);
                    }
                    Tensor::from_vec(all, dims.rows(dims.batch, shape), device)?
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
    fn asks(&self, b: usize, when: Option<&Guard>) -> Result<bool> {
        self.guard(b, when)
    }

    fn scores(&self, b: usize, operand: &Operand) -> Result<Vec<f64>> {
        self.with(|frame| {
            let list = self.engine.slots[b].scores(frame, b, operand)?;
            Ok(list.map(std::borrow::Cow::into_owned))
        })?
        .ok_or_else(|| broken("the plan asks with weights that it did not compute"))
    }

    fn number(&self, b: usize, operand: &Operand) -> Result<f64> {
        self.number_of(b, operand)?
            .ok_or_else(|| broken("the plan asks with a number that it did not compute"))
    }

    fn seed(&self, b: usize) -> u64 {
        self.engine.slots[b].seed
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

    fn map(&self, rows: &[usize], operand: &Operand) -> Result<Tensor> {
        let dims = self.job.dims;
        let shape = dims.rows(dims.batch, Shape::Map);
        pick(
            &self.tensor(operand)?.broadcast_as(shape)?.contiguous()?,
            rows,
        )
    }
}
