//! A tick with the device's tensor operations, all samples at once.
//!
//! Numbers stay on the host, in the same [`Slot`]s that the passes use. A tensor has a row for every
//! sample; the rows of samples that did not compute a value hold something that nobody reads.

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Hold, Op, Operand, Plan};

use super::ask::Heard;
use super::dense_tick::{Tick, frame, views};
use super::device_ops::{self as ops, Wide};
use super::dims::Dims;
use super::engine::{self, Arithmetic};
use super::program::{self, Class, is_number};
use super::run::{Job, fresh_cells};
use super::sample::{Bad, Slot, broken};
use super::{Parts, held, places, whole};
use crate::error::Result;

/// The engine.
#[derive(Debug)]
pub(super) struct Dense {
    pub slots: Vec<Slot>,
    /// What each tensor-like state holds and will hold.
    pub states: Vec<Option<(Tensor, Tensor)>>,
    pub filters: whole::Filters,
}

impl Dense {
    pub fn new(plan: &Plan, dims: &Dims, device: &Device, seeds: &[u64]) -> Result<Self> {
        let mut new = Self {
            slots: seeds.iter().map(|seed| Slot::new(*seed)).collect(),
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
}

impl Arithmetic for Dense {
    type Begun = Vec<Option<Tensor>>;
    type Known<'a> = Tick<'a>;

    fn begin(&mut self, job: &Job<'_>) -> Result<Self::Begun> {
        if job.begins {
            self.commit()?;
        }
        engine::begin(&mut self.slots, job);
        Ok(vec![None; job.segment.values.len()])
    }

    fn known<'a>(
        &'a self,
        job: &'a Job<'a>,
        begun: &'a Self::Begun,
        heard: &'a [Heard],
    ) -> Tick<'a> {
        Tick {
            job,
            engine: self,
            tensors: begun,
            heard,
        }
    }

    fn slots(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    fn compute(
        &mut self,
        job: &Job<'_>,
        begun: &mut Self::Begun,
        heard: &[Heard],
        wave: usize,
    ) -> Result<()> {
        let wave = job.segment.waves.get(wave);
        let groups = wave.into_iter().flat_map(|wave| &wave.compute);
        for op in groups.flat_map(|group| &group.ops) {
            self.op(job, op, begun, heard)?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        job: &Job<'_>,
        begun: Self::Begun,
        heard: &[Heard],
    ) -> Result<(Parts, Vec<bool>)> {
        self.keep(job, &begun, heard)?;
        let inputs = views(job);
        for (b, slot) in self.slots.iter_mut().enumerate() {
            slot.decide(&frame(job, &inputs), b)?;
        }
        let at = Tick {
            job,
            engine: self,
            tensors: &begun,
            heard,
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
                return Err(at.not_finite(b, super::finish::part_name(job.plan, j), None)?);
            }
            parts[j] = Some(value);
        }
        let hold = if matches!(job.segment.result.hold, Hold::Never) {
            vec![false; batch]
        } else {
            hold
        };
        Ok((parts, hold))
    }
}

impl Dense {
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
                slot.cells[s].take_over();
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
