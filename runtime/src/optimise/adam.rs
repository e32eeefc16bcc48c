//! Adam: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1.

use candle_core::Tensor;

use crate::error::Result;

/// How fast the mean of the gradients forgets.
const FORGETS_MEAN: f64 = 0.9;
/// How fast the mean of their squares forgets.
const FORGETS_SQUARES: f64 = 0.999;
/// What a step of no gradient is divided by.
const LEAST: f64 = 1e-8;

/// Adam for one tensor. Step for step what candle-nn's `AdamW` does without weight decay; but the moments
/// can be read, kept and taken up again.
#[derive(Clone, Debug)]
pub struct Adam {
    /// The length of a step where the gradient is steady.
    pub rate: f64,
    /// Steps taken.
    pub steps: u32,
    /// The mean of the gradients, in the shape of the tensor.
    pub first: Tensor,
    /// The mean of their squares.
    pub second: Tensor,
}

impl Adam {
    /// Before the first step of a tensor of this shape.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(rate: f64, like: &Tensor) -> Result<Self> {
        Ok(Self {
            rate,
            steps: 0,
            first: like.zeros_like()?,
            second: like.zeros_like()?,
        })
    }

    /// The tensor after a step down a gradient.
    ///
    /// # Errors
    /// The device fails.
    pub fn step(&mut self, tensor: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        self.steps += 1;
        let unbiased = |forgets: f64| 1.0 / (1.0 - forgets.powf(f64::from(self.steps)));
        let (of_first, of_second) = (unbiased(FORGETS_MEAN), unbiased(FORGETS_SQUARES));
        self.first = ((&self.first * FORGETS_MEAN)? + (gradient * (1.0 - FORGETS_MEAN))?)?;
        let squares = (gradient.sqr()? * (1.0 - FORGETS_SQUARES))?;
        self.second = ((&self.second * FORGETS_SQUARES)? + squares)?;
        let size = ((&self.second * of_second)?.sqrt()? + LEAST)?;
        let way = ((&self.first * of_first)? / size)?;
        Ok((tensor - (way * self.rate)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use candle_nn::{AdamW, Optimizer, ParamsAdamW};

    /// `sum((x - a)^2 * b)` by both, step for step.
    #[test]
    fn it_steps_as_candle_nn_does_without_decay() -> Result<()> {
        let device = Device::Cpu;
        let of = |seed: u64| {
            Tensor::from_vec(crate::noise::Generator::new(seed).normals(24), 24, &device)
        };
        let (start, goal, weight) = (of(1)?, of(2)?, of(3)?.sqr()?);
        let variable = Var::from_tensor(&start)?;
        let params = ParamsAdamW {
            lr: 0.05,
            weight_decay: 0.0,
            ..ParamsAdamW::default()
        };
        let mut theirs = AdamW::new(vec![variable.clone()], params)?;
        let (mut ours, mut x) = (Adam::new(0.05, &start)?, start);
        for step in 0..60 {
            let loss = ((variable.as_tensor() - &goal)?.sqr()? * &weight)?.sum_all()?;
            let gradients = loss.backward()?;
            let gradient = gradients.get(&variable).expect("a gradient").clone();
            theirs.step(&gradients)?;
            x = ours.step(&x, &gradient)?;
            let numbers = |t: &Tensor| t.to_vec1::<f32>();
            let (mine, other) = (numbers(&x)?, numbers(variable.as_tensor())?);
            for (a, b) in mine.iter().zip(&other) {
                assert!(
                    (a - b).abs() <= 1e-6 * b.abs().max(1.0),
                    "step {step}: {a}, {b}"
                );
            }
        }
        Ok(())
    }
}
