//! Text from disk and from the standard library, with the limits that keep a guide to its folder.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use guide_compiler::diagnostics::{Code, Diagnostic, suggest};
use guide_compiler::sources::{Loaded, SourceError, Sources};
use guide_grammar::limits::MAX_FILE_BYTES;

use crate::exit::Result;

/// The standard library's files begin so for users.
pub const STD_FOLDER: &str = "stdlib/";

/// Finds what a root file uses.
pub struct Disk {
    /// The folders whose files may be used, canonical; the first is the root file's.
    folders: Vec<PathBuf>,
    /// Where each file lies that was read, by the name that users see.
    places: RefCell<BTreeMap<String, PathBuf>>,
    /// Texts that stand for files: those that an editor has open.
    open: BTreeMap<PathBuf, Arc<str>>,
}

impl Disk {
    /// For a root file and the folders that `--allow-path` names.
    pub fn new(root: &str, allowed: &[PathBuf]) -> Self {
        let place = std::fs::canonicalize(root).ok();
        let own = place.as_deref().and_then(Path::parent).map(Path::to_owned);
        let own = own.or_else(|| std::fs::canonicalize(".").ok());
        let more = allowed
            .iter()
            .filter_map(|folder| std::fs::canonicalize(folder).ok());
        let places = place
            .map(|place| (root.to_owned(), place))
            .into_iter()
            .collect();
        Self {
            folders: own.into_iter().chain(more).collect(),
            places: RefCell::new(places),
            open: BTreeMap::new(),
        }
    }

    /// With texts that are read in the place of files; the root may be one that is on no disk yet.
    pub fn with_open(mut self, root: &str, open: BTreeMap<PathBuf, Arc<str>>) -> Self {
        let place = plain(Path::new(root));
        if let (true, Some(folder)) = (open.contains_key(&place), place.parent())
            && self.places.borrow().is_empty()
        {
            // What stands first is the working folder, for want of the root's own.
            let own = self.folders.first_mut();
            own.into_iter().for_each(|own| *own = folder.to_owned());
            self.places.borrow_mut().insert(root.to_owned(), place);
        }
        self.open = open;
        self
    }

    /// For a text that lies nowhere, and uses files as if it lay beside `neighbour`.
    pub fn beside_file(name: &str, neighbour: &Path, allowed: &[PathBuf]) -> Self {
        let mut disk = Self::new(&neighbour.to_string_lossy(), allowed);
        let own = disk.folders.first().cloned().unwrap_or_default();
        let file = Path::new(name).file_name().unwrap_or_default();
        disk.places = RefCell::new(BTreeMap::from([(name.to_owned(), own.join(file))]));
        disk
    }

    fn is_allowed(&self, place: &Path) -> bool {
        self.folders.iter().any(|folder| place.starts_with(folder))
    }
}

impl Sources for Disk {
    fn std(&self, path: &str) -> Option<Loaded> {
        let text = guide_stdlib::text(path)?;
        Some(Loaded {
            path: format!("{STD_FOLDER}{path}.guide"),
            text: text.to_owned(),
        })
    }

    fn std_names(&self, folder: &str) -> Vec<String> {
        guide_stdlib::names(folder)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    fn beside(&self, from: &str, relative: &str) -> std::result::Result<Loaded, SourceError> {
        let shown = plain(
            &Path::new(from)
                .parent()
                .unwrap_or(Path::new(""))
                .join(relative),
        );
        let name = shown.to_string_lossy().into_owned();
        let outside = || {
            let folder = self
                .folders
                .first()
                .map(|f| f.to_string_lossy().into_owned());
            SourceError::Outside(name.clone(), folder.unwrap_or_default())
        };
        let from = self.places.borrow().get(from).cloned();
        let Some(folder) = from.as_deref().and_then(Path::parent) else {
            return Err(SourceError::Missing(name));
        };
        // Refused before the disk is asked, so that nobody learns what lies elsewhere.
        let wanted = plain(&folder.join(relative));
        if !self.is_allowed(&wanted) {
            return Err(outside());
        }
        let place = match std::fs::canonicalize(&wanted) {
            Ok(place) => place,
            // What an editor has open may not be on the disk yet.
            Err(_) if self.open.contains_key(&wanted) => wanted,
            Err(error) => return Err(refusal(&name, &error)),
        };
        if !self.is_allowed(&place) {
            return Err(outside());
        }
        let known = self
            .places
            .borrow()
            .iter()
            .find(|(_, p)| **p == place)
            .map(|(n, _)| n.clone());
        let path = known.unwrap_or(name);
        let text = match self.open.get(&place) {
            Some(text) => text.to_string(),
            None => read(&path, &place)?,
        };
        self.places.borrow_mut().insert(path.clone(), place);
        Ok(Loaded { path, text })
    }
}

/// A path without `.` and `..`, found without asking the disk.
pub fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn refusal(name: &str, error: &io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing(name.to_owned()),
        _ => SourceError::Unreadable(name.to_owned(), error.to_string()),
    }
}

/// Reads a file, never more of it than the limit.
fn read(name: &str, place: &Path) -> std::result::Result<String, SourceError> {
    let file = File::open(place).map_err(|error| refusal(name, &error))?;
    let about = file.metadata().map_err(|error| refusal(name, &error))?;
    if about.is_dir() {
        return Err(SourceError::Unreadable(
            name.to_owned(),
            "it is a folder".to_owned(),
        ));
    }
    text_of(name, about.len(), file)
}

/// The text of a stream that says it has `length` bytes.
fn text_of(name: &str, length: u64, from: impl Read) -> std::result::Result<String, SourceError> {
    let limit = MAX_FILE_BYTES as u64;
    let too_large = |bytes| SourceError::TooLarge(name.to_owned(), bytes, limit);
    if length > limit {
        return Err(too_large(length));
    }
    let mut bytes = Vec::new();
    from.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refusal(name, &error))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes)
        .map_err(|error| SourceError::NotUtf8(name.to_owned(), error.utf8_error().valid_up_to()))
}

/// The root file: a path, `-` for the standard input, or `std::rules::NAME`.
///
/// # Errors
/// That it is not there, unreadable, too large or not text.
pub fn root(file: &str) -> Result<Loaded> {
    if let Some(module) = file.strip_prefix("std::") {
        return std_root(file, &module.replace("::", "/"));
    }
    let text = if file == "-" {
        text_of("<stdin>", 0, io::stdin().lock())
    } else {
        read(file, Path::new(file))
    };
    let path = if file == "-" { "<stdin>" } else { file };
    Ok(text
        .map(|text| Loaded {
            path: path.to_owned(),
            text,
        })
        .map_err(|error| said(&error))?)
}

fn std_root(file: &str, module: &str) -> Result<Loaded> {
    if let Some(text) = guide_stdlib::text(module) {
        let path = format!("{STD_FOLDER}{module}.guide");
        return Ok(Loaded {
            path,
            text: text.to_owned(),
        });
    }
    let message = format!("the standard library has no `{file}`");
    let unknown = Diagnostic::new(Code::UnknownModule, message);
    let name = module.rsplit('/').next().unwrap_or(module);
    let files = guide_stdlib::files()
        .iter()
        .filter_map(|(path, _)| path.strip_suffix(".guide"));
    let mut modules: Vec<(&str, &str)> = files
        .filter_map(|m| Some((m.rsplit('/').next()?, m)))
        .collect();
    // Of one name in several folders, the one in the folder that was asked for, else the rule itself.
    let folder = module.rsplit_once('/').map_or("", |(folder, _)| folder);
    modules.sort_by_key(|(_, m)| {
        let elsewhere = m.rsplit_once('/').is_none_or(|(own, _)| own != folder);
        (elsewhere, m.matches('/').count())
    });
    let near = suggest::nearest(name, modules.iter().map(|(name, _)| *name)).or(Some(name));
    let found = modules.iter().find(|(name, _)| Some(*name) == near);
    Err(match found {
        Some((_, module)) => unknown.help(format!("write `std::{}`", module.replace('/', "::"))),
        None => unknown.help("list what there is with `guidec doc`"),
    }
    .into())
}

/// What cannot be read, as a diagnostic without a place.
fn said(error: &SourceError) -> Diagnostic {
    match error {
        SourceError::Missing(path) => Diagnostic::new(
            Code::Unreadable,
            format!("the file `{path}` does not exist"),
        ),
        SourceError::Outside(path, folder) => Diagnostic::new(
            Code::ImportOutsideRoot,
            format!("the file `{path}` lies outside the folder `{folder}`"),
        ),
        SourceError::NotUtf8(path, at) => Diagnostic::new(
            Code::NotUtf8,
            format!("a guide file is UTF-8 text, and byte {at} of `{path}` is not"),
        )
        .help("save the file as UTF-8"),
        SourceError::TooLarge(path, bytes, limit) => Diagnostic::new(
            Code::FileTooLarge,
            format!("a guide file has at most {limit} bytes, and `{path}` has {bytes} or more"),
        )
        .help("split it and join the parts with `use \"part.guide\"::{name}`"),
        SourceError::Unreadable(path, reason) => Diagnostic::new(
            Code::Unreadable,
            format!("the file `{path}` cannot be read: {reason}"),
        ),
    }
}
