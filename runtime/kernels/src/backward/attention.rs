//! The gradient of attention, a block of queries at a time, so that no whole matrix of scores exists (Dao et
//! al. 2022, arXiv 2205.14135, algorithm 4).

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::super::Numbers;
use super::super::linear::{From, Packed, apply};
use super::super::simd::Isa;
use super::elementwise::exps;
use super::{numbers, transposed};

/// Queries of a block.
const BLOCK: usize = 128;

/// The gradients by queries, keys and values.
pub fn attention(
    isa: Isa,
    heads: usize,
    qkv: [&Tensor; 3],
    by_result: &Tensor,
) -> Result<[Tensor; 3]> {
    let (batch, queries, width) = qkv[0].dims3()?;
    let keys = qkv[1].dim(1)?;
    let head = width / heads.max(1);
    let [q, k, v] = [numbers(qkv[0])?, numbers(qkv[1])?, numbers(qkv[2])?];
    let by_result = numbers(by_result)?;
    let of = |all: &[f32], rows: usize, task: usize| {
        let (sample, at) = (task / heads, task % heads * head);
        let all = &all[sample * rows * width..(sample + 1) * rows * width];
        let rows = all.chunks_exact(width);
        rows.flat_map(|row| row[at..at + head].to_vec()).collect()
    };
    let parts = (0..batch * heads).into_par_iter().map(|task| {
        let one = Head {
            isa,
            width: head,
            q: of(&q, queries, task),
            k: of(&k, keys, task),
            v: of(&v, keys, task),
            by_result: of(&by_result, queries, task),
        };
        one.back()
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let whole = |which: usize, rows: usize| {
        let mut all = vec![0f32; batch * rows * width];
        for (task, part) in parts.iter().enumerate() {
            let (sample, at) = (task / heads, task % heads * head);
            for (row, from) in part[which].chunks_exact(head).enumerate() {
                let start = (sample * rows + row) * width + at;
                all[start..start + head].copy_from_slice(from);
            }
        }
        super::tensor(all, qkv[which].shape())
    };
    Ok([whole(0, queries)?, whole(1, keys)?, whole(2, keys)?])
}

/// A head of a sample; all row-major, `[rows, width]`.
struct Head {
    isa: Isa,
    width: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    by_result: Vec<f32>,
}

impl Head {
    /// The gradients by queries, keys and values.
    fn back(&self) -> Result<[Vec<f32>; 3]> {
        let width = self.width;
        let keys = self.k.len() / width;
        let scale = (1.0 / (width as f64).sqrt()) as f32;
        let by_rows = |rows: &[f32], input: usize| {
            Packed::pack(
                self.isa,
                Numbers::F32(rows),
                None,
                input,
                rows.len() / input.max(1),
            )
        };
        let (to_scores, to_shares) = (by_rows(&self.k, width)?, by_rows(&self.v, width)?);
        let from_scores = transposed(&to_scores)?;
        let mut by_q = Vec::with_capacity(self.q.len());
        let (mut by_k, mut by_v) = (vec![0f32; self.k.len()], vec![0f32; self.v.len()]);
        let blocks = self.q.chunks(BLOCK * width);
        for (q, by_result) in blocks.zip(self.by_result.chunks(BLOCK * width)) {
            let rows = q.len() / width;
            let mut weights = apply(&to_scores, None, q, rows, From::Rows, None);
            let mut by_scores = apply(&to_shares, None, by_result, rows, From::Rows, None);
            weights
                .par_chunks_mut(keys)
                .zip(by_scores.par_chunks_mut(keys))
                .for_each(|(weights, by_scores)| soften(self.isa, weights, by_scores, scale));
            by_q.extend(apply(
                &from_scores,
                None,
                &by_scores,
                rows,
                From::Rows,
                None,
            ));
            // Of columns of keys, whose sums run over the queries of the block.
            let columns = From::Map { places: keys };
            let by_columns = |rows: &[f32]| by_rows(&turned(rows, width), rows.len() / width);
            by_k = apply(
                &by_columns(q)?,
                None,
                &by_scores,
                keys,
                columns,
                Some(&by_k),
            );
            by_v = apply(
                &by_columns(by_result)?,
                None,
                &weights,
                keys,
                columns,
                Some(&by_v),
            );
        }
        Ok([by_q, by_k, by_v])
    }
}

/// Makes weights of a query's scores, before their scale; and of the gradient by the weights that by the
/// scores. Sums are made in f64.
fn soften(isa: Isa, scores: &mut [f32], by: &mut [f32], scale: f32) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|s| (s - largest) * scale).collect();
    exps(isa, &powers, scores);
    let total: f64 = scores.iter().map(|power| f64::from(*power)).sum();
    let share = (1.0 / total) as f32;
    scores.iter_mut().for_each(|power| *power *= share);
    let products = scores
        .iter()
        .zip(by.iter())
        .map(|(w, by)| f64::from(*w) * f64::from(*by));
    let mean = products.sum::<f64>() as f32;
    for (weight, by) in scores.iter().zip(by) {
        *by = weight * (*by - mean) * scale;
    }
}

/// Rows as columns.
fn turned(rows: &[f32], width: usize) -> Vec<f32> {
    let count = rows.len() / width;
    let mut all = vec![0f32; rows.len()];
    for (row, numbers) in rows.chunks_exact(width).enumerate() {
        for (column, number) in numbers.iter().enumerate() {
            all[column * count + row] = *number;
        }
    }
    all
}
