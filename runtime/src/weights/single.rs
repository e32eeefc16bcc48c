//! A model in a single `.safetensors` file, in the names of the code that it was trained with (what A1111
//! and ComfyUI call a checkpoint). Its family is told by the names of its tensors; its configs and its
//! tokenizer are the published ones of that family, or those of a folder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use serde_json::{Value, json};

use super::naming::{Naming, Stored};
use super::published::{CLIP_MERGES, Family, clip_vocabulary};
use super::{Bytes, Source, WeightsFile};
use crate::error::{ErrorKind, Result, RuntimeError};

/// Where the UNet's tensors stand.
const UNET: &str = "model.diffusion_model.";
/// Where the autoencoder's tensors stand.
const VAE: &str = "first_stage_model.";

/// Where the text encoder of 2.x stands in files of the first code, and in those of the second, which calls
/// SDXL's refiner's so too.
const FIRST_CODE: &str = "cond_stage_model.model.";
const SECOND_CODE: &str = "conditioner.embedders.0.model.";

/// A single file.
#[derive(Debug)]
pub struct SingleFile {
    path: PathBuf,
    file: Arc<WeightsFile>,
    family: Family,
    texts: Texts,
}

/// The text files that a folder in diffusers layout would hold.
#[derive(Debug)]
enum Texts {
    /// The published ones, changed by what the file shows.
    Published(BTreeMap<String, String>),
    /// Those of a folder.
    Of(Source),
}

impl PartialEq for SingleFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl SingleFile {
    /// Opens a file with the published configs of its family.
    ///
    /// # Errors
    /// `Unreadable`, `WeightsDamaged`; `ModelIncomplete` for a file that holds something else than a
    /// model; `NotYet` for a family that this version does not run, by name.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, family) = told(path)?;
        let texts = published(&file, family)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            family,
            texts: Texts::Published(texts),
        })
    }

    /// Opens a file whose networks have the sizes that a folder's configs say.
    ///
    /// # Errors
    /// As [`SingleFile::open`].
    pub fn open_like(path: &Path, folder: &Source) -> Result<Self> {
        let (file, family) = told(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            family,
            texts: Texts::Of(folder.clone()),
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text file that a folder would hold at `path`.
    pub fn text(&self, path: &str) -> Option<Result<Cow<'_, str>>> {
        let texts = match &self.texts {
            Texts::Published(texts) => texts,
            Texts::Of(folder) => {
                return folder.has(path).then(|| folder.text(path).map(Cow::Owned));
            }
        };
        if let Some(text) = texts.get(path) {
            return Some(Ok(Cow::Borrowed(text)));
        }
        let (folder, file) = path.split_once('/')?;
        if !self.family.tokenizers().contains(&folder) {
            return None;
        }
        match file {
            "merges.txt" => Some(Ok(Cow::Borrowed(CLIP_MERGES))),
            "vocab.json" => Some(Ok(Cow::Owned(clip_vocabulary()))),
            _ => None,
        }
    }

    /// The file, and how it names the tensors of the part that a folder would hold at `folder`.
    ///
    /// # Errors
    /// `ModelIncomplete` where it lacks the part; `BadConfig`.
    pub fn part(&self, folder: &str) -> Result<(Arc<WeightsFile>, Naming)> {
        let naming = match (folder, self.family) {
            ("unet", _) => Naming::LatentUNet {
                prefix: UNET.to_owned(),
                layers: self.layers()?,
            },
            ("vae", _) => latent_vae(&self.file, VAE),
            ("text_encoder", Family::Sd1) => clip("cond_stage_model.transformer."),
            ("text_encoder", Family::Sd2) => {
                let first = self.file.names().any(|name| name.starts_with(FIRST_CODE));
                open_clip(if first { FIRST_CODE } else { SECOND_CODE })
            }
            ("text_encoder", Family::Sdxl) => clip("conditioner.embedders.0.transformer."),
            ("text_encoder_2", Family::Sdxl) => open_clip("conditioner.embedders.1.model."),
            _ => return Err(self.lacks(folder)),
        };
        let prefix = naming.prefix();
        if !self.file.names().any(|name| name.starts_with(prefix)) {
            return Err(self.lacks(folder));
        }
        Ok((Arc::clone(&self.file), naming))
    }

    /// Resnets of each level of the UNet, by its config.
    fn layers(&self) -> Result<Vec<usize>> {
        let path = "unet/config.json";
        let text = self.text(path).ok_or_else(|| self.lacks(path))??;
        Ok(unet_layers(&text))
    }

    fn lacks(&self, what: &str) -> RuntimeError {
        let (what, help) = match what {
            "vae" => (
                "autoencoder",
                "add one with `--vae FILE`, or use a file that holds the whole model",
            ),
            "unet" => ("UNet", "use a file that holds the whole model"),
            other => (other, "use a file that holds the whole model"),
        };
        let message = format!("`{}` holds no {what}", self.path.display());
        RuntimeError::new(ErrorKind::ModelIncomplete, message).help(help)
    }
}

/// Resnets of each level on the way down, by the text of a UNet's config; loading it says what is wrong
/// with it.
pub fn unet_layers(config: &str) -> Vec<usize> {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let levels = config["block_out_channels"].as_array().map_or(0, Vec::len);
    let count = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    match &config["layers_per_block"] {
        Value::Array(list) => list.iter().filter_map(count).collect(),
        one => vec![count(one).unwrap_or(2); levels],
    }
}

fn clip(prefix: &str) -> Naming {
    let prefix = prefix.to_owned();
    Naming::Clip { prefix }
}

fn open_clip(prefix: &str) -> Naming {
    let prefix = prefix.to_owned();
    Naming::OpenClip { prefix }
}

/// The naming of an autoencoder below a prefix: its levels are counted in the file.
fn latent_vae(file: &WeightsFile, prefix: &str) -> Naming {
    let level = |name: &str| {
        let rest = name.strip_prefix(prefix)?.strip_prefix("decoder.up.")?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let last = file.names().filter_map(level).max();
    Naming::LatentVae {
        prefix: prefix.to_owned(),
        levels: last.map_or(0, |last| last + 1),
    }
}

/// An autoencoder alone in a file, or within one that holds a whole model.
///
/// # Errors
/// `Unreadable`, `WeightsDamaged`; `ModelIncomplete` for a file that holds no autoencoder.
pub fn autoencoder(path: &Path) -> Result<(Arc<WeightsFile>, Naming)> {
    let file = opened(path)?;
    let has = |start: &str| file.names().any(|name| name.starts_with(start));
    let naming = if has("first_stage_model.decoder.up.") {
        latent_vae(&file, VAE)
    } else if has("decoder.up.") {
        latent_vae(&file, "")
    } else if has("decoder.up_blocks.") {
        Naming::Diffusers
    } else {
        let message = format!(
            "`{}` seems to be {}, and an autoencoder is needed",
            path.display(),
            file.seems()
        );
        return Err(RuntimeError::new(ErrorKind::ModelIncomplete, message).help(
            "give a file with the tensors of an autoencoder, or a folder in diffusers layout",
        ));
    };
    Ok((Arc::new(file), naming))
}

fn opened(path: &Path) -> Result<WeightsFile> {
    WeightsFile::open(&path.display().to_string(), Bytes::map(path)?)
}

/// Opens a file and tells its family.
fn told(path: &Path) -> Result<(WeightsFile, Family)> {
    let file = opened(path)?;
    let family = family(&file)?;
    Ok((file, family))
}

/// The family of a file, by its names.
fn family(file: &WeightsFile) -> Result<Family> {
    let has = |start: &str| file.names().any(|name| name.starts_with(start));
    let refuse = |kind, what: String, help: &str| {
        Err(RuntimeError::new(kind, format!("`{}` {what}", file.shown())).help(help))
    };
    let others = "use a model of Stable Diffusion 1.x, 2.x or XL (its base)";
    if !has(UNET) {
        let help = match file.seems() {
            "a LoRA" => "give it beside a model: `--model NAME --lora FILE`",
            "an autoencoder" => "give it beside a model: `--model NAME --vae FILE`",
            _ => "give a file that holds a whole model, or a folder in diffusers layout",
        };
        let what = format!("seems to be {}, and a model is needed", file.seems());
        return refuse(ErrorKind::ModelIncomplete, what, help);
    }
    for (sign, what) in [
        ("joint_blocks.", "Stable Diffusion 3"),
        ("double_blocks.", "Flux"),
    ] {
        if has(&format!("{UNET}{sign}")) {
            let what = format!("is a model of {what}, which this version cannot run");
            return refuse(ErrorKind::NotYet, what, others);
        }
    }
    if has("edm_mean") || has("edm_vpred.sigma_max") {
        let what = "was trained with the noise of EDM, which this version cannot run".to_owned();
        return refuse(ErrorKind::NotYet, what, others);
    }
    if has("conditioner.embedders.1.model.") {
        return Ok(Family::Sdxl);
    }
    let embeds = has(&format!("{UNET}label_emb."));
    if embeds && has(SECOND_CODE) {
        let what = "is the refiner of SDXL, which this version cannot run".to_owned();
        return refuse(ErrorKind::NotYet, what, "use the base of SDXL");
    }
    if embeds {
        let what = "is conditioned on more than text, which this version cannot do".to_owned();
        return refuse(ErrorKind::NotYet, what, others);
    }
    if has(FIRST_CODE) || has(SECOND_CODE) {
        return Ok(Family::Sd2);
    }
    if has("cond_stage_model.transformer.") {
        return Ok(Family::Sd1);
    }
    let what = "holds no text encoder that this version knows".to_owned();
    refuse(
        ErrorKind::ModelIncomplete,
        what,
        "use a file that holds the whole model",
    )
}

/// The published text files of a family, changed by what the file shows: what the UNet takes, and what it
/// predicts.
fn published(file: &WeightsFile, family: Family) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    let predicts = predicts(file, family)?;
    for (path, bytes) in family.files() {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        match *path {
            "unet/config.json" => text = edit(&text, &unet_changes(file, family, predicts)),
            "scheduler/scheduler_config.json" => {
                text = edit(
                    &text,
                    &json!({
                        "prediction_type": predicts,
                        "rescale_betas_zero_snr": file.shape("ztsnr").is_some(),
                    }),
                );
            }
            _ => {}
        }
        texts.insert((*path).to_owned(), text);
    }
    Ok(texts)
}

fn unet_changes(file: &WeightsFile, family: Family, predicts: &str) -> Value {
    let input = file.shape(&format!("{UNET}input_blocks.0.0.weight"));
    let mut changes = json!({});
    if let Some([_, channels, _, _]) = input {
        changes["in_channels"] = json!(channels);
    }
    // Of 2.x, those that predict noise were trained at 512x512, those that predict v at 768x768.
    if family == Family::Sd2 && predicts == "epsilon" {
        changes["sample_size"] = json!(64);
    }
    changes
}

fn edit(text: &str, changes: &Value) -> String {
    let mut config: Value = serde_json::from_str(text).unwrap_or_default();
    for (field, value) in changes.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    config.to_string()
}

/// What the network predicts, as a scheduler's config says it.
///
/// A file may say so by its metadata (`modelspec`, or the key `v_pred`). Those of 2.x mostly say nothing;
/// they are told apart as ComfyUI does: by how far the biases of one norm are spread.
fn predicts(file: &WeightsFile, family: Family) -> Result<&'static str> {
    const V: &str = "v_prediction";
    const EPS: &str = "epsilon";
    for key in ["modelspec.prediction_type", "modelspec.predict_key"] {
        match file.metadata(key) {
            Some("v" | "v_prediction" | "v-prediction") => return Ok(V),
            Some("epsilon" | "eps") => return Ok(EPS),
            _ => {}
        }
    }
    let architecture = file.metadata("modelspec.architecture").unwrap_or_default();
    if file.shape("v_pred").is_some() || architecture.contains("v2-768-v") {
        return Ok(V);
    }
    if family != Family::Sd2 || architecture.contains("v2-512") {
        return Ok(EPS);
    }
    Ok(if spread_of_last_norm(file)? > SPREAD_OF_V {
        V
    } else {
        EPS
    })
}

/// The standard deviation that tells the two kinds of 2.x apart.
const SPREAD_OF_V: f64 = 0.09;

fn spread_of_last_norm(file: &WeightsFile) -> Result<f64> {
    let name = format!("{UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias");
    let Some(biases) = file.tensor(&Stored::whole(name), DType::F32, &Device::Cpu)? else {
        return Ok(0.0);
    };
    let numbers: Vec<f32> = biases.flatten_all()?.to_vec1()?;
    let count = numbers.len().max(1) as f64;
    let mean = numbers.iter().map(|n| f64::from(*n)).sum::<f64>() / count;
    let squares = numbers.iter().map(|n| (f64::from(*n) - mean).powi(2));
    Ok((squares.sum::<f64>() / count).sqrt())
}
