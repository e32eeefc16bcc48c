//! The end of a tick for one sample: what is kept, and what leaves.

use guide_compiler::plan::{Hold, Operand, Plan};

use super::kernels;
use super::page::Sheet;
use super::pass::Outs;
use super::places::{self, PARTS, Places};
use super::program::{self, Src, is_number};
use super::sample::{Bad, Frame, Slot, broken};
use crate::error::Result;

/// What the parts of a result are called.
const PART_NAMES: [&str; PARTS] = [
    "the guided prediction",
    "the prediction to re-noise with",
    "the shift",
    "the move",
];

/// What a part of a plan's result is called.
pub(super) fn part_name(plan: &Plan, part: usize) -> &'static str {
    match (part, plan.head.objective) {
        (0, Some(_)) => "the gradient",
        _ => PART_NAMES.get(part).copied().unwrap_or("a result"),
    }
}

/// Stages what is kept, completes the parts of the result for a sample, and checks them. Of the parts
/// that are `passed_on` nothing is written.
pub(super) fn finish(
    frame: &Frame<'_>,
    places: &Places,
    slot: &mut Slot,
    outs: &mut Outs<'_>,
    passed_on: [bool; PARTS],
    b: usize,
) -> Result<()> {
    let result = &frame.segment.result;
    let holds = match &result.hold {
        Hold::Never => false,
        Hold::Always => true,
        Hold::When(operand) => slot.number(frame, b, operand)?.is_some_and(|v| v != 0.0),
    };
    for keep in &frame.segment.keep {
        if slot.guard(frame, b, keep.when.as_ref())? {
            stage(
                frame,
                places,
                slot,
                outs,
                b,
                keep.state.index(),
                &keep.value,
            )?;
        }
    }
    slot.decide(frame, b)?;
    for (j, operand) in places::parts(frame.segment).into_iter().enumerate() {
        let Some(operand) = operand else { continue };
        if passed_on[j] {
            let answer = slot.whole(frame, outs, b, &places.read(operand))?;
            if !answer.is_none_or(kernels::finite) {
                return Err(frame.not_finite(b, part_name(frame.plan, j), None));
            }
            continue;
        }
        let Some(mut out) = outs[j].take() else {
            continue;
        };
        if holds {
            out.fill(0.0);
        } else if !places.is_written(j, operand, slot) {
            complete(frame, places, slot, outs, b, operand, j, &mut out)?;
        }
        if !out.is_finite() {
            return Err(frame.not_finite(b, part_name(frame.plan, j), None));
        }
        outs[j] = Some(out);
    }
    Ok(())
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of a sample are borrowed apart"
)]
fn complete(
    frame: &Frame<'_>,
    places: &Places,
    slot: &Slot,
    outs: &Outs<'_>,
    b: usize,
    operand: &Operand,
    part: usize,
    out: &mut Sheet<'_>,
) -> Result<()> {
    let value = if let Operand::Value(id) = operand {
        Some(id.index())
    } else {
        None
    };
    if value.is_some_and(|v| !slot.done[v]) {
        return match part {
            0 => Err(broken(format!(
                "the plan gives no result for sample {b} in tick {}",
                frame.index
            ))),
            // A branch without a renoise of its own re-noises with what it steps toward.
            1 => match &outs[0] {
                Some(denoise) => {
                    out.write(0, denoise.written());
                    Ok(())
                }
                None => Ok(()),
            },
            _ => {
                out.fill(0.0);
                Ok(())
            }
        };
    }
    let shape = program::shape_of(frame.plan, frame.segment, operand);
    if is_number(shape) {
        out.fill(slot.number(frame, b, operand)?.unwrap_or(0.0) as f32);
        return Ok(());
    }
    match slot.whole(frame, outs, b, &places.read(operand))? {
        Some(values) if values.len() == out.len() => out.write(0, values),
        _ => {
            return Err(broken(format!(
                "the plan reads a prediction that it did not ask for, in tick {}, sample {b}",
                frame.index
            )));
        }
    }
    Ok(())
}

fn stage(
    frame: &Frame<'_>,
    places: &Places,
    slot: &mut Slot,
    outs: &Outs<'_>,
    b: usize,
    state: usize,
    value: &Operand,
) -> Result<()> {
    let states = places.states();
    let next = states + state;
    // A state that moves on takes its fault along; only a use of it stops the run.
    let inherited = if let Operand::State(from) = value {
        Some(from.index())
    } else {
        None
    };
    if is_number(frame.plan.states[state].shape) {
        let number = match inherited {
            Some(from) => Some(slot.cells[from].number),
            None => slot.number(frame, b, value)?,
        };
        let Some(number) = number else { return Ok(()) };
        slot.cells[state].staged = Some(number);
        slot.cells[state].staged_bad = match inherited {
            Some(from) => slot.cells[from].bad.clone(),
            None => number.is_nan().then(|| Bad {
                tick: frame.index,
                label: frame.carrier(b),
            }),
        };
        return Ok(());
    }
    if let Operand::Value(id) = value
        && !slot.done[id.index()]
    {
        return Ok(());
    }
    // INVARIANT: only from an earlier state, see `commit`.
    slot.cells[state].moves_up = inherited.filter(|from| {
        *from < state && frame.plan.states[*from].shape == frame.plan.states[state].shape
    });
    if slot.cells[state].moves_up.is_some() {
        slot.cells[state].staged = Some(0.0);
        slot.cells[state].staged_bad = inherited.and_then(|from| slot.cells[from].bad.clone());
        return Ok(());
    }
    let src = places.read(value);
    if src != Src::Row(next) {
        let mut room = std::mem::take(&mut slot.rows[next]);
        room.clear();
        let length = frame.dims.len(frame.plan.states[state].shape);
        let number = match (&src, inherited) {
            (Src::Num(operand), _) => slot.number(frame, b, operand)?,
            _ => None,
        };
        match (number, inherited) {
            (Some(number), _) => room.resize(length, number as f32),
            (None, Some(from)) => room.extend_from_slice(&slot.rows[from]),
            (None, None) => match slot.whole(frame, outs, b, &src)? {
                Some(values) => room.extend_from_slice(values),
                None => {
                    return Err(broken(format!(
                        "the plan keeps what was not computed, in tick {}, sample {b}",
                        frame.index
                    )));
                }
            },
        }
        if room.len() != length {
            return Err(broken(
                "the plan keeps a value of another shape than its state",
            ));
        }
        slot.rows[next] = room;
    }
    slot.cells[state].staged = Some(0.0);
    slot.cells[state].staged_bad = match inherited {
        Some(from) => slot.cells[from].bad.clone(),
        None => (!kernels::finite(&slot.rows[next])).then(|| Bad {
            tick: frame.index,
            label: frame.carrier(b),
        }),
    };
    Ok(())
}
