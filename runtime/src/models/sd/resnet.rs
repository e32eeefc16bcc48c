//! Residual convolution blocks and the changes of resolution between them.

use candle_core::{Module, Tensor};

use crate::error::Result;
use crate::kernels::{self, Conv2d, GroupNorm, Linear, Window};
use crate::models::nn;
use crate::weights::Part;

/// `shortcut(x) + conv(silu(norm(conv(silu(norm(x))) + time)))`
#[derive(Debug)]
pub struct Resnet {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

/// The shape of a resnet.
#[derive(Clone, Copy, Debug)]
pub struct ResnetShape {
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Width of the time embedding, where there is one.
    pub time: Option<usize>,
    /// Groups of the norms.
    pub groups: usize,
    /// Epsilon of the norms.
    pub eps: f64,
}

impl Resnet {
    /// Takes the block's tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(part: &Part<'_>, shape: ResnetShape) -> Result<Self> {
        let ResnetShape {
            input,
            output,
            time,
            groups,
            eps,
        } = shape;
        let shortcut =
            (input != output).then(|| nn::conv(&part.at("conv_shortcut"), input, output, 1, 1, 0));
        Ok(Self {
            norm1: nn::group_norm(&part.at("norm1"), groups, input, eps)?,
            conv1: nn::conv(&part.at("conv1"), input, output, 3, 1, 1)?,
            time: time
                .map(|width| nn::linear(&part.at("time_emb_proj"), width, output))
                .transpose()?,
            norm2: nn::group_norm(&part.at("norm2"), groups, output, eps)?,
            conv2: nn::conv(&part.at("conv2"), output, output, 3, 1, 1)?,
            shortcut: shortcut.transpose()?,
        })
    }

    /// `x: [B, input, H, W]` to `[B, output, H, W]`; `time: [B, width]`, its activation applied.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let h = self.before_last(x, time)?;
        Ok(self.conv2.forward_plus(&h, &self.skip(x)?)?)
    }

    /// What the block adds to its input.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn residual(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.conv2.forward(&self.before_last(x, time)?)?)
    }

    /// What the last convolution works on.
    fn before_last(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let h = self.norm1.forward_silu(x)?;
        let h = match (&self.time, time) {
            (Some(linear), Some(time)) => self.conv1.forward_shifted(&h, &linear.forward(time)?)?,
            _ => self.conv1.forward(&h)?,
        };
        Ok(self.norm2.forward_silu(&h)?)
    }

    /// The block without its residual branch: `x` itself, through the shortcut where the number of
    /// channels changes.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn skip(&self, x: &Tensor) -> Result<Tensor> {
        match &self.shortcut {
            Some(shortcut) => Ok(shortcut.forward(x)?),
            None => Ok(x.clone()),
        }
    }
}

/// Half the resolution, by a strided convolution.
#[derive(Debug)]
pub struct Downsample {
    conv: Conv2d,
}

impl Downsample {
    /// `padding` is 1 on every side, or 0 for one row at the right and at the bottom only.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(part: &Part<'_>, channels: usize, padding: usize) -> Result<Self> {
        let mut window = Window::square(3, 2, padding);
        if padding == 0 {
            window.padding = [0, 0, 1, 1];
        }
        let conv = nn::windowed(&part.at("downsamplers.0.conv"), channels, channels, window)?;
        Ok(Self { conv })
    }

    /// `[B, C, H, W]` to `[B, C, ceil(H/2), ceil(W/2)]` (rounded down where padding is 0).
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.conv.forward(x)?)
    }
}

/// Twice the resolution, by nearest neighbours and a convolution.
#[derive(Debug)]
pub struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    /// Takes the tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(part: &Part<'_>, channels: usize) -> Result<Self> {
        Ok(Self {
            conv: nn::conv(&part.at("upsamplers.0.conv"), channels, channels, 3, 1, 1)?,
        })
    }

    /// `[B, C, h, w]` to `[B, C, height, width]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(&self, x: &Tensor, (height, width): (usize, usize)) -> Result<Tensor> {
        Ok(self.conv.forward(&kernels::upsample(x, height, width)?)?)
    }
}
