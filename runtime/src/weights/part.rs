//! A part of a model (its UNet, say): one or several files, and tensors by name and shape.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::{Source, WeightsFile};
use crate::error::{ErrorKind, Result, RuntimeError};

/// The weights of a part.
#[derive(Debug)]
pub struct Weights {
    files: Vec<WeightsFile>,
    dtype: DType,
    device: Device,
}

impl Weights {
    /// Opens the weights of the part `folder` whose files are called `stem`
    /// (`diffusion_pytorch_model`, `model`): one file, its half-precision variant, or shards.
    ///
    /// On a CPU the numbers are handed out as f32, whatever the file holds.
    ///
    /// # Errors
    /// `Pickle` where only pickles lie there, `ModelIncomplete` where nothing does, `WeightsDamaged`.
    pub fn open(
        source: &Source,
        folder: &str,
        stem: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let mut files = Vec::new();
        for name in weights_files(source, folder, stem)? {
            let path = format!("{folder}/{name}");
            files.push(WeightsFile::open(
                &source.show(&path),
                source.bytes(&path)?,
            )?);
        }
        let dtype = if device.is_cpu() { DType::F32 } else { dtype };
        Ok(Self {
            files,
            dtype,
            device: device.clone(),
        })
    }

    /// The weights of one file that is open already.
    pub fn of(file: WeightsFile, dtype: DType, device: &Device) -> Self {
        let dtype = if device.is_cpu() { DType::F32 } else { dtype };
        Self {
            files: vec![file],
            dtype,
            device: device.clone(),
        }
    }

    /// The part's root, from which a network takes its tensors.
    pub fn root(&self) -> Part<'_> {
        Part {
            weights: self,
            prefix: String::new(),
        }
    }
}

/// The tensors below a name (`down_blocks.0.resnets.1`).
#[derive(Clone, Debug)]
pub struct Part<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl Part<'_> {
    /// One name down.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            weights: self.weights,
            prefix: self.full(name),
        }
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        let full = self.full(name);
        self.weights
            .files
            .iter()
            .any(|file| file.shape(&full).is_some())
    }

    /// The tensor `name`, of exactly this shape.
    ///
    /// # Errors
    /// `TensorMissing`, `TensorShape` with both shapes, and what [`WeightsFile::tensor`] refuses.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let full = self.full(name);
        for file in &self.weights.files {
            let Some(found) = file.shape(&full) else {
                continue;
            };
            if found != shape {
                return Err(RuntimeError::new(
                    ErrorKind::TensorShape,
                    format!("tensor `{full}` of `{}` has shape {found:?} where the config asks for {shape:?}", file.shown()),
                )
                .help("check that the config and the weights belong to one model"));
            }
            if let Some(tensor) = file.tensor(&full, self.weights.dtype, &self.weights.device)? {
                return Ok(tensor);
            }
        }
        Err(self.missing(&full))
    }

    fn full(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }

    fn missing(&self, full: &str) -> RuntimeError {
        let (shown, seems) = self
            .weights
            .files
            .first()
            .map_or(("the weights", "empty"), |file| {
                (file.shown(), file.seems())
            });
        RuntimeError::new(
            ErrorKind::TensorMissing,
            format!("tensor `{full}` is missing from `{shown}`, which seems to be {seems}"),
        )
        .help("check that the config and the weights belong to one model")
    }
}

/// Which files hold the weights.
fn weights_files(source: &Source, folder: &str, stem: &str) -> Result<Vec<String>> {
    for name in [
        format!("{stem}.safetensors"),
        format!("{stem}.fp16.safetensors"),
    ] {
        if source.has(&format!("{folder}/{name}")) {
            return Ok(vec![name]);
        }
    }
    let index = format!("{folder}/{stem}.safetensors.index.json");
    if source.has(&index) {
        return shards(source, &index);
    }
    let names = source.names(folder);
    if let Some(pickle) = names.iter().find(|name| is_pickle(name)) {
        return Err(pickle_refused(&source.show(&format!("{folder}/{pickle}"))));
    }
    let error = RuntimeError::new(
        ErrorKind::ModelIncomplete,
        format!("`{}` has no `{folder}/{stem}.safetensors`", source.show("")),
    );
    Err(error.help("give a folder in diffusers layout: model_index.json, unet/, vae/, text_encoder/, tokenizer/, scheduler/"))
}

/// The files that a shard index names.
fn shards(source: &Source, index: &str) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let damaged = |why: String| {
        RuntimeError::new(
            ErrorKind::WeightsDamaged,
            format!("`{}` is no index of shards: {why}", source.show(index)),
        )
    };
    let parsed: Index =
        serde_json::from_str(&source.text(index)?).map_err(|error| damaged(error.to_string()))?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    // A shard lies beside its index; a name that leads elsewhere is not followed.
    if let Some(odd) = names
        .iter()
        .find(|name| name.contains(['/', '\\']) || name.starts_with('.'))
    {
        return Err(damaged(format!(
            "`{odd}` is not the name of a file beside it"
        )));
    }
    Ok(names)
}

/// Whether a file by this name is a pickle.
pub(super) fn is_pickle(name: &str) -> bool {
    [".bin", ".ckpt", ".pt", ".pth", ".pkl"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Why a pickle is not opened.
pub(super) fn pickle_refused(shown: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::Pickle,
        format!("`{shown}` is a pickle, and opening one runs whatever code it holds"),
    )
    .help("use the `.safetensors` file of the same model, or convert the pickle where its code may run")
}
