//! Pictures: PNG files with a record of how they were made, contact sheets, masks.

mod font;
mod mask;
mod png;
mod read;
mod sheet;

pub use mask::{area_resize, read_mask};
pub use png::{KEY, encode_png, read_record, write_png};
pub use read::{read_picture, read_rgb};
pub use sheet::{Grid, contact_sheet};

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// A picture of 8-bit RGB, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// The pictures of a tensor `[B, 3, H, W]` in 0..1, rounded to the nearest of 256 values.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn of(tensor: &Tensor) -> Result<Vec<Self>> {
        let (_, _, height, width) = tensor.dims4()?;
        let values = tensor
            .permute((0, 2, 3, 1))?
            .to_dtype(DType::F32)?
            .to_device(&Device::Cpu)?;
        let values = values.flatten_all()?.to_vec1::<f32>()?;
        let byte = |value: &f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let pictures = values.chunks((height * width * 3).max(1));
        Ok(pictures
            .map(|picture| Self {
                width,
                height,
                rgb: picture.iter().map(byte).collect(),
            })
            .collect())
    }

    /// The mean of the differences from another picture of the same size, in levels of 256.
    pub fn levels_apart(&self, other: &Picture) -> f64 {
        let pairs = self.rgb.iter().zip(&other.rgb);
        let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / self.rgb.len().max(1) as f64
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self {
            width,
            height,
            rgb: colour.repeat(width * height),
        }
    }

    /// Copies `other` with its corner at `(left, top)`; what does not fit is left out.
    pub fn paste(&mut self, other: &Picture, left: usize, top: usize) {
        let columns = other.width.min(self.width.saturating_sub(left));
        for y in 0..other.height.min(self.height.saturating_sub(top)) {
            let from = 3 * y * other.width;
            let to = 3 * ((top + y) * self.width + left);
            self.rgb[to..to + 3 * columns].copy_from_slice(&other.rgb[from..from + 3 * columns]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_become_bytes_channel_by_channel() {
        let values: Vec<f32> = vec![0.0, 1.0, 0.5, 2.0, -1.0, 0.25];
        let tensor = Tensor::from_vec(values, (1, 3, 1, 2), &Device::Cpu).expect("a tensor");
        let pictures = Picture::of(&tensor).expect("pictures");
        let rgb = vec![0, 128, 0, 255, 255, 64];
        assert_eq!(
            pictures,
            [Picture {
                width: 2,
                height: 1,
                rgb
            }]
        );
    }
}
