//! Stable Diffusion 1.5 on a CPU against candle-transformers, both with the same random weights, in turns:
//! `cargo bench --bench unet [-- unet | vae | ops | inside]`. The last lines are tables for the manual. With
//! `-- open DIR` it says how long a model's folder takes to open.
//!
//! Machines differ, and so does what else they do meanwhile; the ratio of two times taken in turns is what
//! this is about. A UNet and its baseline together need 9 GB of memory and 4 GB of disk.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

mod inside;
mod network;
mod ops;
mod turns;

use candle_core::Tensor;

fn main() {
    // As the command line does.
    guide_runtime::device::keep_freed_memory();
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let asked = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    if let [what, path] = words.as_slice()
        && what == network::DECODE
    {
        return network::decode_once(path);
    }
    if let [what, folder] = words.as_slice()
        && what == "open"
    {
        return network::open(folder);
    }
    println!(
        "instructions: {}; threads: {}",
        guide_runtime::kernels::instructions(),
        rayon::current_num_threads()
    );
    if asked("ops") {
        ops::run();
    }
    if asked("inside") {
        inside::run();
    }
    if asked("unet") {
        network::unet();
    }
    if asked("vae") {
        network::vae();
    }
}

/// Numbers without a pattern, about -1.7..1.7, of deviation 1.
fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 3.464
    };
    let count: usize = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| next()).collect();
    Tensor::from_vec(numbers, shape, &candle_core::Device::Cpu).unwrap()
}
