//! The layers that all networks are made of, each loaded with the shape that it must have.

use crate::error::Result;
use crate::kernels::{Conv2d, Geglu, GroupNorm, LayerNorm, Linear, Window};
use crate::weights::Part;

/// `y = x w^T + b`, `w: [output, input]`.
pub fn linear(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    let weight = part.tensor("weight", &[output, input])?;
    Linear::new(weight, Some(part.tensor("bias", &[output])?))
}

/// A linear layer without bias.
pub fn linear_no_bias(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    Linear::new(part.tensor("weight", &[output, input])?, None)
}

/// A 1x1 convolution, as the linear layer that it is.
pub fn pointwise(part: &Part<'_>, input: usize, output: usize) -> Result<Linear> {
    let weight = part
        .tensor("weight", &[output, input, 1, 1])?
        .reshape((output, input))?;
    Linear::new(weight, Some(part.tensor("bias", &[output])?))
}

/// A linear layer to twice `output`, of whose result one half gates the other.
pub fn geglu(part: &Part<'_>, input: usize, output: usize) -> Result<Geglu> {
    let weight = part.tensor("weight", &[2 * output, input])?;
    Geglu::new(weight, part.tensor("bias", &[2 * output])?)
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
    let weight = part.tensor("weight", &[output, input, height, width])?;
    Conv2d::new(weight, part.tensor("bias", &[output])?, window)
}

/// A norm over groups of channels.
pub fn group_norm(part: &Part<'_>, groups: usize, channels: usize, eps: f64) -> Result<GroupNorm> {
    let weight = part.tensor("weight", &[channels])?;
    GroupNorm::new(weight, part.tensor("bias", &[channels])?, groups, eps)
}

/// A norm over the last axis.
pub fn layer_norm(part: &Part<'_>, width: usize, eps: f64) -> Result<LayerNorm> {
    let weight = part.tensor("weight", &[width])?;
    LayerNorm::new(weight, part.tensor("bias", &[width])?, eps)
}
