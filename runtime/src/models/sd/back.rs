//! The UNet backward: from the gradient by its answer to that by the latent it was asked at.
//!
//! The way forward keeps what each move was given, the way back computes each move once more; see
//! [`crate::models::gradient`].

use candle_core::{Device, Tensor};

use super::blocks::{Given, Move, Way};
use super::unet::{Conditioning, UNet, fits};
use crate::error::Result;
use crate::interventions::Hooks;
use crate::models::gradient;

impl UNet {
    /// The gradient by `x` of the sum of [`UNet::forward`]'s answer, weighted by `by`, a tensor of its
    /// shape. For a network of f32 on a CPU, and hooks whose work has gradients.
    ///
    /// # Errors
    /// As [`UNet::forward`].
    pub fn back<'a>(
        &self,
        x: &Tensor,
        times: &[f64],
        given: impl Into<Conditioning<'a>>,
        hooks: &Hooks,
        by: &Tensor,
    ) -> Result<Tensor> {
        let conditioning = given.into();
        fits(x, times, conditioning)?;
        let time = &self.time(times, conditioning, &mut |_, _| {})?;
        let text = &conditioning.states.to_dtype(self.dtype())?;
        let given = Given { time, text, hooks };

        let moves = self.moves();
        let entered = self.enter(x)?;
        let mut way = Way {
            kept: vec![entered.clone()],
            x: entered,
        };
        let mut before = Vec::with_capacity(moves.len());
        for step in &moves {
            before.push(Before::of(*step, &way.x)?);
            way.go(*step, given)?;
        }
        let last = way.x;
        drop(way.kept);
        let mut back = Back {
            by: gradient::of(&|x| self.leave(x), last, by.clone())?,
            by_kept: Vec::new(),
        };
        for step in moves.into_iter().rev() {
            match before.pop() {
                Some(Before::Given(x)) => back.again(step, x, given)?,
                Some(Before::Joined { own }) => back.part(own)?,
                Some(Before::Kept) => back.keep()?,
                Some(Before::Nothing) | None => {}
            }
        }
        back.keep()?;
        gradient::of(&|x| self.enter(x), x.clone(), back.by)
    }
}

/// What the way back needs of a move's beginning.
enum Before {
    /// What it was given: it is computed once more.
    Given(Tensor),
    /// How many channels were its own, before others joined.
    Joined {
        own: usize,
    },
    /// What has come was kept.
    Kept,
    Nothing,
}

impl Before {
    fn of(step: Move<'_>, x: &Tensor) -> Result<Self> {
        Ok(match step {
            Move::Done(..) => Self::Nothing,
            Move::Keep => Self::Kept,
            Move::Join { .. } => Self::Joined { own: x.dim(1)? },
            Move::Resnet(..) | Move::Transformer(_) | Move::Down(_) | Move::Up(_) => {
                Self::Given(x.clone())
            }
        })
    }
}

/// A way back that is under way.
struct Back {
    /// By what has come so far.
    by: Tensor,
    /// By what is kept for the way up.
    by_kept: Vec<Tensor>,
}

impl Back {
    /// Takes a move back that was given `x`.
    fn again(&mut self, step: Move<'_>, x: Tensor, given: Given<'_>) -> Result<()> {
        // A move up reads off what is kept how far it goes: as far as its result's gradient.
        let (_, _, height, width) = self.by.dims4()?;
        let size = Tensor::zeros((1, 1, height, width), self.by.dtype(), &Device::Cpu)?;
        let again = |x: &Tensor| {
            let mut way = Way {
                x: x.clone(),
                kept: vec![size.clone()],
            };
            way.go(step, given)?;
            Ok(way.x)
        };
        self.by = gradient::of(&again, x, self.by.clone())?;
        Ok(())
    }

    /// Takes back that others joined `own` channels.
    fn part(&mut self, own: usize) -> Result<()> {
        let all = self.by.dim(1)?;
        self.by_kept.push(self.by.narrow(1, own, all - own)?);
        self.by = self.by.narrow(1, 0, own)?;
        Ok(())
    }

    /// What was kept here has a share in what came so far.
    fn keep(&mut self) -> Result<()> {
        // INVARIANT: the way up joins one tensor for each that the way down keeps.
        if let Some(share) = self.by_kept.pop() {
            self.by = (&self.by + share)?;
        }
        Ok(())
    }
}
