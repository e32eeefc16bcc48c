//! Runs a pass for one sample: blocks that stay in the cache, each taken through all instructions.

use guide_compiler::plan::{Binary, Compare, Op, Shape, Unary};

use super::fold::Fold;
use super::kernels::{self, In};
use super::page::Sheet;
use super::places::PAGES;
use super::program::{Arg, Does, Dst, Pass, Src};
use super::sample::{Frame, Slot};
use super::wide::widest;
use crate::error::Result;
use crate::ops::scalar::narrow;

/// Elements of a block.
pub const BLOCK: usize = 1024;

/// An operand with its place resolved for a sample.
#[derive(Clone, Copy)]
enum At<'a> {
    Reg(usize),
    Row(usize),
    Out(usize),
    Of(&'a [f32]),
    One(f32),
}

/// An instruction with its numbers resolved for a sample.
enum Do<'a> {
    /// One number a pixel.
    RepeatMap(At<'a>),
    /// One number a channel.
    RepeatChannel(At<'a>),
    Linear(Vec<(f32, Vec<At<'a>>)>),
    /// All terms have one elementwise factor.
    Plain(Vec<(f32, At<'a>)>),
    Copy(At<'a>),
    Div(At<'a>, At<'a>),
    Unary(Unary, At<'a>),
    Binary(Binary, At<'a>, At<'a>),
    Compare(Compare, At<'a>, At<'a>),
    Select(At<'a>, At<'a>, At<'a>),
    Clip(At<'a>, At<'a>, At<'a>),
    Reduce(usize, At<'a>, At<'a>),
}

/// The pages that passes write, for one sample.
pub(super) type Outs<'a> = [Option<Sheet<'a>>; PAGES];

struct Resolve<'a, 'f> {
    slot: &'a Slot,
    frame: &'a Frame<'f>,
    b: usize,
}

impl<'f> Resolve<'_, 'f> {
    /// `None` where it was not computed.
    fn arg(&self, arg: &Arg) -> Result<Option<At<'f>>> {
        if !self.slot.ready(arg) {
            return Ok(None);
        }
        Ok(match &arg.src {
            Src::Reg(reg) => Some(At::Reg(*reg)),
            Src::Row(row) => {
                if *row < self.slot.cells.len() {
                    self.slot.readable(self.frame, self.b, *row)?;
                }
                Some(At::Row(*row))
            }
            Src::Out(out) => Some(match self.frame.point(*out, self.b) {
                Some(point) => At::Of(point),
                None => At::Out(*out),
            }),
            Src::Num(operand) => self
                .slot
                .number(self.frame, self.b, operand)?
                .map(|v| At::One(v as f32)),
            Src::Prediction(id) => self.frame.answer(*id, self.b).map(At::Of),
            Src::Latent => {
                super::sample::sample_of(self.frame.x, self.b, self.frame.dims.batch).map(At::Of)
            }
            Src::Input(id) => match self.frame.inputs[*id] {
                super::sample::View::Tensor(data) => {
                    let len = self
                        .frame
                        .dims
                        .len(super::bindings::shape_of(&self.frame.plan.inputs[*id]));
                    Some(At::Of(if data.len() == len {
                        data
                    } else {
                        &data[self.b * len..(self.b + 1) * len]
                    }))
                }
                super::sample::View::Other(_) => None,
            },
        })
    }

    fn both(&self, a: &Arg, b: &Arg) -> Result<Option<(At<'f>, At<'f>)>> {
        Ok(self.arg(a)?.zip(self.arg(b)?))
    }

    fn does(&self, does: &Does, fold: usize) -> Result<Option<Do<'f>>> {
        Ok(match does {
            Does::Expand(a, by_channel) => self.arg(a)?.map(|at| match at {
                // One number is the same everywhere.
                At::One(_) => Do::Copy(at),
                _ if *by_channel => Do::RepeatChannel(at),
                _ => Do::RepeatMap(at),
            }),
            Does::Linear(terms) => {
                let mut all = Vec::with_capacity(terms.len());
                for term in terms {
                    let factor = term.factor.at(self.frame.k);
                    let Some(factor) =
                        self.slot
                            .factor(self.frame, self.b, factor, term.scalars.iter())?
                    else {
                        return Ok(None);
                    };
                    let elements: Option<Vec<At<'f>>> = term
                        .elements
                        .iter()
                        .map(|arg| self.arg(arg))
                        .collect::<Result<_>>()?;
                    let Some(elements) = elements else {
                        return Ok(None);
                    };
                    all.push((factor as f32, elements));
                }
                if all.iter().all(|(_, elements)| elements.len() == 1) {
                    Some(Do::Plain(
                        all.into_iter()
                            .map(|(factor, elements)| (factor, elements[0]))
                            .collect(),
                    ))
                } else {
                    Some(Do::Linear(all))
                }
            }
            Does::Div(a, b) => self.both(a, b)?.map(|(a, b)| Do::Div(a, b)),
            Does::Unary(f, a) => self.arg(a)?.map(|a| Do::Unary(*f, a)),
            Does::Binary(f, a, b) => self.both(a, b)?.map(|(a, b)| Do::Binary(*f, a, b)),
            Does::Compare(f, a, b) => self.both(a, b)?.map(|(a, b)| Do::Compare(*f, a, b)),
            Does::SelectBool(by, a, b) => match self.slot.number(self.frame, self.b, by)? {
                None => None,
                Some(by) => self.arg(if by != 0.0 { a } else { b })?.map(Do::Copy),
            },
            Does::SelectMap(by, a, b) => self
                .arg(by)?
                .zip(self.both(a, b)?)
                .map(|(by, (a, b))| Do::Select(by, a, b)),
            Does::Clip(a, low, high) => self
                .arg(a)?
                .zip(self.both(low, high)?)
                .map(|(a, (low, high))| Do::Clip(a, low, high)),
            Does::Fresh(state, init) => {
                let written = self.slot.cells[state.index()].written;
                let kept = Arg {
                    src: Src::Row(state.index()),
                    value: None,
                };
                self.arg(if written { &kept } else { init })?.map(Do::Copy)
            }
            Does::Reduce(_, a, b) => self
                .both(a, b.as_ref().unwrap_or(a))?
                .map(|(a, b)| Do::Reduce(fold, a, b)),
        })
    }
}

/// Runs a pass for sample `b`.
///
/// # Errors
/// A state that is read and holds something not finite; a plan that reads what is not there.
pub fn run<'f>(
    pass: &Pass,
    ops: &[Op],
    frame: &Frame<'f>,
    slot: &mut Slot,
    outs: &mut Outs<'_>,
    b: usize,
) -> Result<()> {
    let n = frame.dims.len(pass.domain);
    let area = if pass.domain == Shape::PerChannel {
        1
    } else {
        frame.dims.area
    };
    let mut program: Vec<(Dst, Do<'f>)> = Vec::with_capacity(pass.instrs.len());
    let mut folds: Vec<(usize, Fold)> = Vec::with_capacity(pass.folds);
    for instr in &pass.instrs {
        let op = instr.op.map(|i| &ops[i]);
        if !slot.guard(frame, b, op.and_then(|op| op.when.as_ref()))? {
            continue;
        }
        let Some(does) = (Resolve { slot, frame, b }).does(&instr.does, folds.len())? else {
            continue;
        };
        if let Some(op) = op {
            if let Does::Reduce(f, ..) = instr.does {
                folds.push((op.out.index(), Fold::new(f)));
            } else {
                slot.done[op.out.index()] = true;
            }
        }
        if let Dst::Row(row) = instr.dst {
            slot.rows[row].resize(n, 0.0);
        }
        program.push((instr.dst, does));
    }
    if program.is_empty() {
        return Ok(());
    }
    let mut memory = Memory {
        regs: &mut slot.regs,
        rows: &mut slot.rows,
        outs,
    };
    blocks_in_widest(&program, &mut folds, &mut memory, n, area);
    for (value, fold) in folds {
        slot.numbers[value] = fold.finish();
        slot.done[value] = true;
    }
    Ok(())
}

struct Memory<'a, 'o> {
    regs: &'a mut [Vec<f32>],
    rows: &'a mut [Vec<f32>],
    outs: &'a mut Outs<'o>,
}

impl Memory<'_, '_> {
    #[inline(always)]
    fn get<'s>(&'s self, at: &At<'s>, from: usize, to: usize) -> In<'s> {
        match at {
            At::Reg(reg) => In::Many(&self.regs[*reg][..to - from]),
            At::Row(row) => In::Many(&self.rows[*row][from..to]),
            At::Out(out) => self.outs[*out]
                .as_ref()
                .map_or(In::One(f32::NAN), |out| In::Many(&out.written()[from..to])),
            At::Of(values) => In::Many(&values[from..to]),
            At::One(value) => In::One(*value),
        }
    }

    /// The whole value, for expansions.
    #[inline(always)]
    fn all<'s>(&'s self, at: &At<'s>) -> &'s [f32] {
        match at {
            At::Row(row) => &self.rows[*row],
            At::Out(out) => self.outs[*out]
                .as_ref()
                .map(Sheet::written)
                .unwrap_or_default(),
            At::Of(values) => values,
            At::Reg(_) | At::One(_) => &[],
        }
    }
}

widest! {
    /// Takes all blocks through a pass.
    fn blocks_in_widest(
        program: &[(Dst, Do<'_>)],
        folds: &mut [(usize, Fold)],
        memory: &mut Memory<'_, '_>,
        n: usize,
        area: usize,
    ) = blocks;
}

#[inline(always)]
fn blocks(
    program: &[(Dst, Do<'_>)],
    folds: &mut [(usize, Fold)],
    memory: &mut Memory<'_, '_>,
    n: usize,
    area: usize,
) {
    let (mut block, mut spare) = (vec![0f32; BLOCK], vec![0f32; BLOCK]);
    for from in (0..n).step_by(BLOCK) {
        let to = (from + BLOCK).min(n);
        for (dst, does) in program {
            match dst {
                Dst::Reg(reg) => {
                    let mut out = std::mem::take(&mut memory.regs[*reg]);
                    one(
                        &mut out[..to - from],
                        does,
                        memory,
                        from,
                        to,
                        area,
                        &mut spare,
                    );
                    memory.regs[*reg] = out;
                }
                Dst::Row(row) => {
                    let mut out = std::mem::take(&mut memory.rows[*row]);
                    one(&mut out[from..to], does, memory, from, to, area, &mut spare);
                    memory.rows[*row] = out;
                }
                Dst::Out(place) => {
                    one(
                        &mut block[..to - from],
                        does,
                        memory,
                        from,
                        to,
                        area,
                        &mut spare,
                    );
                    if let Some(out) = &mut memory.outs[*place] {
                        out.write(from, &block[..to - from]);
                    }
                }
                Dst::Fold(_) => {
                    if let Do::Reduce(fold, a, b) = does
                        && let (In::Many(a), In::Many(b)) =
                            (memory.get(a, from, to), memory.get(b, from, to))
                    {
                        folds[*fold].1.add(a, b);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn one(
    out: &mut [f32],
    does: &Do<'_>,
    memory: &Memory<'_, '_>,
    from: usize,
    to: usize,
    area: usize,
    spare: &mut [f32],
) {
    let get = |at| memory.get(at, from, to);
    match does {
        Do::Plain(terms) => plain(out, terms, memory, from, to),
        Do::Linear(terms) => {
            for (i, (factor, elements)) in terms.iter().enumerate() {
                let room = if i == 0 {
                    &mut *out
                } else {
                    &mut spare[..to - from]
                };
                match elements.split_first() {
                    None => room.fill(*factor),
                    Some((first, rest)) => {
                        kernels::map(room, get(first), |a| factor * a);
                        for other in rest {
                            multiply(room, get(other));
                        }
                    }
                }
                if i > 0 {
                    out.iter_mut()
                        .zip(&*spare)
                        .for_each(|(out, add)| *out += add);
                }
            }
        }
        Do::Copy(a) => kernels::map(out, get(a), |a| a),
        Do::Div(a, b) => kernels::divide(out, get(a), get(b)),
        Do::Unary(f, a) => unary(out, *f, get(a)),
        Do::Binary(Binary::Min, a, b) => kernels::map2(out, get(a), get(b), narrow::min),
        Do::Binary(Binary::Max, a, b) => kernels::map2(out, get(a), get(b), narrow::max),
        Do::Binary(f, a, b) => kernels::map2(out, get(a), get(b), |a, b| narrow::binary(*f, a, b)),
        Do::Compare(f, a, b) => kernels::map2(out, get(a), get(b), |a, b| {
            f32::from(u8::from(narrow::compare(*f, a, b)))
        }),
        Do::Select(by, a, b) => {
            kernels::map3(
                out,
                get(by),
                get(a),
                get(b),
                |by, a, b| if by != 0.0 { a } else { b },
            )
        }
        Do::Clip(a, low, high) => {
            kernels::map3(out, get(a), get(low), get(high), |a, low, high| {
                narrow::min(narrow::max(a, low), high)
            });
        }
        Do::RepeatMap(a) => {
            let values = memory.all(a);
            for (i, out) in (from..to).zip(out) {
                *out = values[i % area];
            }
        }
        Do::RepeatChannel(a) => {
            let values = memory.all(a);
            for (i, out) in (from..to).zip(out) {
                *out = values[i / area];
            }
        }
        Do::Reduce(..) => {}
    }
}

#[inline(always)]
fn plain(
    out: &mut [f32],
    terms: &[(f32, At<'_>)],
    memory: &Memory<'_, '_>,
    from: usize,
    to: usize,
) {
    let mut ready = [(0f32, In::One(0.0)); 8];
    let (first, rest) = terms.split_at(terms.len().min(ready.len()));
    for (to_fill, (factor, at)) in ready.iter_mut().zip(first) {
        *to_fill = (*factor, memory.get(at, from, to));
    }
    kernels::linear(out, &ready[..first.len()]);
    for (factor, at) in rest {
        kernels::map_add(out, memory.get(at, from, to), *factor);
    }
    if terms.is_empty() {
        out.fill(0.0);
    }
}

#[inline(always)]
fn multiply(out: &mut [f32], by: In<'_>) {
    match by {
        In::One(by) => out.iter_mut().for_each(|out| *out *= by),
        In::Many(by) => out.iter_mut().zip(by).for_each(|(out, by)| *out *= by),
    }
}

#[inline(always)]
fn unary(out: &mut [f32], f: Unary, a: In<'_>) {
    match f {
        Unary::Abs => kernels::map(out, a, f32::abs),
        Unary::Sqrt => kernels::map(out, a, f32::sqrt),
        Unary::Sign => kernels::map(out, a, narrow::sign),
        Unary::Floor => kernels::map(out, a, f32::floor),
        Unary::InverseOrZero => kernels::map(out, a, narrow::inverse_or_zero),
        f => kernels::map(out, a, |a| narrow::unary(f, a)),
    }
}
