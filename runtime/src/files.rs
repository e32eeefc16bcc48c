//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{ErrorKind, Result, RuntimeError};

/// Writes a file beside its place, then moves it there: a reader sees the old file or the new one.
/// Follows a link to the file behind it. A device or a pipe cannot be exchanged and is written to
/// as it stands.
///
/// # Errors
/// A place that cannot be written to.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    attempt(path, bytes).map_err(|error| {
        RuntimeError::new(
            ErrorKind::OutputUnwritable,
            format!("`{}` cannot be written: {error}", path.display()),
        )
        .help("choose a folder that exists and has room")
    })
}

fn attempt(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = fs::metadata(path).ok();
    if before.as_ref().is_some_and(|b| !b.is_file() && !b.is_dir()) {
        return File::options().write(true).open(path)?.write_all(bytes);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut file = beside(&folder_of(&target))?;
    file.write_all(bytes)?;
    if let Some(before) = before {
        fs::set_permissions(file.path(), before.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A file without a place yet, which is gone if it gets none.
fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".guidec-");
    // A temporary file is private by default; a result is as open as the user's other files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("none/a.png");
        let error = write_whole(&path, b"x").expect_err("no folder");
        assert_eq!(error.kind, ErrorKind::OutputUnwritable);
        assert!(error.message.contains("a.png"));
    }

    #[test]
    fn a_folder_is_not_exchanged_for_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::create_dir(&path).expect("a folder in it");
        let error = write_whole(&path, b"x").expect_err("a folder stands there");
        assert_eq!(error.kind, ErrorKind::OutputUnwritable);
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        assert!(path.is_dir() && left == 1);
    }

    #[test]
    #[cfg(unix)]
    fn links_and_permissions_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, b"old").expect("a file");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("its mode");
        symlink(&real, &link).expect("a link");
        write_whole(&link, b"new").expect("written");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(fs::read(&real).expect("the file"), b"new");
        let mode = fs::metadata(&real).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    /// As `--record /dev/null` for a user who may do anything.
    #[test]
    #[cfg(unix)]
    fn a_pipe_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("a pipe").success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read(pipe))
        };
        write_whole(&pipe, b"through").expect("written");
        assert!(fs::metadata(&pipe).expect("the pipe").file_type().is_fifo());
        assert_eq!(reader.join().expect("a reader").expect("bytes"), b"through");
    }
}
