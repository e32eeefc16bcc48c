//! Operations that read a whole sample: filters, quantiles, reductions over some axes, noise.

use std::borrow::Cow;
use std::sync::Mutex;

use guide_compiler::plan::{Axes, Code, Op, Operand, Reduce, Shape};

use super::dims::Dims;
use super::pass::Outs;
use super::program::{Arg, Dst, Src};
use super::sample::{Frame, Slot, broken, sample_of};
use crate::error::Result;
use crate::ops::axes::{self, With};
use crate::ops::filter::{Kernel, Separable};
use crate::ops::random::Stream;
use crate::ops::regions::mean_within;

/// Filters that were prepared before, by their numbers.
#[derive(Debug, Default)]
pub struct Filters {
    known: Mutex<Vec<(Kernel, std::sync::Arc<Separable>)>>,
}

impl Filters {
    /// The filter for these latents.
    ///
    /// # Errors
    /// Numbers or sizes that the filter cannot have.
    pub fn get(&self, kernel: Kernel, dims: &Dims) -> Result<std::sync::Arc<Separable>> {
        // A poisoned lock holds a list that is still whole: entries are only ever added.
        let mut known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, filter)) = known.iter().find(|(other, _)| *other == kernel) {
            return Ok(filter.clone());
        }
        let (height, width) = dims.plane();
        let filter = std::sync::Arc::new(kernel.prepare(height, width)?);
        known.push((kernel, filter.clone()));
        Ok(filter)
    }
}

/// Runs a whole-sample operation for sample `b`.
///
/// # Errors
/// As for a pass; a filter that does not fit the latents.
#[allow(
    clippy::too_many_arguments,
    reason = "the parts of a sample are borrowed apart"
)]
pub fn run(
    op: &Op,
    args: &[Arg],
    dst: Option<Dst>,
    frame: &Frame<'_>,
    filters: &Filters,
    slot: &mut Slot,
    outs: &mut Outs<'_>,
    b: usize,
) -> Result<()> {
    if !slot.guard(frame, b, op.when.as_ref())? {
        return Ok(());
    }
    let out = op.out.index();
    let shape = frame.segment.values[out].shape;
    let mut to = buffer(args, dst, slot);
    to.resize(frame.dims.len(shape), 0.0);
    match &op.code {
        Code::Filter(filter, _) => {
            let Some(from) = args
                .first()
                .map(|arg| broadcast(arg, shape, frame, slot, outs, b))
                .transpose()?
                .flatten()
            else {
                give_back(dst, slot, to);
                return Ok(());
            };
            filters
                .get(Kernel::at(filter, frame.k), frame.dims)?
                .apply(&from, &mut to);
        }
        Code::MeanWithin(..) => {
            let mut maps = Vec::with_capacity(args.len());
            for arg in args {
                let Some(map) = broadcast(arg, shape, frame, slot, outs, b)? else {
                    give_back(dst, slot, to);
                    return Ok(());
                };
                maps.push(map);
            }
            let [of, regions] = maps.as_slice() else {
                return Err(broken("the plan takes means within nothing"));
            };
            mean_within(of, regions, &mut to);
        }
        Code::Gaussian { key } => match noise(frame, key, b) {
            // Noise is recorded in the shape of a latent.
            Some(recorded) if shape == Shape::Tensor => to.copy_from_slice(recorded),
            _ => Stream::new(slot.seed, frame.tick.step, key).normal(&mut to),
        },
        Code::Look {
            of: Operand::Prediction(id),
            look,
        } => {
            let Some(map) = frame.sight(id.index(), look, b) else {
                give_back(dst, slot, to);
                return Ok(());
            };
            to.copy_from_slice(map);
        }
        Code::Reduce(reduce) => {
            let Some(value) = reduce_whole(reduce, args, frame, slot, outs, b, &mut to)? else {
                give_back(dst, slot, to);
                return Ok(());
            };
            slot.numbers[out] = value;
        }
        _ => {
            return Err(broken(
                "the plan has an operation in a place where it cannot run",
            ));
        }
    }
    slot.done[out] = true;
    match dst {
        Some(Dst::Row(row)) => slot.rows[row] = to,
        Some(Dst::Out(place)) => {
            if let Some(out) = &mut outs[place] {
                out.write(0, &to);
            }
        }
        _ => {}
    }
    Ok(())
}

/// What an operation writes to: its own row as the last tick left it, unless that is state, or what the
/// operation reads.
fn buffer(args: &[Arg], dst: Option<Dst>, slot: &mut Slot) -> Vec<f32> {
    match dst {
        Some(Dst::Row(row))
            if row >= slot.cells.len() && !args.iter().any(|arg| arg.src == Src::Row(row)) =>
        {
            std::mem::take(&mut slot.rows[row])
        }
        _ => Vec::new(),
    }
}

/// Puts a buffer back that nothing was written to.
fn give_back(dst: Option<Dst>, slot: &mut Slot, buffer: Vec<f32>) {
    if let Some(Dst::Row(row)) = dst
        && slot.rows[row].is_empty()
    {
        slot.rows[row] = buffer;
    }
}

/// Recorded noise for a key: by the whole key, else by the salt that it begins with.
fn noise<'a>(frame: &Frame<'a>, key: &str, b: usize) -> Option<&'a [f32]> {
    let salt = key.split(['/', ':', '@']).next().unwrap_or(key);
    let found = |name: &str| frame.gaussian.iter().find(|(salt, _)| salt == name);
    found(key)
        .or_else(|| found(salt))
        .and_then(|(_, data)| sample_of(data, b, frame.dims.batch))
}

/// A reduction that is not part of a pass. Numbers come back; tensors go to `to`.
fn reduce_whole(
    reduce: &Reduce,
    args: &[Arg],
    frame: &Frame<'_>,
    slot: &Slot,
    outs: &Outs<'_>,
    b: usize,
    to: &mut [f32],
) -> Result<Option<f64>> {
    let over_all = reduce.over == Axes::All;
    let operands = [Some(&reduce.of), reduce.with.as_ref()];
    let joined = super::program::join(
        operands
            .into_iter()
            .flatten()
            .map(|operand| super::program::shape_of(frame.plan, frame.segment, operand)),
    );
    let domain = if over_all { joined } else { Shape::Tensor };
    let Some(first) = args.first() else {
        return Ok(None);
    };
    let Some(of) = broadcast(first, domain, frame, slot, outs, b)? else {
        return Ok(None);
    };
    let second = match (&reduce.with, args.get(1)) {
        (Some(_), Some(arg)) => match broadcast(arg, domain, frame, slot, outs, b)? {
            Some(second) => second,
            None => return Ok(None),
        },
        _ => Cow::Borrowed(&[][..]),
    };
    let level = match &reduce.level {
        Some(operand) => match slot.number(frame, b, operand)? {
            Some(level) => level,
            None => return Ok(None),
        },
        None => 0.0,
    };
    if over_all {
        let mut of = of.into_owned();
        return Ok(Some(axes::of_list(reduce.op, &mut of, &second, level)));
    }
    axes::reduce(
        reduce.op,
        reduce.over,
        &of,
        With {
            second: &second,
            level,
        },
        frame.dims.channels,
        frame.dims.area,
        to,
    );
    Ok(Some(0.0))
}

/// An operand, repeated to a shape where it is smaller. `None` where it was not computed.
fn broadcast<'s>(
    arg: &Arg,
    shape: Shape,
    frame: &Frame<'s>,
    slot: &'s Slot,
    outs: &'s Outs<'_>,
    b: usize,
) -> Result<Option<Cow<'s, [f32]>>> {
    if !slot.ready(arg) {
        return Ok(None);
    }
    let wanted = frame.dims.len(shape);
    if let Src::Num(operand) = &arg.src {
        return Ok(slot
            .number(frame, b, operand)?
            .map(|value| Cow::Owned(vec![value as f32; wanted])));
    }
    let Some(values) = slot.whole(frame, outs, b, &arg.src)? else {
        return Ok(None);
    };
    let area = frame.dims.area;
    Ok(Some(if values.len() == wanted {
        Cow::Borrowed(values)
    } else if values.len() == area {
        Cow::Owned((0..wanted).map(|i| values[i % area]).collect())
    } else {
        Cow::Owned((0..wanted).map(|i| values[i / area]).collect())
    }))
}
