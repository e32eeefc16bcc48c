//! Where the files of a model come from: a folder, the program itself, or a single file. All are read by
//! the same code.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mapped::Bytes;
use super::mounted::Mounted;
use super::naming::Naming;
use super::part::open_files;
use super::{Lora, SingleFile, WeightsFile};
use crate::error::{ErrorKind, Result, RuntimeError};

/// A set of files that the program carries: `(path inside the model, contents)`, `/` between names.
pub type Embedded = &'static [(&'static str, &'static [u8])];

/// No text file of a model is larger; SDXL's vocabulary has 1 MB.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The root of a model's files.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A folder in diffusers layout.
    Folder(PathBuf),
    /// Files inside the program, below a path (`""` or `weak`).
    Embedded {
        /// The name of the model, for messages.
        name: &'static str,
        /// All files.
        files: Embedded,
        /// Below which path; empty for the whole.
        below: String,
    },
    /// One file in the names of the code that the model was trained with.
    Single(Arc<SingleFile>),
    /// A model with changes: parts from elsewhere, LoRA.
    Changed(Arc<Mounted>),
}

impl Source {
    /// The same, one folder down.
    pub fn below(&self, path: &str) -> Source {
        match self {
            Source::Folder(folder) => Source::Folder(folder.join(path)),
            Source::Embedded { name, files, below } => Source::Embedded {
                name,
                files,
                below: inside(below, path),
            },
            // Twins lie in folders; changes are made to the model itself.
            Source::Single(file) => Source::Folder(file.path().join(path)),
            Source::Changed(changed) => changed.base().below(path),
        }
    }

    /// What a file is called in messages.
    pub fn show(&self, path: &str) -> String {
        match self {
            Source::Folder(folder) if path.is_empty() => folder.display().to_string(),
            Source::Folder(folder) => folder.join(path).display().to_string(),
            Source::Embedded { name, below, .. } => format!("{name}:{}", inside(below, path)),
            Source::Single(file) if path.is_empty() => file.path().display().to_string(),
            Source::Single(file) => format!("{}:{path}", file.path().display()),
            Source::Changed(changed) => changed.show(path),
        }
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        match self {
            Source::Folder(folder) => folder.join(path).is_file(),
            Source::Embedded { .. } => self.embedded(path).is_some(),
            Source::Single(file) => file.text(path).is_some(),
            Source::Changed(changed) => changed.has(path),
        }
    }

    /// The names of the files directly in a folder, sorted; none where there is no such folder.
    pub fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Source::Folder(folder) => {
                let Ok(entries) = folder.join(path).read_dir() else {
                    return Vec::new();
                };
                entries
                    .flatten()
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .collect()
            }
            Source::Embedded { files, below, .. } => {
                let prefix = format!("{}/", inside(below, path));
                let prefix = prefix.trim_start_matches('/');
                files
                    .iter()
                    .filter_map(|(file, _)| file.strip_prefix(prefix))
                    .filter(|rest| !rest.contains('/'))
                    .map(str::to_owned)
                    .collect()
            }
            Source::Single(_) => Vec::new(),
            Source::Changed(changed) => changed.names(path),
        };
        names.sort();
        names
    }

    /// The text of a file.
    ///
    /// # Errors
    /// `ModelIncomplete` where there is none, `Unreadable` where it is not text or far too long.
    pub fn text(&self, path: &str) -> Result<String> {
        let unreadable = |why: String| {
            RuntimeError::new(
                ErrorKind::Unreadable,
                format!("`{}` cannot be read: {why}", self.show(path)),
            )
        };
        match self {
            Source::Folder(folder) => {
                let file = folder.join(path);
                if !file.is_file() {
                    return Err(self.lacks(path));
                }
                let bytes = file
                    .metadata()
                    .map_err(|error| unreadable(error.to_string()))?
                    .len();
                if bytes > MAX_TEXT_BYTES {
                    return Err(unreadable(format!(
                        "it has {bytes} bytes, and such a file has at most {MAX_TEXT_BYTES}"
                    )));
                }
                std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))
            }
            Source::Embedded { .. } => {
                let bytes = self.embedded(path).ok_or_else(|| self.lacks(path))?;
                String::from_utf8(bytes.to_vec()).map_err(|error| unreadable(error.to_string()))
            }
            Source::Single(file) => match file.text(path) {
                Some(text) => Ok(text?.into_owned()),
                None => Err(self.lacks(path)),
            },
            Source::Changed(changed) => changed.text(path),
        }
    }

    /// The bytes of a file, mapped.
    ///
    /// # Errors
    /// `ModelIncomplete` where there is none, `Unreadable`.
    pub fn bytes(&self, path: &str) -> Result<Bytes> {
        match self {
            Source::Folder(folder) => {
                let file: &Path = &folder.join(path);
                if !file.is_file() {
                    return Err(self.lacks(path));
                }
                Bytes::map(file)
            }
            Source::Embedded { .. } => self
                .embedded(path)
                .map(Bytes::Embedded)
                .ok_or_else(|| self.lacks(path)),
            Source::Single(_) => Err(self.lacks(path)),
            Source::Changed(changed) => changed.bytes(path),
        }
    }

    /// The files with the weights of the part `folder`, which are called `stem` in a folder, and how they
    /// name tensors.
    ///
    /// # Errors
    /// `Pickle` where only pickles lie there, `ModelIncomplete` where nothing does, `WeightsDamaged`.
    pub(super) fn weights(
        &self,
        folder: &str,
        stem: &str,
    ) -> Result<(Vec<Arc<WeightsFile>>, Naming)> {
        match self {
            Source::Folder(_) | Source::Embedded { .. } => {
                Ok((open_files(self, folder, stem)?, Naming::Diffusers))
            }
            Source::Single(file) => {
                let (file, naming) = file.part(folder)?;
                Ok((vec![file], naming))
            }
            Source::Changed(changed) => changed.weights(folder, stem),
        }
    }

    /// What is added to its weights.
    pub fn loras(&self) -> &[Arc<Lora>] {
        match self {
            Source::Changed(changed) => changed.loras(),
            _ => &[],
        }
    }

    fn embedded(&self, path: &str) -> Option<&'static [u8]> {
        let Source::Embedded { files, below, .. } = self else {
            return None;
        };
        let full = inside(below, path);
        files
            .iter()
            .find(|(file, _)| *file == full)
            .map(|(_, bytes)| *bytes)
    }

    pub(super) fn lacks(&self, path: &str) -> RuntimeError {
        RuntimeError::new(ErrorKind::ModelIncomplete, format!("`{}` has no `{path}`", self.show("")))
            .help("give a folder in diffusers layout: model_index.json, unet/, vae/, text_encoder/, tokenizer/, scheduler/")
    }
}

/// A path below another.
fn inside(below: &str, path: &str) -> String {
    match (below.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => below.to_owned(),
        _ => format!("{below}/{path}"),
    }
}
