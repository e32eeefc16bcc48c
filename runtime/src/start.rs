//! What a run begins with: noise from the seeds, latents that are given, or a picture with noise on it.

use std::ops::Range;

use candle_core::Tensor;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::latents;
use crate::noise::NoiseSource;
use crate::run::Request;

/// What the first latents of a run are.
#[derive(Clone, Debug)]
pub enum Start {
    /// Noise drawn from the seeds.
    Noise,
    /// `[B, C, H, W]`, standard normal, in place of noise drawn from the seeds.
    Given(Tensor),
    /// `[B, C, H, W]`, latents as they are: an inversion begins with a picture's.
    Clean(Tensor),
    /// A picture's latents, with noise of the first tick: each sample draws its latents from the
    /// picture's distribution, then the noise, as diffusers' pipelines do.
    Picture(Distribution),
}

/// The latents that an encoder gives for a picture: independent normal numbers.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// `[1, C, H, W]`, in the scale of the network's latents.
    pub mean: Tensor,
    /// The standard deviations, likewise.
    pub deviation: Tensor,
}

/// The first latents of some samples.
pub(crate) fn first(
    request: &Request<'_>,
    samples: &Range<usize>,
    noise: &mut dyn NoiseSource,
) -> Result<Tensor> {
    let shape = [&[samples.len()], request.latent].concat();
    let each = request.latent.iter().product();
    let timetable = &request.plan.timetable;
    if timetable.skipped > 0 && !matches!(request.start, Start::Picture(_)) {
        return Err(RuntimeError::new(
            ErrorKind::BadBinding,
            "the plan was made for a start from a picture, and there is none",
        ));
    }
    let numbers = match &request.start {
        Start::Picture(latents) => {
            let drawn = draw(latents, request, noise)?;
            let fresh = noise.draw(each)?;
            let (alpha, sigma) = timetable
                .ticks
                .first()
                .map_or((1.0, 0.0), |t| (t.alpha, t.sigma));
            let pairs = drawn.iter().zip(&fresh);
            let noised = pairs.map(|(x, n)| (alpha * x + sigma * f64::from(*n)) as f32);
            return Ok(Tensor::from_vec(
                noised.collect::<Vec<f32>>(),
                shape,
                request.device,
            )?);
        }
        Start::Given(given) => {
            let wanted = [&[request.batch], request.latent].concat();
            of_shape(given, &wanted)?;
            latents::numbers(&given.narrow(0, samples.start, samples.len())?)?
        }
        Start::Clean(clean) => {
            let wanted = [&[request.batch], request.latent].concat();
            of_shape(clean, &wanted)?;
            let some = clean.narrow(0, samples.start, samples.len())?;
            return Ok(some.to_device(request.device)?);
        }
        Start::Noise => noise.draw(each)?,
    };
    let scaled: Vec<f32> = numbers
        .iter()
        .map(|n| (f64::from(*n) * timetable.init_scale) as f32)
        .collect();
    Ok(Tensor::from_vec(scaled, shape, request.device)?)
}

/// Each sample's latents of a picture, sample after sample.
fn draw(
    latents: &Distribution,
    request: &Request<'_>,
    noise: &mut dyn NoiseSource,
) -> Result<Vec<f64>> {
    let wanted = [&[1], request.latent].concat();
    of_shape(&latents.mean, &wanted)?;
    of_shape(&latents.deviation, &wanted)?;
    let mean = latents::numbers(&latents.mean)?;
    let deviation = latents::numbers(&latents.deviation)?;
    let fresh = noise.draw(mean.len())?;
    let one = |(at, n): (usize, &f32)| {
        let at = at % mean.len();
        f64::from(mean[at]) + f64::from(deviation[at]) * f64::from(*n)
    };
    Ok(fresh.iter().enumerate().map(one).collect())
}

fn of_shape(given: &Tensor, wanted: &[usize]) -> Result<()> {
    if given.dims() == wanted {
        return Ok(());
    }
    Err(RuntimeError::new(
        ErrorKind::BadBinding,
        format!(
            "the latents to start from have the shape {:?}, not {wanted:?}",
            given.dims()
        ),
    ))
}
