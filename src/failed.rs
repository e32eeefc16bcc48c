//! The runtime's errors as diagnostics.

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_runtime::error::{ErrorKind, RuntimeError};

use crate::exit::Failure;

/// An error as a diagnostic without a place.
pub fn said(error: &RuntimeError) -> Diagnostic {
    // INVARIANT: every class but an interruption has a code in the table.
    let code = Code::find(error.kind.code()).unwrap_or(Code::DeviceFailed);
    let diagnostic = Diagnostic::new(code, &error.message);
    match &error.help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        match error.kind {
            ErrorKind::Interrupted => Failure::Interrupted,
            _ => said(&error).into(),
        }
    }
}
