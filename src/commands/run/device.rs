//! `--device` and `--dtype`.

use guide_runtime::device::{DType, Device, open};

use crate::args::Dtype;
use crate::exit::{Failure, Result};

/// The device that a word names: `cpu`, `cuda`, `cuda:N`, `metal`.
pub fn of(word: &str) -> Result<Device> {
    let (kind, place) = word.split_once(':').unwrap_or((word, "0"));
    let place = place
        .parse()
        .ok()
        .filter(|_| kind == "cuda" || word == kind);
    match (kind, place) {
        ("cpu" | "cuda" | "metal", Some(place)) => Ok(open(kind, place)?),
        _ => Err(Failure::Usage(format!(
            "there is no device '{word}'; write cpu, cuda, cuda:N or metal"
        ))),
    }
}

/// The numbers that the network computes with.
pub fn dtype(asked: Option<Dtype>, device: &Device) -> DType {
    match asked {
        Some(Dtype::F16) => DType::F16,
        Some(Dtype::Bf16) => DType::BF16,
        Some(Dtype::F32) => DType::F32,
        None if device.is_cpu() => DType::F32,
        None => DType::F16,
    }
}
