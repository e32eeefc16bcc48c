//! The standard library as files: an editor goes to a definition by opening one.
//!
//! The library is inside the program, and a scheme of our own would open in few editors. So a module
//! is written, when it is first pointed at, to the user's folder for caches, where it is read-only and
//! can be searched and read like any other file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::write_whole;
use crate::sources::STD_FOLDER;

/// The folder that holds the library's files.
#[derive(Debug)]
pub struct StdFiles {
    folder: PathBuf,
}

impl StdFiles {
    /// In the user's folder for caches, else in that for temporary files.
    pub fn new() -> Self {
        let caches = caches().unwrap_or_else(std::env::temp_dir);
        let version = format!("std-{}-{:016x}", env!("CARGO_PKG_VERSION"), stamp());
        let folder = caches.join("guidec").join(version);
        Self { folder }
    }

    /// The file of `stdlib/rules/apg.guide`, written if it is not there.
    pub fn place(&self, path: &str) -> Option<PathBuf> {
        let inside = path.strip_prefix(STD_FOLDER)?;
        let text = guide_stdlib::text(inside.strip_suffix(".guide")?)?;
        let place = self.folder.join(inside);
        if fs::read_to_string(&place).is_ok_and(|there| there == text) {
            return Some(place);
        }
        fs::create_dir_all(place.parent()?).ok()?;
        write_whole(&place, text.as_bytes()).ok()?;
        let mut rights = fs::metadata(&place).ok()?.permissions();
        rights.set_readonly(true);
        // Read-only is a courtesy: changes here would reach nobody.
        let _ = fs::set_permissions(&place, rights);
        Some(place)
    }

    /// `stdlib/rules/apg.guide` of a file that [`StdFiles::place`] gave.
    pub fn module(&self, place: &Path) -> Option<String> {
        let inside = match place.strip_prefix(&self.folder) {
            Ok(inside) => inside.to_owned(),
            Err(_) => {
                let folder = fs::canonicalize(&self.folder).ok()?;
                place.strip_prefix(folder).ok()?.to_owned()
            }
        };
        let inside = inside.to_string_lossy().replace('\\', "/");
        let known = guide_stdlib::text(inside.strip_suffix(".guide")?).is_some();
        known.then(|| format!("{STD_FOLDER}{inside}"))
    }
}

fn caches() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(folder) = set("XDG_CACHE_HOME") {
        return Some(folder);
    }
    if cfg!(windows) {
        return set("LOCALAPPDATA");
    }
    let home = set("HOME")?;
    Some(if cfg!(target_os = "macos") {
        home.join("Library/Caches")
    } else {
        home.join(".cache")
    })
}

/// Tells one library from another of the same version (FNV-1a of all texts).
fn stamp() -> u64 {
    let texts = guide_stdlib::files().iter();
    let bytes = texts.flat_map(|(path, text)| path.bytes().chain(text.bytes()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
