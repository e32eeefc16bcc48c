//! What a run brings to a plan besides predictions: inputs, the class aimed at, seeds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{Input, InputDefault, Number, Op, Operand, Plan, Shape};

use super::dims::Dims;
use crate::error::{ErrorKind, Result, RuntimeError};

/// What an input is bound to.
#[derive(Clone, Debug)]
pub enum Binding {
    /// A map `[B or 1, 1, H, W]`, or an image's latent `[B or 1, C, H, W]`.
    Tensor(Tensor),
    /// Latents on the way of a run, `[steps + 1, C, H, W]`, from noise to the picture.
    Trajectory(Tensor),
    /// Rows of a table.
    Table(Vec<Vec<f64>>),
    /// A number.
    Number(f64),
}

/// Everything that is bound. Prompts need no entry: they matter to the predictor alone.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// Inputs by name.
    pub inputs: BTreeMap<String, Binding>,
    /// The class aimed at, one a sample.
    pub target: Option<Vec<u32>>,
    /// The seed of each sample; where there are fewer than samples, a sample's place is its seed.
    pub seeds: Vec<u64>,
    /// Noise that stands for `gaussian` calls, by salt: `[T, B, C, H, W]`, one entry a tick.
    pub gaussian: BTreeMap<String, Tensor>,
}

/// A binding as the executor reads it.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    /// f32 and contiguous, on the executor's device, `[B or 1, …]`.
    Tensor(Tensor),
    /// `[steps + 1, C, …]`, likewise; a tick sees where its step begins.
    Trajectory(Tensor),
    Table(Vec<Vec<f64>>),
    Number(f64),
    /// A prompt or nothing.
    Nothing,
}

/// What a tick of a step sees: the bindings themselves, where none is another one in each step.
pub(super) fn at(all: &[Bound], step: u32) -> Result<Cow<'_, [Bound]>> {
    if !all.iter().any(|one| matches!(one, Bound::Trajectory(_))) {
        return Ok(Cow::Borrowed(all));
    }
    let now = all.iter().map(|one| match one {
        Bound::Trajectory(points) => Ok(Bound::Tensor(points.narrow(0, step as usize, 1)?)),
        other => Ok(other.clone()),
    });
    Ok(Cow::Owned(now.collect::<Result<_>>()?))
}

/// The shape that values of an input's kind have.
pub(super) fn shape_of(input: &Input) -> Shape {
    match input.kind.as_str() {
        "Mask" | "Map" => Shape::Map,
        "Image" | "Latent" | "Trajectory" => Shape::Tensor,
        "Class" => Shape::Class,
        _ => Shape::Scalar,
    }
}

/// Checks all bindings of a plan against its inputs.
pub(super) fn bind(
    plan: &Plan,
    bindings: &Bindings,
    dims: &Dims,
    device: &Device,
) -> Result<Vec<Bound>> {
    let bound = plan
        .inputs
        .iter()
        .enumerate()
        .map(|(at, input)| {
            let binding = bindings.inputs.get(&input.name);
            // What no step reads is not asked for; what is bound all the same must fit.
            if binding.is_none() && !plan.needs_input(at) {
                return Ok(Bound::Nothing);
            }
            match (input.kind.as_str(), binding) {
                ("Trajectory", Some(binding)) => trajectory(plan, input, binding, dims, device),
                _ => bind_one(input, binding, dims, device),
            }
        })
        .collect::<Result<Vec<Bound>>>()?;
    for segment in &plan.segments {
        let read = segment.ops().flat_map(Op::operands).chain(segment.ends());
        for operand in read {
            if let Operand::Entry(input, row, column) = operand {
                let (input, table) = (&plan.inputs[input.index()], &bound[input.index()]);
                measure(input, table, row, column)?;
            }
        }
    }
    Ok(bound)
}

/// Whether a table has the entries that the plan reads in any tick.
fn measure(input: &Input, table: &Bound, row: &Number, column: &Number) -> Result<()> {
    let Bound::Table(rows) = table else {
        return Ok(());
    };
    let last = |number: &Number| number.values.iter().fold(0.0, |a: f64, b| a.max(*b)) as usize;
    let (last_row, last_column) = (last(row), last(column));
    let enough = rows.len() > last_row && rows.iter().all(|row| row.len() > last_column);
    if enough {
        return Ok(());
    }
    let name = &input.name;
    let narrowest = rows.iter().map(Vec::len).min().unwrap_or(0);
    Err(RuntimeError::new(
        ErrorKind::BadBinding,
        format!(
            "the rule reads `{name}[{last_row}][{last_column}]`, and the table has {} rows of {narrowest} numbers",
            rows.len()
        ),
    )
    .help(format!(
        "bind `{name}` to a table of at least {} rows and {} columns",
        last_row + 1,
        last_column + 1
    )))
}

/// A trajectory has a latent for each step of the run, and one for its end.
fn trajectory(
    plan: &Plan,
    input: &Input,
    binding: &Binding,
    dims: &Dims,
    device: &Device,
) -> Result<Bound> {
    let name = &input.name;
    let misfit = |found: String, help: String| {
        let message = format!("input `{name}` is a `Trajectory`, and it is bound to {found}");
        Err(RuntimeError::new(ErrorKind::BadBinding, message).help(help))
    };
    let Binding::Trajectory(points) = binding else {
        let help = format!(
            "make one with `guidec invert`, and bind it: `--source FILE` or `--bind {name}=FILE`"
        );
        return misfit("something else".to_owned(), help);
    };
    let steps = plan.head.steps as usize;
    match points.dims().split_first() {
        Some((count, rest)) if rest == dims.shape_of(Shape::Tensor).as_slice() => {
            if *count != steps + 1 {
                let found = format!(
                    "one of {} steps, where the run has {steps}",
                    count.saturating_sub(1)
                );
                return misfit(
                    found,
                    format!("run with `--steps {}`", count.saturating_sub(1)),
                );
            }
        }
        _ => {
            let found = format!("one of shape {:?}", points.dims());
            return misfit(
                found,
                "invert the picture with this model and size".to_owned(),
            );
        }
    }
    let points = points.to_dtype(DType::F32)?.to_device(device)?;
    Ok(Bound::Trajectory(points.contiguous()?))
}

fn bind_one(
    input: &Input,
    binding: Option<&Binding>,
    dims: &Dims,
    device: &Device,
) -> Result<Bound> {
    let name = &input.name;
    let kind = &input.kind;
    if kind.starts_with("Prompt") {
        return Ok(Bound::Nothing);
    }
    let misfit = |found: String| {
        RuntimeError::new(
            ErrorKind::BadBinding,
            format!("input `{name}` is a `{kind}`, and it is bound to {found}"),
        )
    };
    let default = match &input.default {
        Some(InputDefault::Number(value)) => {
            let shape = [&[1], dims.shape_of(Shape::Map).as_slice()].concat();
            Some(Binding::Tensor(Tensor::full(*value as f32, shape, device)?))
        }
        Some(InputDefault::Table(rows)) => Some(Binding::Table(rows.clone())),
        _ => None,
    };
    match (shape_of(input), binding.or(default.as_ref())) {
        (_, None) => Err(RuntimeError::new(
            ErrorKind::NotBound,
            format!("input `{name}` is not bound"),
        )
        .help(format!("bind it with `--bind {name}=VALUE`"))),
        (shape @ (Shape::Map | Shape::Tensor), Some(Binding::Tensor(tensor))) => {
            let wanted = dims.shape_of(shape);
            let (rows, rest) = tensor
                .dims()
                .split_first()
                .ok_or_else(|| misfit("a number".into()))?;
            if rest != wanted.as_slice() || (*rows != 1 && *rows != dims.batch) {
                return Err(
                    misfit(format!("a tensor of shape {:?}", tensor.dims())).help(format!(
                        "give it the shape {:?}, its first axis {} or 1",
                        [&[dims.batch], wanted.as_slice()].concat(),
                        dims.batch
                    )),
                );
            }
            Ok(Bound::Tensor(
                tensor
                    .to_dtype(DType::F32)?
                    .to_device(device)?
                    .contiguous()?,
            ))
        }
        (Shape::Scalar, Some(Binding::Table(rows))) if kind == "Table" => {
            Ok(Bound::Table(rows.clone()))
        }
        (Shape::Scalar | Shape::Class, Some(Binding::Number(value))) if kind != "Table" => {
            Ok(Bound::Number(*value))
        }
        (_, Some(Binding::Tensor(_))) => Err(misfit("a tensor".into())),
        (_, Some(Binding::Table(_))) => Err(misfit("a table".into())),
        (_, Some(Binding::Trajectory(_))) => Err(misfit("a trajectory".into())),
        (_, Some(Binding::Number(_))) => Err(misfit("a number".into())),
    }
}
