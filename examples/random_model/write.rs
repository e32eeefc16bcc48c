//! Writing a model's folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use half::f16;
use serde_json::{Map, Value, json};

use super::model::Model;
use super::shapes::{self, Shape};

/// What is written.
#[derive(Clone, Debug)]
pub struct Request {
    /// The model.
    pub model: Model,
    /// Where; nothing may lie there.
    pub folder: PathBuf,
    /// In which numbers.
    pub dtype: Dtype,
    /// Which random numbers.
    pub seed: u64,
}

/// The numbers of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
}

/// How many numbers are written at once.
const NUMBERS_AT_ONCE: usize = 1 << 18;

/// How many bytes are written between two words about the progress.
const WORD_EVERY: u64 = 1 << 28;

/// Writes the folder beside its place and moves it there. `progress` is told a part, the bytes of it that
/// are written, and all of its bytes.
///
/// # Errors
/// A sentence where the folder is taken or cannot be written.
pub fn write(request: &Request, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<(), String> {
    let folder = &request.folder;
    if folder.exists() {
        return Err(format!("'{}' is there already", folder.display()));
    }
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let beside = folder.with_file_name(name);
    let said = |error: std::io::Error| format!("'{}' cannot be written: {error}", folder.display());
    let result = write_all(request, &beside, progress).and_then(|()| fs::rename(&beside, folder));
    if result.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    result.map_err(said)
}

fn write_all(
    request: &Request,
    folder: &Path,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> std::io::Result<()> {
    let put = |path: &str, text: &str| {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)
    };
    for (path, config) in &request.model.configs {
        put(path, &format!("{config:#}\n"))?;
    }
    for (path, text) in request.model.tokenizer_files() {
        put(&path, &text)?;
    }
    for (path, config) in &request.model.configs {
        let Some(part) = path.strip_suffix("/config.json") else {
            continue;
        };
        let (stem, shapes) = match part {
            "unet" => ("diffusion_pytorch_model", shapes::unet(config)),
            "vae" => ("diffusion_pytorch_model", shapes::vae(config)),
            _ => ("model", shapes::text_encoder(config)),
        };
        let file = folder.join(part).join(format!("{stem}.safetensors"));
        let mut told = |done, total| progress(part, done, total);
        weights(&file, part, &shapes, request, &mut told)?;
    }
    Ok(())
}

/// Writes a safetensors file, tensor after tensor.
fn weights(
    file: &Path,
    part: &str,
    shapes: &[Shape],
    request: &Request,
    progress: &mut dyn FnMut(u64, u64),
) -> std::io::Result<()> {
    let (name, size) = match request.dtype {
        Dtype::F32 => ("F32", 4),
        Dtype::F16 => ("F16", 2),
    };
    let mut header = Map::new();
    let mut total = 0;
    for shape in shapes {
        let end = total + (shape.count() * size) as u64;
        let entry = json!({"dtype": name, "shape": shape.sides, "data_offsets": [total, end]});
        header.insert(shape.name.clone(), entry);
        total = end;
    }
    let mut header = Value::Object(header).to_string();
    // Tensors begin at a multiple of eight bytes.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut out = File::create(file)?;
    let mut bytes = Vec::with_capacity(size * NUMBERS_AT_ONCE);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    let (mut done, mut said) = (0, 0);
    for shape in shapes {
        let mut numbers = Numbers::new(request.seed, part, &shape.name);
        let (middle, spread) = spread(shape);
        let mut left = shape.count();
        while left > 0 {
            let some = left.min(NUMBERS_AT_ONCE);
            bytes.clear();
            let numbers = (0..some).map(|_| middle + spread * numbers.next());
            match request.dtype {
                Dtype::F32 => numbers.for_each(|n| bytes.extend(n.to_le_bytes())),
                Dtype::F16 => numbers.for_each(|n| bytes.extend(f16::from_f32(n).to_le_bytes())),
            }
            out.write_all(&bytes)?;
            left -= some;
        }
        done += (shape.count() * size) as u64;
        if done - said >= WORD_EVERY || done == total {
            progress(done, total);
            said = done;
        }
    }
    Ok(())
}

/// The middle and half the width of a tensor's uniform numbers: those of weights keep the size of what
/// goes through them; scales of norms lie about 1.
fn spread(shape: &Shape) -> (f32, f32) {
    if shape.name.ends_with("_embedding.weight") {
        return (0.0, 0.05);
    }
    match (shape.sides.len(), shape.name.ends_with(".bias")) {
        (1, false) => (1.0, 0.1),
        (1, true) => (0.0, 0.05),
        _ => {
            let inputs: usize = shape.sides[1..].iter().product();
            (0.0, (3.0 / inputs as f32).sqrt())
        }
    }
}

/// Uniform numbers in -1..1, by SplitMix64, from a place that is a tensor's own.
struct Numbers(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Numbers {
    fn new(seed: u64, part: &str, tensor: &str) -> Self {
        let bytes = part.bytes().chain(tensor.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mix(seed.wrapping_add(GOLDEN)) ^ hash)
    }

    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(GOLDEN);
        // 24 bits are what an f32 holds.
        (mix(self.0) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
