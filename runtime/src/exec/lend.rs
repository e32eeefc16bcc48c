//! A tick's tensors as slices, and the samples as questions see them.

use candle_core::{CpuStorage, Storage, Tensor};
use guide_compiler::plan::{Guard, Operand, Shape};

use super::ask::{Heard, Known, pick};
use super::bindings::Bound;
use super::page::Page;
use super::places::{PAGES, Places};
use super::program::Src;
use super::run::Job;
use super::sample::{Answer, Frame, Seen, Slot, View, broken};
use crate::error::{ErrorKind, Result, RuntimeError};

/// The elements of an f32 tensor that lies in the machine's memory in order.
fn elements<'a>(storage: &'a Storage, tensor: &Tensor) -> Result<&'a [f32]> {
    let start = tensor.layout().start_offset();
    match storage {
        Storage::Cpu(CpuStorage::F32(all)) => all.get(start..start + tensor.elem_count()),
        _ => None,
    }
    .ok_or_else(|| {
        RuntimeError::new(
            ErrorKind::DeviceFailed,
            "a tensor is not where the CPU can read it",
        )
    })
}

/// Lends a tick's tensors as slices. `points` are the pages that networks were given.
pub(super) fn with_frame<T>(
    job: &Job<'_>,
    points: &[Option<Tensor>],
    heard: &[Heard],
    then: impl FnOnce(&Frame<'_>) -> Result<T>,
) -> Result<T> {
    let (x, _) = job.x.storage_and_layout();
    let given: Vec<_> = points
        .iter()
        .map(|point| {
            point
                .as_ref()
                .map(|point| (point, point.storage_and_layout().0))
        })
        .collect();
    let answers: Vec<_> = heard
        .iter()
        .map(|h| (h, h.data.storage_and_layout().0))
        .collect();
    let bound: Vec<_> = job
        .inputs
        .iter()
        .map(|bound| match bound {
            Bound::Tensor(tensor) => (bound, Some((tensor, tensor.storage_and_layout().0))),
            other => (other, None),
        })
        .collect();
    let noise: Vec<_> = job
        .gaussian
        .iter()
        .map(|(salt, tensor)| (salt, tensor, tensor.storage_and_layout().0))
        .collect();

    let points = given
        .iter()
        .map(|given| match given {
            Some((point, storage)) => elements(storage, point).map(Some),
            None => Ok(None),
        })
        .collect::<Result<Vec<_>>>()?;
    let maps: Vec<_> = heard
        .iter()
        .flat_map(|h| h.sights.iter().map(move |(look, map)| (h, look, map)))
        .map(|(h, look, map)| (h, look, map, map.storage_and_layout().0))
        .collect();
    let sights = maps
        .iter()
        .map(|(h, look, map, storage)| {
            Ok(Seen {
                prediction: h.prediction,
                look,
                maps: Answer {
                    data: elements(storage, map)?,
                    row: &h.row,
                },
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let questions = job.plan.predictions.len() + job.plan.judgements.len();
    let mut by_prediction: Vec<Vec<Answer<'_>>> = vec![Vec::new(); questions];
    for (h, storage) in &answers {
        by_prediction[h.prediction].push(Answer {
            data: elements(storage, &h.data)?,
            row: &h.row,
        });
    }
    let inputs = bound
        .iter()
        .map(|(bound, tensor)| match tensor {
            Some((tensor, storage)) => Ok(View::Tensor(elements(storage, tensor)?)),
            None => Ok(View::Other(bound)),
        })
        .collect::<Result<Vec<_>>>()?;
    let ticks = job.plan.timetable.ticks.len().max(1);
    let gaussian = noise
        .iter()
        .map(|(salt, tensor, storage)| {
            let all = elements(storage, tensor)?;
            let length = all.len() / ticks;
            Ok((
                (*salt).clone(),
                &all[job.index * length..(job.index + 1) * length],
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    then(&Frame {
        plan: job.plan,
        noise: job.noise,
        segment: job.segment,
        k: job.place.1,
        index: job.index,
        tick: job.tick,
        dims: job.dims,
        x: elements(&x, job.x)?,
        points: &points,
        answers: &by_prediction,
        sights: &sights,
        inputs: &inputs,
        target: job.target,
        gaussian: &gaussian,
    })
}

/// The samples as questions see them.
pub(super) struct Samples<'a> {
    pub job: &'a Job<'a>,
    pub slots: &'a [Slot],
    pub places: &'a Places,
    pub outs: &'a [Page],
    pub points: &'a [Option<Tensor>],
    pub heard: &'a [Heard],
}

impl Known for Samples<'_> {
    fn asks(&self, b: usize, when: Option<&Guard>) -> Result<bool> {
        if when.is_none() {
            return Ok(true);
        }
        with_frame(self.job, self.points, self.heard, |frame| {
            self.slots[b].guard(frame, b, when)
        })
    }

    fn scores(&self, b: usize, operand: &Operand) -> Result<Vec<f64>> {
        with_frame(self.job, self.points, self.heard, |frame| {
            let list = self.slots[b].scores(frame, b, operand)?;
            Ok(list.map(std::borrow::Cow::into_owned))
        })?
        .ok_or_else(|| broken("the plan asks with weights that it did not compute"))
    }

    fn number(&self, b: usize, operand: &Operand) -> Result<f64> {
        with_frame(self.job, self.points, self.heard, |frame| {
            self.slots[b].number(frame, b, operand)
        })?
        .ok_or_else(|| broken("the plan asks with a number that it did not compute"))
    }

    fn seed(&self, b: usize) -> u64 {
        self.slots[b].seed
    }

    fn latent(&self, rows: &[usize], operand: &Operand) -> Result<Tensor> {
        if matches!(operand, Operand::Latent) {
            return pick(self.job.x, rows);
        }
        let src = self.places.read(operand);
        if let Src::Out(page) = src
            && let Some(Some(point)) = self.points.get(page)
        {
            return pick(point, rows);
        }
        self.gathered(rows, &src, Shape::Tensor)
    }

    fn map(&self, rows: &[usize], operand: &Operand) -> Result<Tensor> {
        self.gathered(rows, &self.places.read(operand), Shape::Map)
    }
}

impl Samples<'_> {
    /// A value of these samples, one below the other.
    fn gathered(&self, rows: &[usize], src: &Src, shape: Shape) -> Result<Tensor> {
        let mut data = Vec::with_capacity(rows.len() * self.job.dims.len(shape));
        with_frame(self.job, self.points, self.heard, |frame| {
            for b in rows {
                let values = match src {
                    Src::Out(j) => self.outs.get(*j).map(|page| page.written(*b)),
                    src => self.slots[*b].whole(frame, &[const { None }; PAGES], *b, src)?,
                };
                data.extend_from_slice(
                    values.ok_or_else(|| {
                        broken("the plan asks with a value that it did not compute")
                    })?,
                );
            }
            Ok(())
        })?;
        let shape = self.job.dims.rows(rows.len(), shape);
        Ok(Tensor::from_vec(data, shape, self.job.x.device())?)
    }
}
