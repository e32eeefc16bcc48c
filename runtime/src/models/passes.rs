//! Which samples go through a network together.

use candle_core::{DType, Device};

use super::answer::Asked;
use crate::error::Result;

/// What one forward pass answers: questions by number, and their rows.
pub type Pass = Vec<(usize, usize)>;

/// On another device than a CPU, where nothing else is said.
const ON_A_DEVICE: usize = 16;
/// On a CPU: each layer's weights then pass the caches half as often.
const ON_A_CPU: usize = 2;

/// Latents of up to this many places go through the network one by one, each on a thread of its own;
/// larger ones have all threads, so that memory holds one forward pass at a time.
pub const SMALL_LATENT: usize = 32 * 32;

/// Bytes that a forward pass holds at once, for each place of the latent and each channel of the first
/// level: some fifty maps in f32. Measured on the UNets of Stable Diffusion, and rounded up.
const BYTES_A_PLACE: u64 = 200;

/// Forward passes, and how many of them run beside one another.
#[derive(Debug, PartialEq, Eq)]
pub struct Passes {
    /// In the order of the questions and their rows.
    pub passes: Vec<Pass>,
    /// How many at once.
    pub beside: usize,
}

/// How the rows of questions are put together: `most` in a pass, where somebody says so.
///
/// All rows of a question go together whose samples see one another. Rows go together that one network answers without changes inside, for texts of one length; rows of one
/// question always may. On a CPU only in f32, where a row's numbers do not depend on the others to the
/// bit.
///
/// # Errors
/// A question whose latents have no height and width.
pub fn passes(asked: &[Asked<'_>], most: Option<usize>, device: &Device) -> Result<Passes> {
    let mut places = 0;
    for one in asked {
        let (_, _, height, width) = one.question.x.dims4()?;
        places = places.max(height * width);
    }
    let on_cpu = device.is_cpu();
    let is_small = on_cpu && places <= SMALL_LATENT && most.is_none();
    let most = match most {
        Some(most) => most.max(1),
        None if is_small => 1,
        None if on_cpu && !fits(asked, places) => 1,
        None if on_cpu => ON_A_CPU,
        None => ON_A_DEVICE,
    };
    let mut passes: Vec<Pass> = Vec::new();
    for (number, one) in asked.iter().enumerate() {
        for row in 0..one.question.rows.len() {
            let open = passes.last_mut().filter(|pass| {
                let first = pass.first().and_then(|(first, _)| asked.get(*first));
                let fits = pass.len() < most || one.hooks.couples();
                fits && first.is_some_and(|first| together(first, one, on_cpu))
            });
            match open {
                Some(pass) => pass.push((number, row)),
                None => passes.push(vec![(number, row)]),
            }
        }
    }
    // A thread that waits inside a forward pass may begin another; as many at once as there are threads
    // bounds how deep they nest and how much memory they hold.
    let beside = if is_small {
        rayon::current_num_threads()
    } else {
        1
    };
    Ok(Passes { passes, beside })
}

fn together(a: &Asked<'_>, b: &Asked<'_>, on_cpu: bool) -> bool {
    let alike = std::ptr::eq(a.network, b.network)
        && a.text.states.dims().get(1) == b.text.states.dims().get(1)
        && a.question.x.dims().get(1..) == b.question.x.dims().get(1..);
    let unchanged = std::ptr::eq(a, b) || (a.is_plain() && b.is_plain());
    let apart = on_cpu && a.network.unet.dtype() != DType::F32 && !a.hooks.couples();
    alike && unchanged && !apart
}

/// Whether the memory that is free holds one more sample's forward pass.
fn fits(asked: &[Asked<'_>], places: usize) -> bool {
    let channels = |one: &Asked<'_>| one.network.unet.config().block_out_channels[0] as u64;
    let most = asked.iter().map(channels).max().unwrap_or(0);
    let more = BYTES_A_PLACE
        .saturating_mul(places as u64)
        .saturating_mul(most);
    crate::device::free_memory().is_none_or(|free| more <= free / 2)
}
