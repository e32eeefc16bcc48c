//! Finding a model by name or path.
//!
//! In this order: a folder or `.safetensors` file of that path; `NAME` or `NAME.safetensors` in the folder
//! of `$GUIDEC_MODELS`; the Hugging Face cache. The model inside the program goes by its own name. Nothing
//! here reads the environment: the caller passes what it says in [`Places`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use guide_compiler::plan::ModelFacts;

use super::part::{is_pickle, pickle_refused};
use super::{SingleFile, Source};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::models::{embedded, sd};

/// Short names, and the repositories that they stand for.
pub const SHORT_NAMES: [(&str, &str); 3] = [
    ("sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    ("sd21", "stabilityai/stable-diffusion-2-1"),
    ("sdxl", "stabilityai/stable-diffusion-xl-base-1.0"),
];

/// What a repository is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pipeline in diffusers layout.
    Pipeline {
        /// Whether weights in f16 are preferred where there are both.
        half: bool,
    },
    /// One network as transformers keeps it, with its config and its tokenizer: a classifier.
    Network,
}

/// Where models may lie, by the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// `$GUIDEC_MODELS`: a folder of models.
    pub models: Option<PathBuf>,
    /// The Hugging Face cache: `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub`.
    pub hub: Option<PathBuf>,
}

impl Places {
    /// The places by the values of `GUIDEC_MODELS`, `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` and `HOME`.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = || {
            let cache =
                path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")));
            path("HF_HOME").or_else(|| cache.map(|cache| cache.join("huggingface")))
        };
        Self {
            models: path("GUIDEC_MODELS"),
            hub: path("HF_HUB_CACHE").or_else(|| home().map(|home| home.join("hub"))),
        }
    }
}

/// The repository that a name may stand for: a short name's own, or `ORGANISATION/NAME` itself.
pub fn repository(name: &str) -> Option<&str> {
    let repository = long_name(name);
    let (organisation, word) = repository.split_once('/')?;
    let plain = |word: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !word.is_empty() && !word.starts_with('.') && word.chars().all(is_plain)
    };
    (plain(organisation) && plain(word)).then_some(repository)
}

/// What a short name stands for; any other name itself.
fn long_name(name: &str) -> &str {
    let short = SHORT_NAMES.iter().find(|(short, _)| *short == name);
    short.map_or(name, |(_, full)| *full)
}

/// The folder of a repository in the hub's cache.
pub(super) fn in_cache(repository: &str, hub: &Path) -> PathBuf {
    hub.join(format!("models--{}", repository.replace('/', "--")))
}

/// A model that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its name for people.
    pub name: String,
    /// Its files.
    pub source: Source,
}

/// Finds the model that a user names.
///
/// # Errors
/// `Pickle`; what opening a single file refuses; `ModelNotFound` with the places that were looked at.
pub fn find(name: &str, places: &Places) -> Result<Found> {
    let path = Path::new(name);
    if path.is_dir() {
        let shown = path.file_name().map_or_else(
            || name.to_owned(),
            |last| last.to_string_lossy().into_owned(),
        );
        return Ok(Found {
            name: shown,
            source: Source::Folder(path.to_path_buf()),
        });
    }
    if path.is_file() {
        return single_file(path);
    }
    if name == embedded::NAME {
        return Ok(Found {
            name: name.to_owned(),
            source: embedded::source(),
        });
    }
    let mut looked = vec![format!("`{name}`")];
    for place in candidates(name, places) {
        if place.folder.is_dir() {
            return Ok(Found {
                name: name.to_owned(),
                source: Source::Folder(place.folder),
            });
        }
        if place.folder.is_file() {
            return single_file(&place.folder);
        }
        looked.push(format!("`{}`", place.shown));
    }
    Err(RuntimeError::new(
        ErrorKind::ModelNotFound,
        format!(
            "there is no model `{name}`; looked at {}",
            looked.join(", ")
        ),
    )
    .help(way_out(name, places)))
}

/// A model of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// What `--model` takes.
    pub name: String,
    /// Where it lies.
    pub place: String,
    /// What it can do, or why it cannot be used.
    pub facts: Result<ModelFacts>,
}

/// Every model that can be found by name: the embedded one, then by name.
pub fn list(places: &Places) -> Vec<Listed> {
    let mut listed = vec![Listed {
        name: embedded::NAME.to_owned(),
        place: "inside the program".to_owned(),
        facts: sd::facts(&embedded::source(), embedded::NAME),
    }];
    for (name, path) in installed(places) {
        if listed.iter().any(|one| one.name == name) {
            continue;
        }
        let source = match path.is_dir() {
            true => Ok(Source::Folder(path.clone())),
            false => single_file(&path).map(|found| found.source),
        };
        listed.push(Listed {
            facts: source.and_then(|source| sd::facts(&source, &name)),
            name,
            place: path.display().to_string(),
        });
    }
    listed
}

/// How the name of a single file ends.
const SINGLE: &str = ".safetensors";

struct Candidate {
    folder: PathBuf,
    shown: String,
}

/// The folders and files that a name may mean, besides a path.
fn candidates(name: &str, places: &Places) -> Vec<Candidate> {
    let mut all = Vec::new();
    // A name is a word or `organisation/word`; anything else would lead out of the folders.
    let plain = !name.is_empty()
        && name
            .split('/')
            .all(|word| !word.is_empty() && !word.starts_with('.'))
        && !name.contains('\\');
    if !plain {
        return all;
    }
    if let Some(models) = &places.models {
        for name in [name.to_owned(), format!("{name}{SINGLE}")] {
            let folder = models.join(name);
            all.push(Candidate {
                shown: folder.display().to_string(),
                folder,
            });
        }
    }
    if let Some(hub) = &places.hub {
        let repository = long_name(name);
        if repository.split('/').count() == 2 {
            let root = in_cache(repository, hub);
            all.push(Candidate {
                shown: root.display().to_string(),
                folder: snapshot(&root).unwrap_or_else(|| root.join("snapshots/main")),
            });
        }
    }
    all
}

/// The snapshot that `refs/main` names, else the only one there is.
fn snapshot(root: &Path) -> Option<PathBuf> {
    let snapshots = root.join("snapshots");
    if let Ok(revision) = std::fs::read_to_string(root.join("refs/main")) {
        let revision = revision.trim();
        let plain = !revision.is_empty()
            && revision
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        return plain.then(|| snapshots.join(revision));
    }
    let mut folders: Vec<PathBuf> = snapshots
        .read_dir()
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.pop().filter(|_| folders.is_empty())
}

/// Every folder and file that a name leads to, sorted by place and name.
fn installed(places: &Places) -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    if let Some(entries) = places
        .models
        .as_ref()
        .and_then(|models| models.read_dir().ok())
    {
        let places = entries.flatten().map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.path())
        });
        let models = places.filter_map(|(name, path)| match name.strip_suffix(SINGLE) {
            _ if name.starts_with('.') => None,
            Some(stem) if path.is_file() => Some((stem.to_owned(), path)),
            _ => path.join("unet").is_dir().then_some((name, path)),
        });
        all.extend(models);
    }
    all.sort();
    let mut cached = Vec::new();
    if let Some(entries) = places.hub.as_ref().and_then(|hub| hub.read_dir().ok()) {
        for entry in entries.flatten() {
            let file_name = entry.file_name().to_string_lossy().into_owned();
            let Some(repository) = file_name
                .strip_prefix("models--")
                .map(|rest| rest.replacen("--", "/", 1))
            else {
                continue;
            };
            let Some(folder) =
                snapshot(&entry.path()).filter(|folder| folder.join("unet").is_dir())
            else {
                continue;
            };
            let short = SHORT_NAMES
                .iter()
                .find(|(_, full)| *full == repository)
                .map(|(short, _)| (*short).to_owned());
            cached.push((short.unwrap_or(repository), folder));
        }
    }
    cached.sort();
    all.extend(cached);
    all
}

fn single_file(path: &Path) -> Result<Found> {
    let shown = path.display().to_string();
    if is_pickle(&shown) {
        return Err(pickle_refused(&shown));
    }
    let name = path.file_stem().unwrap_or(path.as_os_str());
    Ok(Found {
        name: name.to_string_lossy().into_owned(),
        source: Source::Single(Arc::new(SingleFile::open(path)?)),
    })
}

fn way_out(name: &str, places: &Places) -> String {
    let mut names: Vec<String> = installed(places)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.push(embedded::NAME.to_owned());
    let near: Vec<String> = names
        .into_iter()
        .filter(|one| strsim::levenshtein(one, name) <= 2)
        .map(|one| format!("`--model {one}`"))
        .collect();
    if !near.is_empty() {
        return format!("write {}", near.join(" or "));
    }
    match Some(long_name(name)).filter(|name| name.split('/').count() == 2) {
        Some(repository) => format!(
            "fetch it with `hf download {repository}`, or put its folder into `$GUIDEC_MODELS/{name}`"
        ),
        None => format!(
            "give the folder or the `.safetensors` file of a model, put it into `$GUIDEC_MODELS/{name}`, or leave out `--model` for the one inside the program"
        ),
    }
}
