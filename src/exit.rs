//! How a command ends: the exit codes that scripts rely on, and failures with what there is to say.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use guide_compiler::diagnostics::{Code, Diagnostic, Severity};
use guide_compiler::sources::SourceMap;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done, warnings included.
    Done = 0,
    /// The guide or the request is wrong, or a difference was found.
    Wrong = 1,
    /// Bad usage.
    Usage = 2,
    /// The machine failed: a file, memory, the disk.
    Machine = 3,
    /// Interrupted.
    #[cfg(feature = "run")]
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// What a diagnostic of this code ends a command with.
    pub fn of(code: Code) -> Exit {
        match code {
            Code::Unreadable
            | Code::ModelNotFound
            | Code::ModelIncomplete
            | Code::WeightsDamaged
            | Code::TensorShape
            | Code::TensorMissing
            | Code::OutputUnwritable
            | Code::DeviceFailed
            | Code::OutOfMemory => Exit::Machine,
            code if code.severity() == Severity::Warning => Exit::Done,
            _ => Exit::Wrong,
        }
    }

    /// What a list of diagnostics ends a command with: the worst of them.
    pub fn of_all(diagnostics: &[Diagnostic]) -> Exit {
        diagnostics
            .iter()
            .map(|d| Exit::of(d.code))
            .max()
            .unwrap_or(Exit::Done)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// With something to say about files.
    Said {
        /// What to say.
        diagnostics: Vec<Diagnostic>,
        /// The files that it is about.
        files: SourceMap,
    },
    /// Bad usage, in one sentence.
    Usage(String),
    /// The user asked to stop.
    #[cfg(feature = "run")]
    Interrupted,
    /// Nobody reads the output any more, which is no error.
    ReaderGone,
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Failure::Said {
            diagnostics: vec![diagnostic],
            files: SourceMap::default(),
        }
    }
}

impl Failure {
    /// A place that cannot be written to.
    pub fn unwritable(place: &Path, why: impl fmt::Display) -> Self {
        let message = format!("`{}` cannot be written: {why}", place.display());
        Diagnostic::new(Code::OutputUnwritable, message)
            .help("name another place, or make room")
            .into()
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Said { diagnostics, .. } => Exit::of_all(diagnostics).max(Exit::Wrong),
            Failure::Usage(_) => Exit::Usage,
            #[cfg(feature = "run")]
            Failure::Interrupted => Exit::Interrupted,
            Failure::ReaderGone => Exit::Done,
        }
    }
}

/// What commands return.
pub type Result<T> = std::result::Result<T, Failure>;
