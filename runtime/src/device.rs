//! Where tensors lie and what their numbers are.

pub use candle_core::{DType, Device, Tensor};

use crate::error::{ErrorKind, Result, RuntimeError};

/// The device of that kind (`cpu`, `cuda`, `metal`) and number.
///
/// # Errors
/// A device that is not there, or that this program was built without.
pub fn open(kind: &str, number: usize) -> Result<Device> {
    let opened = match kind {
        "cuda" => Device::new_cuda(number),
        "metal" => Device::new_metal(number),
        _ => Ok(Device::Cpu),
    };
    opened.map_err(|error| {
        let message = format!("the device `{kind}:{number}` cannot be used: {error}");
        RuntimeError::new(ErrorKind::DeviceFailed, message)
            .help("use `--device cpu`, or build with the feature `cuda` or `metal`")
    })
}
