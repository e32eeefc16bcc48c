//! Reads recordings, and refuses what cannot be used before anything runs.
//!
//! NaN is allowed in any tensor: a value that no rule reads does not matter.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Space, Tick};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{FORMAT, Recording, Rule};
use crate::error::{ErrorKind, Result, RuntimeError};

/// Names that mean something else than a prediction, whatever their shape.
const OTHERS: [&str; 2] = ["gaussian/", "grad/"];
/// What was seen of evaluations.
const SIGHTS: [&str; 3] = ["attention/", "features/", "regions/"];

/// Reads a recording.
///
/// # Errors
/// A file that cannot be read; one that is not a recording, or contradicts itself.
pub fn read(path: &Path) -> Result<Recording> {
    let bytes = std::fs::read(path).map_err(|error| {
        RuntimeError::new(
            ErrorKind::Unreadable,
            format!("recording `{}` cannot be read: {error}", path.display()),
        )
        .help("check the path after `--recording`")
    })?;
    parse(&bytes, &path.display().to_string())
}

/// Reads a recording from memory; `name` is what messages call it.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], name: &str) -> Result<Recording> {
    Reader { name }.recording(bytes)
}

struct Reader<'a> {
    name: &'a str,
}

impl Reader<'_> {
    fn bad(&self, what: impl std::fmt::Display) -> RuntimeError {
        RuntimeError::new(
            ErrorKind::BadRecording,
            format!("recording `{}` {what}", self.name),
        )
    }

    fn recording(&self, bytes: &[u8]) -> Result<Recording> {
        let damaged = |error: safetensors::SafeTensorError| {
            self.bad(format_args!("is not a whole safetensors file: {error}"))
                .help("record it again, or copy it again if it was cut short")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        match metadata.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(self
                    .bad(format_args!("has the format `{other}`"))
                    .help(format!("make it a `{FORMAT}`")));
            }
            None => {
                return Err(self
                    .bad("names no format in its metadata")
                    .help(format!("write `format = {FORMAT}` into its metadata")));
            }
        }
        let space = match metadata.get("prediction").map(String::as_str) {
            Some("eps") => Space::Eps,
            Some("v") => Space::V,
            Some("x0") => Space::X0,
            Some("flow") => Space::Flow,
            other => {
                let found = other.map_or("no `prediction`".into(), |other| {
                    format!("the prediction `{other}`")
                });
                return Err(self
                    .bad(format_args!("has {found} in its metadata"))
                    .help("write one of `eps`, `v`, `x0` and `flow`"));
            }
        };

        let x = self.floats(&file, "x")?.ok_or_else(|| self.lacks("x"))?;
        let [ticks, batch, channels, height, width] = x.0.as_slice() else {
            return Err(self
                .bad(format_args!("has `x` of shape {:?}", x.0))
                .help("give it the axes ticks, samples, channels, height, width"));
        };
        let (ticks, batch) = (*ticks, *batch);
        if x.0.contains(&0) {
            return Err(self.bad(format_args!("is empty: its `x` has the shape {:?}", x.0)));
        }
        let side = |n: usize| {
            u32::try_from(n).map_err(|_| self.bad(format_args!("has `x` of shape {:?}", x.0)))
        };
        let facts = ModelFacts {
            name: "recording".into(),
            space,
            latent: [side(*channels)?, side(*height)?, side(*width)?],
            layers: None,
        };
        let mut recording = Recording {
            facts,
            batch,
            ticks: self.ticks(&file, ticks)?,
            x: tensor(x.clone())?,
            answers: BTreeMap::new(),
            sights: BTreeMap::new(),
            gaussian: BTreeMap::new(),
            inputs: BTreeMap::new(),
            target: self.target(&file, batch)?,
            scores: BTreeMap::new(),
            gradients: BTreeMap::new(),
            rule: Rule::read(&metadata),
        };
        let timing = [
            "x",
            "t",
            "alpha",
            "sigma",
            "t1000",
            "t_next",
            "alpha_next",
            "sigma_next",
            "substep",
            "tick",
            "target",
        ];
        let mut names: Vec<String> = file.names().into_iter().map(String::from).collect();
        names.sort();
        for name in names
            .into_iter()
            .filter(|name| !timing.contains(&name.as_str()))
        {
            let kinds = ["classify/", "logits/", "value/"];
            if kinds.iter().any(|kind| name.starts_with(kind)) {
                if let Some(scores) = self.floats(&file, &name)? {
                    if scores.0.len() != 3 || scores.0[..2] != [ticks, batch] || scores.0[2] == 0 {
                        return Err(self
                            .bad(format_args!("has `{name}` of shape {:?}", scores.0))
                            .help(format!("give it the shape [{ticks}, {batch}, classes]")));
                    }
                    recording.scores.insert(name, tensor(scores)?);
                }
                continue;
            }
            let special = OTHERS
                .iter()
                .chain(&SIGHTS)
                .any(|prefix| name.starts_with(prefix));
            let view = file.tensor(&name).map_err(damaged)?;
            let as_predictions = view.shape() == x.0;
            if view.dtype() != Dtype::F32 {
                // Whole numbers can be an input; a prediction must be f32.
                if as_predictions {
                    return Err(self
                        .bad(format_args!("has `{name}` as {:?}", view.dtype()))
                        .help("store predictions as F32"));
                }
                continue;
            }
            let Some(values) = self.floats(&file, &name)? else {
                continue;
            };
            if let Some(salt) = name.strip_prefix("gaussian/") {
                if !as_predictions {
                    return Err(self.shape(&name, &values.0, &x.0));
                }
                recording.gaussian.insert(salt.to_string(), tensor(values)?);
            } else if SIGHTS.iter().any(|call| name.starts_with(call)) {
                let mut map = x.0.clone();
                map[2] = 1;
                if values.0 != map {
                    return Err(self.shape(&name, &values.0, &map));
                }
                recording.sights.insert(name, tensor(values)?);
            } else if let Some(label) = name.strip_prefix("grad/") {
                if !as_predictions {
                    return Err(self.shape(&name, &values.0, &x.0));
                }
                recording
                    .gradients
                    .insert(label.to_string(), tensor(values)?);
            } else if as_predictions && !special {
                recording.answers.insert(name, tensor(values)?);
            } else if !special {
                if values.0.len() == 5 {
                    return Err(self.shape(&name, &values.0, &x.0));
                }
                recording.inputs.insert(name, tensor(values)?);
            }
        }
        Ok(recording)
    }

    fn lacks(&self, name: &str) -> RuntimeError {
        self.bad(format_args!("lacks the tensor `{name}`"))
            .help(format!("store `{name}` in it"))
    }

    fn shape(&self, name: &str, found: &[usize], wanted: &[usize]) -> RuntimeError {
        self.bad(format_args!("has `{name}` of shape {found:?}"))
            .help(format!("give it the shape {wanted:?}, after that of `x`"))
    }

    fn view<'d>(&self, file: &SafeTensors<'d>, name: &str) -> Option<TensorView<'d>> {
        file.tensor(name).ok()
    }

    /// An f32 tensor's shape and elements.
    fn floats(&self, file: &SafeTensors<'_>, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(view) = self.view(file, name) else {
            return Ok(None);
        };
        if view.dtype() != Dtype::F32 {
            return Err(self
                .bad(format_args!("has `{name}` as {:?}", view.dtype()))
                .help(format!("store `{name}` as F32")));
        }
        let (chunks, _) = view.data().as_chunks::<4>();
        Ok(Some((
            view.shape().to_vec(),
            chunks
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect(),
        )))
    }

    /// A whole-number tensor's elements.
    fn whole(&self, file: &SafeTensors<'_>, name: &str, length: usize) -> Result<Option<Vec<i64>>> {
        let Some(view) = self.view(file, name) else {
            return Ok(None);
        };
        if view.dtype() != Dtype::I64 {
            return Err(self
                .bad(format_args!("has `{name}` as {:?}", view.dtype()))
                .help(format!("store `{name}` as I64")));
        }
        if view.shape() != [length] {
            return Err(self
                .bad(format_args!("has `{name}` of shape {:?}", view.shape()))
                .help(format!("give it the shape [{length}]")));
        }
        let (chunks, _) = view.data().as_chunks::<8>();
        Ok(Some(
            chunks
                .iter()
                .map(|bytes| i64::from_le_bytes(*bytes))
                .collect(),
        ))
    }

    /// One number a tick, finite.
    fn curve(&self, file: &SafeTensors<'_>, name: &str, ticks: usize) -> Result<Option<Vec<f64>>> {
        let Some((shape, values)) = self.floats(file, name)? else {
            return Ok(None);
        };
        if shape != [ticks] {
            return Err(self
                .bad(format_args!("has `{name}` of shape {shape:?}"))
                .help(format!("give it the shape [{ticks}], one entry a tick")));
        }
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(self
                .bad(format_args!("has {} in `{name}` at tick {i}", values[i]))
                .help("store finite numbers there"));
        }
        Ok(Some(values.into_iter().map(f64::from).collect()))
    }

    fn target(&self, file: &SafeTensors<'_>, batch: usize) -> Result<Option<Vec<u32>>> {
        let Some(classes) = self.whole(file, "target", batch)? else {
            return Ok(None);
        };
        let narrow = |class: i64| {
            u32::try_from(class).map_err(|_| self.bad(format_args!("aims at the class {class}")))
        };
        Ok(Some(
            classes.into_iter().map(narrow).collect::<Result<_>>()?,
        ))
    }

    fn ticks(&self, file: &SafeTensors<'_>, ticks: usize) -> Result<Vec<Tick>> {
        let need = |name: &str| {
            self.curve(file, name, ticks)?
                .ok_or_else(|| self.lacks(name))
        };
        let (t, alpha, sigma) = (need("t")?, need("alpha")?, need("sigma")?);
        let t1000 = self
            .curve(file, "t1000", ticks)?
            .unwrap_or_else(|| t.clone());
        let substep = self
            .whole(file, "substep", ticks)?
            .unwrap_or_else(|| vec![0; ticks]);
        let step = match self.whole(file, "tick", ticks)? {
            Some(step) => step,
            // Each first evaluation begins a step.
            None => substep
                .iter()
                .scan(-1, |step, substep| {
                    *step += i64::from(*substep == 0);
                    Some(*step)
                })
                .collect(),
        };
        let small = |name: &str, i: usize, value: i64| {
            u32::try_from(value)
                .ok()
                .filter(|v| (*v as usize) < ticks)
                .ok_or_else(|| self.bad(format_args!("has {value} in `{name}` at tick {i}")))
        };
        // What a step leads to: the first evaluation of the next one; at the end a clean sample.
        let next = |name: &str, of: &[f64], end: f64| -> Result<Vec<f64>> {
            Ok(self.curve(file, name, ticks)?.unwrap_or_else(|| {
                (0..ticks)
                    .map(|i| {
                        (i + 1..ticks)
                            .find(|j| step[*j] != step[i])
                            .map_or(end, |j| of[j])
                    })
                    .collect()
            }))
        };
        let (t_next, alpha_next, sigma_next) = (
            next("t_next", &t, 0.0)?,
            next("alpha_next", &alpha, 1.0)?,
            next("sigma_next", &sigma, 0.0)?,
        );
        (0..ticks)
            .map(|i| {
                Ok(Tick {
                    step: small("tick", i, step[i])?,
                    substep: small("substep", i, substep[i])?,
                    t: t[i],
                    t1000: t1000[i],
                    alpha: alpha[i],
                    sigma: sigma[i],
                    t_next: t_next[i],
                    alpha_next: alpha_next[i],
                    sigma_next: sigma_next[i],
                    posterior_variance: posterior_variance(
                        alpha[i],
                        sigma[i],
                        alpha_next[i],
                        sigma_next[i],
                    ),
                })
            })
            .collect()
    }
}

/// Ho et al. 2020, arXiv 2006.11239, equation 7, for any alpha and sigma.
pub(super) fn posterior_variance(alpha: f64, sigma: f64, alpha_next: f64, sigma_next: f64) -> f64 {
    let kept = alpha * sigma_next / (alpha_next * sigma);
    if kept.is_finite() {
        sigma_next * sigma_next * (1.0 - kept * kept).max(0.0)
    } else {
        0.0
    }
}

fn tensor((shape, values): (Vec<usize>, Vec<f32>)) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
