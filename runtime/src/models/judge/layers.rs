//! The layers of classifiers, by the tensor library's own operations, so that gradients go through them.

use candle_core::Tensor;

use crate::error::Result;
use crate::weights::Part;

/// A convolution with square kernel.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    /// `[1, C, 1, 1]`
    bias: Option<Tensor>,
    stride: usize,
    padding: usize,
}

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: usize,
    /// How far it moves.
    pub stride: usize,
    /// Zeros at each side.
    pub padding: usize,
}

impl Conv {
    /// Loads it, with a bias if there is to be one.
    ///
    /// # Errors
    /// What [`Part::tensor`] refuses.
    pub fn load(
        part: &Part<'_>,
        (input, output): (usize, usize),
        window: Window,
        bias: bool,
    ) -> Result<Self> {
        let Window {
            kernel,
            stride,
            padding,
        } = window;
        let shape = (output, input, kernel, kernel);
        let weight = part.tensor("weight", &[output, input, kernel, kernel])?;
        let bias = bias.then(|| part.tensor("bias", &[output])).transpose()?;
        Ok(Self {
            weight: weight.reshape(shape)?,
            bias: bias
                .map(|bias| bias.reshape((1, output, 1, 1)))
                .transpose()?,
            stride,
            padding,
        })
    }

    /// `[B, C, H, W]`
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.conv2d(&self.weight, self.padding, self.stride, 1, 1)?;
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}

/// `y = x w^T + b`
#[derive(Debug)]
pub struct Dense {
    /// `[input, output]`
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    /// Loads it.
    ///
    /// # Errors
    /// What [`Part::tensor`] refuses.
    pub fn load(part: &Part<'_>, input: usize, output: usize) -> Result<Self> {
        let weight = part.tensor("weight", &[output, input])?;
        Ok(Self {
            weight: weight.reshape((output, input))?.t()?.contiguous()?,
            bias: part.tensor("bias", &[output])?,
        })
    }

    /// `[B, input]` to `[B, output]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// A norm over groups of channels of a sample.
#[derive(Debug)]
pub struct Groups {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl Groups {
    /// Loads it.
    ///
    /// # Errors
    /// What [`Part::tensor`] refuses.
    pub fn load(part: &Part<'_>, groups: usize, channels: usize, eps: f64) -> Result<Self> {
        let column = |name: &str| -> Result<Tensor> {
            let one = part.tensor(name, &[channels])?;
            Ok(one.reshape((1, channels, 1, 1))?)
        };
        Ok(Self {
            weight: column("weight")?,
            bias: column("bias")?,
            groups,
            eps,
        })
    }

    /// `[B, C, H, W]`
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let each = channels / self.groups * height * width;
        let rows = x.reshape((batch, self.groups, each))?;
        let apart = rows.broadcast_sub(&rows.mean_keepdim(2)?)?;
        let variance = apart.sqr()?.mean_keepdim(2)?;
        let normed = apart.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        let normed = normed.reshape((batch, channels, height, width))?;
        Ok(normed
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)?)
    }
}

/// A batch norm as it is after training: a factor and a summand for each channel.
#[derive(Debug)]
pub struct Fixed {
    factor: Tensor,
    summand: Tensor,
}

impl Fixed {
    /// Loads it. The published networks have `eps` 1e-5.
    ///
    /// # Errors
    /// What [`Part::tensor`] refuses.
    pub fn load(part: &Part<'_>, channels: usize) -> Result<Self> {
        const EPS: f64 = 1e-5;
        let column = |name: &str| -> Result<Tensor> {
            let one = part.tensor(name, &[channels])?;
            Ok(one.reshape((1, channels, 1, 1))?)
        };
        let deviation = (column("running_var")? + EPS)?.sqrt()?;
        let factor = (column("weight")? / deviation)?;
        let summand = (column("bias")? - (column("running_mean")? * &factor)?)?;
        Ok(Self { factor, summand })
    }

    /// `[B, C, H, W]`
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.broadcast_mul(&self.factor)?
            .broadcast_add(&self.summand)?)
    }
}

/// What stands between the layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The larger of 0 and x.
    Relu,
    /// `ln(1 + exp(b*x))/b`, which has a slope everywhere.
    Softplus(f64),
}

impl Activation {
    /// Elementwise.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn of(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Relu => Ok(x.relu()?),
            // The larger of 0 and x, and what is missing, of which nothing overflows.
            Activation::Softplus(b) => {
                let rest = ((x.abs()? * -b)?.exp()? + 1.0)?.log()?;
                Ok((x.relu()? + (rest * (1.0 / b))?)?)
            }
        }
    }
}
