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

/// The memory that is free for programs, in bytes, where the system tells.
pub fn free_memory() -> Option<u64> {
    stated("/proc/meminfo", "MemAvailable:")
}

/// The machine's memory, in bytes, where the system tells.
pub fn all_memory() -> Option<u64> {
    stated("/proc/meminfo", "MemTotal:")
}

/// The memory that this process holds, in bytes, where the system tells.
pub fn held_memory() -> Option<u64> {
    stated("/proc/self/status", "VmRSS:")
}

/// The most memory that this process has held, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    stated("/proc/self/status", "VmHWM:")
}

/// A number of bytes that a file of the system gives in KiB.
fn stated(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Tells the system's allocator to keep what is freed instead of giving it back to the kernel at once.
///
/// Every tensor operation takes and frees megabytes. Where each such piece is returned and asked for
/// anew, the kernel clears its pages each time, which takes longer than the arithmetic. For programs to
/// call once, first of all; it does nothing where the allocator is not glibc's.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    allocator::keep_freed();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    /// The largest that glibc takes for pieces to come from the heap, which is kept.
    const FROM_HEAP: libc::c_int = 32 << 20;
    /// How much may lie free at the heap's end.
    const KEPT: libc::c_int = 1 << 30;

    #[allow(unsafe_code, reason = "the allocator is set by a C function")]
    pub fn keep_freed() {
        // SAFETY: `mallopt` takes two numbers by value and may be called at any time.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, FROM_HEAP);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
