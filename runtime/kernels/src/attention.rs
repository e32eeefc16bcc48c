//! Softmax attention by blocks of queries and keys, without a matrix of scores: the running maximum and sum
//! of FlashAttention (Dao et al. 2022, arXiv 2205.14135, algorithm 1).
//!
//! A panel of queries lies along the vectors, so that scores are `K Q^T`, the softmax runs down a column, and
//! what it leaves is at once the right-hand side of `V^T P`.
#![allow(unsafe_code, reason = "tasks write tiles of one result, each its own")]

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::gemm::{Column, Product, pack_columns, pack_rows};
use super::memory::{Output, Scratch, filled};
use super::simd::{Isa, Op, Simd, dispatch_to};
use super::transpose::transpose_to;
use super::{backward, math, otherwise, slice, widths};

/// Softmax attention. `q: [B, N, heads*d]`, `k, v: [B, M, heads*d]`; gives `[B, N, heads*d]`.
/// `mask: [N, M]` is added to the scores; `upcast` computes them in f32 whatever the tensors are.
///
/// # Errors
/// What the tensor library reports.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: Option<&Tensor>,
    upcast: bool,
) -> Result<Tensor> {
    if mask.is_none() && [q, k, v].into_iter().all(super::has_kernels) {
        let apply = Apply {
            isa: Isa::of_this_processor(),
            heads,
        };
        return q
            .contiguous()?
            .apply_op3(&k.contiguous()?, &v.contiguous()?, apply);
    }
    otherwise::attention(q, k, v, heads, mask, upcast)
}

struct Apply {
    isa: Isa,
    heads: usize,
}

impl CustomOp3 for Apply {
    fn name(&self) -> &'static str {
        "attention"
    }
    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, queries, width) = q_layout.shape().dims3()?;
        let (k_batch, keys, k_width) = k_layout.shape().dims3()?;
        let fits = (k_batch, k_width) == (batch, width)
            && k_layout.shape() == v_layout.shape()
            && keys > 0
            && self.heads > 0
            && width % self.heads == 0;
        if !fits {
            candle_core::bail!(
                "attention with {} heads was given queries {:?}, keys {:?} and values {:?}",
                self.heads,
                q_layout.dims(),
                k_layout.dims(),
                v_layout.dims()
            );
        }
        let shape = Sizes {
            batch,
            queries,
            keys,
            heads: self.heads,
            width,
        };
        let numbers = apply(
            self.isa,
            shape,
            slice(q, q_layout)?,
            slice(k, k_layout)?,
            slice(v, v_layout)?,
        );
        Ok((CpuStorage::F32(numbers), q_layout.shape().clone()))
    }
    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        by_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [by_q, by_k, by_v] = backward::attention(self.isa, self.heads, [q, k, v], by_result)?;
        Ok((Some(by_q), Some(by_k), Some(by_v)))
    }
}

/// How large everything is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Samples.
    pub batch: usize,
    /// Queries of a sample.
    pub queries: usize,
    /// Keys and values of a sample.
    pub keys: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers of a query, a key or a value, of all heads.
    pub width: usize,
}

/// Keys whose scores are held at once: whole bands.
const fn block_of_keys(band: usize) -> usize {
    256 / band * band
}

/// Keys and values of every head in bands: keys as rows; values as columns, a block of keys after the other.
struct Bands {
    keys: Vec<f32>,
    values: Vec<f32>,
    key_head: usize,
    value_head: usize,
}

/// The attention's result, `[batch, queries, width]`.
///
/// # Panics
/// Where the lengths do not fit.
pub fn apply(isa: Isa, sizes: Sizes, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let Sizes {
        batch,
        queries,
        keys,
        heads,
        width,
    } = sizes;
    assert_eq!(q.len(), batch * queries * width);
    assert_eq!(k.len(), batch * keys * width);
    assert_eq!(v.len(), k.len());
    assert!(heads > 0 && width.is_multiple_of(heads));
    let (band, columns) = widths(isa);
    let bands = bands(sizes, band, k, v);
    let head_width = width / heads;
    // As many panels of queries as leave room for a block of keys in the second cache.
    let panels = (8192 / (head_width * columns).max(1)).clamp(1, 6);
    let block = panels * columns;
    let fill = |out: &Output<'_>| {
        let tasks: Vec<_> = (0..batch * heads)
            .flat_map(|head| (0..queries).step_by(block).map(move |first| (head, first)))
            .collect();
        tasks.into_par_iter().for_each(|(head, first)| {
            let task = Task {
                sizes,
                head_width,
                q,
                bands: &bands,
                out,
                head,
                first,
                count: block.min(queries - first),
            };
            dispatch_to(isa, task);
        });
    };
    // SAFETY: the tasks cover all queries of all heads, so every number is written.
    unsafe { filled(q.len(), fill) }
}

/// Lays keys and values out.
fn bands(sizes: Sizes, band: usize, k: &[f32], v: &[f32]) -> Bands {
    let Sizes {
        batch,
        keys,
        heads,
        width,
        ..
    } = sizes;
    let head_width = width / heads;
    let key_head = keys.next_multiple_of(band) * head_width;
    let value_head = head_width.next_multiple_of(band) * keys;
    let block = block_of_keys(band);
    let start = |head: usize| head / heads * keys * width + head % heads * head_width;
    let lay_keys = |out: &Output<'_>| {
        (0..batch * heads).into_par_iter().for_each(|head| {
            // SAFETY: no other task has this head.
            let to = unsafe { out.slice(head * key_head, key_head) };
            for (i, to) in to.chunks_exact_mut((band * head_width).max(1)).enumerate() {
                let from = &k[start(head) + i * band * width..];
                let count = band.min(keys - i * band);
                pack_rows(from, width, count, head_width, band, to);
            }
        });
    };
    let lay_values = |out: &Output<'_>| {
        (0..batch * heads).into_par_iter().for_each(|head| {
            // SAFETY: no other task has this head.
            let to = unsafe { out.slice(head * value_head, value_head) };
            let bands = head_width.div_ceil(band);
            for (i, to) in to.chunks_mut((block * bands * band).max(1)).enumerate() {
                let first = i * block;
                let count = block.min(keys - first);
                for (i, to) in to.chunks_exact_mut(count * band).enumerate() {
                    let from = &v[start(head) + first * width + i * band..];
                    let rows = band.min(head_width - i * band);
                    pack_columns(from, width, rows, count, band, to);
                }
            }
        });
    };
    // SAFETY: bands fill a head, heads fill the whole, and a panel is packed with all of its rows.
    unsafe {
        Bands {
            keys: filled(batch * heads * key_head, lay_keys),
            values: filled(batch * heads * value_head, lay_values),
            key_head,
            value_head,
        }
    }
}

/// Some queries of a head.
struct Task<'a> {
    sizes: Sizes,
    head_width: usize,
    q: &'a [f32],
    bands: &'a Bands,
    out: &'a Output<'a>,
    head: usize,
    first: usize,
    count: usize,
}

impl Op for Task<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let block = block_of_keys(S::ROWS);
        let panels = self.count.div_ceil(S::COLUMNS);
        let panel = self.head_width * S::COLUMNS;
        let length = panels * (2 * panel + 2 * S::COLUMNS) + block * S::COLUMNS;
        let mut scratch = Scratch::new(length);
        let scratch = scratch.numbers();
        let (queries, rest) = scratch.split_at_mut(panels * panel);
        let (sums, rest) = rest.split_at_mut(panels * panel);
        let (ends, scores) = rest.split_at_mut(panels * 2 * S::COLUMNS);
        self.queries::<S>(queries);
        for ends in ends.chunks_exact_mut(2 * S::COLUMNS) {
            let (largest, total) = ends.split_at_mut(S::COLUMNS);
            // Not infinite, so that scores of minus infinity weigh nothing rather than NaN.
            largest.fill(-3e38);
            total.fill(0.0);
        }
        for start in (0..self.sizes.keys).step_by(block) {
            let count = block.min(self.sizes.keys - start);
            let scores = &mut scores[..count * S::COLUMNS];
            let panels = queries
                .chunks_exact(panel.max(1))
                .zip(sums.chunks_exact_mut(panel.max(1)))
                .zip(ends.chunks_exact_mut(2 * S::COLUMNS));
            for ((queries, sums), ends) in panels {
                self.scores(simd, queries, (start, count), scores);
                let (largest, total) = ends.split_at_mut(S::COLUMNS);
                // Before the first block nothing is summed.
                let summed = if start > 0 { &mut *sums } else { &mut [] };
                soften(simd, scores, largest, total, summed);
                self.mix(simd, scores, (start, count), (sums, start > 0));
            }
        }
        self.finish(simd, sums, ends);
    }
}

impl Task<'_> {
    fn row(&self, query: usize) -> usize {
        let Sizes {
            queries,
            heads,
            width,
            ..
        } = self.sizes;
        (self.head / heads * queries + query) * width + self.head % heads * self.head_width
    }

    /// The queries in panels, times `log2(e) / sqrt(d)`, so that scores are powers of two.
    #[inline(always)]
    fn queries<S: Simd>(&self, to: &mut [f32]) {
        let scale = std::f64::consts::LOG2_E / (self.head_width as f64).sqrt();
        let panel = self.head_width * S::COLUMNS;
        for (i, to) in to.chunks_exact_mut(panel.max(1)).enumerate() {
            let first = self.first + i * S::COLUMNS;
            let count = S::COLUMNS.min(self.first + self.count - first);
            pack_rows(
                &self.q[self.row(first)..],
                self.sizes.width,
                count,
                self.head_width,
                S::COLUMNS,
                to,
            );
            to.iter_mut().for_each(|x| *x *= scale as f32);
        }
    }

    /// `K Q^T` for a block of keys and a panel of queries.
    #[inline(always)]
    fn scores<S: Simd>(
        &self,
        simd: S,
        queries: &[f32],
        (start, count): (usize, usize),
        to: &mut [f32],
    ) {
        let at = self.head * self.bands.key_head + start * self.head_width;
        let to = Output::over(to);
        let product = Product {
            a: &self.bands.keys[at..],
            a_step: S::ROWS * self.head_width,
            rows: count,
            b: queries,
            b_step: queries.len(),
            panels: 1,
            column: |_| Column::bare(to.at(0, count * S::COLUMNS), S::COLUMNS),
            stride: S::COLUMNS,
            depth: self.head_width,
            onto: false,
        };
        // SAFETY: `to` is this task's own and holds `count` rows, as asserted.
        unsafe { product.compute(simd) };
    }

    /// Adds `V^T P` for a block of keys and a panel of queries.
    #[inline(always)]
    fn mix<S: Simd>(
        &self,
        simd: S,
        weights: &[f32],
        (start, count): (usize, usize),
        (sums, onto): (&mut [f32], bool),
    ) {
        let bands = self.head_width.div_ceil(S::ROWS);
        let at = self.head * self.bands.value_head + start * bands * S::ROWS;
        let to = Output::over(sums);
        let product = Product {
            a: &self.bands.values[at..],
            a_step: S::ROWS * count,
            rows: self.head_width,
            b: weights,
            b_step: weights.len(),
            panels: 1,
            column: |_| Column::bare(to.at(0, self.head_width * S::COLUMNS), S::COLUMNS),
            stride: S::COLUMNS,
            depth: count,
            onto,
        };
        // SAFETY: `to` is this task's own and holds a row for each number of a head, as asserted.
        unsafe { product.compute(simd) };
    }

    /// Divides by the totals and writes each query's numbers to its place.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &mut [f32], ends: &[f32]) {
        let panel = self.head_width * S::COLUMNS;
        let ends = ends.chunks_exact(2 * S::COLUMNS);
        for (i, (sums, ends)) in sums.chunks_exact_mut(panel.max(1)).zip(ends).enumerate() {
            let total = &ends[S::COLUMNS..];
            for sums in sums.chunks_exact_mut(S::COLUMNS) {
                for lane in (0..S::COLUMNS).step_by(S::LANES) {
                    // SAFETY: `sums` and `total` hold `COLUMNS` numbers, whole vectors.
                    unsafe {
                        let at = sums.as_mut_ptr().add(lane);
                        let total = simd.load(total.as_ptr().add(lane));
                        simd.store(at, simd.div(simd.load(at), total));
                    }
                }
            }
            let first = i * S::COLUMNS;
            let count = S::COLUMNS.min(self.count - first);
            let length = (count - 1) * self.sizes.width + self.head_width;
            let to = self.out.at(self.row(self.first + first), length);
            let block = [self.head_width, count];
            // SAFETY: `sums` holds a row for each number of a head, and no other task has these queries of
            // this head; between them lie other heads, which are not touched.
            unsafe {
                transpose_to(sums.as_ptr(), S::COLUMNS, block, to, self.sizes.width);
            }
        }
    }
}

/// Turns scores, a row for each key, into weights `2^(score - largest)`; brings the largest score and the
/// total of the weights up to date, and what was summed under the former largest one.
#[inline(always)]
fn soften<S: Simd>(
    simd: S,
    scores: &mut [f32],
    largest: &mut [f32],
    total: &mut [f32],
    sums: &mut [f32],
) {
    assert!(largest.len() == S::COLUMNS && total.len() == S::COLUMNS);
    assert!(scores.len().is_multiple_of(S::COLUMNS) && sums.len().is_multiple_of(S::COLUMNS));
    let rows = scores.len() / S::COLUMNS;
    for lane in (0..S::COLUMNS).step_by(S::LANES) {
        // SAFETY: every row of scores and sums, `largest` and `total` have a vector at `lane`.
        unsafe {
            let at = scores.as_mut_ptr().add(lane);
            let row = |i: usize| at.add(i * S::COLUMNS);
            let former = simd.load(largest.as_ptr().add(lane));
            // Four maxima at once, as one waits for the one before.
            let mut most = [former; 4];
            for i in 0..rows / 4 {
                for (j, most) in most.iter_mut().enumerate() {
                    *most = simd.max(*most, simd.load(row(4 * i + j)));
                }
            }
            for i in rows / 4 * 4..rows {
                most[0] = simd.max(most[0], simd.load(row(i)));
            }
            let most = simd.max(simd.max(most[0], most[1]), simd.max(most[2], most[3]));
            let mut weight = [simd.splat(0.0); 2];
            for i in 0..rows / 2 {
                for (j, weight) in weight.iter_mut().enumerate() {
                    let at = row(2 * i + j);
                    let power = math::exp2(simd, simd.sub(simd.load(at), most));
                    *weight = simd.add(*weight, power);
                    simd.store(at, power);
                }
            }
            if rows % 2 == 1 {
                let at = row(rows - 1);
                let power = math::exp2(simd, simd.sub(simd.load(at), most));
                weight[0] = simd.add(weight[0], power);
                simd.store(at, power);
            }
            let fade = math::exp2(simd, simd.sub(former, most));
            let end = total.as_mut_ptr().add(lane);
            let weight = simd.add(weight[0], weight[1]);
            simd.store(end, simd.fma(simd.load(end), fade, weight));
            simd.store(largest.as_mut_ptr().add(lane), most);
            for sums in sums.chunks_exact_mut(S::COLUMNS) {
                let at = sums.as_mut_ptr().add(lane);
                simd.store(at, simd.mul(simd.load(at), fade));
            }
        }
    }
}
