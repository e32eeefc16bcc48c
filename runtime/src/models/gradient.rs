//! Gradients through networks, recomputed stretch by stretch: on the way forward only what each stretch is
//! given is kept, on the way back each is computed once more inside of a graph of its own (Chen et al. 2016,
//! arXiv 1604.06174). So memory holds the inside of one stretch at a time.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, Var};

use crate::error::Result;

/// A part of a network: what it makes of a tensor.
pub type Stretch<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;

/// The gradient by `x` of the sum of `stretch(x)`, weighted by `by`, a tensor of the result's shape.
///
/// # Errors
/// What the stretch or the tensor library reports.
pub fn of(stretch: &dyn Fn(&Tensor) -> Result<Tensor>, x: Tensor, by: Tensor) -> Result<Tensor> {
    // A variable is a copy, so what it was made of need not be held while the graph lives.
    let var = Var::from_tensor(&x)?;
    drop(x);
    let x = var;
    let result = stretch(x.as_tensor())?;
    let end = match result.device().is_cpu() {
        true => result.apply_op1(Weighted(by))?,
        false => (result * by)?.sum_all()?,
    };
    let mut gradients = end.backward()?;
    match gradients.remove(&x) {
        Some(gradient) => Ok(gradient),
        None => Ok(x.as_tensor().zeros_like()?),
    }
}

/// Where a way back begins: the gradient by a result is the weights. The sum itself is never needed, nor the
/// tensors of the result's size that its own gradient would take.
struct Weighted(Tensor);

impl CustomOp1 for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

/// The result of all stretches, one after the other.
///
/// # Errors
/// What a stretch reports.
pub fn forward(stretches: &[Stretch<'_>], x: &Tensor) -> Result<Tensor> {
    let mut x = x.clone();
    for stretch in stretches {
        x = stretch(&x)?;
    }
    Ok(x)
}

/// The gradient by `x` of a number that hangs on the result of all stretches: `by` is shown the result and
/// gives the number's gradient by it.
///
/// # Errors
/// What a stretch, `by` or the tensor library reports.
pub fn through(
    stretches: &[Stretch<'_>],
    x: &Tensor,
    by: &dyn Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let mut given = Vec::with_capacity(stretches.len());
    let mut x = x.clone();
    for stretch in stretches {
        let next = stretch(&x)?;
        given.push(std::mem::replace(&mut x, next));
    }
    let mut by = by(&x)?;
    drop(x);
    for stretch in stretches.iter().rev() {
        if let Some(x) = given.pop() {
            by = of(stretch, x, by)?;
        }
    }
    Ok(by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn stretches_give_what_the_whole_gives() -> Result<()> {
        let x = Tensor::new(&[0.5f32, -1.5, 2.0], &Device::Cpu)?;
        let by = Tensor::new(&[1.0f32, 3.0, -2.0], &Device::Cpu)?;
        let stretches: [Stretch<'_>; 2] = [
            Box::new(|x| Ok((x * x)?)),
            Box::new(|x| Ok((x.sin()? * 2.0)?)),
        ];
        let whole = of(&|x| forward(&stretches, x), x.clone(), by.clone())?;
        let parts = through(&stretches, &x, &|_| Ok(by.clone()))?;
        assert_eq!(whole.to_vec1::<f32>()?, parts.to_vec1::<f32>()?);
        // 2 cos(x^2) 2 x
        let first = parts.to_vec1::<f32>()?[0];
        assert!((first - 2.0 * 0.25f32.cos()).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn what_does_not_hang_on_it_has_the_gradient_nothing() -> Result<()> {
        let x = Tensor::new(&[0.5f32], &Device::Cpu)?;
        let constant = |x: &Tensor| Ok(x.ones_like()?);
        assert_eq!(of(&constant, x.clone(), x)?.to_vec1::<f32>()?, [0.0]);
        Ok(())
    }
}
