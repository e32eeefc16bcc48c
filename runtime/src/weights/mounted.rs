//! A model with changes: a tokenizer or an autoencoder from elsewhere, another word on what it predicts,
//! and LoRA.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::naming::Naming;
use super::part::{is_pickle, pickle_refused};
use super::{Bytes, Lora, SingleFile, Source, WeightsFile, single};
use crate::error::{ErrorKind, Result, RuntimeError};

const SCHEDULER: &str = "scheduler/scheduler_config.json";
const TOKENIZERS: [&str; 2] = ["tokenizer", "tokenizer_2"];
/// The files of a tokenizer that hold its vocabulary.
const VOCABULARY: [&str; 3] = ["vocab.json", "merges.txt", "tokenizer.json"];

/// What is to be changed of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The folder whose configs and tokenizers a single file is to have.
    pub config: Option<PathBuf>,
    /// A folder with a tokenizer, or a model's folder.
    pub tokenizer: Option<PathBuf>,
    /// An autoencoder: a folder in diffusers layout, or a file in either naming.
    pub vae: Option<PathBuf>,
    /// What the network predicts.
    pub predicts: Option<Predicts>,
    /// LoRA files, each with how strongly it counts.
    pub loras: Vec<(PathBuf, f64)>,
}

/// What a network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicts {
    /// The noise.
    Eps,
    /// `alpha*eps - sigma*x0`.
    V,
    /// The picture.
    X0,
}

/// A model with changes.
#[derive(Debug)]
pub struct Mounted {
    base: Source,
    tokenizers: BTreeMap<&'static str, Source>,
    vae: Option<VaeFrom>,
    scheduler: Option<String>,
    loras: Vec<Arc<Lora>>,
}

/// Where an autoencoder comes from.
#[derive(Debug)]
enum VaeFrom {
    /// A folder with its config.
    Folder(Source),
    /// A file; the config is the model's.
    File(Arc<WeightsFile>, Naming),
}

impl PartialEq for Mounted {
    /// One model is another only where it is the same value: its files are open.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Source {
    /// The model with these changes.
    ///
    /// # Errors
    /// What is wrong with a file that a change names: `ModelIncomplete`, `BadTokenizer`, `WeightsDamaged`,
    /// `Pickle`, `Unreadable`; a LoRA that is none.
    pub fn with(self, changes: &Changes) -> Result<Source> {
        if *changes == Changes::default() {
            return Ok(self);
        }
        let base = match changes.config.as_deref() {
            Some(folder) => self.configured(folder)?,
            None => self,
        };
        let scheduler = match changes.predicts {
            None => None,
            Some(predicts) => Some(predicting(&base.text(SCHEDULER)?, predicts)),
        };
        let loras = changes.loras.iter();
        let loras = loras.map(|(path, weight)| Ok(Arc::new(Lora::open(path, *weight)?)));
        Ok(Source::Changed(Arc::new(Mounted {
            tokenizers: changes
                .tokenizer
                .as_deref()
                .map(tokenizers)
                .transpose()?
                .unwrap_or_default(),
            vae: changes.vae.as_deref().map(vae).transpose()?,
            loras: loras.collect::<Result<_>>()?,
            scheduler,
            base,
        })))
    }

    /// A single file with the configs of a folder.
    fn configured(&self, folder: &Path) -> Result<Source> {
        let shown = folder.display();
        let Source::Single(file) = self else {
            let message = format!("`{}` has configs of its own", self.show(""));
            return Err(RuntimeError::new(ErrorKind::BadBinding, message)
                .help(format!("leave out `{shown}`: it is for single files")));
        };
        let configs = Source::Folder(folder.to_owned());
        if !configs.has("unet/config.json") {
            return Err(configs.lacks("unet/config.json"));
        }
        let file = SingleFile::open_like(file.path(), &configs)?;
        Ok(Source::Single(Arc::new(file)))
    }
}

/// A scheduler's config with another word on what is predicted.
fn predicting(text: &str, predicts: Predicts) -> String {
    let word = match predicts {
        Predicts::Eps => "epsilon",
        Predicts::V => "v_prediction",
        Predicts::X0 => "sample",
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(mut config)) => {
            config.insert("prediction_type".to_owned(), json!(word));
            Value::Object(config).to_string()
        }
        // Reading it says what is wrong with it.
        _ => text.to_owned(),
    }
}

/// The tokenizers in a folder: its own files, or those below it as in a model's folder.
fn tokenizers(folder: &Path) -> Result<BTreeMap<&'static str, Source>> {
    let root = Source::Folder(folder.to_owned());
    let holds = |source: &Source| source.has("vocab.json") || source.has("tokenizer.json");
    if holds(&root) {
        return Ok(TOKENIZERS.map(|name| (name, root.clone())).into());
    }
    let first = root.below(TOKENIZERS[0]);
    if !holds(&first) {
        let message = format!(
            "`{}` holds no tokenizer: neither `vocab.json` with `merges.txt` nor `tokenizer.json`",
            folder.display()
        );
        return Err(RuntimeError::new(ErrorKind::BadTokenizer, message)
            .help("give the folder `tokenizer` of a model of the same family"));
    }
    let second = Some(root.below(TOKENIZERS[1])).filter(holds);
    let second = second.unwrap_or_else(|| first.clone());
    Ok([(TOKENIZERS[0], first), (TOKENIZERS[1], second)].into())
}

fn vae(path: &Path) -> Result<VaeFrom> {
    let shown = path.display().to_string();
    if !path.is_dir() {
        if is_pickle(&shown) {
            return Err(pickle_refused(&shown));
        }
        let (file, naming) = single::autoencoder(path)?;
        return Ok(VaeFrom::File(file, naming));
    }
    let root = Source::Folder(path.to_owned());
    let inner = root.below("vae");
    let found = [inner, root]
        .into_iter()
        .find(|source| source.has("config.json"));
    found.map(VaeFrom::Folder).ok_or_else(|| {
        RuntimeError::new(
            ErrorKind::ModelIncomplete,
            format!("`{shown}` has neither `vae/config.json` nor `config.json`"),
        )
        .help("give the folder `vae` of a model, or a `.safetensors` file with an autoencoder")
    })
}

impl Mounted {
    /// The model without the changes.
    pub fn base(&self) -> &Source {
        &self.base
    }

    /// What is added to its weights.
    pub fn loras(&self) -> &[Arc<Lora>] {
        &self.loras
    }

    /// The source that holds a file, and its path there.
    fn place<'a>(&'a self, path: &'a str) -> (&'a Source, &'a str) {
        let (folder, file) = path.split_once('/').unwrap_or((path, ""));
        if folder == "vae"
            && let Some(VaeFrom::Folder(source)) = &self.vae
        {
            return (source, file);
        }
        match self.tokenizers.get(folder) {
            // The special tokens and the length are the model's, where it says them.
            Some(source) if VOCABULARY.contains(&file) || !self.base.has(path) => (source, file),
            _ => (&self.base, path),
        }
    }

    /// As [`Source::show`].
    pub fn show(&self, path: &str) -> String {
        let (source, path) = self.place(path);
        source.show(path)
    }

    /// As [`Source::has`].
    pub fn has(&self, path: &str) -> bool {
        let (source, path) = self.place(path);
        source.has(path)
    }

    /// As [`Source::names`].
    pub fn names(&self, path: &str) -> Vec<String> {
        let (source, path) = self.place(path);
        source.names(path)
    }

    /// As [`Source::text`].
    ///
    /// # Errors
    /// As there.
    pub fn text(&self, path: &str) -> Result<String> {
        match &self.scheduler {
            Some(text) if path == SCHEDULER => Ok(text.clone()),
            _ => {
                let (source, path) = self.place(path);
                source.text(path)
            }
        }
    }

    /// As [`Source::bytes`].
    ///
    /// # Errors
    /// As there.
    pub fn bytes(&self, path: &str) -> Result<Bytes> {
        let (source, path) = self.place(path);
        source.bytes(path)
    }

    /// As [`Source::weights`].
    ///
    /// # Errors
    /// As there.
    pub fn weights(&self, folder: &str, stem: &str) -> Result<(Vec<Arc<WeightsFile>>, Naming)> {
        match &self.vae {
            Some(VaeFrom::File(file, naming)) if folder == "vae" => {
                Ok((vec![Arc::clone(file)], naming.clone()))
            }
            _ => {
                let (source, folder) = self.place(folder);
                source.weights(folder, stem)
            }
        }
    }
}
