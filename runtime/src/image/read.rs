//! Picture files as tensors.

use std::path::Path;

use candle_core::{Device, Tensor};
use image::imageops::FilterType;

use super::Picture;
use super::mask::open;
use crate::error::Result;

/// A picture file as a tensor `[1, 3, height, width]` in 0..1, brought to that size by Lanczos' filter
/// as wide as what it makes smaller. What is transparent is as its colour says.
///
/// # Errors
/// A file that cannot be read or is no picture.
pub fn read_picture(path: &Path, height: usize, width: usize) -> Result<Tensor> {
    let picture = open(path)?.to_rgb32f();
    let wanted = (width as u32, height as u32);
    let picture = if picture.dimensions() == wanted {
        picture
    } else {
        image::imageops::resize(&picture, wanted.0, wanted.1, FilterType::Lanczos3)
    };
    let channel = |at: usize| picture.pixels().map(move |p| p.0[at].clamp(0.0, 1.0));
    let numbers: Vec<f32> = (0..3).flat_map(channel).collect();
    Ok(Tensor::from_vec(
        numbers,
        (1, 3, height, width),
        &Device::Cpu,
    )?)
}

/// A picture file as it is. What is transparent is as its colour says.
///
/// # Errors
/// A file that cannot be read or is no picture.
pub fn read_rgb(path: &Path) -> Result<Picture> {
    let picture = open(path)?.to_rgb8();
    Ok(Picture {
        width: picture.width() as usize,
        height: picture.height() as usize,
        rgb: picture.into_raw(),
    })
}
