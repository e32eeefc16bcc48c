//! The loop of an objective: turn after turn its plan gives a gradient by latents, and Adam goes down it.
//! What moves is the latents themselves, or a picture, to which the gradient goes back through the encoder.
//!
//! What a turn draws is keyed by the sample's seed and the turn, so that a sample has the same bytes
//! whatever stands beside it, and a run that is taken up again goes on as if it had never stopped.

mod adam;
mod state;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use guide_compiler::plan::Plan;

pub use adam::Adam;
pub use state::{Facts, State};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::exec::{Bindings, Executor};
use crate::noise::{NoiseSource, Seeded};
use crate::predictor::Predictor;
use crate::run::{Timed, stopped};

/// What is moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The latents.
    #[default]
    Latent,
    /// Pictures, `[B, 3, H, W]` in 0..1.
    Image,
}

/// What an objective asks of the world: predictions, and the latents of pictures with their gradients.
pub trait World: Predictor {
    /// The most likely latents of pictures: `[B, 3, H, W]` in 0..1 to `[B, C, h, w]`.
    ///
    /// # Errors
    /// An autoencoder that fails.
    fn latents_of(&self, pictures: &Tensor) -> Result<Tensor>;

    /// The gradient by pictures of numbers that hang on their latents, from those by the latents.
    ///
    /// # Errors
    /// An autoencoder through which no gradient goes.
    fn back_to_pictures(&self, pictures: &Tensor, by_latents: &Tensor) -> Result<Tensor>;
}

/// What to optimise.
#[derive(Debug)]
pub struct Request<'a> {
    /// The plan of an objective.
    pub plan: &'a Plan,
    /// Number of samples.
    pub batch: usize,
    /// The shape of one latent, `[C, H, W]`.
    pub latent: &'a [usize],
    /// Where the arithmetic runs.
    pub device: &'a Device,
    /// Inputs and targets; the seeds are set from `seed`.
    pub bindings: Bindings,
    /// The seed of the first sample.
    pub seed: u64,
    /// What is moved.
    pub target: Target,
    /// Set from elsewhere to stop before the next evaluation.
    pub stop: &'a AtomicBool,
}

/// An optimisation under way.
#[derive(Debug)]
pub struct Optimisation<'a> {
    executor: Executor,
    target: Target,
    stop: &'a AtomicBool,
    /// What is optimised, with Adam's moments.
    pub state: State,
    /// Network evaluations so far, for each sample.
    pub evaluations: Vec<u64>,
    /// Time spent in networks, the autoencoder among them.
    pub network: Duration,
    /// Time spent on the rule and Adam.
    pub arithmetic: Duration,
}

/// Latents of standard normal noise from the seeds, `[B, C, H, W]`: what a run would start with.
///
/// # Errors
/// The device fails.
pub fn noise(request: &Request<'_>) -> Result<Tensor> {
    let each = request.latent.iter().product();
    let drawn = Seeded::new(request.seed, request.batch).draw(each)?;
    let shape = [&[request.batch], request.latent].concat();
    Ok(Tensor::from_vec(drawn, shape, request.device)?)
}

impl<'a> Optimisation<'a> {
    /// Makes ready to go on from a state.
    ///
    /// # Errors
    /// `BadPlan` for a plan that is no objective's; `NotYet` for a start in the middle of an objective that
    /// keeps values from turn to turn; what the executor refuses.
    pub fn new(request: &Request<'a>, state: State) -> Result<Self> {
        let plan = request.plan;
        if plan.head.objective.is_none() {
            let message = format!("`{}` is a guide, which has no gradient", plan.head.guide);
            return Err(RuntimeError::new(ErrorKind::BadPlan, message)
                .help("plan an `objective`, or sample with `guidec run`"));
        }
        if state.turns() > 0 && !plan.states.is_empty() {
            let message = format!(
                "`{}` keeps values from turn to turn, which the file does not hold",
                plan.head.guide
            );
            return Err(RuntimeError::new(ErrorKind::NotYet, message)
                .help("leave out `--resume`, and let it run to its end"));
        }
        let mut bindings = request.bindings.clone();
        bindings.seeds = (0..request.batch as u64)
            .map(|sample| request.seed.wrapping_add(sample))
            .collect();
        Ok(Self {
            executor: Executor::new(
                plan,
                request.batch,
                request.latent,
                request.device,
                &bindings,
            )?,
            target: request.target,
            stop: request.stop,
            state,
            evaluations: vec![0; request.batch],
            network: Duration::ZERO,
            arithmetic: Duration::ZERO,
        })
    }

    /// Whether all turns are taken.
    pub fn is_done(&self) -> bool {
        self.state.turns() >= self.executor.plan().head.steps
    }

    /// Takes a turn: the objective's gradient, and a step of Adam. Pictures stay within 0..1.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] once `stop` is set; `NotFinite` for a gradient that is not finite; what
    /// the predictor and the executor report. The state is then that before the turn.
    pub fn turn(&mut self, world: &mut dyn World) -> Result<()> {
        stopped(self.stop)?;
        let begin = Instant::now();
        let turn = self.state.turns() as usize;
        let moved = &self.state.variable;
        let (latents, encoding) = timed(|| match self.target {
            Target::Latent => Ok(moved.clone()),
            Target::Image => world.latents_of(moved),
        })?;
        let mut asked = Timed::new(world, self.stop);
        let given = self.executor.tick(turn, &latents, &mut asked)?;
        let asking = asked.spent();
        for (sum, count) in self.evaluations.iter_mut().zip(&given.evaluated.counts) {
            *sum += u64::from(*count);
        }
        let (gradient, back) = timed(|| match self.target {
            Target::Latent => Ok(given.denoise.clone()),
            Target::Image => world.back_to_pictures(moved, &given.denoise),
        })?;
        if !gradient.sum_all()?.to_scalar::<f32>()?.is_finite() {
            let message = format!("the gradient is not finite in tick {turn}, behind the encoder");
            return Err(RuntimeError::new(ErrorKind::NotFinite, message)
                .help("cut it before, as `clip` of the library's objectives does"));
        }
        self.state.step(&gradient)?;
        if self.target == Target::Image {
            self.state.variable = self.state.variable.clamp(0f32, 1f32)?;
        }
        let network = encoding + asking + back;
        self.network += network;
        self.arithmetic += begin.elapsed().saturating_sub(network);
        Ok(())
    }
}

/// What something gives, and how long it took.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let begin = Instant::now();
    Ok((work()?, begin.elapsed()))
}
