//! The sizes of a run: samples, and what a sample consists of.

use guide_compiler::plan::Shape;

/// Samples and the shape of one latent, `[C, …]`: the first axis is channels, the others are space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Samples.
    pub batch: usize,
    /// The shape of a latent without the batch.
    pub latent: Vec<usize>,
    /// Channels.
    pub channels: usize,
    /// Elements of a channel.
    pub area: usize,
}

impl Dims {
    /// Sizes for `batch` latents of this shape.
    pub fn new(batch: usize, latent: &[usize]) -> Self {
        let channels = latent.first().copied().unwrap_or(1);
        let area = latent.iter().skip(1).product();
        Self {
            batch,
            latent: latent.to_vec(),
            channels,
            area,
        }
    }

    /// Elements of a sample's value of this shape.
    pub fn len(&self, shape: Shape) -> usize {
        match shape {
            // Numbers by class lie apart from buffers.
            Shape::Scalar | Shape::Bool | Shape::Class | Shape::Scores => 1,
            Shape::Tensor => self.channels * self.area,
            Shape::Map => self.area,
            Shape::PerChannel => self.channels,
        }
    }

    /// The axes of a sample's value of this shape.
    pub fn shape_of(&self, shape: Shape) -> Vec<usize> {
        let space = self.latent.get(1..).unwrap_or_default();
        match shape {
            Shape::Scalar | Shape::Bool | Shape::Class | Shape::Scores => Vec::new(),
            Shape::Tensor => self.latent.clone(),
            Shape::Map => [&[1], space].concat(),
            Shape::PerChannel => [vec![self.channels], vec![1; space.len()]].concat(),
        }
    }

    /// The shape of a tensor for `rows` samples.
    pub fn rows(&self, rows: usize, shape: Shape) -> Vec<usize> {
        [vec![rows], self.shape_of(shape)].concat()
    }

    /// Height and width, for filters: the last two axes.
    pub fn plane(&self) -> (usize, usize) {
        match self.latent.as_slice() {
            [] | [_] => (1, 1),
            [_, width] => (1, *width),
            [.., height, width] => (*height, *width),
        }
    }
}
