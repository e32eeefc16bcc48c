//! Activations that stand alone.
#![allow(unsafe_code, reason = "tasks write parts of one result, each its own")]

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::memory::{Output, filled};
use super::norm::each;
use super::simd::{Isa, Op, Simd, dispatch_to};
use super::{backward, math, slice};

/// `x / (1 + e^-x)` of each number.
///
/// # Errors
/// What the tensor library reports.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if super::has_kernels(x) {
        x.contiguous()?.apply_op1(Silu)
    } else {
        x.silu()
    }
}

struct Silu;

impl CustomOp1 for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }
    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        /// Numbers of a task.
        const RUN: usize = 1 << 15;
        let x = slice(x, layout)?;
        let fill = |out: &Output<'_>| {
            x.par_chunks(RUN).enumerate().for_each(|(i, x)| {
                // SAFETY: no other task has this run.
                let to = unsafe { out.slice(i * RUN, x.len()) };
                dispatch_to(Isa::of_this_processor(), OfRun { x, to });
            });
        };
        // SAFETY: the runs are all of the numbers.
        let numbers = unsafe { filled(x.len(), fill) };
        Ok((CpuStorage::F32(numbers), layout.shape().clone()))
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, by_result: &Tensor) -> Result<Option<Tensor>> {
        backward::silu(x, by_result).map(Some)
    }
}

struct OfRun<'a> {
    x: &'a [f32],
    to: &'a mut [f32],
}

impl Op for OfRun<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        each(simd, self.x, self.to, |x| math::silu(simd, x));
    }
}
