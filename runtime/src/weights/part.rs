//! A part of a model (its UNet, say): one or several files, and tensors by name and shape.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::naming::{Naming, Stored};
use super::{Lora, Source, WeightsFile};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::kernels::Weight;

/// The weights of a part.
#[derive(Debug)]
pub struct Weights {
    files: Vec<Arc<WeightsFile>>,
    naming: Naming,
    changes: Changed,
    dtype: DType,
    device: Device,
}

/// What is added to the weights of a part.
#[derive(Debug, Default)]
struct Changed {
    loras: Vec<Arc<Lora>>,
    /// The folder that the part would be.
    part: String,
    /// Resnets of each level of the UNet, by which LoRA files number its blocks.
    unet_layers: Vec<usize>,
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
        let (files, naming) = source.weights(folder, stem)?;
        let loras = source.loras().to_vec();
        let unet_layers = match loras.is_empty() {
            true => Vec::new(),
            false => super::single::unet_layers(&source.text("unet/config.json")?),
        };
        let dtype = if device.is_cpu() { DType::F32 } else { dtype };
        // A single file holds all parts, the largest of which is opened first.
        if device.is_cpu() && (naming == Naming::Diffusers || folder == "unet") {
            let numbers: u64 = files.iter().map(|file| file.count()).sum();
            let bytes = numbers.saturating_mul(dtype.size_in_bytes() as u64);
            room(&source.show(folder), bytes, crate::device::free_memory())?;
        }
        Ok(Self {
            files,
            naming,
            changes: Changed {
                loras,
                part: folder.to_owned(),
                unet_layers,
            },
            dtype,
            device: device.clone(),
        })
    }

    /// The weights of one file that is open already.
    pub fn of(file: WeightsFile, dtype: DType, device: &Device) -> Self {
        let dtype = if device.is_cpu() { DType::F32 } else { dtype };
        Self {
            files: vec![Arc::new(file)],
            naming: Naming::Diffusers,
            changes: Changed::default(),
            dtype,
            device: device.clone(),
        }
    }

    /// What to do where a tensor is not as the config says.
    fn other_config(&self) -> &'static str {
        match self.naming {
            Naming::Diffusers => "check that the config and the weights belong to one model",
            _ => {
                "give the model's own configs, where they are not the published ones: `--config DIR`"
            }
        }
    }

    /// Each LoRA that changes a tensor.
    fn changing(&self, asked: &str) -> Vec<&Lora> {
        let Changed {
            loras,
            part,
            unet_layers,
        } = &self.changes;
        let touches = |lora: &&Lora| lora.touches(part, asked, unet_layers);
        loras.iter().map(Arc::as_ref).filter(touches).collect()
    }

    /// A tensor of a file, changed by every LoRA that changes it.
    fn read(&self, file: &WeightsFile, stored: &Stored, asked: &str) -> Result<Option<Tensor>> {
        let changing = self.changing(asked);
        if changing.is_empty() {
            return file.tensor(stored, self.dtype, &self.device);
        }
        // Sums are made in f32, whatever the network computes with.
        let Some(mut weight) = file.tensor(stored, DType::F32, &Device::Cpu)? else {
            return Ok(None);
        };
        for lora in changing {
            let Changed {
                part, unet_layers, ..
            } = &self.changes;
            weight = lora.add(part, asked, unet_layers, weight)?;
        }
        Ok(Some(weight.to_dtype(self.dtype)?.to_device(&self.device)?))
    }

    /// The part's root, from which a network takes its tensors.
    pub fn root(&self) -> Part<'_> {
        Part {
            weights: self,
            prefix: String::new(),
        }
    }
}

/// Refuses weights that the memory which is free does not hold.
fn room(shown: &str, bytes: u64, free: Option<u64>) -> Result<()> {
    let Some(free) = free.filter(|free| bytes > *free) else {
        return Ok(());
    };
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    Err(RuntimeError::new(
        ErrorKind::OutOfMemory,
        format!(
            "the weights of `{shown}` take {:.1} GiB of memory, and {:.1} GiB are free",
            gib(bytes),
            gib(free)
        ),
    )
    .help("close other programs, use a smaller model, or run it where there is more memory"))
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
        self.find(&self.full(name)).is_some()
    }

    /// The tensor `name`, of exactly this shape, where sides of 1 at the end do not count: a linear layer
    /// and a 1x1 convolution hold the same numbers.
    ///
    /// # Errors
    /// `TensorMissing`, `TensorShape` with both shapes, and what [`WeightsFile::tensor`] refuses.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let full = self.full(name);
        let (file, stored, found) = self.found(&full, shape)?;
        let tensor = self.weights.read(file, &stored, &full)?;
        file.release(&stored);
        match tensor {
            Some(tensor) if found == shape => Ok(tensor),
            Some(tensor) => Ok(tensor.reshape(shape)?),
            None => Err(self.missing(&full)),
        }
    }

    /// What `make` makes of a layer's weights, the tensor `name`: they are shown where they lie in the file
    /// if the layer can be made from there, else as a tensor.
    ///
    /// # Errors
    /// As for [`Part::tensor`], and what `make` reports.
    pub fn weight<T>(
        &self,
        name: &str,
        shape: &[usize],
        make: impl FnOnce(Weight<'_>) -> Result<T>,
    ) -> Result<T> {
        let full = self.full(name);
        let (file, stored, _) = self.found(&full, shape)?;
        let Weights { device, dtype, .. } = self.weights;
        let packs = device.is_cpu() && *dtype == DType::F32;
        if packs
            && self.weights.changing(&full).is_empty()
            && let Some(numbers) = file.lying(&stored)
        {
            let made = make(Weight::Lying(numbers));
            file.release(&stored);
            return made;
        }
        make(Weight::Tensor(self.tensor(name, shape)?))
    }

    /// The file that holds a tensor of this shape, where in it, and the shape that it has there.
    fn found(&self, full: &str, shape: &[usize]) -> Result<(&WeightsFile, Stored, Vec<usize>)> {
        let Some((file, stored, found)) = self.find(full) else {
            return Err(self.missing(full));
        };
        if without_ones(&found) != without_ones(shape) {
            return Err(RuntimeError::new(
                ErrorKind::TensorShape,
                format!(
                    "tensor `{}` of `{}` has shape {found:?} where the config asks for {shape:?}",
                    stored.name,
                    file.shown()
                ),
            )
            .help(self.weights.other_config()));
        }
        Ok((file, stored, found))
    }

    /// The file that holds a tensor, where in it, and its shape.
    fn find(&self, full: &str) -> Option<(&WeightsFile, Stored, Vec<usize>)> {
        let Weights { files, naming, .. } = self.weights;
        naming.stored(full).into_iter().find_map(|stored| {
            let mut shapes = files.iter().map(|file| (file, file.shape_of(&stored)));
            let (file, shape) = shapes.find_map(|(file, shape)| Some((file, shape?)))?;
            Some((&**file, stored, shape))
        })
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
        let stored = self.weights.naming.stored(full).into_iter().next();
        let full = stored.map_or(full.to_owned(), |stored| stored.name);
        RuntimeError::new(
            ErrorKind::TensorMissing,
            format!("tensor `{full}` is missing from `{shown}`, which seems to be {seems}"),
        )
        .help(self.weights.other_config())
    }
}

/// A shape without the sides of 1 at its end.
fn without_ones(mut shape: &[usize]) -> &[usize] {
    while let [rest @ .., 1] = shape {
        shape = rest;
    }
    shape
}

/// Opens the files of a folder that hold a part's weights.
pub(super) fn open_files(
    source: &Source,
    folder: &str,
    stem: &str,
) -> Result<Vec<Arc<WeightsFile>>> {
    let names = weights_files(source, folder, stem)?;
    let files = names.into_iter().map(|name| {
        let path = format!("{folder}/{name}");
        let path = path.trim_start_matches('/');
        let file = WeightsFile::open(&source.show(path), source.bytes(path)?)?;
        Ok(Arc::new(file))
    });
    files.collect()
}

/// The variants that a part may lie in, best first; the empty one is the file without a variant.
const VARIANTS: [&str; 3] = ["", ".fp16", ".bf16"];

/// Which files hold the weights: the part's own, those of a variant, or shards of either.
fn weights_files(source: &Source, folder: &str, stem: &str) -> Result<Vec<String>> {
    let below = |name: &str| {
        format!("{folder}/{name}")
            .trim_start_matches('/')
            .to_owned()
    };
    for variant in VARIANTS {
        let name = format!("{stem}{variant}.safetensors");
        if source.has(&below(&name)) {
            return Ok(vec![name]);
        }
        let index = below(&format!("{stem}.safetensors.index{variant}.json"));
        if source.has(&index) {
            return shards(source, &index);
        }
    }
    let names = source.names(folder);
    let variant = |name: &str| {
        name.strip_prefix(stem)
            .is_some_and(|end| end.starts_with('.'))
    };
    let others: Vec<&String> = names
        .iter()
        .filter(|name| variant(name) && name.ends_with(".safetensors"))
        .collect();
    if let [only] = others[..] {
        return Ok(vec![only.clone()]);
    }
    if let Some(pickle) = names.iter().find(|name| is_pickle(name)) {
        return Err(pickle_refused(&source.show(&below(pickle))));
    }
    let message = format!(
        "`{}` has no `{}`",
        source.show(""),
        below(&format!("{stem}.safetensors"))
    );
    let error = RuntimeError::new(ErrorKind::ModelIncomplete, message);
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

#[cfg(test)]
mod tests {
    use super::room;
    use crate::error::ErrorKind;

    #[test]
    fn weights_that_the_memory_does_not_hold_are_refused() {
        let refused = room("big/unet", 10 << 30, Some(4 << 30)).expect_err("too large");
        assert_eq!(refused.kind, ErrorKind::OutOfMemory);
        let want = "the weights of `big/unet` take 10.0 GiB of memory, and 4.0 GiB are free";
        assert_eq!(refused.message, want);
        assert_eq!(room("fits", 4 << 30, Some(4 << 30)), Ok(()));
        assert_eq!(room("who knows", u64::MAX, None), Ok(()));
    }
}
