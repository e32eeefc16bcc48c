//! Solvers: from what a rule returns in a tick to the next latent.
//!
//! All work in the variance-preserving form `x = alpha*x0 + sigma*eps` with f64 arithmetic that is
//! rounded to f32 once a step, sample by sample. What an outcome means in each solver is the table
//! in `runtime/reference/samplers.md`.

mod ancestral;
mod ddim;
mod dpmpp_2m;
mod halves;
mod heun;
#[cfg(test)]
mod tests;

use candle_core::Tensor;
use guide_compiler::plan::{NoiseTable, Space, Tick, Timetable};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// A way to solve for the picture. It may remember earlier ticks of one run.
pub trait Solver {
    /// The latent that `tick` leads to. `x` is `[B, C, …]` in f32, and so is the answer.
    ///
    /// # Errors
    /// A prediction that says nothing of the picture at this noise; an answer that is not finite;
    /// noise that ran out.
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        noise: &mut dyn NoiseSource,
    ) -> Result<Tensor>;
}

/// The solver of that name, for a run over `timetable` with a network that answers in `native`.
///
/// # Errors
/// `G0807` for a name that is no solver's.
pub fn solver(name: &str, timetable: &Timetable, native: Space) -> Result<Box<dyn Solver>> {
    match name.strip_suffix("_karras").unwrap_or(name) {
        "ddim" | "euler" => Ok(Box::new(ddim::Ddim::new(native))),
        "euler_a" => Ok(Box::new(ancestral::Ancestral::new(native))),
        "dpmpp_2m" => {
            let steps = timetable.ticks.last().map_or(0, |t| t.step + 1);
            Ok(Box::new(dpmpp_2m::Dpmpp2m::new(native, steps)))
        }
        "heun" => Ok(Box::new(heun::Heun::new(
            native,
            timetable.noise == NoiseTable::Flow,
        ))),
        _ => Err(RuntimeError::new(
            ErrorKind::BadPlan,
            format!("the plan's sampler `{name}` is not known"),
        )),
    }
}
