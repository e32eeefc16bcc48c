//! Fetching a model from the Hugging Face hub into its cache, in the layout that other tools share.
//!
//! What was fetched in part is taken up again. Weights are checked against the SHA-256 that the hub
//! names them by; a file that does not agree is taken away again.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use sha2::{Digest, Sha256};

use super::find::{Kind, in_cache};
use super::wanted::wanted;
use crate::error::{ErrorKind, Result, RuntimeError};

/// Where models are fetched from, and to.
#[derive(Clone, Debug)]
pub struct Hub {
    /// The cache's folder.
    pub cache: PathBuf,
    /// Another server than the usual one.
    pub endpoint: Option<String>,
    /// What a user may see; without it, what is open to all.
    pub token: Option<String>,
}

/// How far a fetch has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A file begins: its name, its number from 1 on, and how many there are.
    File(String, usize, usize),
    /// How many bytes it has; those that are there count from 0 again.
    Size(u64),
    /// So many more bytes are there.
    Bytes(u64),
    /// Its bytes are being checked.
    Check,
    /// Nothing new; a chance to stop.
    Wait,
}

/// How often somebody who waits is asked whether to go on.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often a file is tried again.
const RETRIES: usize = 3;

/// Marks a model of which something is still missing.
const UNFINISHED: &str = "guidec.part";

/// Fetches what is needed of the repository `ORGANISATION/NAME`.
/// `watch` is told how far it is and may end it by an error; what is there by then is kept for the next
/// time.
///
/// # Errors
/// `ModelNotFound` where the hub has no such model, does not show it, or cannot be reached;
/// `ModelIncomplete` for a repository that holds something else; `Pickle`;
/// `WeightsDamaged` where the bytes are not what the hub says; `OutputUnwritable`; what `watch` gives.
pub fn fetch(
    repository: &str,
    kind: Kind,
    hub: &Hub,
    watch: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<()> {
    let (events, heard) = mpsc::channel();
    let (owned, hub) = (repository.to_owned(), hub.clone());
    let worker = thread::spawn(move || all(&owned, kind, &hub, &events));
    loop {
        match heard.recv_timeout(PATIENCE) {
            Ok(event) => watch(event)?,
            Err(RecvTimeoutError::Timeout) => watch(Event::Wait)?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    worker.join().unwrap_or_else(|_| {
        Err(RuntimeError::new(
            ErrorKind::ModelNotFound,
            format!("`{repository}` cannot be fetched: the hub's answer is not understood"),
        ))
    })
}

/// Whether a fetch of this repository, ours or another tool's, has begun and not ended.
pub fn is_unfinished(repository: &str, cache: &Path) -> bool {
    let blobs = in_cache(repository, cache).join("blobs");
    let Ok(entries) = blobs.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".part") || name.ends_with(".incomplete")
    })
}

fn all(repository: &str, kind: Kind, hub: &Hub, events: &Sender<Event>) -> Result<()> {
    let mut builder = ApiBuilder::new()
        .with_cache_dir(hub.cache.clone())
        .with_progress(false)
        .with_retries(RETRIES)
        .with_token(hub.token.clone());
    if let Some(endpoint) = &hub.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    let failed = |error| refused(repository, error);
    let repo = builder
        .build()
        .map_err(failed)?
        .model(repository.to_owned());
    let info = repo.info().map_err(failed)?;
    let names: Vec<String> = info
        .siblings
        .into_iter()
        .map(|file| file.rfilename)
        .collect();
    let files = wanted(repository, &names, kind)?;
    let mark = in_cache(repository, &hub.cache)
        .join("blobs")
        .join(UNFINISHED);
    let unwritable = |error: std::io::Error| {
        RuntimeError::new(
            ErrorKind::OutputUnwritable,
            format!(
                "the cache `{}` cannot be written: {error}",
                hub.cache.display()
            ),
        )
        .help("make room, or name another folder in `HF_HUB_CACHE`")
    };
    std::fs::create_dir_all(mark.parent().unwrap_or(&hub.cache)).map_err(unwritable)?;
    std::fs::write(&mark, "").map_err(unwritable)?;
    let count = files.len();
    for (at, name) in files.iter().enumerate() {
        // Nobody listens any more once the user has stopped.
        let _ = events.send(Event::File(name.clone(), at + 1, count));
        one(repository, &repo, &info.sha, name, hub, events)?;
    }
    std::fs::remove_file(&mark).map_err(unwritable)
}

/// Fetches a file, unless it is there.
fn one(
    repository: &str,
    repo: &ApiRepo,
    commit: &str,
    name: &str,
    hub: &Hub,
    events: &Sender<Event>,
) -> Result<()> {
    let there = in_cache(repository, &hub.cache)
        .join("snapshots")
        .join(commit)
        .join(name);
    if there.is_file() {
        return Ok(());
    }
    let path = repo
        .download_with_progress(name, Bar(events.clone()))
        .map_err(|error| refused(repository, error))?;
    let _ = events.send(Event::Check);
    if agrees(&path)? {
        return Ok(());
    }
    // The link and what it leads to: the next fetch begins anew.
    if let Ok(blob) = path.canonicalize() {
        let _ = std::fs::remove_file(blob);
    }
    let _ = std::fs::remove_file(&path);
    Err(RuntimeError::new(
        ErrorKind::WeightsDamaged,
        format!("what came of `{name}` of `{repository}` is not what the hub holds"),
    )
    .help("try again; the other files are kept"))
}

/// Whether a fetched file has the SHA-256 that its blob is named by. Small files are named otherwise and
/// are not checked: reading them does that.
fn agrees(path: &Path) -> Result<bool> {
    let unreadable = |error: std::io::Error| {
        RuntimeError::new(
            ErrorKind::Unreadable,
            format!("`{}` cannot be read: {error}", path.display()),
        )
    };
    let blob = path.canonicalize().map_err(unreadable)?;
    let name = blob
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let is_hash = |name: &String| name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
    let Some(stated) = name.filter(is_hash) else {
        return Ok(true);
    };
    let mut file = std::fs::File::open(&blob).map_err(unreadable)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(unreadable)?;
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(hex == stated.to_lowercase())
}

struct Bar(Sender<Event>);

impl Progress for Bar {
    fn init(&mut self, size: usize, _: &str) {
        let _ = self.0.send(Event::Size(size as u64));
    }

    fn update(&mut self, size: usize) {
        let _ = self.0.send(Event::Bytes(size as u64));
    }

    fn finish(&mut self) {}
}

/// What a failed request means.
fn refused(repository: &str, error: ApiError) -> RuntimeError {
    let error = match error {
        ApiError::TooManyRetries(inner) => *inner,
        other => other,
    };
    let status = match &error {
        ApiError::RequestError(inner) => match **inner {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        _ => None,
    };
    match (status, error) {
        (Some(404), _) => RuntimeError::new(
            ErrorKind::ModelNotFound,
            format!("the Hugging Face hub has no model `{repository}`"),
        )
        .help("check the name: `ORGANISATION/NAME`, as in the address of the model's page"),
        (Some(401 | 403), _) => RuntimeError::new(
            ErrorKind::ModelNotFound,
            format!("the Hugging Face hub does not show `{repository}` to everybody"),
        )
        .help("accept the model's terms on its page, and put a token of yours into `HF_TOKEN`"),
        (_, ApiError::IoError(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            RuntimeError::new(
                ErrorKind::OutputUnwritable,
                format!("`{repository}` cannot be kept: {error}"),
            )
            .help("make room, or name another folder in `HF_HUB_CACHE`; what is there is kept")
        }
        (_, ApiError::LockAcquisition(_)) => RuntimeError::new(
            ErrorKind::OutputUnwritable,
            format!("another program is fetching `{repository}`"),
        )
        .help("wait until it is done"),
        (_, error) => RuntimeError::new(
            ErrorKind::ModelNotFound,
            format!("`{repository}` cannot be fetched: {error}"),
        )
        .help("check the connection and try again; what is there is kept"),
    }
}
