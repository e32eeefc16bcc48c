//! One safetensors file: its header checked, its tensors handed out.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::Bytes;
use super::naming::{Stored, Taken};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::kernels::Numbers;

/// The safetensors format allows no longer header.
const MAX_HEADER_BYTES: usize = 100_000_000;

/// A safetensors file whose header has been checked against its length.
#[derive(Debug)]
pub struct WeightsFile {
    /// What it is called in messages.
    shown: String,
    bytes: Bytes,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl WeightsFile {
    /// Checks a file's header: its length, its JSON, every tensor's place and size.
    ///
    /// # Errors
    /// `WeightsDamaged`, saying whether the file is cut short or its header is wrong.
    pub fn open(shown: &str, bytes: Bytes) -> Result<Self> {
        let all = bytes.as_ref();
        let (entries, metadata) = entries(all).map_err(|why| {
            RuntimeError::new(ErrorKind::WeightsDamaged, format!("`{shown}` {why}"))
                .help("fetch the file again and compare its size with the publisher's")
        })?;
        Ok(Self {
            shown: shown.to_owned(),
            bytes,
            entries,
            metadata,
        })
    }

    /// What it is called in messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The names of its tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// How many numbers all tensors have together.
    pub fn count(&self) -> u64 {
        let count = |entry: &Entry| entry.shape.iter().map(|side| *side as u64).product::<u64>();
        self.entries.values().map(count).sum()
    }

    /// What its header says of the whole.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The shape of what is taken of a tensor; `None` where it cannot be taken.
    pub fn shape_of(&self, stored: &Stored) -> Option<Vec<usize>> {
        let shape = self.shape(&stored.name)?;
        match (stored.taken, shape) {
            (Taken::Whole, _) => Some(shape.to_vec()),
            (Taken::Third(_), [rows, rest @ ..]) => {
                Some([&[rows / 3], rest].concat()).filter(|_| rows % 3 == 0)
            }
            (Taken::Turned, [rows, columns]) => Some(vec![*columns, *rows]),
            _ => None,
        }
    }

    /// The numbers of what is taken of a tensor where they lie; `None` where they cannot be read there.
    pub fn lying(&self, stored: &Stored) -> Option<Numbers<'_>> {
        let entry = self.entries.get(&stored.name)?;
        let bytes = self.bytes.as_ref().get(entry.bytes.clone())?;
        let dtype = match entry.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            _ => return None,
        };
        let bytes = match stored.taken {
            Taken::Whole => bytes,
            Taken::Third(place) => third(bytes, place),
            Taken::Turned => return None,
        };
        Numbers::of(dtype, bytes)
    }

    /// What is taken of a tensor as `dtype`, in memory of `device`; `None` where it holds no such tensor.
    ///
    /// # Errors
    /// A tensor that holds something else than floating-point numbers; a device without room.
    pub fn tensor(&self, stored: &Stored, dtype: DType, device: &Device) -> Result<Option<Tensor>> {
        let name = &stored.name;
        let (Some(entry), Some(shape)) = (self.entries.get(name), self.shape_of(stored)) else {
            return Ok(None);
        };
        let Some(bytes) = self.bytes.as_ref().get(entry.bytes.clone()) else {
            return Err(RuntimeError::new(
                ErrorKind::WeightsDamaged,
                format!("`{}` ends before tensor `{name}`", self.shown),
            ));
        };
        match stored.taken {
            Taken::Whole => self.numbers(name, entry.dtype, bytes, &shape, dtype, device),
            Taken::Third(place) => {
                let third = third(bytes, place);
                self.numbers(name, entry.dtype, third, &shape, dtype, device)
            }
            Taken::Turned => {
                let stored = self.numbers(name, entry.dtype, bytes, &entry.shape, dtype, device)?;
                Ok(stored.t()?.contiguous()?)
            }
        }
        .map(Some)
    }

    /// A tensor of these bytes.
    fn numbers(
        &self,
        name: &str,
        stored: Dtype,
        bytes: &[u8],
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        Ok(match (stored, device, dtype) {
            // On a CPU halves are widened while they are read, so that no half-precision copy is made.
            (Dtype::F16, Device::Cpu, DType::F32) => Tensor::from_vec(
                words(bytes, |pair| f16::from_le_bytes(pair).to_f32()),
                shape,
                device,
            )?,
            (Dtype::BF16, Device::Cpu, DType::F32) => Tensor::from_vec(
                words(bytes, |pair| bf16::from_le_bytes(pair).to_f32()),
                shape,
                device,
            )?,
            (Dtype::F32, Device::Cpu, DType::F32) => {
                Tensor::from_vec(words(bytes, f32::from_le_bytes), shape, device)?
            }
            (Dtype::F16, ..) => {
                Tensor::from_raw_buffer(bytes, DType::F16, shape, device)?.to_dtype(dtype)?
            }
            (Dtype::BF16, ..) => {
                Tensor::from_raw_buffer(bytes, DType::BF16, shape, device)?.to_dtype(dtype)?
            }
            (Dtype::F32, ..) => {
                Tensor::from_raw_buffer(bytes, DType::F32, shape, device)?.to_dtype(dtype)?
            }
            (Dtype::F64, ..) => Tensor::from_vec(words(bytes, f64::from_le_bytes), shape, device)?
                .to_dtype(dtype)?,
            (other, ..) => {
                return Err(RuntimeError::new(
                    ErrorKind::WeightsDamaged,
                    format!(
                        "tensor `{name}` of `{}` holds {other:?}, not floating-point numbers",
                        self.shown
                    ),
                ));
            }
        })
    }

    /// Lets go of the memory that a tensor's part of the mapping takes: its numbers have been copied.
    pub fn release(&self, stored: &Stored) {
        if let Some(entry) = self.entries.get(&stored.name) {
            self.bytes.release(entry.bytes.clone());
        }
    }

    /// What the file seems to be, by the names of its tensors.
    pub fn seems(&self) -> &'static str {
        const SIGNS: [(&str, &str); 9] = [
            ("model.diffusion_model.", "a single-file checkpoint"),
            ("lora", "a LoRA"),
            ("control_", "a control network"),
            ("controlnet_", "a control network"),
            ("double_blocks.", "a Flux transformer"),
            ("add_embedding.", "the UNet of SDXL"),
            ("text_model.", "a CLIP text encoder"),
            ("down_blocks.", "a UNet"),
            ("decoder.", "an autoencoder"),
        ];
        let sign = SIGNS
            .iter()
            .find(|(sign, _)| self.entries.keys().any(|name| name.contains(sign)));
        // An autoencoder's blocks stand below `encoder.` and `decoder.`, a UNet's at the top.
        match sign {
            Some(("down_blocks.", _))
                if self.entries.keys().any(|name| name.starts_with("decoder.")) =>
            {
                "an autoencoder"
            }
            Some((_, what)) => what,
            None => "something else",
        }
    }
}

/// One of three equal parts.
fn third(bytes: &[u8], place: usize) -> &[u8] {
    let parts = bytes.chunks((bytes.len() / 3).max(1));
    parts.into_iter().nth(place).unwrap_or_default()
}

/// The tensors and the metadata of a file.
type Header = (BTreeMap<String, Entry>, BTreeMap<String, String>);

/// The header of a file, or what is wrong with it.
fn entries(all: &[u8]) -> std::result::Result<Header, String> {
    let Some((length, rest)) = all.split_first_chunk::<8>() else {
        return Err(format!(
            "is cut short: it has {} bytes, fewer than a header's length needs",
            all.len()
        ));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(..length));
    let Some(header) = header else {
        return Err(format!(
            "is cut short or no safetensors file: its header would have {length} bytes, the file has {} more",
            rest.len()
        ));
    };
    if header.len() > MAX_HEADER_BYTES {
        return Err(format!(
            "has a header of {length} bytes, and none has more than {MAX_HEADER_BYTES}"
        ));
    }
    // Reading it checks that tensors follow one another and are as long as their shapes say.
    let metadata: Metadata =
        serde_json::from_slice(header).map_err(|error| format!("has a damaged header: {error}"))?;
    let start = 8 + header.len();
    let mut entries = BTreeMap::new();
    let mut end = start;
    let infos: BTreeMap<String, _> = metadata.tensors().into_iter().collect();
    for (name, info) in infos {
        let (from, to) = info.data_offsets;
        let (Some(from), Some(to)) = (start.checked_add(from), start.checked_add(to)) else {
            return Err(format!(
                "has a damaged header: tensor `{name}` lies at impossible offsets"
            ));
        };
        end = end.max(to);
        let entry = Entry {
            dtype: info.dtype,
            shape: info.shape.clone(),
            bytes: from..to,
        };
        entries.insert(name, entry);
    }
    if end != all.len() {
        let what = if end > all.len() {
            "is cut short"
        } else {
            "has bytes that its header does not speak of"
        };
        return Err(format!(
            "{what}: by its header it has {end} bytes, in truth {}",
            all.len()
        ));
    }
    let said = metadata.metadata().iter().flatten();
    let said = said.map(|(key, value)| (key.clone(), value.clone()));
    Ok((entries, said.collect()))
}

/// Numbers that a thread copies at least.
const COPIED_AT_ONCE: usize = 1 << 16;

/// The numbers of a little-endian buffer.
fn words<const N: usize, T: Send>(bytes: &[u8], read: impl Fn([u8; N]) -> T + Sync) -> Vec<T> {
    let words = bytes.as_chunks::<N>().0.par_iter();
    words
        .with_min_len(COPIED_AT_ONCE)
        .map(|word| read(*word))
        .collect()
}
