//! Runs a rule over recorded predictions: each tick at the recorded `x`, state flowing along.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Plan, Space, Tick};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::exec::{Binding, Bindings, Executor, Guided};
use crate::recording::{File, Recording};

/// What `guidec eval` writes. Tensors are `[T, B, C, H, W]`, in the recording's space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalOutput {
    /// The shape of the tensors.
    pub shape: Vec<usize>,
    /// What the solver steps toward; 0 where a sample holds.
    pub guided: Vec<f32>,
    /// What it re-noises with, if any tick gives one; elsewhere as `guided`.
    pub renoise: Option<Vec<f32>>,
    /// Added to the ancestral mean, if any tick gives one; elsewhere 0.
    pub shift: Option<Vec<f32>>,
    /// Added to `x` before the step, if any tick gives one; elsewhere 0.
    pub moves: Option<Vec<f32>>,
    /// Whether a sample stays where it is, `[T, B]`.
    pub hold: Vec<u8>,
    /// Networks demanded in that tick for that sample, `[T, B]`.
    pub evaluations: Vec<i64>,
    /// Classifiers demanded in that tick for that sample, `[T, B]`.
    pub classified: Vec<i64>,
}

/// Evaluates a plan over a recording. Inputs that are not bound are taken from the recording.
///
/// # Errors
/// A plan made for another number of ticks; a label that the recording lacks; what the executor reports.
pub fn eval(plan: &Plan, recording: &mut Recording, bindings: &Bindings) -> Result<EvalOutput> {
    let ticks = recording.timetable().ticks;
    if plan.timetable.ticks.len() != ticks.len() {
        return Err(RuntimeError::new(
            ErrorKind::BadPlan,
            format!(
                "the plan has {} ticks, and the recording has {}",
                plan.timetable.ticks.len(),
                ticks.len()
            ),
        )
        .help("make the plan for this recording"));
    }
    let mut bindings = bindings.clone();
    for (name, tensor) in recording.inputs() {
        bindings
            .inputs
            .entry(name.clone())
            .or_insert_with(|| Binding::Tensor(tensor.clone()));
    }
    for (salt, noise) in recording.gaussian() {
        bindings
            .gaussian
            .entry(salt.clone())
            .or_insert_with(|| noise.clone());
    }
    if bindings.target.is_none() {
        bindings.target = recording.target().map(<[u32]>::to_vec);
    }
    let batch = recording.batch();
    let latent = recording.latent();
    let mut executor = Executor::new(plan, batch, &latent, &Device::Cpu, &bindings)?;
    let mut output = EvalOutput {
        shape: [vec![ticks.len(), batch], latent.to_vec()].concat(),
        ..EvalOutput::default()
    };
    let mut rest: [Vec<Option<Vec<f32>>>; 3] = Default::default();
    for (index, tick) in ticks.iter().enumerate() {
        let x = recording.x(index)?;
        let guided = executor.tick(index, &x, recording)?;
        output
            .hold
            .extend(guided.hold.iter().map(|hold| u8::from(*hold)));
        output.evaluations.extend(
            guided
                .evaluated
                .counts
                .iter()
                .map(|count| i64::from(*count)),
        );
        let judged = guided.evaluated.judged.iter();
        output
            .classified
            .extend(judged.map(|count| i64::from(*count)));
        let there = Point {
            space: guided.space,
            to: recording.space(),
            x: &x,
            tick,
            hold: &guided.hold,
        };
        output.guided.extend(there.convert(&guided.denoise)?);
        let Guided {
            renoise,
            shift,
            moves,
            ..
        } = &guided;
        rest[0].push(
            renoise
                .as_ref()
                .map(|renoise| there.convert(renoise))
                .transpose()?,
        );
        rest[1].push(shift.as_ref().map(elements).transpose()?);
        rest[2].push(moves.as_ref().map(elements).transpose()?);
    }
    let length = output.guided.len() / ticks.len().max(1);
    let [renoise, shift, moves] = rest;
    output.renoise = join(renoise, |tick| {
        output.guided[tick * length..(tick + 1) * length].to_vec()
    });
    output.shift = join(shift, |_| vec![0.0; length]);
    output.moves = join(moves, |_| vec![0.0; length]);
    Ok(output)
}

/// All ticks, if any has something; the others by `elsewhere`.
fn join(ticks: Vec<Option<Vec<f32>>>, elsewhere: impl Fn(usize) -> Vec<f32>) -> Option<Vec<f32>> {
    ticks.iter().any(Option::is_some).then(|| {
        ticks
            .into_iter()
            .enumerate()
            .flat_map(|(tick, values)| values.unwrap_or_else(|| elsewhere(tick)))
            .collect()
    })
}

fn elements(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// Where predictions of a tick are, and where they should be.
struct Point<'a> {
    space: Space,
    to: Space,
    x: &'a Tensor,
    tick: &'a Tick,
    hold: &'a [bool],
}

impl Point<'_> {
    fn convert(&self, values: &Tensor) -> Result<Vec<f32>> {
        let values = elements(values)?;
        if self.space == self.to {
            return Ok(values);
        }
        let (p, x) = coefficients(self.space, self.to, self.tick.alpha, self.tick.sigma).ok_or_else(|| {
            RuntimeError::new(
                ErrorKind::NotFinite,
                format!(
                    "the result cannot be converted from `{}` to `{}` where alpha is {} and sigma is {}",
                    self.space.name(),
                    self.to.name(),
                    self.tick.alpha,
                    self.tick.sigma
                ),
            )
        })?;
        let sample = values.len() / self.hold.len().max(1);
        let latent = elements(self.x)?;
        let one = |(i, (value, latent)): (usize, (f32, f32))| {
            if self.hold[i / sample.max(1)] {
                0.0
            } else {
                (p * f64::from(value) + x * f64::from(latent)) as f32
            }
        };
        Ok(values
            .into_iter()
            .zip(latent)
            .enumerate()
            .map(one)
            .collect())
    }
}

/// `p` and `q` with `converted = p*prediction + q*x`; `None` where there is no such conversion.
fn coefficients(from: Space, to: Space, alpha: f64, sigma: f64) -> Option<(f64, f64)> {
    // As shares of the prediction and of x.
    let (x0, eps) = match from {
        Space::Eps => ((-sigma / alpha, 1.0 / alpha), (1.0, 0.0)),
        Space::X0 => ((1.0, 0.0), (-alpha / sigma, 1.0 / sigma)),
        Space::V => {
            let n = alpha * alpha + sigma * sigma;
            ((-sigma / n, alpha / n), (alpha / n, sigma / n))
        }
        Space::Flow => {
            let n = alpha + sigma;
            ((-sigma / n, 1.0 / n), (alpha / n, 1.0 / n))
        }
        Space::Score => ((sigma * sigma / alpha, 1.0 / alpha), (-sigma, 0.0)),
    };
    let (p, q) = match to {
        Space::Eps => eps,
        Space::X0 => x0,
        Space::V => (alpha * eps.0 - sigma * x0.0, alpha * eps.1 - sigma * x0.1),
        Space::Flow => (eps.0 - x0.0, eps.1 - x0.1),
        Space::Score => (-eps.0 / sigma, -eps.1 / sigma),
    };
    (p.is_finite() && q.is_finite()).then_some((p, q))
}

/// Writes the output as safetensors, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write(output: &EvalOutput, space: Space, path: &Path) -> Result<()> {
    let mut file = File::default();
    let each: Vec<usize> = output.shape.iter().take(2).copied().collect();
    file.floats("guided", &output.shape, output.guided.clone());
    let rest = [
        ("renoise", &output.renoise),
        ("shift", &output.shift),
        ("move", &output.moves),
    ];
    for (name, values) in rest {
        if let Some(values) = values {
            file.floats(name, &output.shape, values.clone());
        }
    }
    file.bytes("hold", &each, output.hold.clone());
    file.whole("evaluations", &each, output.evaluations.iter().copied());
    file.whole("classified", &each, output.classified.iter().copied());
    let metadata = HashMap::from([
        ("format".to_string(), "guide-eval/1".to_string()),
        ("prediction".to_string(), space.name().to_string()),
    ]);
    file.save(path, metadata)
}
