//! DDIM walked backwards (Song, Meng and Ermon 2021, arXiv 2010.02502, section 4.3).
//!
//! DDIM's step is `x' = alpha' x0(p) + sigma' eps(q)`, with `p` what a rule steps toward and `q` what it
//! re-noises with. Solved for `x`, with both taken from where the step led to, that is the same step with
//! the halves exchanged: the clean sample of `q` and the noise of `p`. For CFG++ it is the inversion of
//! Chung et al. 2024, arXiv 2406.08070.

use candle_core::Tensor;
use guide_compiler::plan::{Method, Space, Tick};

use super::Solver;
use super::ddim::Ddim;
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver; it remembers nothing, and draws no noise.
#[derive(Debug)]
pub(super) struct Inverse(Ddim);

impl Inverse {
    pub fn new(native: Space) -> Self {
        Self(Ddim::new(native, &Method::default()))
    }
}

impl Solver for Inverse {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        let mut exchanged = guided.clone();
        if let Some(renoise) = &guided.renoise {
            exchanged.denoise = renoise.clone();
            exchanged.renoise = Some(guided.denoise.clone());
        }
        self.0.step(tick, x, &exchanged, noise)
    }
}
