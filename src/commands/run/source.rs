//! `--source FILE`: a run along a picture's way to noise.

use std::borrow::Cow;

use guide_compiler::plan::Plan;
use guide_runtime::device::Tensor;
use guide_runtime::trajectory::Trajectory;

use crate::args::Run;
use crate::exit::{Failure, Result};

/// The request, with the steps and the sampler of the way where it names one.
pub fn along(args: &Run) -> Result<Cow<'_, Run>> {
    let Some(file) = &args.way else {
        return Ok(Cow::Borrowed(args));
    };
    let steps = Trajectory::read(file)?.steps() as u64;
    let target = &args.target;
    if target.steps.is_some_and(|asked| asked != steps) {
        let message = format!("--source has {steps} steps; leave out --steps");
        return Err(Failure::Usage(message));
    }
    if target.sampler.as_deref().is_some_and(|name| name != "ddim") {
        let message = "a run along a --source is one of ddim; leave out --sampler";
        return Err(Failure::Usage(message.to_owned()));
    }
    let mut args = args.clone();
    args.target.steps = Some(steps);
    args.target.sampler = Some("ddim".to_owned());
    Ok(Cow::Owned(args))
}

/// Binds the way to every trajectory of the plan that nothing else is bound to.
pub fn bind(args: &mut Run, plan: &Plan) {
    let Some(file) = args.way.clone() else {
        return;
    };
    let bind = &mut args.target.bind;
    for input in plan
        .inputs
        .iter()
        .filter(|input| input.kind == "Trajectory")
    {
        if bind.iter().all(|(name, _)| *name != input.name) {
            bind.push((input.name.clone(), file.display().to_string()));
        }
    }
}

/// The noise that every picture of the batch begins with.
pub fn noise(args: &Run) -> Result<Option<Tensor>> {
    let Some(file) = &args.way else {
        return Ok(None);
    };
    let noise = Trajectory::read(file)?.noise()?;
    let all = vec![noise; args.batch as usize];
    Tensor::cat(&all, 0)
        .map(Some)
        .map_err(|error| Failure::from(guide_runtime::error::RuntimeError::from(error)))
}
