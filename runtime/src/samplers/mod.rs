//! Solvers: from what a rule returns in a tick to the next latent.
//!
//! All work in the variance-preserving form `x = alpha*x0 + sigma*eps` with f64 arithmetic that is
//! rounded to f32 once a step, sample by sample. What an outcome means in each solver is the table
//! in `runtime/reference/samplers.md`.

mod ancestral;
mod ddim;
mod ddpm;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_2s;
mod dpmpp_sde;
mod exponential;
mod halves;
mod heun;
mod history;
mod inverse;
mod lcm;
mod lms;
mod pndm;
#[cfg(test)]
mod tests;
mod unipc;

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

/// What the noise levels add to a sampler's name; a solver does not care.
const LEVELS: [&str; 3] = ["_karras", "_exponential", "_beta"];

/// The solver of that name, for a run over `timetable` with a network that answers in `native`.
///
/// # Errors
/// `G0807` for a name that is no solver's.
pub fn solver(name: &str, timetable: &Timetable, native: Space) -> Result<Box<dyn Solver>> {
    let method = &timetable.method;
    let flow = timetable.noise == NoiseTable::Flow;
    let plain = LEVELS.iter().find_map(|levels| name.strip_suffix(levels));
    Ok(match plain.unwrap_or(name) {
        "ddim" | "euler" => Box::new(ddim::Ddim::new(native, method)),
        "ddim_inverse" => Box::new(inverse::Inverse::new(native)),
        "ddpm" => Box::new(ddpm::Ddpm::new(native, method)),
        "pndm" => Box::new(pndm::Pndm::new(native, timetable)),
        "euler_a" => Box::new(ancestral::Ancestral::new(native)),
        "heun" => Box::new(heun::Heun::new(native, flow, method)),
        "lms" => Box::new(lms::Lms::new(native, flow)),
        "dpmpp_2m" => Box::new(dpmpp_2m::Dpmpp2m::new(native, method)),
        "dpmpp_2m_sde" => Box::new(dpmpp_2m_sde::Dpmpp2mSde::new(native, method)),
        "dpmpp_2s" => Box::new(dpmpp_2s::Dpmpp2s::new(native, method)),
        "dpmpp_sde" => Box::new(dpmpp_sde::DpmppSde::new(native, timetable)),
        "unipc" => Box::new(unipc::UniPc::new(native, method)),
        "lcm" => Box::new(lcm::Lcm::new(native, method)),
        _ => {
            return Err(RuntimeError::new(
                ErrorKind::BadPlan,
                format!("the plan's sampler `{name}` is not known"),
            ));
        }
    })
}

/// The highest order of a tick's step. Without a list it is 2; a step without end in
/// `log(alpha/sigma)` has no difference to look at.
fn order(orders: &[u32], tick: &Tick) -> u32 {
    let listed = orders.get(tick.step as usize).copied();
    if tick.sigma_next == 0.0 {
        1
    } else {
        listed.unwrap_or(2).max(1)
    }
}

/// Refuses what the planner refuses: a `renoise` of its own, and a move in a step's second evaluation.
fn one_prediction(name: &str, tick: &Tick, guided: &Guided) -> Result<()> {
    if guided.renoise.is_some() || (tick.substep > 0 && guided.moves.is_some()) {
        return Err(RuntimeError::new(
            ErrorKind::BadPlan,
            format!("the plan's outcome is more than `{name}` can follow"),
        ));
    }
    Ok(())
}

/// A second evaluation without its first.
fn not_begun() -> RuntimeError {
    RuntimeError::new(
        ErrorKind::BadPlan,
        "the plan corrects a step that it did not begin",
    )
}
