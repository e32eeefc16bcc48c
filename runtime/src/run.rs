//! The run loop: a plan, a predictor, a solver and noise give latents.
//!
//! Samples are independent: sample `i` has the seed `seed + i`, and its latent has the same bytes
//! whatever stands beside it, so a large batch runs as several smaller ones.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Plan, Space, Tick};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::exec::{Binding, Bindings, Executor, Guided};
use crate::models::convert::convert;
use crate::noise::{NoiseSource, Seeded};
use crate::predictor::{JudgeQuestion, Predictor, Question, Verdict};
use crate::samplers::solver;
use crate::start;
pub use crate::start::{Distribution, Start};

/// Elements of all latents that run together; 16 of Stable Diffusion's at 512x512.
const ELEMENTS_AT_ONCE: usize = 1 << 18;
/// The most samples that run together, however small.
const SAMPLES_AT_ONCE: usize = 64;

/// What to run.
#[derive(Debug)]
pub struct Request<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Number of samples.
    pub batch: usize,
    /// The shape of one latent, `[C, H, W]`.
    pub latent: &'a [usize],
    /// Where the arithmetic runs.
    pub device: &'a Device,
    /// Inputs and targets for the whole batch; the seeds are set from `seed`.
    pub bindings: Bindings,
    /// The seed of the first sample.
    pub seed: u64,
    /// What the first latents are.
    pub start: Start,
    /// Set from elsewhere to stop before the next evaluation.
    pub stop: &'a AtomicBool,
}

/// What a run made, and what it took.
#[derive(Clone, Debug)]
pub struct Finished {
    /// `[B, C, H, W]`, f32.
    pub latents: Tensor,
    /// Network evaluations made, for each sample.
    pub evaluations: Vec<u64>,
    /// Time spent in the networks.
    pub network: Duration,
    /// Time spent on the rule, the solver and noise.
    pub arithmetic: Duration,
}

/// A tick that is done.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Ticks done, over the whole batch.
    pub done: usize,
    /// Ticks to do, over the whole batch.
    pub total: usize,
    /// The tick.
    pub tick: &'a Tick,
    /// Its place in the timetable.
    pub index: usize,
    /// Which samples it was about.
    pub samples: Range<usize>,
    /// The latents before it, `[samples, C, H, W]`.
    pub before: &'a Tensor,
    /// What the rule returned.
    pub guided: &'a Guided,
    /// The latents after it.
    pub after: &'a Tensor,
    /// Network evaluations so far, over the whole batch.
    pub evaluations: u64,
    /// How long it took.
    pub took: Took,
    /// How many samples each forward pass of a network took.
    pub passes: &'a [usize],
}

impl Progress<'_> {
    /// The clean latents that the tick aims at, of a model that predicts in `space`: `[samples, C, H, W]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn clean(&self, space: Space) -> Result<Tensor> {
        let Tick { alpha, sigma, .. } = *self.tick;
        convert(
            &self.guided.denoise,
            space,
            Space::X0,
            self.before,
            alpha,
            sigma,
        )
    }
}

/// What a tick took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// The networks.
    pub network: Duration,
    /// The rule's arithmetic.
    pub rule: Duration,
    /// The solver, and noise.
    pub solver: Duration,
}

/// What watches a run: a progress bar, a trace, a preview.
pub trait Observer {
    /// A tick is done.
    ///
    /// # Errors
    /// What the observer could not write; the run ends with it.
    fn tick(&mut self, progress: &Progress<'_>) -> Result<()>;
}

/// Watches nothing.
impl Observer for () {
    fn tick(&mut self, _: &Progress<'_>) -> Result<()> {
        Ok(())
    }
}

/// Runs a plan with noise drawn from the seeds.
///
/// # Errors
/// [`ErrorKind::Interrupted`] once `stop` is set; what the executor, the predictor, the solver and
/// the observer report.
pub fn run(
    request: &Request<'_>,
    predictor: &mut dyn Predictor,
    observer: &mut dyn Observer,
) -> Result<Finished> {
    run_some(request, 0..request.batch, predictor, observer)
}

/// Runs some samples of a request, and gives theirs: the same bytes as they have in the whole.
///
/// # Errors
/// As [`run`].
pub fn run_some(
    request: &Request<'_>,
    samples: Range<usize>,
    predictor: &mut dyn Predictor,
    observer: &mut dyn Observer,
) -> Result<Finished> {
    let at_once = samples_at_once(request);
    let drawn =
        |from: usize, samples: usize| Seeded::new(request.seed.wrapping_add(from as u64), samples);
    let mut whole = Whole::new(request, samples.len().div_ceil(at_once));
    let mut from = samples.start;
    while from < samples.end {
        let chunk = from..(from + at_once).min(samples.end);
        let mut noise = drawn(from, chunk.len());
        whole.chunk(request, chunk.clone(), &mut noise, predictor, observer)?;
        from = chunk.end;
    }
    whole.finish(request)
}

/// Runs a plan with other noise, the whole batch at once.
///
/// # Errors
/// As [`run`].
pub fn run_with_noise(
    request: &Request<'_>,
    noise: &mut dyn NoiseSource,
    predictor: &mut dyn Predictor,
    observer: &mut dyn Observer,
) -> Result<Finished> {
    let mut whole = Whole::new(request, 1);
    whole.chunk(request, 0..request.batch, noise, predictor, observer)?;
    whole.finish(request)
}

/// How many samples run together. A rule whose samples see one another runs all at once.
pub fn samples_at_once(request: &Request<'_>) -> usize {
    if request.plan.couples() {
        return request.batch.max(1);
    }
    let each = request.latent.iter().product::<usize>().max(1);
    (ELEMENTS_AT_ONCE / each).clamp(1, SAMPLES_AT_ONCE)
}

/// A run under way.
struct Whole {
    latents: Vec<Tensor>,
    evaluations: Vec<u64>,
    network: Duration,
    began: Instant,
    done: usize,
    total: usize,
}

impl Whole {
    /// Of a run in so many chunks.
    fn new(request: &Request<'_>, chunks: usize) -> Self {
        Self {
            latents: Vec::new(),
            evaluations: Vec::with_capacity(request.batch),
            network: Duration::ZERO,
            began: Instant::now(),
            done: 0,
            total: chunks * request.plan.timetable.ticks.len(),
        }
    }

    fn chunk(
        &mut self,
        request: &Request<'_>,
        samples: Range<usize>,
        noise: &mut dyn NoiseSource,
        predictor: &mut dyn Predictor,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let plan = request.plan;
        let bindings = bindings(request, &samples)?;
        let mut executor = Executor::new(
            plan,
            samples.len(),
            request.latent,
            request.device,
            &bindings,
        )?;
        let mut solver = solver(&plan.head.sampler, &plan.timetable, plan.head.model.space)?;
        let mut timed = Timed::new(predictor, request.stop);
        let mut x = start::first(request, &samples, noise)?;
        let before = self.evaluations.len();
        self.evaluations.resize(before + samples.len(), 0);
        for (index, tick) in plan.timetable.ticks.iter().enumerate() {
            stopped(request.stop)?;
            timed.passes.clear();
            let (began, network) = (Instant::now(), timed.spent);
            let guided = executor.tick(index, &x, &mut timed)?;
            let (whole, network) = (began.elapsed(), timed.spent - network);
            for (sum, count) in self.evaluations[before..]
                .iter_mut()
                .zip(&guided.evaluated.counts)
            {
                *sum += u64::from(*count);
            }
            let began = Instant::now();
            let next = solver.step(tick, &x, &guided, noise)?;
            let took = Took {
                network,
                rule: whole.saturating_sub(network),
                solver: began.elapsed(),
            };
            self.done += 1;
            observer.tick(&Progress {
                done: self.done,
                total: self.total,
                tick,
                index,
                samples: samples.clone(),
                before: &x,
                guided: &guided,
                after: &next,
                evaluations: self.evaluations.iter().sum(),
                took,
                passes: &timed.passes,
            })?;
            x = next;
        }
        self.network += timed.spent;
        self.latents.push(x);
        Ok(())
    }

    fn finish(self, request: &Request<'_>) -> Result<Finished> {
        if self.latents.is_empty() {
            return Err(RuntimeError::new(
                ErrorKind::BadBinding,
                "a batch needs at least one sample",
            ));
        }
        stopped(request.stop)?;
        let arithmetic = self.began.elapsed().saturating_sub(self.network);
        Ok(Finished {
            latents: Tensor::cat(&self.latents, 0)?,
            evaluations: self.evaluations,
            network: self.network,
            arithmetic,
        })
    }
}

/// Ends what is in work once the user has asked to stop.
///
/// # Errors
/// `Interrupted`.
pub fn stopped(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        return Err(RuntimeError::new(
            ErrorKind::Interrupted,
            "the run was interrupted",
        ));
    }
    Ok(())
}

/// The bindings of some samples.
fn bindings(request: &Request<'_>, samples: &Range<usize>) -> Result<Bindings> {
    let mut some = request.bindings.clone();
    some.seeds = samples
        .clone()
        .map(|i| request.seed.wrapping_add(i as u64))
        .collect();
    if let Some(target) = &mut some.target
        && target.len() == request.batch
    {
        *target = target[samples.clone()].to_vec();
    }
    for binding in some.inputs.values_mut() {
        if let Binding::Tensor(tensor) = binding
            && request.batch > 1
            && tensor.dims().first() == Some(&request.batch)
        {
            *tensor = tensor.narrow(0, samples.start, samples.len())?;
        }
    }
    for tensor in some.gaussian.values_mut() {
        if tensor.dims().get(1) == Some(&request.batch) {
            *tensor = tensor.narrow(1, samples.start, samples.len())?;
        }
    }
    Ok(some)
}

/// A predictor with a clock beside it, that stops when asked to.
pub(crate) struct Timed<'a> {
    inner: &'a mut dyn Predictor,
    spent: Duration,
    /// Of the tick at hand.
    passes: Vec<usize>,
    stop: &'a AtomicBool,
}

impl<'a> Timed<'a> {
    /// Beside a predictor, until `stop` is set.
    pub(crate) fn new(inner: &'a mut dyn Predictor, stop: &'a AtomicBool) -> Self {
        Self {
            inner,
            spent: Duration::ZERO,
            passes: Vec::new(),
            stop,
        }
    }

    /// Time spent in the predictor.
    pub(crate) fn spent(&self) -> Duration {
        self.spent
    }
}

impl Predictor for Timed<'_> {
    fn facts(&self) -> &ModelFacts {
        self.inner.facts()
    }

    fn predict(
        &mut self,
        tick_index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        stopped(self.stop)?;
        let began = Instant::now();
        let answers = self.inner.predict(tick_index, tick, questions);
        self.spent += began.elapsed();
        self.passes.extend(self.inner.passes());
        answers
    }

    fn judge(
        &mut self,
        tick_index: usize,
        tick: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict> {
        stopped(self.stop)?;
        let began = Instant::now();
        let verdict = self.inner.judge(tick_index, tick, question);
        self.spent += began.elapsed();
        verdict
    }
}
