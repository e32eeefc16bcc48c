//! What a run takes of the machine's memory.

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_runtime::device::all_memory;

use crate::exit::Result;

/// Refuses a run whose results alone are larger than the machine's memory: the latents, in f32, the
/// pictures' bytes, and those of the sheet that shows them all. Sides are (height, width).
pub fn check(batch: u32, latent: &[usize], picture: (usize, usize)) -> Result<()> {
    let bytes = |sides: &[usize], each: u64| {
        let times = |bytes: u64, side: &usize| bytes.saturating_mul(*side as u64);
        sides.iter().fold(each, times)
    };
    let one = bytes(latent, 4).saturating_add(bytes(&[picture.0, picture.1], 6));
    let all = one.saturating_mul(u64::from(batch));
    if all_memory().is_none_or(|there| all <= there) {
        return Ok(());
    }
    let message = format!(
        "the results of `--batch {batch}` alone take {} GiB, more than this machine has",
        all >> 30
    );
    Err(Diagnostic::new(Code::OutOfMemory, message)
        .help("make fewer pictures at once, as in `--batch 4`, or smaller ones")
        .into())
}
