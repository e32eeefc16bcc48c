//! A layer's weights before they are packed: as they lie in a file, or in a tensor.
//!
//! Weights that are read where they lie are written once, into panels. A tensor between the two would
//! double the memory that the system has to clear for them, which takes longer than the packing.

use candle_core::{DType, Result, Tensor};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};

use super::gemm::pack_rows;
use super::memory::Scratch;
use super::transpose::transpose;

/// A layer's weights before they are packed, row-major.
#[derive(Clone, Debug)]
pub enum Weight<'a> {
    /// Where they lie, to be computed with in f32 on a CPU.
    Lying(Numbers<'a>),
    /// In a tensor.
    Tensor(Tensor),
}

impl Weight<'_> {
    /// As a tensor of this shape, where the kernels do not compute with them.
    ///
    /// # Errors
    /// Numbers that are not so many.
    pub(super) fn into_plain(self, shape: &[usize]) -> Result<Option<Tensor>> {
        Ok(match self {
            Weight::Tensor(tensor) if !super::has_kernels(&tensor) => Some(tensor.reshape(shape)?),
            _ => None,
        })
    }

    /// Shows the numbers to `look`.
    ///
    /// # Errors
    /// What `look` reports.
    pub(super) fn with_numbers<R>(&self, look: impl FnOnce(Numbers<'_>) -> Result<R>) -> Result<R> {
        match self {
            Weight::Lying(numbers) => look(*numbers),
            Weight::Tensor(tensor) => super::with_numbers(tensor, |all| look(Numbers::F32(all))),
        }
    }
}

/// Numbers where they lie.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
    /// The upper half of single precision.
    Bf16(&'a [bf16]),
}

/// Numbers of a row that are widened at once.
const WIDENED: usize = 512;

impl<'a> Numbers<'a> {
    /// Little-endian numbers of this type; `None` where this processor cannot read them in place.
    pub fn of(dtype: DType, bytes: &'a [u8]) -> Option<Self> {
        if cfg!(target_endian = "big") {
            return None;
        }
        let words = || bytemuck::try_cast_slice::<u8, u16>(bytes).ok();
        match dtype {
            DType::F32 => bytemuck::try_cast_slice(bytes).ok().map(Numbers::F32),
            DType::F16 => Some(Numbers::F16(words()?.reinterpret_cast())),
            DType::BF16 => Some(Numbers::Bf16(words()?.reinterpret_cast())),
            _ => None,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Numbers::F32(all) => all.len(),
            Numbers::F16(all) => all.len(),
            Numbers::Bf16(all) => all.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The half that begins in the middle, or the one before it.
    pub(super) fn half(self, second: bool) -> Self {
        let middle = self.len() / 2;
        let range = if second {
            middle..self.len()
        } else {
            0..middle
        };
        match self {
            Numbers::F32(all) => Numbers::F32(&all[range]),
            Numbers::F16(all) => Numbers::F16(&all[range]),
            Numbers::Bf16(all) => Numbers::Bf16(&all[range]),
        }
    }

    /// Lays `rows` rows of `depth` numbers, from row `first` on, out as a panel; see [`pack_rows`].
    ///
    /// # Panics
    /// Where there are not so many rows, or the panel is too small.
    pub(super) fn pack(
        &self,
        first: usize,
        [rows, depth]: [usize; 2],
        width: usize,
        to: &mut [f32],
    ) {
        let start = first * depth;
        match self {
            Numbers::F32(all) => pack_rows(&all[start..], depth, rows, depth, width, to),
            Numbers::F16(all) => pack_halves(&all[start..], [rows, depth], width, to),
            Numbers::Bf16(all) => pack_halves(&all[start..], [rows, depth], width, to),
        }
    }
}

/// [`pack_rows`] of numbers that are widened on the way, some of each row at a time.
fn pack_halves<T>(from: &[T], [rows, depth]: [usize; 2], width: usize, to: &mut [f32])
where
    [T]: HalfFloatSliceExt,
{
    assert!(rows <= width && to.len() >= depth * width);
    if rows < width {
        to[..depth * width].fill(0.0);
    }
    let mut wide = Scratch::new(rows * WIDENED);
    let wide = wide.numbers();
    for start in (0..depth).step_by(WIDENED) {
        let count = WIDENED.min(depth - start);
        for (row, wide) in wide.chunks_exact_mut(WIDENED).enumerate() {
            let from = &from[row * depth + start..][..count];
            from.convert_to_f32_slice(&mut wide[..count]);
        }
        transpose(
            wide,
            WIDENED,
            [rows, count],
            &mut to[start * width..],
            width,
        );
    }
}
