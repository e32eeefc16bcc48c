//! LoRA: small changes to a model's layers (Hu et al. 2021, arXiv 2106.09685), added to the weights while
//! they are loaded, so that a run costs what it costs without.
//!
//! A layer's change is `weight * alpha / rank * up * down`. Files name layers in several ways, which all
//! become one: the part that the layer is in, and our name of it with `_` for every `.`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use super::naming::{Naming, Stored, latent_unet_names};
use super::{Bytes, WeightsFile};
use crate::error::{ErrorKind, Result, RuntimeError};

/// How many layers a message names.
const NAMED: usize = 3;

/// A LoRA file, opened.
#[derive(Debug)]
pub struct Lora {
    file: WeightsFile,
    weight: f32,
    /// By part (`unet`, `text_encoder`, `text_encoder_2`) and name.
    layers: BTreeMap<(&'static str, String), Layer>,
    /// Those that a model had a place for.
    used: Mutex<BTreeSet<(&'static str, String)>>,
}

/// A layer's tensors, by their names in the file.
#[derive(Clone, Debug, Default)]
struct Layer {
    /// What the file calls the layer.
    shown: String,
    down: Option<String>,
    up: Option<String>,
    mid: Option<String>,
    alpha: Option<String>,
}

impl Lora {
    /// Opens a file; `weight` is how strongly it is to count.
    ///
    /// # Errors
    /// `Unreadable`, `WeightsDamaged`; `BadBinding` for a file that holds no LoRA, `NotYet` for one of
    /// another kind (LoHa, LoKr, DoRA, …), by name.
    pub fn open(path: &Path, weight: f64) -> Result<Self> {
        let shown = path.display().to_string();
        if super::part::is_pickle(&shown) {
            return Err(super::part::pickle_refused(&shown));
        }
        let file = WeightsFile::open(&shown, Bytes::map(path)?)?;
        let layers = layers(&file)?;
        Ok(Self {
            file,
            weight: weight as f32,
            layers,
            used: Mutex::default(),
        })
    }

    /// Whether it changes the layer of a weight.
    pub(super) fn touches(&self, part: &str, asked: &str, unet_layers: &[usize]) -> bool {
        self.layer(part, asked, unet_layers).is_some()
    }

    /// Adds its change to a layer's weight, `[out, in]` or `[out, in, k, k]`, in f32 on the CPU.
    ///
    /// # Errors
    /// `BadBinding` where its shapes do not fit the layer.
    pub(super) fn add(
        &self,
        part: &str,
        asked: &str,
        unet_layers: &[usize],
        weight: Tensor,
    ) -> Result<Tensor> {
        let Some((key, layer)) = self.layer(part, asked, unet_layers) else {
            return Ok(weight);
        };
        let misfit = |down: &[usize], up: &[usize]| {
            let message = format!(
                "the LoRA `{}` does not fit the model: its layer `{}` takes {down:?} to {up:?}, and `{asked}` has the shape {:?}",
                self.file.shown(),
                layer.shown,
                weight.dims()
            );
            RuntimeError::new(ErrorKind::BadBinding, message)
                .help("use a LoRA that was trained for this family of models")
        };
        let (down, up) = (self.tensor(&layer.down)?, self.tensor(&layer.up)?);
        let (Some(down), Some(up)) = (down, up) else {
            return Err(self.incomplete(layer));
        };
        let change = match self.tensor(&layer.mid)? {
            None => product(&up, &down),
            Some(mid) => with_core(&up, &mid, &down),
        };
        let rank = down.dim(0)?;
        let change = change
            .ok()
            .filter(|change| change.elem_count() == weight.elem_count())
            .ok_or_else(|| misfit(down.dims(), up.dims()))?;
        let alpha = match self.tensor(&layer.alpha)? {
            Some(alpha) => alpha.flatten_all()?.get(0)?.to_scalar::<f32>()?,
            None => self.stated_alpha(&key).unwrap_or(rank as f32),
        };
        let scale = f64::from(self.weight) * f64::from(alpha) / rank.max(1) as f64;
        let change = (change.reshape(weight.dims())? * scale)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(key);
        Ok((weight + change)?)
    }

    /// Refuses a LoRA with layers that the model has no place for, by their names.
    ///
    /// # Errors
    /// `BadBinding`.
    pub fn all_used(&self) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let left: Vec<&str> = self
            .layers
            .iter()
            .filter(|(key, _)| !used.contains(*key))
            .map(|(_, layer)| layer.shown.as_str())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = left
            .iter()
            .take(NAMED)
            .map(|name| format!("`{name}`"))
            .collect();
        let more = if left.len() > NAMED { ", …" } else { "" };
        Err(RuntimeError::new(
            ErrorKind::BadBinding,
            format!(
                "the LoRA `{}` does not fit the model, which lacks {} of its {} layers: {}{more}",
                self.file.shown(),
                left.len(),
                self.layers.len(),
                named.join(", ")
            ),
        )
        .help("use a LoRA that was trained for this family of models"))
    }

    /// The layer of a weight, under the name that the file gives it.
    fn layer(
        &self,
        part: &str,
        asked: &str,
        unet_layers: &[usize],
    ) -> Option<((&'static str, String), &Layer)> {
        let module = asked.strip_suffix(".weight")?;
        let part = *PARTS.iter().find(|known| **known == part)?;
        let ours = underscored(module);
        let ours = ours.strip_prefix("text_model_").unwrap_or(&ours);
        let theirs = latent_unet_names(module, unet_layers);
        let mut names =
            std::iter::once(ours.to_owned()).chain(theirs.iter().map(|n| underscored(n)));
        names.find_map(|name| {
            let key = (part, name);
            let layer = self.layers.get(&key)?;
            Some((key, layer))
        })
    }

    /// A tensor of the file in f32.
    fn tensor(&self, name: &Option<String>) -> Result<Option<Tensor>> {
        match name {
            None => Ok(None),
            Some(name) => {
                let stored = Naming::Diffusers.stored(name);
                let read = |stored: &Stored| self.file.tensor(stored, DType::F32, &Device::Cpu);
                stored.first().map_or(Ok(None), read)
            }
        }
    }

    /// The alpha of a part by the metadata that diffusers writes.
    fn stated_alpha(&self, (part, _): &(&'static str, String)) -> Option<f32> {
        let text = self.file.metadata("lora_adapter_metadata")?;
        let stated: serde_json::Value = serde_json::from_str(text).ok()?;
        let alpha = stated.get(format!("{part}.lora_alpha"))?.as_f64()?;
        Some(alpha as f32)
    }

    fn incomplete(&self, layer: &Layer) -> RuntimeError {
        let message = format!(
            "the LoRA `{}` cannot be used: its layer `{}` lacks one of its two matrices",
            self.file.shown(),
            layer.shown
        );
        RuntimeError::new(ErrorKind::BadBinding, message).help("fetch the file again")
    }
}

/// `up * down`: of `[out, rank, 1, 1]` and `[rank, in, k, k]`, `[out, in*k*k]`.
fn product(up: &Tensor, down: &Tensor) -> Result<Tensor> {
    let (rows, rank) = (up.dim(0)?, down.dim(0)?);
    Ok(up
        .reshape((rows, rank))?
        .matmul(&down.reshape((rank, ()))?)?)
}

/// `up * core * down`, where the core, `[rank, rank, k, k]`, holds the kernel and the others are 1x1:
/// `[out, in*k*k]`.
fn with_core(up: &Tensor, core: &Tensor, down: &Tensor) -> Result<Tensor> {
    let (rank, inner, height, width) = core.dims4()?;
    // Places first, so that each is a product of three matrices.
    let places = core
        .permute((2, 3, 0, 1))?
        .reshape((height * width, rank, inner))?;
    let up = up.reshape((up.dim(0)?, rank))?;
    let down = down.reshape((inner, ()))?;
    let change = up
        .broadcast_left(height * width)?
        .contiguous()?
        .matmul(&places.contiguous()?)?
        .matmul(&down.broadcast_left(height * width)?.contiguous()?)?;
    Ok(change.permute((1, 2, 0))?.contiguous()?.flatten_from(1)?)
}

const PARTS: [&str; 3] = ["unet", "text_encoder", "text_encoder_2"];

/// Where a name begins with which part, the longest first.
const STARTS: [(&str, &str); 8] = [
    ("lora_unet_", "unet"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te_", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
    ("unet.", "unet"),
    ("", "unet"),
];

/// How a name ends, and which of a layer's tensors it is then.
const ENDS: [(&str, Role); 11] = [
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_mid.weight", Role::Mid),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
];

#[derive(Clone, Copy)]
enum Role {
    Down,
    Up,
    Mid,
}

/// What only files of other kinds hold.
const OTHERS: [(&str, &str); 7] = [
    ("hada_w1", "LoHa"),
    ("lokr_w1", "LoKr"),
    ("dora_scale", "DoRA"),
    ("oft_", "OFT"),
    ("glora", "GLoRA"),
    ("on_input", "IA3"),
    ("lora_magnitude_vector", "DoRA"),
];

fn layers(file: &WeightsFile) -> Result<BTreeMap<(&'static str, String), Layer>> {
    for (sign, kind) in OTHERS {
        if file.names().any(|name| name.contains(sign)) {
            let message = format!(
                "`{}` is a {kind}, and this version adds LoRA with two matrices a layer",
                file.shown()
            );
            return Err(RuntimeError::new(ErrorKind::NotYet, message)
                .help("merge it into the model with the tool that made it"));
        }
    }
    let mut layers: BTreeMap<(&'static str, String), Layer> = BTreeMap::new();
    for name in file.names() {
        let found = ENDS
            .iter()
            .find_map(|(end, role)| Some((name.strip_suffix(end)?, Some(*role))));
        let (module, role) = match found.or_else(|| Some((name.strip_suffix(".alpha")?, None))) {
            Some(found) => found,
            None => continue,
        };
        let layer = layers.entry(key(module)).or_default();
        layer.shown = module.to_owned();
        let place = match role {
            Some(Role::Down) => &mut layer.down,
            Some(Role::Up) => &mut layer.up,
            Some(Role::Mid) => &mut layer.mid,
            None => &mut layer.alpha,
        };
        *place = Some(name.to_owned());
    }
    if layers.is_empty() {
        let message = format!(
            "`{}` seems to be {}, and a LoRA is needed",
            file.shown(),
            file.seems()
        );
        return Err(RuntimeError::new(ErrorKind::BadBinding, message)
            .help("give a LoRA as diffusers or kohya's scripts write it"));
    }
    Ok(layers)
}

/// The part and the name of a layer that a file calls `module`.
fn key(module: &str) -> (&'static str, String) {
    let start = STARTS
        .iter()
        .find_map(|(start, part)| Some((*part, module.strip_prefix(start)?)));
    let (part, rest) = start.unwrap_or(("unet", module));
    // Attention processors, as diffusers wrote them once, stand between an attention and its projections.
    let rest = rest
        .replace(".processor.to_out", ".to_out.0")
        .replace(".processor.", ".");
    let name = underscored(&rest);
    let name = name.strip_prefix("text_model_").unwrap_or(&name);
    (part, name.to_owned())
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}
