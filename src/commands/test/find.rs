//! The guides and the snapshots below the paths that a user names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use guide_compiler::diagnostics::{Code, Diagnostic};

use crate::exit::{Failure, Result};
use crate::files::folder_of;

/// What lies there.
#[derive(Default)]
pub struct Found {
    /// The guides, in order of path, each once.
    pub guides: Vec<PathBuf>,
    /// Files that may be snapshots, in order of path, with what they may belong to.
    pub plans: Vec<Plans>,
    /// What cannot be read.
    pub failures: Vec<Diagnostic>,
}

/// A folder's files that may be snapshots.
pub struct Plans {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Whether all guides of the folder are tested, rather than some that were named.
    pub whole: bool,
}

/// Finds what lies below the paths.
///
/// # Errors
/// A file that is no guide.
pub fn find(paths: &[PathBuf]) -> Result<Found> {
    let mut found = Found::default();
    let mut searched = BTreeSet::new();
    let mut named = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found, &mut searched);
            continue;
        }
        if path.extension().is_none_or(|ending| ending != "guide") {
            let shown = path.display();
            return Err(Failure::Usage(format!(
                "'{shown}' is neither a folder nor a .guide file"
            )));
        }
        found.guides.push(plain(path));
        named.insert(plain(&folder_of(path)));
    }
    for folder in named {
        if let (true, Ok(entries)) = (!searched.contains(&folder), entries(&folder)) {
            let files = plans(&entries);
            found.plans.push(Plans {
                files,
                whole: false,
            });
        }
    }
    found.guides.sort();
    found.guides.dedup();
    found.plans.sort_by(|a, b| a.files.cmp(&b.files));
    Ok(found)
}

fn walk(folder: &Path, found: &mut Found, searched: &mut BTreeSet<PathBuf>) {
    let folder = plain(folder);
    if !searched.insert(folder.clone()) {
        return;
    }
    let entries = match entries(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("the folder `{}` cannot be read: {error}", folder.display());
            found
                .failures
                .push(Diagnostic::new(Code::Unreadable, message));
            return;
        }
    };
    for entry in &entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        // A link to a folder may lead back here, or to another project.
        if entry.is_dir() && !entry.is_symlink() {
            if name != "target" && !name.starts_with('.') {
                walk(entry, found, searched);
            }
        } else if name.ends_with(".guide") && entry.is_file() {
            found.guides.push(entry.clone());
        }
    }
    let files = plans(&entries);
    found.plans.push(Plans { files, whole: true });
}

/// What lies in a folder, in order of name.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let paths = entries.map(|entry| entry.map(|entry| plain(&entry.path())));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn plans(entries: &[PathBuf]) -> Vec<PathBuf> {
    let is_plan = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "plan");
    entries
        .iter()
        .filter(is_plan)
        .filter(|path| path.is_file())
        .cloned()
        .collect()
}

/// A path without a `./` at its beginning.
fn plain(path: &Path) -> PathBuf {
    let rest = path.strip_prefix(".").unwrap_or(path);
    match rest.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => rest.to_owned(),
    }
}

/// A path as users see it, with the same characters on every machine.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    match std::path::MAIN_SEPARATOR {
        '/' => text.into_owned(),
        other => text.replace(other, "/"),
    }
}
