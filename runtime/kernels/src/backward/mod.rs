//! Gradients of the layers by what they are given, for the tensor library's own differentiation: each is
//! asked with the gradient by the layer's result. Weights have none, since nothing here is trained.
//!
//! Products go through the kernels of the way forward, with weights that are turned round for the occasion;
//! so the same holds of their bits: neither threads nor what else is in a batch change them.

mod attention;
mod elementwise;
mod norm;

use candle_core::{DType, Device, Result, Shape, Tensor};
use rayon::prelude::*;

use super::conv;
use super::linear::{self, From};
use super::{Numbers, widths, with_numbers};

pub use attention::attention;
pub use elementwise::silu;
pub use norm::{group_norm, layer_norm};

/// A tensor of numbers that were computed here.
fn tensor(numbers: Vec<f32>, shape: &Shape) -> Result<Tensor> {
    Tensor::from_vec(numbers, shape, &Device::Cpu)
}

/// The numbers of a tensor, row-major.
fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    with_numbers(&tensor.to_dtype(DType::F32)?, |all| Ok(all.to_vec()))
}

/// The layer that takes the gradient by a linear layer's result to that by what it was given: its weights the
/// other way round, and no bias.
fn transposed(packed: &linear::Packed) -> Result<linear::Packed> {
    let (input, output) = (packed.input, packed.output);
    let (_, columns) = widths(packed.isa);
    let panels = packed.panels.as_slice();
    let mut weight = vec![0f32; input * output];
    weight
        .par_chunks_mut(output.max(1))
        .enumerate()
        .for_each(|(i, row)| {
            for (panel, to) in row.chunks_mut(columns).enumerate() {
                let from = (panel * input + i) * columns;
                to.copy_from_slice(&panels[from..from + to.len()]);
            }
        });
    linear::Packed::pack(packed.isa, Numbers::F32(&weight), None, output, input)
}

/// Of a linear layer, by its rows.
pub fn linear(packed: &linear::Packed, x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
    let back = transposed(packed)?;
    let rows = by_result.elem_count() / packed.output.max(1);
    let by_rows = with_numbers(by_result, |by_result| {
        Ok(linear::apply(
            &back,
            None,
            by_result,
            rows,
            From::Rows,
            None,
        ))
    })?;
    tensor(by_rows, x.shape())
}

/// Of a linear layer over the places of a map.
pub fn linear_of_map(packed: &linear::Packed, x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let rows = Tensor::zeros((batch, height * width, channels), DType::F32, x.device())?;
    let by_rows = linear(packed, &rows, by_result)?;
    by_rows.transpose(1, 2)?.contiguous()?.reshape(x.shape())
}

/// Of a linear layer whose result is gated by another's GELU.
pub fn geglu(
    value: &linear::Packed,
    gate: &linear::Packed,
    x: &Tensor,
    by_result: &Tensor,
) -> Result<Tensor> {
    let rows = x.elem_count() / value.input.max(1);
    let again = |packed: &linear::Packed| {
        with_numbers(x, |x| {
            Ok(linear::apply(packed, None, x, rows, From::Rows, None))
        })
    };
    let (mut by_value, mut by_gate) = (again(value)?, again(gate)?);
    with_numbers(by_result, |by_result| {
        elementwise::gated(value.isa, &mut by_value, &mut by_gate, by_result);
        Ok(())
    })?;
    let (value, gate) = (transposed(value)?, transposed(gate)?);
    let by_x = linear::apply(&value, None, &by_value, rows, From::Rows, None);
    let by_x = linear::apply(&gate, None, &by_gate, rows, From::Rows, Some(&by_x));
    tensor(by_x, x.shape())
}

/// Of a convolution.
pub fn conv(packed: &conv::Packed, x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
    let (batch, _, height, width) = x.dims4()?;
    let (.., rows, columns) = by_result.dims4()?;
    let [top, left, bottom, right] = packed.window.padding;
    let [tall, wide] = packed.window.kernel;
    if top.max(bottom) >= tall || left.max(right) >= wide {
        candle_core::bail!("no gradient goes through a convolution with more padding than kernel");
    }
    let back = packed.transposed([height, width], [rows, columns])?;
    let stride = packed.window.stride;
    let spread = [(rows - 1) * stride + 1, (columns - 1) * stride + 1];
    let by_x = with_numbers(by_result, |by_result| {
        if stride == 1 {
            return Ok(conv::apply(&back, by_result, batch, spread, None, None));
        }
        let by_result = elementwise::spread(by_result, [rows, columns], stride);
        Ok(conv::apply(&back, &by_result, batch, spread, None, None))
    })?;
    tensor(by_x, x.shape())
}

/// Of maps enlarged by nearest neighbours.
pub fn upsample(x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
    let (.., height, width) = x.dims4()?;
    let (.., rows, columns) = by_result.dims4()?;
    let by_x = with_numbers(by_result, |by_result| {
        let to = [rows, columns];
        Ok(elementwise::gathered(by_result, [height, width], to))
    })?;
    tensor(by_x, x.shape())
}
