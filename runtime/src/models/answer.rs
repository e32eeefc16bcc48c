//! Questions to networks, answered so that no sample's answer depends on what stands beside it.

use candle_core::{Device, Tensor};
use guide_compiler::plan::Space;
use rayon::prelude::*;

use super::convert::convert;
use super::network::Network;
use super::sd::{Added, Conditioning, Framing};
use super::text::Encoded;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::interventions::Hooks;
use crate::predictor::Question;

/// A question with all that answers it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The question.
    pub question: &'a Question<'a>,
    /// The network.
    pub network: &'a Network,
    /// Its condition, one for all rows or one for each.
    pub text: Encoded,
    /// What a network of SDXL is told about the picture.
    pub framing: Framing,
    /// What is changed inside.
    pub hooks: Hooks,
}

/// Latents of up to this many places go through the network side by side; larger ones one after
/// another, each with all threads, so that memory holds one forward pass at a time.
const SMALL_LATENT: usize = 32 * 32;

/// The answers, each `[rows, C, H, W]`, f32, in `space`.
///
/// On a CPU each sample goes through the network alone: the tensor library picks its kernels by the
/// shape, and a shape without a batch is the same in every batch. On another device the samples of a
/// question go through together.
///
/// # Errors
/// What the tensor library or a hook reports.
pub fn all(asked: &[Asked<'_>], space: Space, device: &Device) -> Result<Vec<Tensor>> {
    if !device.is_cpu() {
        return asked
            .iter()
            .map(|one| together(one, space, device))
            .collect();
    }
    let jobs: Vec<(usize, usize)> = asked
        .iter()
        .enumerate()
        .flat_map(|(i, one)| (0..one.question.rows.len()).map(move |row| (i, row)))
        .collect();
    let answer = |(i, row): &(usize, usize)| match asked.get(*i) {
        Some(one) => alone(one, *row, space),
        None => Err(RuntimeError::new(
            ErrorKind::BadPlan,
            "a question without an answer",
        )),
    };
    let small = asked.iter().all(|one| {
        one.question
            .x
            .dims()
            .iter()
            .rev()
            .take(2)
            .product::<usize>()
            <= SMALL_LATENT
    });
    // A thread that waits inside a forward pass may begin another; a wave of as many as there are
    // threads bounds how deep they nest and how much memory they hold.
    let wave = if small {
        rayon::current_num_threads()
    } else {
        1
    };
    let mut answers = Vec::with_capacity(jobs.len());
    for jobs in jobs.chunks(wave) {
        answers.extend(
            jobs.par_iter()
                .map(answer)
                .collect::<Result<Vec<Tensor>>>()?,
        );
    }
    let mut answers = answers.into_iter();
    asked
        .iter()
        .map(|one| {
            Ok(Tensor::cat(
                &answers
                    .by_ref()
                    .take(one.question.rows.len())
                    .collect::<Vec<_>>(),
                0,
            )?)
        })
        .collect()
}

/// One sample's answer, `[1, C, H, W]`.
fn alone(asked: &Asked<'_>, row: usize, space: Space) -> Result<Tensor> {
    let x = asked.question.x.narrow(0, row, 1)?;
    let one = |tensor: &Tensor| -> Result<Tensor> {
        match tensor.dim(0)? {
            1 => Ok(tensor.clone()),
            _ => Ok(tensor.narrow(0, row, 1)?.contiguous()?),
        }
    };
    let answer = forward(asked, &x, &[time(asked.question, row)], one)?;
    converted(asked, &answer, &x, space)
}

/// The answer for all samples at once.
fn together(asked: &Asked<'_>, space: Space, device: &Device) -> Result<Tensor> {
    let rows = asked.question.rows.len();
    let x = asked.question.x.to_device(device)?;
    let times: Vec<f64> = (0..rows).map(|row| time(asked.question, row)).collect();
    let each = |tensor: &Tensor| -> Result<Tensor> {
        match tensor.dim(0)? {
            1 if rows > 1 => {
                let mut shape = tensor.dims().to_vec();
                shape[0] = rows;
                Ok(tensor.broadcast_as(shape)?.contiguous()?)
            }
            _ => Ok(tensor.clone()),
        }
    };
    let answer = forward(asked, &x, &times, each)?;
    converted(asked, &answer, &x, space)
}

/// The network's answer at `x`, with the condition's tensors brought to as many rows by `rows`.
fn forward(
    asked: &Asked<'_>,
    x: &Tensor,
    times: &[f64],
    rows: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let states = rows(&asked.text.states)?;
    let pooled = asked.text.pooled.as_ref().map(rows).transpose()?;
    let framing = vec![asked.framing; times.len()];
    let conditioning = Conditioning {
        states: &states,
        added: pooled.as_ref().map(|pooled| Added {
            pooled,
            framing: &framing,
        }),
    };
    asked
        .network
        .unet
        .forward(x, times, conditioning, &asked.hooks)
}

/// The time that the network is told for a row.
fn time(question: &Question<'_>, row: usize) -> f64 {
    question
        .told
        .as_ref()
        .and_then(|told| told.get(row))
        .copied()
        .unwrap_or(question.t)
}

fn converted(asked: &Asked<'_>, answer: &Tensor, x: &Tensor, space: Space) -> Result<Tensor> {
    convert(
        answer,
        asked.network.space,
        space,
        x,
        asked.question.alpha,
        asked.question.sigma,
    )
}
