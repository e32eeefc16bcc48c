//! Runs a plan, one tick at a time.
//!
//! On a CPU a wave's arithmetic runs sample by sample, in as few passes over memory as its
//! reductions allow ([`program`], [`pass`]); on other devices with the device's tensor operations
//! ([`dense`]). Both give, for each sample, numbers that do not depend on the other samples.
//! State is kept for each sample: what a tick keeps is read from the next step on, so that the
//! substeps of one step all read the same.

mod ask;
mod bindings;
mod dense;
mod dense_tick;
mod device_ops;
mod dims;
mod engine;
mod finish;
mod fold;
pub(crate) mod kernels;
mod lend;
mod lower;
mod page;
mod pass;
mod places;
mod program;
mod run;
mod sample;
mod scores;
mod validate;
mod whole;
mod wide;

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{
    Hold, JudgementId, NoiseCurve, Operand, Plan, PredictionId, Shape, Space,
};

pub use bindings::{Binding, Bindings};
pub use dims::Dims;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::predictor::Predictor;
use bindings::Bound;

/// What a tick gives the solver.
#[derive(Clone, Debug)]
pub struct Guided {
    /// The space of `denoise` and `renoise`.
    pub space: Space,
    /// What the solver steps toward, `[B, C, …]`, f32; 0 for samples that hold.
    pub denoise: Tensor,
    /// What it re-noises with, where the rule says so.
    pub renoise: Option<Tensor>,
    /// Added to the ancestral mean.
    pub shift: Option<Tensor>,
    /// Added to `x` before the step.
    pub moves: Option<Tensor>,
    /// Which samples stay where they are.
    pub hold: Vec<bool>,
    /// What the networks were asked.
    pub evaluated: Evaluated,
}

/// Which predictions a tick evaluated for which samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// For each prediction that was asked, the samples, ascending; in the plan's order.
    pub by_prediction: Vec<(PredictionId, Vec<usize>)>,
    /// For each sample, how many.
    pub counts: Vec<u32>,
    /// For each question to a classifier that was put, the samples, ascending; in the plan's order.
    pub by_judgement: Vec<(JudgementId, Vec<usize>)>,
    /// For each sample, how many of those.
    pub judged: Vec<u32>,
}

/// Which segment a tick belongs to, and its place there.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: usize,
    k: usize,
}

/// A plan made ready for a number of samples on a device. It holds the state of one run.
#[derive(Debug)]
pub struct Executor {
    plan: Plan,
    /// The plan's noise, worked out when a prediction at another time first asks.
    noise: OnceLock<NoiseCurve>,
    dims: Dims,
    device: Device,
    places: Vec<Place>,
    inputs: Vec<Bound>,
    target: Option<Vec<u32>>,
    gaussian: Vec<(String, Tensor)>,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Passes(run::Passes),
    Dense(dense::Dense),
}

/// The parts of a result, before they are checked against the plan: denoise, renoise, shift, move.
type Parts = [Option<Tensor>; 4];

impl Executor {
    /// Makes a plan ready for `batch` latents of shape `latent` (`[C, H, W]`) on `device`.
    ///
    /// # Errors
    /// A plan that contradicts itself; an input that is not bound, or bound to what does not fit.
    pub fn new(
        plan: &Plan,
        batch: usize,
        latent: &[usize],
        device: &Device,
        bindings: &Bindings,
    ) -> Result<Self> {
        Self::build(plan, batch, latent, device, bindings, device.is_cpu())
    }

    /// The same with the tensor operations that other devices use, on any device.
    ///
    /// # Errors
    /// As [`Executor::new`].
    pub fn with_tensor_operations(
        plan: &Plan,
        batch: usize,
        latent: &[usize],
        device: &Device,
        bindings: &Bindings,
    ) -> Result<Self> {
        Self::build(plan, batch, latent, device, bindings, false)
    }

    fn build(
        plan: &Plan,
        batch: usize,
        latent: &[usize],
        device: &Device,
        bindings: &Bindings,
        passes: bool,
    ) -> Result<Self> {
        let places = validate::plan(plan)?;
        let dims = Dims::new(batch, latent);
        if let Some(target) = &bindings.target
            && target.len() != batch
        {
            return Err(RuntimeError::new(
                ErrorKind::BadBinding,
                format!("{} targets are given for {batch} samples", target.len()),
            ));
        }
        let inputs = bindings::bind(plan, bindings, &dims, device)?;
        let mut gaussian = Vec::new();
        for (salt, tensor) in &bindings.gaussian {
            let wanted = [
                vec![plan.timetable.ticks.len()],
                dims.rows(batch, Shape::Tensor),
            ]
            .concat();
            if tensor.dims() != wanted {
                return Err(RuntimeError::new(
                    ErrorKind::BadBinding,
                    format!(
                        "the noise `{salt}` has the shape {:?}, not {wanted:?}",
                        tensor.dims()
                    ),
                ));
            }
            gaussian.push((
                salt.clone(),
                tensor
                    .to_dtype(DType::F32)?
                    .to_device(device)?
                    .contiguous()?,
            ));
        }
        let seeds: Vec<u64> = (0..batch)
            .map(|b| bindings.seeds.get(b).copied().unwrap_or(b as u64))
            .collect();
        let engine = if passes {
            Engine::Passes(run::Passes::new(plan, &dims, &seeds))
        } else {
            Engine::Dense(dense::Dense::new(plan, &dims, device, &seeds)?)
        };
        Ok(Self {
            plan: plan.clone(),
            noise: OnceLock::new(),
            dims,
            device: device.clone(),
            places,
            inputs,
            target: bindings.target.clone(),
            gaussian,
            engine,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Forgets all state: a new image begins.
    ///
    /// # Errors
    /// The device fails.
    pub fn reset(&mut self) -> Result<()> {
        match &mut self.engine {
            Engine::Passes(engine) => engine.reset(&self.plan, &self.dims),
            Engine::Dense(engine) => engine.reset(&self.plan, &self.dims, &self.device)?,
        }
        Ok(())
    }

    /// Evaluates the rule in tick `index` of the timetable, at `x` (`[B, C, …]`).
    ///
    /// # Errors
    /// What the predictor reports; something not finite in a result; a plan that breaks its promises.
    pub fn tick(
        &mut self,
        index: usize,
        x: &Tensor,
        predictor: &mut dyn Predictor,
    ) -> Result<Guided> {
        let (Some(place), Some(tick)) = (
            self.places.get(index).copied(),
            self.plan.timetable.ticks.get(index),
        ) else {
            return Err(sample::broken(format!("the plan has no tick {index}")));
        };
        let wanted = self.dims.rows(self.dims.batch, Shape::Tensor);
        if x.dims() != wanted {
            return Err(RuntimeError::new(
                ErrorKind::TensorShape,
                format!("the latents have the shape {:?}, not {wanted:?}", x.dims()),
            ));
        }
        let x = x.to_dtype(DType::F32)?.contiguous()?;
        let inputs = bindings::at(&self.inputs, tick.step)?;
        let job = run::Job {
            plan: &self.plan,
            noise: &self.noise,
            segment: &self.plan.segments[place.segment],
            place: (place.segment, place.k),
            index,
            tick,
            dims: &self.dims,
            x: &x,
            inputs: &inputs,
            target: self.target.as_deref(),
            gaussian: &self.gaussian,
            begins: self.plan.head.per_evaluation || tick.substep == 0,
        };
        let (parts, hold, heard) = match &mut self.engine {
            Engine::Passes(engine) => engine::tick(engine, &job, predictor)?,
            Engine::Dense(engine) => engine::tick(engine, &job, predictor)?,
        };
        let [denoise, renoise, shift, moves] = parts;
        let denoise = match denoise {
            Some(denoise) => denoise,
            None => Tensor::zeros(wanted, DType::F32, &self.device)?,
        };
        let slots = match &self.engine {
            Engine::Passes(engine) => engine.samples(),
            Engine::Dense(engine) => engine.slots.as_slice(),
        };
        let evaluated = count(&self.plan, self.dims.batch, &heard, |id, b| {
            slots[b].ruled[id].is_some()
        });
        Ok(Guided {
            space: job.segment.result.space,
            denoise,
            renoise,
            shift,
            moves,
            hold,
            evaluated,
        })
    }
}

/// What was asked in a tick; `ruled` says of which samples a classifier gave logits.
fn count(
    plan: &Plan,
    batch: usize,
    heard: &[ask::Heard],
    ruled: impl Fn(usize, usize) -> bool,
) -> Evaluated {
    let mut evaluated = Evaluated {
        counts: vec![0; batch],
        judged: vec![0; batch],
        ..Evaluated::default()
    };
    let heard = |at: usize, b: &usize| {
        heard
            .iter()
            .any(|h| h.prediction == at && h.row[*b].is_some())
    };
    let predictions = plan.predictions.len();
    for id in 0..predictions {
        let rows: Vec<usize> = (0..batch).filter(|b| heard(id, b)).collect();
        // A gradient is no evaluation.
        if !plan.predictions[id].gradient {
            rows.iter().for_each(|b| evaluated.counts[*b] += 1);
        }
        if !rows.is_empty() {
            let id = PredictionId(id as u32);
            evaluated.by_prediction.push((id, rows));
        }
    }
    for id in 0..plan.judgements.len() {
        let asked = |b: &usize| heard(predictions + id, b) || ruled(id, *b);
        let rows: Vec<usize> = (0..batch).filter(asked).collect();
        rows.iter().for_each(|b| evaluated.judged[*b] += 1);
        if !rows.is_empty() {
            let id = JudgementId(id as u32);
            evaluated.by_judgement.push((id, rows));
        }
    }
    evaluated
}

/// Which samples hold, from a way to read truth values.
fn held(
    hold: &Hold,
    batch: usize,
    truth: impl Fn(usize, &Operand) -> Result<bool>,
) -> Result<Vec<bool>> {
    match hold {
        Hold::Never => Ok(vec![false; batch]),
        Hold::Always => Ok(vec![true; batch]),
        Hold::When(operand) => (0..batch).map(|b| truth(b, operand)).collect(),
    }
}
