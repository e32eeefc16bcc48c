//! Latents in safetensors files: `--init-latents` and `--save-latents`.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::files::write_whole;

/// The tensor's name in the file.
pub const NAME: &str = "latents";

/// Reads the tensor `name` of a safetensors file as f32, on the CPU.
///
/// # Errors
/// A file that cannot be read, is no safetensors file, or lacks the tensor.
pub fn read(path: &Path, name: &str) -> Result<Tensor> {
    let bytes = std::fs::read(path).map_err(|error| {
        RuntimeError::new(
            ErrorKind::Unreadable,
            format!("`{}` cannot be read: {error}", path.display()),
        )
    })?;
    let mut tensors =
        candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|_| {
            RuntimeError::new(
                ErrorKind::BadBinding,
                format!("`{}` is no safetensors file", path.display()),
            )
        })?;
    let tensor = tensors.remove(name).ok_or_else(|| {
        let mut names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        RuntimeError::new(
            ErrorKind::BadBinding,
            format!("`{}` holds no tensor `{name}`", path.display()),
        )
        .help(format!(
            "name it `{name}`; the file holds {}",
            names.join(", ")
        ))
    })?;
    Ok(tensor.to_dtype(DType::F32)?)
}

/// Every tensor of a safetensors file in memory, by name, on the CPU.
///
/// # Errors
/// Bytes that are no safetensors file.
pub fn all(bytes: &[u8]) -> Result<HashMap<String, Tensor>> {
    Ok(candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?)
}

/// The numbers of latents, one after the other.
///
/// # Errors
/// The device fails.
pub fn numbers(latents: &Tensor) -> Result<Vec<f32>> {
    Ok(latents.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// Writes latents, `[B, C, H, W]`, so that they stand there whole or not at all.
///
/// # Errors
/// A place that cannot be written to.
pub fn write(path: &Path, latents: &Tensor) -> Result<()> {
    let numbers = numbers(latents)?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let unwritable = |error: &dyn std::fmt::Display| {
        RuntimeError::new(
            ErrorKind::OutputUnwritable,
            format!("`{}` cannot be written: {error}", path.display()),
        )
    };
    let view = safetensors::tensor::TensorView::new(
        safetensors::Dtype::F32,
        latents.dims().to_vec(),
        &bytes,
    )
    .map_err(|error| unwritable(&error))?;
    let meta: Option<HashMap<String, String>> = None;
    let file = safetensors::serialize([(NAME, view)], meta).map_err(|error| unwritable(&error))?;
    write_whole(path, &file)
}

/// Each sample's latents, `[1, C, H, W]`.
///
/// # Errors
/// What the tensor library reports.
pub fn rows(latents: &Tensor) -> Result<Vec<Tensor>> {
    (0..latents.dim(0)?)
        .map(|row| Ok(latents.narrow(0, row, 1)?))
        .collect()
}

/// How far latents lie from others, as a share of these: the norm of the difference over their norm.
///
/// # Errors
/// The device fails, or the shapes differ.
pub fn distance(latents: &Tensor, from: &Tensor) -> Result<f64> {
    let norm = |tensor: &Tensor| -> Result<f64> {
        let squares = tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        Ok(squares.to_scalar::<f64>()?.sqrt())
    };
    Ok(norm(&(latents - from)?)? / norm(from)?.max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        let latents = Tensor::arange(0f32, 24f32, &Device::Cpu)
            .and_then(|t| t.reshape((2, 3, 2, 2)))
            .expect("a tensor");
        write(&path, &latents).expect("written");
        let back = read(&path, NAME).expect("read");
        assert_eq!(back.dims(), latents.dims());
        let flat = |t: &Tensor| {
            t.flatten_all()
                .and_then(|t| t.to_vec1::<f32>())
                .expect("numbers")
        };
        assert_eq!(flat(&back), flat(&latents));
        let error = read(&path, "noise").expect_err("no such tensor");
        assert_eq!(
            error.help.as_deref(),
            Some("name it `noise`; the file holds latents")
        );
        assert_eq!(
            read(&folder.path().join("b"), NAME)
                .expect_err("no file")
                .kind,
            ErrorKind::Unreadable
        );
    }
}
