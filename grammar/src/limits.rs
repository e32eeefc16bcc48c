//! How large and how deep a file may be, so that no stage needs more stack or time than it has.

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::span::{FileId, Span};

/// The largest file, in bytes: 1 MiB. The standard library as a whole is far smaller.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// How many brackets, `if`, `match`, `total` and prefix operators may be open at one place.
pub const MAX_DEPTH: usize = 64;

/// How many levels a tree may have: each bracket, call, block and operator of a chain is one, so a
/// sum has at most this many terms and an `if` this many `else if`. Every walk over the tree may
/// recurse as deep.
pub const MAX_LEVELS: usize = 256;

/// How many errors one file reports: what comes after them is left out.
pub const MAX_ERRORS: usize = 100;

/// Checks the size of a file.
pub(crate) fn check_size(file: FileId, text: &str) -> Result<(), SyntaxError> {
    if text.len() <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(SyntaxError::new(
        SyntaxErrorKind::FileTooLarge,
        Span::new(file, 0, 0),
        format!(
            "a guide file has at most {MAX_FILE_BYTES} bytes, this one has {}",
            text.len()
        ),
        "in this file",
    )
    .help("split it and join the parts with `use \"part.guide\"::{name}`"))
}

/// The text of a file's bytes; what is not UTF-8 is an error that names the first wrong byte.
pub fn decode(file: FileId, bytes: &[u8]) -> Result<&str, SyntaxError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to().min(u32::MAX as usize - 1);
        let line = bytes.iter().take(at).filter(|b| **b == b'\n').count() + 1;
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or(0);
        SyntaxError::new(
            SyntaxErrorKind::NotUtf8,
            Span::new(file, at, at),
            format!("a guide file is UTF-8 text, and byte {at} (line {line}) is 0x{byte:02x}"),
            "this is not text",
        )
        .help("save the file as UTF-8")
    })
}
