//! A file's bytes, mapped into memory rather than read.
#![allow(unsafe_code, reason = "mapping a file has no safe interface")]

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{ErrorKind, Result, RuntimeError};

/// The bytes of a weights file.
#[derive(Debug)]
pub enum Bytes {
    /// Of a file on disk.
    Mapped(Mmap),
    /// Of the program itself.
    Embedded(&'static [u8]),
}

impl Bytes {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn map(path: &Path) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            RuntimeError::new(
                ErrorKind::Unreadable,
                format!("`{}` cannot be read: {error}", path.display()),
            )
        };
        let file = File::open(path).map_err(unreadable)?;
        // SAFETY: the mapping is read-only and private to this process. What remains is that another
        // process may shorten the file meanwhile; that ends this one with a signal, as with every
        // program that maps weights, and never yields a wrong picture.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        Ok(Bytes::Mapped(map))
    }

    /// Takes a range out of this process's memory, where the system can; it is read from the file again
    /// when it is asked for again.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = self {
            // SAFETY: the mapping is of a file and was never written to, so that nothing is lost: a page
            // that is touched again holds the file's bytes again. A system that refuses keeps the pages.
            let _ = unsafe {
                map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.len(),
                )
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Embedded(bytes) => bytes,
        }
    }
}
