//! Questions to networks, answered so that no sample's answer depends on what stands beside it.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use guide_compiler::plan::Space;
use rayon::prelude::*;

use super::convert::{convert, factors};
use super::network::Network;
use super::passes::{Pass, Passes, SMALL_LATENT, passes};
use super::sd::{Added, Begun, Conditioning, Framing, Span};
use super::text::Encoded;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::interventions::{self, Borrowed, Hooks, Keep, Kept, Lent, Watch, stacked};
use crate::predictor::{Question, Sight};

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
    /// What comes from other evaluations, and what each row's sample kept of them.
    pub borrowed: Vec<(Borrowed, Vec<&'a Kept>)>,
    /// The layers whose work others want.
    pub keeps: Vec<Lent>,
    /// For each sight the places of the tokens that are looked at.
    pub tokens: Vec<Vec<u32>>,
    /// Where each row may go on from; empty where it may not.
    pub begun: Vec<Option<Begun>>,
    /// Before which layers it leaves what it has come to.
    pub leave: Vec<usize>,
}

impl Asked<'_> {
    /// Whether nothing is done but to answer.
    pub fn is_plain(&self) -> bool {
        self.hooks.is_empty()
            && self.question.sights.is_empty()
            && self.borrowed.is_empty()
            && self.keeps.is_empty()
    }
}

/// Answers, and what else there is of them.
#[derive(Debug)]
pub struct Answers {
    /// Each `[rows, C, H, W]`, f32.
    pub answers: Vec<Tensor>,
    /// How many samples each forward pass took.
    pub passes: Vec<usize>,
    /// For each question and row, what its layers did, of those that are kept.
    pub kept: Vec<Vec<Kept>>,
    /// For each question and row, what it left before each of its layers.
    pub left: Vec<Vec<Vec<Begun>>>,
}

/// The answers, in `space`.
/// See [`passes`] for what goes together; `most` bounds it.
///
/// # Errors
/// What the tensor library or a hook reports.
pub fn all(
    asked: &[Asked<'_>],
    space: Space,
    most: Option<usize>,
    device: &Device,
) -> Result<Answers> {
    let Passes { passes, beside } = passes(asked, most, device)?;
    let mut rows: Vec<Vec<Row>> = asked.iter().map(|_| Vec::new()).collect();
    for wave in passes.chunks(beside.max(1)) {
        let answers = wave
            .par_iter()
            .map(|pass| together(asked, pass, space, device))
            .collect::<Result<Vec<_>>>()?;
        for (pass, answers) in wave.iter().zip(answers) {
            for ((number, _), answer) in pass.iter().zip(answers) {
                if let Some(rows) = rows.get_mut(*number) {
                    rows.push(answer);
                }
            }
        }
    }
    let answers = asked.iter().zip(&rows).map(|(one, rows)| {
        for (at, sight) in one.question.sights.iter().enumerate() {
            let maps: Vec<&Tensor> = rows.iter().filter_map(|row| row.maps.get(at)).collect();
            sight.show(Tensor::cat(&maps, 0)?);
        }
        let answers: Vec<&Tensor> = rows.iter().map(|row| &row.answer).collect();
        Ok(Tensor::cat(&answers, 0)?)
    });
    let answers = answers.collect::<Result<_>>()?;
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for rows in rows {
        let both = rows.into_iter().map(|row| (row.kept, row.left));
        let (of_kept, of_left): (Vec<Kept>, Vec<Vec<Begun>>) = both.unzip();
        kept.push(of_kept);
        left.push(of_left);
    }
    Ok(Answers {
        answers,
        passes: passes.iter().map(Vec::len).collect(),
        kept,
        left,
    })
}

/// What a forward pass gave for a row.
struct Row {
    /// `[1, C, H, W]`
    answer: Tensor,
    /// What was seen, each `[1, 1, H, W]`.
    maps: Vec<Tensor>,
    /// What its layers did, of those that are kept.
    kept: Kept,
    /// What was left before each layer of [`Asked::leave`].
    left: Vec<Begun>,
}

/// The answers of one forward pass.
fn together(asked: &[Asked<'_>], pass: &Pass, space: Space, device: &Device) -> Result<Vec<Row>> {
    let rows: Vec<(&Asked<'_>, usize)> = pass
        .iter()
        .filter_map(|(number, row)| Some((asked.get(*number)?, *row)))
        .collect();
    let Some((first, _)) = rows.first() else {
        return Ok(Vec::new());
    };
    let given = Given::of(&rows, device)?;
    let x = &given.x;
    let unet = &first.network.unet;
    let begun: Option<Vec<&Begun>> = rows
        .iter()
        .map(|(one, row)| one.begun.get(*row)?.as_ref())
        .collect();
    let begun = begun.map_or(Ok(None), |all| Begun::together(&all))?;
    // What the samples of one pass leave is left by all.
    let mut leave: Vec<usize> = rows.iter().flat_map(|(one, _)| one.leave.clone()).collect();
    leave.sort_unstable();
    leave.dedup();
    let span = Span {
        begun: begun.as_ref(),
        leave: &leave,
    };
    let inside = Inside::new(first, &rows)?;
    let conditioning = given.conditioning();
    let (answer, left) = unet.forward_in(x, &given.times, conditioning, &inside.hooks, span)?;
    let maps = match &inside.watch {
        Some(watch) => watch.maps()?,
        None => Vec::new(),
    };
    let kept = inside.keep.map(|keep| keep.take()).unwrap_or_default();
    let answers = rows.iter().enumerate().map(|(at, (one, _))| {
        let (answer, x) = (answer.narrow(0, at, 1)?, x.narrow(0, at, 1)?);
        let of_row = maps.iter().map(|map| Ok(map.narrow(0, at, 1)?));
        Ok(Row {
            answer: converted(one, &answer, &x, space)?,
            maps: of_row.collect::<Result<_>>()?,
            kept: interventions::row(&kept, at)?,
            left: match one.leave.is_empty() {
                true => Vec::new(),
                false => left
                    .iter()
                    .map(|left| left.row(at))
                    .collect::<Result<_>>()?,
            },
        })
    });
    answers.collect()
}

/// What a network is given for some rows.
struct Given {
    x: Tensor,
    times: Vec<f64>,
    states: Tensor,
    pooled: Option<Tensor>,
    framing: Vec<Framing>,
}

impl Given {
    /// For rows of questions to one network.
    fn of(rows: &[(&Asked<'_>, usize)], device: &Device) -> Result<Self> {
        let each = |of: &dyn Fn(&Asked<'_>, usize) -> Result<Tensor>| -> Result<Tensor> {
            let one: Vec<Tensor> = rows
                .iter()
                .map(|(one, row)| of(one, *row))
                .collect::<Result<_>>()?;
            match one.as_slice() {
                [one] => Ok(one.clone()),
                many => Ok(Tensor::cat(many, 0)?),
            }
        };
        let is_pooled = rows.iter().any(|(one, _)| one.text.pooled.is_some());
        let pooled = is_pooled.then(|| {
            each(&|one, row| {
                let pooled = one.text.pooled.as_ref().ok_or_else(no_pooled)?;
                row_of(pooled, row)
            })
        });
        Ok(Self {
            x: each(&|one, row| Ok(one.question.x.narrow(0, row, 1)?.to_device(device)?))?,
            times: rows
                .iter()
                .map(|(one, row)| time(one.question, *row))
                .collect(),
            states: each(&|one, row| row_of(&one.text.states, row))?,
            pooled: pooled.transpose()?,
            framing: rows.iter().map(|(one, _)| one.framing).collect(),
        })
    }

    fn conditioning(&self) -> Conditioning<'_> {
        Conditioning {
            states: &self.states,
            added: self.pooled.as_ref().map(|pooled| Added {
                pooled,
                framing: &self.framing,
            }),
        }
    }
}

/// The gradients by their points of the answers in `space`, each weighted as its question says; nothing for
/// questions that ask for an answer. One row after another where latents are large, so that memory holds one
/// backward pass.
///
/// # Errors
/// What the tensor library or a hook reports.
pub fn back(asked: &[Asked<'_>], space: Space, device: &Device) -> Result<Vec<Option<Tensor>>> {
    let gradients = asked.iter().map(|one| {
        let Some(by) = &one.question.by else {
            return Ok(None);
        };
        let (rows, _, height, width) = by.dims4()?;
        let of = |row: usize| back_row(one, row, &by.narrow(0, row, 1)?, space, device);
        let rows: Vec<Tensor> = if height * width <= SMALL_LATENT {
            (0..rows).into_par_iter().map(of).collect::<Result<_>>()?
        } else {
            (0..rows).map(of).collect::<Result<_>>()?
        };
        Ok(Some(Tensor::cat(&rows, 0)?))
    });
    gradients.collect()
}

fn back_row(
    one: &Asked<'_>,
    row: usize,
    by: &Tensor,
    space: Space,
    device: &Device,
) -> Result<Tensor> {
    let given = Given::of(&[(one, row)], device)?;
    let hooks = one.hooks.for_rows(&[row]);
    let (alpha, sigma) = (one.question.alpha, one.question.sigma);
    let (by_answer, by_x) = match one.network.space == space {
        true => (1.0, 0.0),
        false => factors(one.network.space, space, alpha, sigma),
    };
    let by_answer = (by.to_device(device)? * by_answer)?;
    let unet = &one.network.unet;
    let through = unet.back(
        &given.x,
        &given.times,
        given.conditioning(),
        &hooks,
        &by_answer,
    )?;
    match by_x == 0.0 {
        true => Ok(through),
        false => Ok((through + (by * by_x)?)?),
    }
}

/// What happens inside of a forward pass.
struct Inside {
    hooks: Hooks,
    watch: Option<Arc<Watch>>,
    keep: Option<Arc<Keep>>,
}

impl Inside {
    /// For rows that have the same done to them.
    fn new(first: &Asked<'_>, rows: &[(&Asked<'_>, usize)]) -> Result<Self> {
        let places: Vec<usize> = rows.iter().map(|(_, row)| *row).collect();
        let mut hooks = first.hooks.for_rows(&places);
        for (at, (borrowed, _)) in first.borrowed.iter().enumerate() {
            let mut kept: Vec<&Kept> = Vec::with_capacity(rows.len());
            for (one, row) in rows {
                let of_row = one.borrowed.get(at).and_then(|(_, kept)| kept.get(*row));
                kept.extend(of_row);
            }
            hooks = hooks.and(borrowed.hook(stacked(&kept, &borrowed.lent)?));
        }
        let watch = watch(first)?;
        if let Some(watch) = &watch {
            hooks = hooks.and(watch.clone());
        }
        let keep = (!first.keeps.is_empty()).then(|| Arc::new(Keep::new(first.keeps.clone())));
        if let Some(keep) = &keep {
            hooks = hooks.and(keep.clone());
        }
        Ok(Self { hooks, watch, keep })
    }
}

/// What looks into a forward pass for a question that asks to see more than the answer.
fn watch(asked: &Asked<'_>) -> Result<Option<Arc<Watch>>> {
    let Question { sights, x, .. } = asked.question;
    if sights.is_empty() {
        return Ok(None);
    }
    let (_, _, height, width) = x.dims4()?;
    let looks = sights.iter().map(Sight::look);
    let looks = looks.zip(asked.tokens.iter().cloned());
    let names = asked.network.unet.layers();
    Ok(Some(Arc::new(Watch::new(looks, names, (height, width)))))
}

/// A row of a tensor that has one for all, or one for each.
fn row_of(tensor: &Tensor, row: usize) -> Result<Tensor> {
    match tensor.dim(0)? {
        1 => Ok(tensor.clone()),
        _ => Ok(tensor.narrow(0, row, 1)?.contiguous()?),
    }
}

fn no_pooled() -> RuntimeError {
    RuntimeError::new(ErrorKind::BadPlan, "a text without its pooled state")
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
