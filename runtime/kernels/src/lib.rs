//! The layers of networks on a CPU: attention, convolution, linears and norms for f32, with the
//! processor's vector instructions.
//!
//! Each layer decides once, when it is made: f32 on a CPU is computed here, everything else by the tensor
//! library's own operations (`otherwise`). Results do not depend on the number of threads, nor on what
//! else is in a batch, to the bit: how sums are cut is a function of a layer's shape alone, and how the work
//! is cut into tasks changes no sum (see `gemm`).

mod activation;
mod attention;
mod backward;
mod conv;
mod gemm;
mod layout;
mod linear;
mod math;
mod memory;
mod norm;
mod otherwise;
mod patches;
mod simd;
mod transpose;
mod weight;

use candle_core::{CpuStorage, DType, Layout, Result, Tensor};

use simd::{Isa, Op, Simd, dispatch_to};

pub use activation::silu;
pub use attention::attention;
pub use conv::{Conv2d, Window};
pub use layout::{add_tokens, to_tokens, upsample};
pub use linear::{Geglu, Linear};
pub use norm::{GroupNorm, LayerNorm};
pub use weight::{Numbers, Weight};

/// The name of the instructions that the kernels use on this processor.
pub fn instructions() -> &'static str {
    Isa::of_this_processor().name()
}

/// Whether a layer with these weights is computed here.
fn has_kernels(weight: &Tensor) -> bool {
    weight.device().is_cpu() && weight.dtype() == DType::F32
}

/// The numbers of a tensor that lie one after the other.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let numbers = storage.as_slice::<f32>()?;
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a kernel was given numbers with gaps");
    };
    Ok(&numbers[start..end])
}

/// Shows a tensor's numbers, without a copy where they lie one after the other.
fn with_numbers<R>(tensor: &Tensor, look: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => look(slice(storage, layout)?),
        _ => look(&tensor.flatten_all()?.to_vec1::<f32>()?),
    }
}

/// Rows and columns of the innermost kernel.
fn widths(isa: Isa) -> (usize, usize) {
    struct Widths;
    impl Op for Widths {
        type Out = (usize, usize);
        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> (usize, usize) {
            (S::ROWS, S::COLUMNS)
        }
    }
    dispatch_to(isa, Widths)
}

/// How a matrix of rows and panels is cut into tasks. This changes no result, so it may follow the number of
/// threads.
#[derive(Clone, Copy, Debug)]
struct Cut {
    rows: usize,
    panels: usize,
    all: (usize, usize),
}

/// Rows of a tile, so that its bands fit the second cache beside the panels.
const MOST_ROWS: usize = 192;

/// Cuts `rows` rows, in bands of `band`, by `panels` panels, of `samples` matrices.
fn cut(rows: usize, band: usize, panels: usize, samples: usize) -> Cut {
    let threads = rayon::current_num_threads();
    let parts = rows.div_ceil(MOST_ROWS).max(1);
    let tile = rows.div_ceil(parts).next_multiple_of(band);
    let tasks = parts * samples.max(1);
    // Rows are cut first, since every cut of the panels packs the same rows once more.
    let cuts = if tasks >= 3 * threads {
        1
    } else {
        (4 * threads).div_ceil(tasks)
    };
    Cut {
        rows: tile.max(1),
        panels: panels.div_ceil(cuts).max(2),
        all: (rows, panels),
    }
}

impl Cut {
    /// Each task: its sample, first row and first panel.
    fn tasks(&self, samples: usize) -> Vec<(usize, usize, usize)> {
        let (rows, panels) = self.all;
        let mut tasks = Vec::new();
        for sample in 0..samples {
            for row in (0..rows).step_by(self.rows) {
                for panel in (0..panels).step_by(self.panels) {
                    tasks.push((sample, row, panel));
                }
            }
        }
        tasks
    }
}

#[cfg(test)]
mod tests;
