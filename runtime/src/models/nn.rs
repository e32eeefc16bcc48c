//! The layers that all networks are made of, each loaded with the shape that it must have.

use candle_core::Tensor;

use crate::error::Result;
use crate::kernels::{Conv2d, Geglu, GroupNorm, LayerNorm, Linear, Window};
use crate::weights::Part;

/// `y = x w^T + b`, `w: [output, input]`.
pub fn linear(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    shaped(
        part,
        &[output, input],
        Some(part.tensor("bias", &[output])?),
    )
}

/// A linear layer whose weights have a shape `[output, input, …]`, with sides of 1.
fn shaped(part: &Part<'_>, shape: &[usize], bias: Option<Tensor>) -> Result<Linear> {
    let [output, input] = [shape[0], shape[1]];
    part.weight("weight", shape, |weight| {
        Ok(Linear::of(weight, [output, input], bias)?)
    })
}

/// A linear layer without bias.
pub fn linear_no_bias(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    shaped(part, &[output, input], None)
}

/// A 1x1 convolution, as the linear layer that it is.
pub fn pointwise(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    let bias = part.tensor("bias", &[output])?;
    shaped(part, &[output, input, 1, 1], Some(bias))
}

/// A linear layer to twice `output`, of whose result one half gates the other.
pub fn geglu(part: &Part<'_>, input: usize, output: usize) -> Result<Geglu> {
    let shape = [2 * output, input];
    let bias = part.tensor("bias", &shape[..1])?;
    part.weight("weight", &shape, |weight| {
        Ok(Geglu::of(weight, shape, bias)?)
    })
}

/// A convolution with square kernel and the same padding at each side.
pub fn conv(
    part: &Part<'_>,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<Conv2d> {
    windowed(part, input, output, Window::square(kernel, stride, padding))
}

/// A convolution.
pub fn windowed(part: &Part<'_>, input: usize, output: usize, window: Window) -> Result<Conv2d> {
    let [height, width] = window.kernel;
    let bias = part.tensor("bias", &[output])?;
    part.weight("weight", &[output, input, height, width], |weight| {
        Ok(Conv2d::of(weight, [output, input], bias, window)?)
    })
}

/// A norm over groups of channels.
pub fn group_norm(part: &Part<'_>, groups: usize, channels: usize, eps: f64) -> Result<GroupNorm> {
    let weight = part.tensor("weight", &[channels])?;
    let bias = part.tensor("bias", &[channels])?;
    Ok(GroupNorm::new(weight, bias, groups, eps)?)
}

/// A norm over the last axis.
pub fn layer_norm(part: &Part<'_>, width: usize, eps: f64) -> Result<LayerNorm> {
    let weight = part.tensor("weight", &[width])?;
    let bias = part.tensor("bias", &[width])?;
    Ok(LayerNorm::new(weight, bias, eps)?)
}
