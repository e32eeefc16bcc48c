//! The plan's operations as tensor operations, for any device and dtype that candle has.

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{Axes, Binary, Code, Compare, Operand, ReduceOp, Shape, Unary};

use super::dims::Dims;
use super::sample::broken;
use crate::error::Result;
use crate::ops::axes;
use crate::ops::filter::Separable;
use crate::ops::matrix::Matrix;
use crate::ops::scalar::narrow;

/// A result for all samples.
pub(super) enum Wide {
    Tensor(Tensor),
    Numbers(Vec<f64>),
}

/// A number for each sample, as f32, in a shape that broadcasts over latents.
pub(super) fn column(numbers: &[f64], dims: &Dims, device: &Device) -> Result<Tensor> {
    let narrow: Vec<f32> = numbers.iter().map(|v| *v as f32).collect();
    Ok(Tensor::from_vec(
        narrow,
        [vec![numbers.len()], vec![1; dims.latent.len()]].concat(),
        device,
    )?)
}

/// Rows of `yes` where the flag is set, else of `no`; both have the same shape.
pub(super) fn pick_rows(flags: &[bool], yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    if flags.iter().all(|flag| *flag) {
        return Ok(yes.clone());
    }
    let flags: Vec<u8> = flags.iter().map(|flag| u8::from(*flag)).collect();
    let shape = [vec![flags.len()], vec![1; yes.rank().saturating_sub(1)]].concat();
    let flags = Tensor::from_vec(flags, shape, yes.device())?
        .broadcast_as(yes.shape())?
        .contiguous()?;
    Ok(flags.where_cond(yes, no)?)
}

/// Answers for some samples as a tensor with a row for each sample, 0 where there is none.
pub(super) fn scatter<'a>(
    answers: impl Iterator<Item = (&'a [Option<usize>], &'a Tensor)>,
    shape: Shape,
    dims: &Dims,
    device: &Device,
) -> Result<Tensor> {
    let mut data = vec![Tensor::zeros(dims.rows(1, shape), DType::F32, device)?];
    let mut index = vec![0u32; dims.batch];
    let mut next = 1;
    for (rows, answer) in answers {
        for (b, row) in rows.iter().enumerate() {
            if let Some(row) = row {
                index[b] = next + *row as u32;
            }
        }
        next += answer.dim(0)? as u32;
        data.push(answer.to_device(device)?);
    }
    Ok(Tensor::cat(&data, 0)?.index_select(&Tensor::from_vec(index, dims.batch, device)?, 0)?)
}

/// For each row, whether all of it is finite.
pub(super) fn finite_rows(tensor: &Tensor) -> Result<Vec<bool>> {
    let rows = tensor.dim(0)?;
    // A number times 0 is 0 where it is finite, else a NaN, which a sum keeps.
    let sums = (tensor.reshape((rows, ()))? * 0.0)?
        .sum(1)?
        .to_vec1::<f32>()?;
    Ok(sums.into_iter().map(|sum| sum == 0.0).collect())
}

/// The widest float that a device can add up in.
fn wide(device: &Device) -> DType {
    if device.is_metal() {
        DType::F32
    } else {
        DType::F64
    }
}

/// A reduction. `of` and `with` have one shape, `[B, …]`.
pub(super) fn reduce(
    op: ReduceOp,
    over: Axes,
    of: &Tensor,
    with: Option<&Tensor>,
    level: Option<&[f64]>,
    dims: &Dims,
    ready: &[bool],
) -> Result<Wide> {
    let batch = dims.batch;
    if op == ReduceOp::Quantile {
        return quantile(over, of, level.unwrap_or_default(), dims, ready);
    }
    let flat = |tensor: &Tensor| -> Result<Tensor> {
        let tensor = tensor.to_dtype(wide(tensor.device()))?;
        Ok(match over {
            Axes::All => tensor.reshape((batch, 1, ()))?,
            Axes::Channels => tensor
                .reshape((batch, dims.channels, dims.area))?
                .transpose(1, 2)?
                .contiguous()?,
            Axes::Space => tensor.reshape((batch, dims.channels, dims.area))?,
        })
    };
    let a = flat(of)?;
    let b = with.map(flat).transpose()?.unwrap_or_else(|| a.clone());
    let n = a.dim(2)? as f64;
    let dot = |a: &Tensor, b: &Tensor| (a * b)?.sum(2);
    let result = match op {
        ReduceOp::Sum => a.sum(2)?,
        ReduceOp::Mean => (a.sum(2)? / n)?,
        ReduceOp::Norm => dot(&a, &a)?.sqrt()?,
        ReduceOp::Dot => dot(&a, &b)?,
        ReduceOp::Std => {
            let mean = (a.sum_keepdim(2)? / n)?;
            let far = a.broadcast_sub(&mean)?;
            (dot(&far, &far)? / (n - 1.0))?.sqrt()?
        }
        ReduceOp::Cosine => {
            let size = (dot(&a, &a)?.sqrt()? * dot(&b, &b)?.sqrt()?)?;
            let zero = size.zeros_like()?;
            size.eq(&zero)?
                .where_cond(&zero, &(dot(&a, &b)? / &size)?)?
        }
        ReduceOp::Largest => a.max(2)?,
        ReduceOp::Smallest => a.min(2)?,
        ReduceOp::LogSumExp => {
            let most = a.max_keepdim(2)?;
            (a.broadcast_sub(&most)?.exp()?.sum(2)?.log()? + most.squeeze(2)?)?
        }
        ReduceOp::Quantile => return Err(broken("a quantile is computed elsewhere")),
    };
    if over == Axes::All {
        return Ok(Wide::Numbers(
            result.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?,
        ));
    }
    let shape = dims.rows(
        batch,
        if over == Axes::Channels {
            Shape::Map
        } else {
            Shape::PerChannel
        },
    );
    Ok(Wide::Tensor(result.to_dtype(DType::F32)?.reshape(shape)?))
}

fn quantile(over: Axes, of: &Tensor, level: &[f64], dims: &Dims, ready: &[bool]) -> Result<Wide> {
    let rows = of.reshape((dims.batch, ()))?.to_vec2::<f32>()?;
    let mut numbers = vec![0.0; dims.batch];
    let shape = if over == Axes::Channels {
        Shape::Map
    } else {
        Shape::PerChannel
    };
    let mut tensor = vec![0f32; dims.batch * dims.len(shape)];
    for (b, mut row) in rows.into_iter().enumerate() {
        if !ready[b] {
            continue;
        }
        let level = level.get(b).copied().unwrap_or(0.0);
        if over == Axes::All {
            numbers[b] = axes::of_list(ReduceOp::Quantile, &mut row, &[], level);
        } else {
            let length = dims.len(shape);
            let with = axes::With { second: &[], level };
            axes::reduce(
                ReduceOp::Quantile,
                over,
                &row,
                with,
                dims.channels,
                dims.area,
                &mut tensor[b * length..(b + 1) * length],
            );
        }
    }
    if over == Axes::All {
        return Ok(Wide::Numbers(numbers));
    }
    Ok(Wide::Tensor(Tensor::from_vec(
        tensor,
        dims.rows(dims.batch, shape),
        of.device(),
    )?))
}

/// A filter as matrix products over the last two axes.
pub(super) fn filter(filter: &Separable, of: &Tensor) -> Result<Tensor> {
    let (height, width) = filter.size();
    let planes = of.reshape(((), height, width))?;
    let dense = |map: &Matrix, side: usize| -> Result<Tensor> {
        let mut data = vec![0f32; side * side];
        for i in 0..side {
            let (first, weights) = map.row(i);
            for (to, weight) in data[i * side + first..].iter_mut().zip(weights) {
                *to = *weight as f32;
            }
        }
        Ok(Tensor::from_vec(data, (1, side, side), of.device())?)
    };
    let mut sum = (&planes * filter.keep())?;
    for (factor, rows, cols) in filter.terms() {
        let across =
            planes.broadcast_matmul(&dense(cols, width)?.transpose(1, 2)?.contiguous()?)?;
        sum = (sum + (dense(rows, height)?.broadcast_matmul(&across)? * *factor)?)?;
    }
    Ok(sum.reshape(of.shape())?)
}

/// An elementwise operation.
pub(super) fn elementwise(code: &Code, get: impl Fn(&Operand) -> Result<Tensor>) -> Result<Tensor> {
    let zero = |t: &Tensor| t.zeros_like();
    Ok(match code {
        Code::Div(a, b) => {
            let (a, b) = same(&get(a)?, &get(b)?)?;
            let none = zero(&a)?;
            let by_zero = a.eq(&none)?.where_cond(&none, &(&a * f64::INFINITY)?)?;
            b.eq(&none)?.where_cond(&by_zero, &(&a / &b)?)?
        }
        Code::Unary(f, a) => unary(*f, &get(a)?)?,
        Code::Binary(f, a, b) => binary(*f, &get(a)?, &get(b)?)?,
        Code::Compare(f, a, b) => {
            let (a, b) = same(&get(a)?, &get(b)?)?;
            compare(*f, &a, &b)?.to_dtype(DType::F32)?
        }
        Code::And(a, b) => binary(Binary::Min, &get(a)?, &get(b)?)?,
        Code::Or(a, b) => binary(Binary::Max, &get(a)?, &get(b)?)?,
        Code::Not(a) => {
            let a = get(a)?;
            a.eq(&zero(&a)?)?.to_dtype(DType::F32)?
        }
        Code::Select(by, a, b) => {
            let (a, b) = same(&get(a)?, &get(b)?)?;
            let (by, a) = same(&get(by)?, &a)?;
            by.ne(&zero(&by)?)?
                .where_cond(&a, &b.broadcast_as(a.shape())?.contiguous()?)?
        }
        Code::Clip(a, low, high) => {
            let raised = binary(Binary::Max, &get(a)?, &get(low)?)?;
            binary(Binary::Min, &raised, &get(high)?)?
        }
        _ => {
            return Err(broken(
                "the plan has an operation in a place where it cannot run",
            ));
        }
    })
}

/// Both, repeated to the shape that holds both.
fn same(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let shape = a.shape().broadcast_shape_binary_op(b.shape(), "guide")?;
    Ok((
        a.broadcast_as(&shape)?.contiguous()?,
        b.broadcast_as(&shape)?.contiguous()?,
    ))
}

fn compare(f: Compare, a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    match f {
        Compare::Eq => a.eq(b),
        Compare::Ne => a.ne(b),
        Compare::Lt => a.lt(b),
        Compare::Le => a.le(b),
        Compare::Gt => a.gt(b),
        Compare::Ge => a.ge(b),
    }
}

fn unary(f: Unary, a: &Tensor) -> Result<Tensor> {
    Ok(match f {
        Unary::Abs => a.abs()?,
        Unary::Exp => a.exp()?,
        Unary::Log => a.log()?,
        Unary::Sqrt => a.sqrt()?,
        Unary::Sin => a.sin()?,
        Unary::Cos => a.cos()?,
        Unary::Floor => a.floor()?,
        Unary::Sigmoid => ((a.neg()?.exp()? + 1.0)?).recip()?,
        Unary::InverseOrZero => {
            let none = a.zeros_like()?;
            a.eq(&none)?.where_cond(&none, &a.recip()?)?
        }
        // Candle has no such operation on every device.
        Unary::Acos | Unary::Sign => {
            let all: Vec<f32> = a
                .flatten_all()?
                .to_vec1::<f32>()?
                .into_iter()
                .map(|v| narrow::unary(f, v))
                .collect();
            Tensor::from_vec(all, a.shape(), a.device())?
        }
    })
}

fn binary(f: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = same(a, b)?;
    // What is not equal to itself is added on.
    let keeps_nan = |better: Tensor| better + a.ne(&a)?.where_cond(&a, &a.zeros_like()?)?;
    Ok(match f {
        Binary::Min => keeps_nan(a.le(&b)?.where_cond(&a, &b)?)?,
        Binary::Max => keeps_nan(a.ge(&b)?.where_cond(&a, &b)?)?,
        // A power of a negative number, and the floor of a division by 0, need the scalar's rules.
        Binary::Pow | Binary::Rem => {
            let (left, right) = (
                a.flatten_all()?.to_vec1::<f32>()?,
                b.flatten_all()?.to_vec1::<f32>()?,
            );
            let all: Vec<f32> = left
                .into_iter()
                .zip(right)
                .map(|(a, b)| narrow::binary(f, a, b))
                .collect();
            Tensor::from_vec(all, a.shape(), a.device())?
        }
    })
}
