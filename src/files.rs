//! Files that appear whole or not at all, and inputs that are read up to a size.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use guide_compiler::diagnostics::{Code, Diagnostic};

/// The bytes of a file, or of the standard input for `-`; one more than `most` where there are more.
pub fn at_most(most: u64, file: &str) -> Result<Vec<u8>, Diagnostic> {
    let limited = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(most + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = if file == "-" {
        limited(&mut io::stdin().lock())
    } else if Path::new(file).is_dir() {
        Err(io::Error::other("it is a folder"))
    } else {
        File::open(file).and_then(|mut from| limited(&mut from))
    };
    bytes.map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => format!("the file `{file}` does not exist"),
            _ => format!("the file `{file}` cannot be read: {error}"),
        };
        Diagnostic::new(Code::Unreadable, message)
    })
}

/// Writes a file beside its place, then moves it there. Keeps the permissions of a file that it
/// replaces, and follows a link to the file behind it. A device or a pipe cannot be exchanged and
/// is written to as it stands.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_special(path) {
        return fs::File::options().write(true).open(path)?.write_all(bytes);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut file = beside(&folder_of(&target))?;
    file.write_all(bytes)?;
    if let Ok(before) = fs::metadata(&target) {
        fs::set_permissions(file.path(), before.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

/// Whether a device or a pipe stands there.
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A file without a place yet, which is gone if it gets none.
pub fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".guidec-");
    // What others may read is decided by the process's mask, as for any new file.
    if let Some(permissions) = of_a_new_file() {
        return builder.permissions(permissions).tempfile_in(folder);
    }
    builder.tempfile_in(folder)
}

#[cfg(unix)]
fn of_a_new_file() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn of_a_new_file() -> Option<Permissions> {
    None
}
