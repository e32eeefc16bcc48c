//! What can go wrong while a plan is loaded or run, by class.

use std::fmt;

/// The classes, each with the code that users see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    // === Models ===
    /// G0701: no such model.
    ModelNotFound,
    /// G0702: a folder without a part that it needs.
    ModelIncomplete,
    /// G0703: a weights file that is cut short or damaged.
    WeightsDamaged,
    /// G0704: a tensor of the wrong shape; the message names it and both shapes.
    TensorShape,
    /// G0705: a pickle.
    Pickle,
    /// G0706: a tensor that the weights lack.
    TensorMissing,
    /// G0709: a config that this runtime cannot use.
    BadConfig,
    /// G0710: a tokenizer that cannot be used.
    BadTokenizer,
    /// G0711: a picture size that the model cannot make.
    BadSize,
    // === Bindings and plans ===
    /// G0707: an input or model that is not bound.
    NotBound,
    /// G0708: a binding that does not fit.
    BadBinding,
    /// G0607: layers that the model does not have.
    NoSuchLayers,
    /// G0601: something this runtime does not do yet.
    NotYet,
    /// G0807: a saved plan that cannot be used.
    BadPlan,
    // === Recordings ===
    /// G0801: a label that the recording lacks.
    LabelMissing,
    /// G0806: a recording that cannot be used.
    BadRecording,
    // === Running ===
    /// G0802: a NaN or infinity in a result.
    NotFinite,
    /// G0803: an output that cannot be written.
    OutputUnwritable,
    /// G0214: a file that cannot be read.
    Unreadable,
    /// G0804: a device that is not there or failed.
    DeviceFailed,
    /// G0805: more memory than the machine has.
    OutOfMemory,
    /// The user asked to stop; nothing half-made is left.
    Interrupted,
}

/// An error with one sentence and a way out.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeError {
    /// Which class.
    pub kind: ErrorKind,
    /// One sentence in the user's terms: lower case, no final period, user text in backticks.
    pub message: String,
    /// An imperative.
    pub help: Option<String>,
}

/// What the runtime's functions return.
pub type Result<T> = std::result::Result<T, RuntimeError>;

impl RuntimeError {
    /// An error of this class.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
        }
    }

    /// With a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl ErrorKind {
    /// The code that users see.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::ModelNotFound => "G0701",
            ErrorKind::ModelIncomplete => "G0702",
            ErrorKind::WeightsDamaged => "G0703",
            ErrorKind::TensorShape => "G0704",
            ErrorKind::Pickle => "G0705",
            ErrorKind::TensorMissing => "G0706",
            ErrorKind::BadConfig => "G0709",
            ErrorKind::BadTokenizer => "G0710",
            ErrorKind::BadSize => "G0711",
            ErrorKind::NotBound => "G0707",
            ErrorKind::BadBinding => "G0708",
            ErrorKind::NoSuchLayers => "G0607",
            ErrorKind::NotYet => "G0601",
            ErrorKind::BadPlan => "G0807",
            ErrorKind::LabelMissing => "G0801",
            ErrorKind::BadRecording => "G0806",
            ErrorKind::NotFinite => "G0802",
            ErrorKind::OutputUnwritable => "G0803",
            ErrorKind::Unreadable => "G0214",
            ErrorKind::DeviceFailed => "G0804",
            ErrorKind::OutOfMemory => "G0805",
            ErrorKind::Interrupted => "G0808",
        }
    }

    /// Whether the machine failed the request (exit code 3) rather than the request being wrong (1).
    pub fn is_machine(self) -> bool {
        matches!(
            self,
            ErrorKind::ModelNotFound
                | ErrorKind::ModelIncomplete
                | ErrorKind::WeightsDamaged
                | ErrorKind::TensorShape
                | ErrorKind::TensorMissing
                | ErrorKind::Unreadable
                | ErrorKind::OutputUnwritable
                | ErrorKind::DeviceFailed
                | ErrorKind::OutOfMemory
        )
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuntimeError {}

impl From<candle_core::Error> for RuntimeError {
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        // A device has no class of its own for this, only words.
        if text
            .to_lowercase()
            .replace('_', " ")
            .contains("out of memory")
        {
            return RuntimeError::new(ErrorKind::OutOfMemory, "the device has too little memory")
                .help("make the batch or the picture smaller, as with `--batch 1`");
        }
        RuntimeError::new(
            ErrorKind::DeviceFailed,
            format!("the tensor library failed: {text}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_memory_is_not_one_that_failed() {
        let kind = |text: &str| RuntimeError::from(candle_core::Error::Msg(text.into())).kind;
        assert_eq!(
            kind("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"),
            ErrorKind::OutOfMemory
        );
        assert_eq!(kind("no kernel"), ErrorKind::DeviceFailed);
    }
}
