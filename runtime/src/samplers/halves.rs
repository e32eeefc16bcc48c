//! What every solver needs of an outcome: the clean sample to step toward and the noise to keep,
//! in f64, with `move` and `shift` worked in.

use candle_core::{DType, Tensor};
use guide_compiler::plan::{Clip, Space, Tick};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::exec::Guided;

/// An outcome taken apart, sample after sample.
#[derive(Debug)]
pub(super) struct Halves {
    /// Elements of a sample.
    pub each: usize,
    /// The latent before the step, not moved.
    pub x: Vec<f32>,
    /// The latent that the step starts from: moved, where the rule says so.
    pub from: Vec<f64>,
    /// The clean sample that `denoise` predicts.
    pub x0: Vec<f64>,
    /// The clean sample that `renoise` predicts.
    pub renoised_x0: Vec<f64>,
    /// The noise that `renoise` predicts.
    pub eps: Vec<f64>,
    /// Added to the next latent as it is.
    pub offset: Vec<f64>,
    /// Samples that stay where they are.
    pub hold: Vec<bool>,
}

/// Whether a `shift` becomes part of the predictions or stays an addition to the next latent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ShiftAs {
    /// Solvers with fresh noise: it is added to the mean.
    Mean,
    /// Solvers without: the score that would move the ancestral mean so moves the predictions.
    Score,
}

impl Halves {
    pub fn new(
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        native: Space,
        shift: ShiftAs,
    ) -> Result<Self> {
        let point = here(tick);
        let old = numbers(x)?;
        let each = old.len() / guided.hold.len().max(1);
        let moved = match &guided.moves {
            Some(moves) => numbers(moves)?
                .iter()
                .zip(&old)
                .map(|(d, x)| f64::from(*x) + f64::from(*d))
                .collect(),
            None => old.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>(),
        };
        let denoise = numbers(&guided.denoise)?;
        let renoise = guided.renoise.as_ref().map(numbers).transpose()?;
        let all_held = guided.hold.iter().all(|h| *h);
        if point.alpha == 0.0 && matches!(guided.space, Space::Eps | Space::Score) && !all_held {
            return Err(RuntimeError::new(
                ErrorKind::NotFinite,
                format!(
                    "step {} starts without signal, where `{}` says nothing of the picture",
                    tick.step,
                    guided.space.name()
                ),
            )
            .help("choose `--spacing leading`"));
        }
        // A moved latent keeps what the network said, in the network's own space.
        let space = if guided.moves.is_some() {
            native
        } else {
            guided.space
        };
        let told = |i: usize, p: f32| {
            let p = f64::from(p);
            if guided.moves.is_none() {
                p
            } else {
                point.convert(guided.space, native, f64::from(old[i]), p)
            }
        };
        let x0: Vec<f64> = denoise
            .iter()
            .enumerate()
            .map(|(i, p)| point.x0(space, moved[i], told(i, *p)))
            .collect();
        let kept = renoise.as_deref().unwrap_or(&denoise);
        let eps: Vec<f64> = kept
            .iter()
            .enumerate()
            .map(|(i, p)| point.eps(space, moved[i], told(i, *p)))
            .collect();
        let renoised_x0 = match &renoise {
            Some(q) => q
                .iter()
                .enumerate()
                .map(|(i, p)| point.x0(space, moved[i], told(i, *p)))
                .collect(),
            None => x0.clone(),
        };
        let offset = vec![0.0; x0.len()];
        let mut halves = Self {
            each,
            x: old,
            from: moved,
            x0,
            renoised_x0,
            eps,
            offset,
            hold: guided.hold.clone(),
        };
        if let Some(by) = &guided.shift {
            halves.shift(tick, &numbers(by)?, shift);
        }
        Ok(halves)
    }

    /// Cuts the clean samples, and takes as noise what the latent holds beside them, for solvers that step
    /// from the latent itself.
    pub fn clip_and_follow(&mut self, clip: Clip, tick: &Tick) {
        if clip != Clip::No {
            self.clip(clip);
            self.follow(tick);
        }
    }

    /// Cuts the clean samples. The noise stays what the network said.
    pub fn clip(&mut self, clip: Clip) {
        for x0 in [&mut self.x0, &mut self.renoised_x0] {
            x0.chunks_exact_mut(self.each.max(1))
                .for_each(|sample| cut(sample, clip));
        }
    }

    fn follow(&mut self, tick: &Tick) {
        if tick.sigma == 0.0 {
            return;
        }
        for ((eps, x0), x) in self.eps.iter_mut().zip(&self.renoised_x0).zip(&self.from) {
            *eps = (x - tick.alpha * x0) / tick.sigma;
        }
    }

    /// Dhariwal and Nichol 2021, section 4: a score `g` moves the ancestral mean by its variance
    /// times `g`, and moves `eps` by `-sigma*g`.
    fn shift(&mut self, tick: &Tick, by: &[f32], as_what: ShiftAs) {
        let variance = tick.posterior_variance;
        if as_what == ShiftAs::Mean || variance == 0.0 || tick.alpha == 0.0 {
            self.offset = by.iter().map(|d| f64::from(*d)).collect();
            return;
        }
        let clean = tick.sigma * tick.sigma / (tick.alpha * variance);
        let noise = -tick.sigma / variance;
        for (i, d) in by.iter().enumerate() {
            self.x0[i] += clean * f64::from(*d);
            self.renoised_x0[i] += clean * f64::from(*d);
            self.eps[i] += noise * f64::from(*d);
        }
    }

    /// The slopes along which a solver by polynomials goes: of `x/alpha` over `sigma/alpha`, or in a flow
    /// model of `x` over `sigma`.
    pub fn slopes(&self, flow: bool) -> Vec<f64> {
        let pairs = self.eps.iter().zip(&self.x0);
        pairs
            .map(|(eps, x0)| if flow { eps - x0 } else { *eps })
            .collect()
    }

    /// Goes on with a step that an earlier evaluation began: what held there holds, and the addition is
    /// the mean of both.
    pub fn go_on(&mut self, hold: &[bool], offset: &[f64]) {
        self.hold = hold.to_vec();
        for (mine, first) in self.offset.iter_mut().zip(offset) {
            *mine = 0.5 * (*mine + first);
        }
    }

    /// The next latent, element by element; samples that hold keep theirs.
    ///
    /// # Errors
    /// A NaN or infinity.
    pub fn next(&self, tick: &Tick, like: &Tensor, value: impl Fn(usize) -> f64) -> Result<Tensor> {
        let mut out = Vec::with_capacity(self.x.len());
        for (i, x) in self.x.iter().enumerate() {
            let sample = i / self.each;
            if self.hold[sample] {
                out.push(*x);
                continue;
            }
            let next = (value(i) + self.offset[i]) as f32;
            if !next.is_finite() {
                return Err(RuntimeError::new(
                    ErrorKind::NotFinite,
                    format!(
                        "step {} leads to a latent of sample {sample} that is not finite",
                        tick.step
                    ),
                ));
            }
            out.push(next);
        }
        Ok(Tensor::from_vec(out, like.dims(), like.device())?)
    }
}

/// Cuts a clean sample.
fn cut(sample: &mut [f64], clip: Clip) {
    let range = match clip {
        Clip::No => return,
        Clip::Range(range) => range,
        Clip::Quantile { ratio, most } => {
            let range = quantile(sample, ratio).min(most).max(1.0);
            sample
                .iter_mut()
                .for_each(|v| *v = v.max(-range).min(range) / range);
            return;
        }
    };
    sample
        .iter_mut()
        .for_each(|v| *v = v.max(-range).min(range));
}

/// The quantile of magnitudes, linear between neighbours.
fn quantile(sample: &[f64], ratio: f64) -> f64 {
    let mut sizes: Vec<f64> = sample.iter().map(|v| v.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let place = ratio * sizes.len().saturating_sub(1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (sizes.get(low), sizes.get(high)) {
        (Some(a), Some(b)) => a + (b - a) * place.fract(),
        _ => 0.0,
    }
}

/// A tensor's numbers, sample after sample.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// A noise level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub alpha: f64,
    pub sigma: f64,
}

/// The share of fresh noise in the variance of an ancestral step that leaves this much of `sigma/alpha`.
pub(super) fn renewed(left: f64) -> f64 {
    (1.0 - left * left).max(0.0)
}

/// The noise level that a tick begins at.
pub(super) fn here(tick: &Tick) -> Point {
    Point {
        alpha: tick.alpha,
        sigma: tick.sigma,
    }
}

/// The noise level that a tick's step leads to.
pub(super) fn there(tick: &Tick) -> Point {
    Point {
        alpha: tick.alpha_next,
        sigma: tick.sigma_next,
    }
}

impl Point {
    /// How much of `sigma/alpha` is left at `to`.
    pub fn left(self, to: Point) -> f64 {
        self.alpha * to.sigma / (to.alpha * self.sigma)
    }

    /// The natural logarithm of `alpha/sigma`, infinite without noise or without signal.
    pub fn lambda(self) -> f64 {
        (self.alpha / self.sigma).ln()
    }

    /// The clean sample that `p` predicts at `x`.
    pub fn x0(self, space: Space, x: f64, p: f64) -> f64 {
        let Point { alpha, sigma } = self;
        match space {
            Space::Eps => (x - sigma * p) / alpha,
            Space::X0 => p,
            Space::V => (alpha * x - sigma * p) / (alpha * alpha + sigma * sigma),
            Space::Flow => (x - sigma * p) / (alpha + sigma),
            Space::Score => (x + sigma * sigma * p) / alpha,
        }
    }

    /// The noise that `p` predicts at `x`.
    pub fn eps(self, space: Space, x: f64, p: f64) -> f64 {
        let Point { alpha, sigma } = self;
        match space {
            Space::Eps => p,
            Space::X0 => (x - alpha * p) / sigma,
            Space::V => (sigma * x + alpha * p) / (alpha * alpha + sigma * sigma),
            Space::Flow => (x + alpha * p) / (alpha + sigma),
            Space::Score => -sigma * p,
        }
    }

    fn convert(self, from: Space, to: Space, x: f64, p: f64) -> f64 {
        if from == to {
            return p;
        }
        self.told(to, self.x0(from, x, p), self.eps(from, x, p))
    }

    /// What a network that answers in `space` says where it predicts this sample and this noise.
    pub fn told(self, space: Space, x0: f64, eps: f64) -> f64 {
        match space {
            Space::Eps => eps,
            Space::X0 => x0,
            Space::V => self.alpha * eps - self.sigma * x0,
            Space::Flow => eps - x0,
            Space::Score => -eps / self.sigma,
        }
    }
}
