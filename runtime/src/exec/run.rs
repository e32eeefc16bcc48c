//! The CPU's way to run a tick: each sample through all passes of a wave, samples beside one another.

use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::Tensor;
use candle_core::utils::barrier_pool;
use guide_compiler::plan::{Hold, Init, NoiseCurve, Operand, Plan, Segment, Shape, Tick};

use super::ask::{Heard, Now};
use super::bindings::Bound;
use super::dims::Dims;
use super::engine::{self, Arithmetic};
use super::finish::finish;
use super::lend::{Samples, with_frame};
use super::page::Page;
use super::pass::{self, BLOCK, Outs};
use super::places::{self, PAGES, PARTS, Places};
use super::program::{self, Step, WaveProgram, is_number};
use super::sample::{Cell, Frame, Slot};
use super::{Parts, held, whole};
use crate::error::Result;

/// A tick to run.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub plan: &'a Plan,
    pub noise: &'a OnceLock<NoiseCurve>,
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
    /// Whether what earlier ticks kept is taken over now, and decisions are made anew.
    pub begins: bool,
}

impl<'a> Job<'a> {
    /// How often questions are put and answers worked with: at least once.
    pub(super) fn waves(&self) -> usize {
        self.segment.waves.len().max(1)
    }

    /// The tick as questions see it.
    pub(super) fn now(&self) -> Now<'a> {
        Now {
            plan: self.plan,
            segment: self.segment,
            noise: self.noise,
            index: self.index,
            tick: self.tick,
            k: self.place.1,
            dims: self.dims,
            x: self.x,
        }
    }
}

/// Elements times instructions from which on threads pay for themselves.
const PARALLEL_FROM: usize = 1 << 14;

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
                moves_up: None,
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
        let mut new = Self {
            programs,
            slots: seeds.iter().map(|seed| Slot::new(*seed)).collect(),
            filters: whole::Filters::default(),
        };
        new.reset(plan, dims);
        new
    }

    /// The samples.
    pub fn samples(&self) -> &[Slot] {
        &self.slots
    }

    pub fn reset(&mut self, plan: &Plan, dims: &Dims) {
        for slot in &mut self.slots {
            slot.cells = fresh_cells(plan);
            slot.rows.resize_with(2 * plan.states.len(), Vec::new);
            for (s, state) in plan.states.iter().enumerate() {
                if !is_number(state.shape) {
                    slot.rows[s].clear();
                    slot.rows[s].resize(dims.len(state.shape), slot.cells[s].number as f32);
                }
            }
        }
    }
}

/// What the passes of a tick write for the solver.
#[derive(Debug)]
pub(super) struct Written {
    /// Each part of the result, and each point where later waves ask, for all samples.
    outs: Vec<Page>,
    /// The pages that networks were given, by their number.
    points: Vec<Option<Tensor>>,
    hold: Vec<bool>,
}

impl Arithmetic for Passes {
    type Begun = Written;
    type Known<'a> = Samples<'a>;

    fn begin(&mut self, job: &Job<'_>) -> Result<Written> {
        let places = &self.programs[job.place.0].1;
        for slot in &mut self.slots {
            if job.begins {
                commit(slot);
            }
            if slot.regs.len() < places.most_regs {
                slot.regs.resize(places.most_regs, vec![0.0; BLOCK]);
            }
            if slot.rows.len() < places.rows {
                slot.rows.resize(places.rows, Vec::new());
            }
        }
        engine::begin(&mut self.slots, job);
        let share = job.dims.channels * job.dims.area;
        let page = |wanted: bool| Page::new(job.dims.batch, if wanted { share } else { 0 });
        let parts = places::parts(job.segment).map(|part| part.is_some());
        let points = places.outs[PARTS..].iter().map(Option::is_some);
        Ok(Written {
            outs: parts.into_iter().chain(points).map(page).collect(),
            points: vec![None; PAGES],
            hold: vec![false; job.dims.batch],
        })
    }

    fn known<'a>(
        &'a self,
        job: &'a Job<'a>,
        begun: &'a Written,
        heard: &'a [Heard],
    ) -> Samples<'a> {
        Samples {
            job,
            slots: &self.slots,
            places: &self.programs[job.place.0].1,
            outs: &begun.outs,
            points: &begun.points,
            heard,
        }
    }

    fn slots(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    fn compute(
        &mut self,
        job: &Job<'_>,
        begun: &mut Written,
        heard: &[Heard],
        wave: usize,
    ) -> Result<()> {
        let Self {
            programs,
            slots,
            filters,
        } = self;
        let (waves, places) = &programs[job.place.0];
        let n = job.dims.channels * job.dims.area;
        let batch = job.dims.batch;
        let is_last = wave + 1 == job.waves();
        let passed_on = passed_on(job, heard).map(|whole| whole.is_some());
        let Written { outs, points, hold } = begun;
        with_frame(job, points, heard, |frame| {
            let program = waves.get(wave);
            let work = program.map_or(0, |program| program.work) * n * batch;
            let mut split: Vec<_> = outs.iter_mut().map(Page::sheets).collect();
            let parts: Vec<Outs<'_>> = (0..batch)
                .map(|_| std::array::from_fn(|j| split[j].next()))
                .collect();
            let one = |(b, (slot, mut outs)): (usize, (&mut Slot, Outs<'_>))| -> Result<()> {
                if let Some(program) = program {
                    run_wave(program, frame, filters, slot, &mut outs, b)?;
                }
                if is_last {
                    finish(frame, places, slot, &mut outs, passed_on, b)
                } else {
                    Ok(())
                }
            };
            let samples = slots.iter_mut().zip(parts).enumerate();
            if work >= PARALLEL_FROM && batch > 1 {
                beside(samples.collect(), one)?;
            } else {
                samples.into_iter().try_for_each(one)?;
            }
            if is_last {
                *hold = held(&job.segment.result.hold, batch, |b, operand| {
                    let number = slots[b].number(frame, b, operand)?;
                    Ok(number.is_some_and(|v| v != 0.0))
                })?;
            }
            Ok(())
        })?;
        match waves.get(wave) {
            Some(program) => give_points(job, program, places, outs, points),
            None => Ok(()),
        }
    }

    fn finish(
        &mut self,
        job: &Job<'_>,
        begun: Written,
        heard: &[Heard],
    ) -> Result<(Parts, Vec<bool>)> {
        let shape = job.dims.rows(job.dims.batch, Shape::Tensor);
        let mut tensors: Parts = passed_on(job, heard).map(|whole| whole.cloned());
        let parts = places::parts(job.segment);
        for ((tensor, part), out) in tensors.iter_mut().zip(parts).zip(begun.outs) {
            if part.is_some() && tensor.is_none() {
                let numbers = out.into_numbers();
                *tensor = Some(Tensor::from_vec(numbers, shape.clone(), job.x.device())?);
            }
        }
        Ok((tensors, begun.hold))
    }
}

/// Makes tensors of the points that a wave computed, as the next wave's networks are given them.
fn give_points(
    job: &Job<'_>,
    program: &WaveProgram,
    places: &Places,
    outs: &mut [Page],
    points: &mut [Option<Tensor>],
) -> Result<()> {
    for page in PARTS..PAGES {
        let value = places.outs[page];
        let mut made = program.ops.iter();
        if made.any(|op| Some(op.out.index()) == value) {
            let written = std::mem::replace(&mut outs[page], Page::new(0, 0)).into_numbers();
            let shape = job.dims.rows(job.dims.batch, Shape::Tensor);
            points[page] = Some(Tensor::from_vec(written, shape, job.x.device())?);
        }
    }
    Ok(())
}

/// The parts of the result that are one prediction's answers as they came, which nobody need copy.
fn passed_on<'a>(job: &Job<'_>, heard: &'a [Heard]) -> [Option<&'a Tensor>; PARTS] {
    let whole = |operand: &Operand| {
        let Operand::Prediction(id) = operand else {
            return None;
        };
        let mut answers = heard.iter().filter(|h| h.prediction == id.index());
        let first = answers.next()?;
        let in_order = first.row.iter().enumerate().all(|(b, row)| *row == Some(b));
        (in_order && answers.next().is_none()).then_some(&first.data)
    };
    let mut parts = places::parts(job.segment).map(|part| part.and_then(whole));
    if job.segment.result.hold != Hold::Never {
        return [None; PARTS];
    }
    // A renoise that a sample lacks is filled in with its denoise, which must then be written out.
    if matches!(job.segment.result.renoise, Some(Operand::Value(_))) {
        parts[0] = None;
    }
    parts
}

/// Takes over what was kept. From the last state to the first, since what moves up comes from an
/// earlier one, which still holds it then.
fn commit(slot: &mut Slot) {
    let states = slot.cells.len();
    for s in (0..states).rev() {
        let moves_up = slot.cells[s].moves_up.take();
        if !slot.cells[s].take_over() {
            continue;
        }
        let Some(from) = moves_up else {
            slot.rows.swap(s, states + s);
            continue;
        };
        let others = slot.cells.iter().take(s);
        let wanted_again = others.into_iter().any(|c| c.moves_up == Some(from));
        if slot.cells[from].staged.is_some() && !wanted_again {
            slot.rows.swap(s, from);
        } else {
            let (earlier, later) = slot.rows.split_at_mut(s);
            later[0].clone_from(&earlier[from]);
        }
    }
}

/// Does the work of all samples on the threads that the networks' tensor operations use, and gives
/// the first error in order of the samples, whichever thread came first.
fn beside<W: Send>(samples: Vec<W>, one: impl Fn(W) -> Result<()> + Sync) -> Result<()> {
    let places: Vec<Mutex<(Option<W>, Result<()>)>> = samples
        .into_iter()
        .map(|work| Mutex::new((Some(work), Ok(()))))
        .collect();
    let threads = barrier_pool();
    // The same samples to the same thread in each tick: its cache has their last numbers.
    let share = places.len().div_ceil(threads.n_workers() + 1).max(1);
    // INVARIANT: `one` uses no tensor operations; they would wait for the same threads.
    threads.execute(|thread| {
        for place in places.iter().skip(thread * share).take(share) {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(work) = place.0.take() {
                place.1 = one(work);
            }
        }
    });
    places
        .into_iter()
        .try_for_each(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner).1)
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
