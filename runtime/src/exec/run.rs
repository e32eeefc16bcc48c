//! The CPU's way to run a tick: each sample through all passes of a wave, samples beside one another.

use candle_core::{CpuStorage, Storage, Tensor};
use guide_compiler::plan::{Init, Operand, Plan, Segment, Shape, Tick, Use};
use rayon::prelude::*;

use super::ask::{Heard, Known, Now, ask, pick};
use super::bindings::Bound;
use super::dims::Dims;
use super::pass::{self, BLOCK, Outs};
use super::places::{self, Places};
use super::program::{self, Src, Step, WaveProgram, is_number};
use super::sample::{Answer, Bad, Cell, Frame, Slot, View, broken};
use super::{Parts, held, kernels, whole};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::predictor::Predictor;

/// A tick to run.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub plan: &'a Plan,
    pub segment: &'a Segment,
    /// The segment's number, and the tick's place in it.
    pub place: (usize, usize),
    pub index: usize,
    pub tick: &'a Tick,
    pub dims: &'a Dims,
    /// f32 and contiguous.
    pub x: &'a Tensor,
    pub inputs: &'a [Bound],
    pub target: Option<&'a [u32]>,
    pub gaussian: &'a [(String, Tensor)],
    /// Whether what earlier ticks kept is taken over now.
    pub commit: bool,
}

/// Elements times instructions from which on threads pay for themselves.
const PARALLEL_FROM: usize = 1 << 18;

/// The engine.
#[derive(Debug)]
pub(super) struct Passes {
    programs: Vec<(Vec<WaveProgram>, Places)>,
    slots: Vec<Slot>,
    filters: whole::Filters,
}

/// State that was never written.
pub(super) fn fresh_cells(plan: &Plan) -> Vec<Cell> {
    plan.states
        .iter()
        .map(|state| {
            let number = match state.init {
                Init::Number(value) => value,
                Init::Bool(value) => f64::from(u8::from(value)),
                Init::Computed => 0.0,
            };
            Cell {
                written: false,
                number,
                staged: None,
                bad: None,
                staged_bad: None,
            }
        })
        .collect()
}

impl Passes {
    pub fn new(plan: &Plan, dims: &Dims, seeds: &[u64]) -> Self {
        let programs = plan
            .segments
            .iter()
            .map(|segment| program::compile(plan, segment))
            .collect();
        let slot = |seed: &u64| Slot {
            seed: *seed,
            numbers: Vec::new(),
            done: Vec::new(),
            regs: Vec::new(),
            rows: Vec::new(),
            cells: Vec::new(),
        };
        let mut new = Self {
            programs,
            slots: seeds.iter().map(slot).collect(),
            filters: whole::Filters::default(),
        };
        new.reset(plan, dims);
        new
    }

    pub fn reset(&mut self, plan: &Plan, dims: &Dims) {
        for slot in &mut self.slots {
            slot.cells = fresh_cells(plan);
            slot.rows.resize_with(2 * plan.states.len(), Vec::new);
            for (s, state) in plan.states.iter().enumerate() {
                if !is_number(state.shape) {
                    slot.rows[s] = vec![slot.cells[s].number as f32; dims.len(state.shape)];
                }
            }
        }
    }

    pub fn tick(
        &mut self,
        job: &Job<'_>,
        predictor: &mut dyn Predictor,
    ) -> Result<(Parts, Vec<bool>, Vec<Heard>)> {
        let (waves, places) = &self.programs[job.place.0];
        let n = job.dims.channels * job.dims.area;
        let batch = job.dims.batch;
        for slot in &mut self.slots {
            if job.commit {
                commit(slot);
            }
            slot.done.clear();
            slot.done.resize(job.segment.values.len(), false);
            slot.numbers.resize(job.segment.values.len(), 0.0);
            if slot.regs.len() < places.most_regs {
                slot.regs.resize(places.most_regs, vec![0.0; BLOCK]);
            }
            if slot.rows.len() < places.rows {
                slot.rows.resize(places.rows, Vec::new());
            }
        }
        let parts = places::parts(job.segment);
        let mut outs: Vec<Vec<f32>> = parts
            .iter()
            .map(|part| {
                if part.is_some() {
                    vec![0.0; batch * n]
                } else {
                    Vec::new()
                }
            })
            .collect();
        let mut heard: Vec<Heard> = Vec::new();
        let mut hold = vec![false; batch];
        let last = job.segment.waves.len().max(1) - 1;
        for wave in 0..=last {
            if let Some(questions) = job.segment.waves.get(wave) {
                let now = Now {
                    plan: job.plan,
                    index: job.index,
                    tick: job.tick,
                    k: job.place.1,
                    dims: job.dims,
                    x: job.x,
                };
                for batch in &questions.evaluate {
                    let known = Samples {
                        job,
                        slots: &self.slots,
                        places,
                        outs: &outs,
                        heard: &heard,
                    };
                    let answers = ask(&now, batch, &known, &heard, predictor)?;
                    heard.extend(answers);
                }
            }
            with_frame(job, &heard, |frame| {
                let program = waves.get(wave);
                let work = program.map_or(0, |program| program.work) * n * batch;
                let mut split: Vec<_> = outs
                    .iter_mut()
                    .map(|out| out.chunks_mut(n.max(1)))
                    .collect();
                let parts: Vec<Outs<'_>> = (0..batch)
                    .map(|_| std::array::from_fn(|j| split[j].next()))
                    .collect();
                let one = |(b, (slot, mut outs)): (usize, (&mut Slot, Outs<'_>))| -> Result<()> {
                    if let Some(program) = program {
                        run_wave(program, frame, &self.filters, slot, &mut outs, b)?;
                    }
                    if wave == last {
                        finish(frame, places, slot, &mut outs, b)
                    } else {
                        Ok(())
                    }
                };
                // The first error in order of the samples, whichever thread came first.
                if work >= PARALLEL_FROM && batch > 1 {
                    let all: Vec<Result<()>> = self
                        .slots
                        .par_iter_mut()
                        .zip(parts)
                        .enumerate()
                        .map(one)
                        .collect();
                    all.into_iter().collect::<Result<Vec<()>>>()?;
                } else {
                    self.slots
                        .iter_mut()
                        .zip(parts)
                        .enumerate()
                        .try_for_each(one)?;
                }
                if wave == last {
                    hold = held(&job.segment.result.hold, batch, |b, operand| {
                        Ok(self.slots[b]
                            .number(frame, b, operand)?
                            .is_some_and(|v| v != 0.0))
                    })?;
                }
                Ok(())
            })?;
        }
        let shape = job.dims.rows(batch, Shape::Tensor);
        let mut tensors: Parts = [None, None, None, None];
        for ((tensor, part), out) in tensors.iter_mut().zip(parts).zip(outs) {
            if part.is_some() {
                *tensor = Some(Tensor::from_vec(out, shape.clone(), job.x.device())?);
            }
        }
        Ok((tensors, hold, heard))
    }
}

/// Takes over what was kept.
fn commit(slot: &mut Slot) {
    let states = slot.cells.len();
    for s in 0..states {
        if let Some(number) = slot.cells[s].staged.take() {
            slot.cells[s].number = number;
            slot.cells[s].written = true;
            slot.cells[s].bad = slot.cells[s].staged_bad.take();
            slot.rows.swap(s, states + s);
        }
    }
}

fn run_wave(
    program: &WaveProgram,
    frame: &Frame<'_>,
    filters: &whole::Filters,
    slot: &mut Slot,
    outs: &mut Outs<'_>,
    b: usize,
) -> Result<()> {
    for step in &program.steps {
        match step {
            Step::Scalar(i) => slot.scalar(frame, b, &program.ops[*i])?,
            Step::Pass(pass) => pass::run(pass, &program.ops, frame, slot, outs, b)?,
            Step::Whole(i, args, dst) => {
                whole::run(&program.ops[*i], args, *dst, frame, filters, slot, outs, b)?
            }
        }
    }
    Ok(())
}

/// What the parts of a result are called.
pub(super) const PART_NAMES: [&str; 4] = [
    "the guided prediction",
    "the prediction to re-noise with",
    "the shift",
    "the move",
];

/// Stages what is kept, completes the parts of the result for a sample, and checks them.
fn finish(
    frame: &Frame<'_>,
    places: &Places,
    slot: &mut Slot,
    outs: &mut Outs<'_>,
    b: usize,
) -> Result<()> {
    let result = &frame.segment.result;
    let holds = match &result.hold {
        guide_compiler::plan::Hold::Never => false,
        guide_compiler::plan::Hold::Always => true,
        guide_compiler::plan::Hold::When(operand) => {
            slot.number(frame, b, operand)?.is_some_and(|v| v != 0.0)
        }
    };
    for keep in &frame.segment.keep {
        if slot.guard(frame, b, keep.when.as_ref())? {
            stage(
                frame,
                places,
                slot,
                outs,
                b,
                keep.state.index(),
                &keep.value,
            )?;
        }
    }
    for (j, operand) in places::parts(frame.segment).into_iter().enumerate() {
        let Some(operand) = operand else { continue };
        let Some(out) = outs[j].take() else { continue };
        if holds {
            out.fill(0.0);
        } else {
            complete(frame, places, slot, outs, b, operand, j, out)?;
            if !kernels::finite(out) {
                return Err(frame.not_finite(b, PART_NAMES[j], None));
            }
        }
        outs[j] = Some(out);
    }
    Ok(())
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of a sample are borrowed apart"
)]
fn complete(
    frame: &Frame<'_>,
    places: &Places,
    slot: &Slot,
    outs: &Outs<'_>,
    b: usize,
    operand: &Operand,
    part: usize,
    out: &mut [f32],
) -> Result<()> {
    let value = if let Operand::Value(id) = operand {
        Some(id.index())
    } else {
        None
    };
    if value.is_some_and(|v| !slot.done[v]) {
        return match part {
            0 => Err(broken(format!(
                "the plan gives no result for sample {b} in tick {}",
                frame.index
            ))),
            // A branch without a renoise of its own re-noises with what it steps toward.
            1 => match &outs[0] {
                Some(denoise) => {
                    out.copy_from_slice(denoise);
                    Ok(())
                }
                None => Ok(()),
            },
            _ => {
                out.fill(0.0);
                Ok(())
            }
        };
    }
    if places.outs[part].is_some() && places.outs[part] == value {
        return Ok(());
    }
    let shape = program::shape_of(frame.plan, frame.segment, operand);
    if is_number(shape) {
        out.fill(slot.number(frame, b, operand)?.unwrap_or(0.0) as f32);
        return Ok(());
    }
    match slot.whole(frame, outs, b, &places.read(operand))? {
        Some(values) if values.len() == out.len() => out.copy_from_slice(values),
        _ => {
            return Err(broken(format!(
                "the plan reads a prediction that it did not ask for, in tick {}, sample {b}",
                frame.index
            )));
        }
    }
    Ok(())
}

fn stage(
    frame: &Frame<'_>,
    places: &Places,
    slot: &mut Slot,
    outs: &Outs<'_>,
    b: usize,
    state: usize,
    value: &Operand,
) -> Result<()> {
    let states = places.states();
    let next = states + state;
    // A state that moves on takes its fault along; only a use of it stops the run.
    let inherited = if let Operand::State(from) = value {
        Some(from.index())
    } else {
        None
    };
    if is_number(frame.plan.states[state].shape) {
        let number = match inherited {
            Some(from) => Some(slot.cells[from].number),
            None => slot.number(frame, b, value)?,
        };
        let Some(number) = number else { return Ok(()) };
        slot.cells[state].staged = Some(number);
        slot.cells[state].staged_bad = match inherited {
            Some(from) => slot.cells[from].bad.clone(),
            None => number.is_nan().then(|| Bad {
                tick: frame.index,
                label: frame.carrier(b),
            }),
        };
        return Ok(());
    }
    if let Operand::Value(id) = value
        && !slot.done[id.index()]
    {
        return Ok(());
    }
    let src = places.read(value);
    if src != Src::Row(next) {
        let mut room = std::mem::take(&mut slot.rows[next]);
        room.clear();
        let length = frame.dims.len(frame.plan.states[state].shape);
        let number = match (&src, inherited) {
            (Src::Num(operand), _) => slot.number(frame, b, operand)?,
            _ => None,
        };
        match (number, inherited) {
            (Some(number), _) => room.resize(length, number as f32),
            (None, Some(from)) => room.extend_from_slice(&slot.rows[from]),
            (None, None) => match slot.whole(frame, outs, b, &src)? {
                Some(values) => room.extend_from_slice(values),
                None => {
                    return Err(broken(format!(
                        "the plan keeps what was not computed, in tick {}, sample {b}",
                        frame.index
                    )));
                }
            },
        }
        if room.len() != length {
            return Err(broken(
                "the plan keeps a value of another shape than its state",
            ));
        }
        slot.rows[next] = room;
    }
    slot.cells[state].staged = Some(0.0);
    slot.cells[state].staged_bad = match inherited {
        Some(from) => slot.cells[from].bad.clone(),
        None => (!kernels::finite(&slot.rows[next])).then(|| Bad {
            tick: frame.index,
            label: frame.carrier(b),
        }),
    };
    Ok(())
}

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

/// Lends a tick's tensors as slices.
pub(super) fn with_frame<T>(
    job: &Job<'_>,
    heard: &[Heard],
    then: impl FnOnce(&Frame<'_>) -> Result<T>,
) -> Result<T> {
    let (x, _) = job.x.storage_and_layout();
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

    let mut by_prediction: Vec<Vec<Answer<'_>>> = vec![Vec::new(); job.plan.predictions.len()];
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
        segment: job.segment,
        k: job.place.1,
        index: job.index,
        tick: job.tick,
        dims: job.dims,
        x: elements(&x, job.x)?,
        answers: &by_prediction,
        inputs: &inputs,
        target: job.target,
        gaussian: &gaussian,
    })
}

/// The samples as questions see them.
struct Samples<'a> {
    job: &'a Job<'a>,
    slots: &'a [Slot],
    places: &'a Places,
    outs: &'a [Vec<f32>],
    heard: &'a [Heard],
}

impl Known for Samples<'_> {
    fn asks(&self, b: usize, question: &Use) -> Result<bool> {
        if question.when.is_none() {
            return Ok(true);
        }
        with_frame(self.job, self.heard, |frame| {
            self.slots[b].guard(frame, b, question.when.as_ref())
        })
    }

    fn number(&self, b: usize, operand: &Operand) -> Result<f64> {
        with_frame(self.job, self.heard, |frame| {
            self.slots[b].number(frame, b, operand)
        })?
        .ok_or_else(|| broken("the plan asks with a number that it did not compute"))
    }

    fn latent(&self, rows: &[usize], operand: &Operand) -> Result<Tensor> {
        if matches!(operand, Operand::Latent) {
            return pick(self.job.x, rows);
        }
        let n = self.job.dims.channels * self.job.dims.area;
        let src = self.places.read(operand);
        let mut data = Vec::with_capacity(rows.len() * n);
        with_frame(self.job, self.heard, |frame| {
            for b in rows {
                let values = match &src {
                    Src::Out(j) => {
                        super::sample::sample_of(&self.outs[*j], *b, self.job.dims.batch)
                    }
                    src => self.slots[*b].whole(frame, &[None, None, None, None], *b, src)?,
                };
                data.extend_from_slice(
                    values.ok_or_else(|| {
                        broken("the plan asks at a point that it did not compute")
                    })?,
                );
            }
            Ok(())
        })?;
        Ok(Tensor::from_vec(
            data,
            self.job.dims.rows(rows.len(), Shape::Tensor),
            self.job.x.device(),
        )?)
    }
}
