//! Parts of a forward pass: where one begins, and where it leaves what it has come to for another.

use candle_core::Tensor;

use super::blocks::Way;
use crate::error::Result;

/// Where a forward pass begins, and what it leaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// What it goes on from; without, it begins at the latent.
    pub begun: Option<&'a Begun>,
    /// Before which layers, by their places in the network's list, it leaves what it has come to. Layers
    /// that one move works are left once.
    pub leave: &'a [usize],
}

/// A forward pass that has come to a layer.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The move that comes next.
    pub(super) at: usize,
    /// The layers that it was left before.
    pub(super) before: Vec<usize>,
    pub(super) way: Way,
}

impl Begun {
    /// Whether it was left before this layer, by its place in the network's list.
    pub fn is_before(&self, layer: usize) -> bool {
        self.before.contains(&layer)
    }

    /// That of one of its samples alone.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn row(&self, row: usize) -> Result<Self> {
        let one = |tensor: &Tensor| -> Result<Tensor> {
            Ok(match tensor.dim(0)? {
                1 => tensor.clone(),
                _ => tensor.narrow(0, row, 1)?.contiguous()?,
            })
        };
        Ok(Self {
            at: self.at,
            before: self.before.clone(),
            way: Way {
                x: one(&self.way.x)?,
                kept: self.way.kept.iter().map(one).collect::<Result<_>>()?,
            },
        })
    }

    /// Several samples as one pass; nothing where there is none, or they have come to different layers.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn together(samples: &[&Begun]) -> Result<Option<Self>> {
        let Some((first, rest)) = samples.split_first() else {
            return Ok(None);
        };
        let lengths = |one: &Begun| (one.at, one.way.kept.len());
        if rest.iter().any(|one| lengths(one) != lengths(first)) {
            return Ok(None);
        }
        if rest.is_empty() {
            return Ok(Some((*first).clone()));
        }
        let all = |of: &dyn Fn(&Begun) -> Tensor| -> Result<Tensor> {
            let all: Vec<Tensor> = samples.iter().map(|one| of(one)).collect();
            Ok(Tensor::cat(&all, 0)?)
        };
        let kept = (0..first.way.kept.len()).map(|at| all(&|one| one.way.kept[at].clone()));
        Ok(Some(Self {
            at: first.at,
            before: first.before.clone(),
            way: Way {
                x: all(&|one| one.way.x.clone())?,
                kept: kept.collect::<Result<_>>()?,
            },
        }))
    }
}
