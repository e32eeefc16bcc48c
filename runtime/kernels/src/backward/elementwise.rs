//! Gradients of what is done number by number, and of changes of layout.
#![allow(unsafe_code, reason = "tasks write parts of one result, each its own")]

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::super::memory::{Output, filled};
use super::super::norm::each;
use super::super::simd::{Isa, Op, Simd, dispatch_to};
use super::super::{math, with_numbers};

/// Numbers of a task.
const RUN: usize = 1 << 15;

/// Of SiLU.
pub fn silu(x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
    let numbers = with_numbers(x, |x| {
        with_numbers(by_result, |by_result| {
            let fill = |out: &Output<'_>| {
                let runs = x.par_chunks(RUN).zip(by_result.par_chunks(RUN));
                runs.enumerate().for_each(|(i, (x, by_result))| {
                    // SAFETY: no other task has this run.
                    let to = unsafe { out.slice(i * RUN, x.len()) };
                    let slope = OfRun {
                        x,
                        to,
                        function: Function::SiluSlope,
                    };
                    dispatch_to(Isa::of_this_processor(), slope);
                    to.iter_mut().zip(by_result).for_each(|(to, by)| *to *= by);
                });
            };
            // SAFETY: the runs are all of the numbers.
            Ok(unsafe { filled(x.len(), fill) })
        })
    })?;
    super::tensor(numbers, x.shape())
}

/// Of `value * gelu(gate)`: what both are becomes the gradient by them.
pub fn gated(isa: Isa, value: &mut [f32], gate: &mut [f32], by_result: &[f32]) {
    let parts = value.par_chunks_mut(RUN).zip(gate.par_chunks_mut(RUN));
    let parts = parts.zip(by_result.par_chunks(RUN));
    parts.for_each(|((value, gate), by_result)| {
        let mut of_gate = [vec![0.0; gate.len()], vec![0.0; gate.len()]];
        for (to, function) in of_gate
            .iter_mut()
            .zip([Function::Gelu, Function::GeluSlope])
        {
            let run = OfRun {
                x: gate,
                to,
                function,
            };
            dispatch_to(isa, run);
        }
        let [gelu, slope] = of_gate;
        for (i, by) in by_result.iter().enumerate() {
            gate[i] = by * value[i] * slope[i];
            value[i] = by * gelu[i];
        }
    });
}

/// `e^x` of each number.
pub fn exps(isa: Isa, x: &[f32], to: &mut [f32]) {
    let function = Function::Exp;
    dispatch_to(isa, OfRun { x, to, function });
}

/// Maps with `stride - 1` zeros between their places.
pub fn spread(x: &[f32], [height, width]: [usize; 2], stride: usize) -> Vec<f32> {
    let (rows, columns) = ((height - 1) * stride + 1, (width - 1) * stride + 1);
    let (small, large) = (height * width, rows * columns);
    let mut all = vec![0f32; x.len() / small * large];
    let maps = all.par_chunks_mut(large).zip(x.par_chunks(small));
    maps.for_each(|(to, map)| {
        for (y, row) in map.chunks(width).enumerate() {
            let to = &mut to[y * stride * columns..][..columns];
            for (x, number) in row.iter().enumerate() {
                to[x * stride] = *number;
            }
        }
    });
    all
}

/// Of maps of size `from` enlarged to size `to`: each place has the sum over all that show it.
pub fn gathered(by_result: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let (small, large) = (from[0] * from[1], to[0] * to[1]);
    let mut all = vec![0f32; by_result.len() / large.max(1) * small];
    let maps = all.par_chunks_mut(small).zip(by_result.par_chunks(large));
    maps.for_each(|(map, by_result)| {
        for (y, row) in by_result.chunks(to[1]).enumerate() {
            let map = &mut map[y * from[0] / to[0] * from[1]..][..from[1]];
            for (x, by) in row.iter().enumerate() {
                map[x * from[1] / to[1]] += by;
            }
        }
    });
    all
}

/// A function of a number.
#[derive(Clone, Copy, Debug)]
enum Function {
    Exp,
    SiluSlope,
    Gelu,
    GeluSlope,
}

struct OfRun<'a> {
    x: &'a [f32],
    to: &'a mut [f32],
    function: Function,
}

impl Op for OfRun<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.function {
            Function::Exp => each(simd, self.x, self.to, |x| math::exp(simd, x)),
            Function::SiluSlope => each(simd, self.x, self.to, |x| math::silu_slope(simd, x)),
            Function::Gelu => each(simd, self.x, self.to, |x| math::gelu(simd, x)),
            Function::GeluSlope => each(simd, self.x, self.to, |x| math::gelu_slope(simd, x)),
        }
    }
}
