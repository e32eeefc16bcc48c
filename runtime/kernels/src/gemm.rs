//! Matrix products over packed panels: what linears, convolutions and attention have in common.
//!
//! `C = A B`, where A lies in panels of `ROWS` rows (element `(i, k)` of a panel at `k ROWS + i`) and B in
//! panels of `COLUMNS` columns (element `(k, j)` at `k COLUMNS + j`); C is row-major with any stride. The
//! innermost kernel holds `ROWS` by `COLUMNS` sums in registers.
//!
//! Each number of C is one chain of `fma` over `k` in order for each stretch of `depth`, and the stretches
//! are added in order. Neither its place in a tile nor the tile's size is part of that, so the bits are
//! the same however the work is cut, as long as the stretches are (see [`stretch`]).
#![allow(unsafe_code, reason = "the innermost loops work on pointers")]

use super::simd::{Op, Simd};
use super::transpose::transpose;

/// The longest stretch of `k` between two visits to C: as much as the first cache holds of a panel.
const MOST_DEPTH: usize = 384;

/// How long the stretches are that a depth is cut into: equal, multiples of `multiple`, and a function of
/// the depth alone.
pub fn stretch(depth: usize, multiple: usize) -> usize {
    let multiple = multiple.max(1);
    let units = depth.div_ceil(multiple).max(1);
    let most = (MOST_DEPTH / multiple).max(1);
    units.div_ceil(units.div_ceil(most)) * multiple
}

/// Lays rows out as a panel: `to[k * width + i] = from[i * stride + k]` for `rows` rows and `depth`
/// columns; the panel's other rows become zero.
#[inline(always)]
pub fn pack_rows(
    from: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    width: usize,
    to: &mut [f32],
) {
    assert!(rows <= width && to.len() >= depth * width);
    if rows < width {
        to[..depth * width].fill(0.0);
    }
    transpose(from, stride, [rows, depth], to, width);
}

/// Lays rows that stand as columns out as a panel: `to[k * width + i] = from[k * stride + i]`.
#[inline(always)]
pub fn pack_columns(
    from: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    width: usize,
    to: &mut [f32],
) {
    assert!(rows <= width && to.len() >= depth * width);
    for (k, to) in to.chunks_exact_mut(width).take(depth).enumerate() {
        let from = &from[k * stride..];
        if rows == width {
            // A copy whose length the compiler knows.
            to.copy_from_slice(&from[..width]);
        } else {
            let (numbers, rest) = to.split_at_mut(rows);
            numbers.copy_from_slice(&from[..rows]);
            rest.fill(0.0);
        }
    }
}

/// A panel's columns of C, and what is added to them once.
#[derive(Clone, Copy)]
pub struct Column {
    /// Where row 0 begins.
    pub to: *mut f32,
    /// How many of the panel's columns there are, at least 1.
    pub valid: usize,
    /// A number for each row, or null. A column has one of the two biases at most.
    pub row_bias: *const f32,
    /// A number for each column, or null.
    pub column_bias: *const f32,
    /// Numbers with the places of C, or null.
    pub plus: *const f32,
}

impl Column {
    /// With nothing added.
    pub fn bare(to: *mut f32, valid: usize) -> Self {
        Self {
            to,
            valid,
            row_bias: std::ptr::null(),
            column_bias: std::ptr::null(),
            plus: std::ptr::null(),
        }
    }
}

/// A product of panels.
pub struct Product<'a, F: Fn(usize) -> Column> {
    /// Panels of A.
    pub a: &'a [f32],
    /// From one panel of A to the next.
    pub a_step: usize,
    /// Rows.
    pub rows: usize,
    /// Panels of B.
    pub b: &'a [f32],
    /// From one panel of B to the next.
    pub b_step: usize,
    /// How many panels of B there are.
    pub panels: usize,
    /// What a panel's columns are.
    pub column: F,
    /// From one row of C to the next.
    pub stride: usize,
    /// Numbers of each row of A that are multiplied.
    pub depth: usize,
    /// Whether C holds a sum already; if not, it is written, biases and `plus` added.
    pub onto: bool,
}

impl<F: Fn(usize) -> Column> Product<'_, F> {
    /// Computes it.
    ///
    /// # Safety
    /// For each panel, `rows` rows of `valid` numbers from `to` on, `stride` apart, are this task's own to
    /// write, and hold sums where `onto`; what `row_bias`, `column_bias` and `plus` point to is readable for
    /// `rows`, `valid` and the places of C.
    ///
    /// # Panics
    /// Where A or B are shorter than the panels need.
    #[inline(always)]
    pub unsafe fn compute<S: Simd>(&self, simd: S) {
        if self.rows == 0 || self.panels == 0 {
            return;
        }
        let bands = self.rows.div_ceil(S::ROWS);
        assert!(self.a.len() >= (bands - 1) * self.a_step + self.depth * S::ROWS);
        assert!(self.b.len() >= (self.panels - 1) * self.b_step + self.depth * S::COLUMNS);
        for band in 0..bands {
            let a = self.a[band * self.a_step..].as_ptr();
            let first = band * S::ROWS;
            let rows = S::ROWS.min(self.rows - first);
            for panel in 0..self.panels {
                let b = self.b[panel * self.b_step..].as_ptr();
                // SAFETY: A and B hold the panels, as asserted; C is the caller's promise.
                unsafe { self.rows_of(simd, a, b, (self.column)(panel), first, rows) };
            }
        }
    }

    /// The rows `first..first + rows` of a panel, in as few calls as there are kernels for.
    #[inline(always)]
    unsafe fn rows_of<S: Simd>(
        &self,
        simd: S,
        a: *const f32,
        b: *const f32,
        column: Column,
        first: usize,
        rows: usize,
    ) {
        let mut done = 0;
        while done < rows {
            let left = rows - done;
            // SAFETY: rows `done..rows` of a panel of A begin `done` numbers in.
            let a = unsafe { a.add(done) };
            let tile = Tile {
                a,
                b,
                depth: self.depth,
                row: first + done,
                stride: self.stride,
                column,
                onto: self.onto,
            };
            // SAFETY: the caller's promise, and `left` rows remain.
            done += unsafe { tile.of_rows(simd, left) };
        }
    }
}

/// What the innermost kernel computes.
struct Tile {
    a: *const f32,
    b: *const f32,
    depth: usize,
    row: usize,
    stride: usize,
    column: Column,
    onto: bool,
}

impl Tile {
    /// As many of `left` rows as one kernel does; gives their number.
    #[inline(always)]
    unsafe fn of_rows<S: Simd>(self, simd: S, left: usize) -> usize {
        // SAFETY: the caller's promise is that of `compute`, and no kernel does more than `left` rows.
        unsafe {
            match S::ROWS {
                12 if left >= 12 => self.of_width::<S, 12>(simd),
                6 if left >= 6 => self.of_width::<S, 6>(simd),
                r if r >= 8 && left >= 8 => self.of_width::<S, 8>(simd),
                r if r >= 4 && left >= 4 => self.of_width::<S, 4>(simd),
                _ if left >= 2 => self.of_width::<S, 2>(simd),
                _ => self.of_width::<S, 1>(simd),
            }
        }
    }

    /// With no more vectors than the panel has columns for.
    #[inline(always)]
    unsafe fn of_width<S: Simd, const R: usize>(self, simd: S) -> usize {
        let vectors = self.column.valid.div_ceil(S::LANES);
        // SAFETY: as for `of_rows`.
        match vectors {
            1 => simd.vectorize(Kernel::<R, 1>(self)),
            2 if S::VECTORS >= 2 => simd.vectorize(Kernel::<R, 2>(self)),
            3 if S::VECTORS >= 3 => simd.vectorize(Kernel::<R, 3>(self)),
            _ => unreachable!("a panel has 1 to {} vectors", S::VECTORS),
        }
        R
    }
}

/// The innermost kernel: `R` rows of `N` vectors. Made only where [`Product::compute`]'s promise holds.
struct Kernel<const R: usize, const N: usize>(Tile);

impl<const R: usize, const N: usize> Op for Kernel<R, N> {
    type Out = ();

    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "loops over constants become registers"
    )]
    fn run<S: Simd>(self, simd: S) {
        let Tile { a, b, depth, .. } = self.0;
        // SAFETY: made only where `compute`'s promise holds.
        let mut sums = unsafe { self.0.begin::<S, R, N>(simd) };
        // SAFETY: `compute` has asserted that a panel of A holds `depth ROWS` numbers and one of B
        // `depth COLUMNS`; `R` rows are inside of it, as `rows_of` starts at most `ROWS - R` in.
        unsafe {
            for k in 0..depth {
                let (a, b) = (a.add(k * S::ROWS), b.add(k * S::COLUMNS));
                let mut columns = [simd.splat(0.0); N];
                for j in 0..N {
                    columns[j] = simd.load(b.add(j * S::LANES));
                }
                for i in 0..R {
                    let row = simd.splat(*a.add(i));
                    for j in 0..N {
                        sums[i][j] = simd.fma(row, columns[j], sums[i][j]);
                    }
                }
            }
            let column = &self.0.column;
            let whole = column.valid == N * S::LANES;
            let to = column.to.add(self.0.row * self.0.stride);
            if whole && self.0.onto {
                for i in 0..R {
                    for j in 0..N {
                        let to = to.add(i * self.0.stride + j * S::LANES);
                        simd.store(to, simd.add(simd.load(to), sums[i][j]));
                    }
                }
            } else if whole && !column.plus.is_null() {
                let plus = column.plus.add(self.0.row * self.0.stride);
                for i in 0..R {
                    for j in 0..N {
                        let at = i * self.0.stride + j * S::LANES;
                        simd.store(to.add(at), simd.add(simd.load(plus.add(at)), sums[i][j]));
                    }
                }
            } else if whole {
                for i in 0..R {
                    for j in 0..N {
                        simd.store(to.add(i * self.0.stride + j * S::LANES), sums[i][j]);
                    }
                }
            } else {
                // A copy, so that the sums themselves need no place in memory.
                let sums = sums;
                self.0.finish(simd, &sums);
            }
        }
    }
}

impl Tile {
    /// What the sums begin with: the biases, where C is written first.
    #[inline(always)]
    unsafe fn begin<S: Simd, const R: usize, const N: usize>(&self, simd: S) -> [[S::V; N]; R] {
        let column = &self.column;
        let mut sums = [[simd.splat(0.0); N]; R];
        // SAFETY: the caller's promise: there is a bias for each of the rows and of the `valid` columns.
        unsafe {
            if self.onto {
                return sums;
            }
            if !column.row_bias.is_null() {
                for (i, sums) in sums.iter_mut().enumerate() {
                    *sums = [simd.splat(*column.row_bias.add(self.row + i)); N];
                }
            } else if !column.column_bias.is_null() {
                let mut bias = [simd.splat(0.0); N];
                for (j, bias) in bias.iter_mut().enumerate() {
                    let count = S::LANES.min(column.valid - j * S::LANES);
                    *bias = get(simd, column.column_bias.add(j * S::LANES), count);
                }
                sums = [bias; R];
            }
        }
        sums
    }

    /// Adds what is to be added and stores.
    #[inline(always)]
    unsafe fn finish<S: Simd, const R: usize, const N: usize>(
        &self,
        simd: S,
        sums: &[[S::V; N]; R],
    ) {
        let column = self.column;
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                let at = (self.row + i) * self.stride + j * S::LANES;
                let count = S::LANES.min(column.valid - j * S::LANES);
                // SAFETY: the caller's promise: row `row + i` has `valid` places here, of which `count`
                // begin at vector `j`, and so has whatever is not null.
                unsafe {
                    let mut sum = *sum;
                    if self.onto {
                        sum = simd.add(get(simd, column.to.add(at), count), sum);
                    }
                    if !self.onto && !column.plus.is_null() {
                        sum = simd.add(sum, get(simd, column.plus.add(at), count));
                    }
                    put(simd, column.to.add(at), count, sum);
                }
            }
        }
    }
}

/// Loads `count <= LANES` numbers.
///
/// # Safety
/// They are readable.
#[inline(always)]
pub unsafe fn get<S: Simd>(simd: S, from: *const f32, count: usize) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        if count == S::LANES {
            simd.load(from)
        } else {
            simd.load_first(from, count)
        }
    }
}

/// Stores `count <= LANES` numbers.
///
/// # Safety
/// They are writable.
#[inline(always)]
pub unsafe fn put<S: Simd>(simd: S, to: *mut f32, count: usize, value: S::V) {
    // SAFETY: the caller's promise.
    unsafe {
        if count == S::LANES {
            simd.store(to, value);
        } else {
            simd.store_first(to, count, value);
        }
    }
}
