//! Masks: a picture's luminance, area-averaged to the size of the latents.

use std::path::Path;

use candle_core::{Device, Tensor};

use crate::error::{ErrorKind, Result, RuntimeError};

/// Reads a picture as a mask `[1, 1, height, width]` of numbers in 0..1.
///
/// The luminance is Rec. 709's of the stored values; what is transparent counts as black.
///
/// # Errors
/// A file that cannot be read or is no picture.
pub fn read_mask(path: &Path, height: usize, width: usize) -> Result<Tensor> {
    let picture = open(path)?;
    let pixels = picture.to_rgba32f();
    let luminance = |p: &image::Rgba<f32>| {
        let [r, g, b, a] = p.0.map(f64::from);
        a * (0.2126 * r + 0.7152 * g + 0.0722 * b)
    };
    let values: Vec<f64> = pixels.pixels().map(luminance).collect();
    let from = (pixels.height() as usize, pixels.width() as usize);
    let small = area_resize(&values, from, (height, width));
    let numbers: Vec<f32> = small.iter().map(|v| v.clamp(0.0, 1.0) as f32).collect();
    Ok(Tensor::from_vec(
        numbers,
        (1, 1, height, width),
        &Device::Cpu,
    )?)
}

/// Opens a picture file.
///
/// # Errors
/// `Unreadable` where the machine fails, `BadBinding` for what is no picture.
pub(super) fn open(path: &Path) -> Result<image::DynamicImage> {
    image::open(path).map_err(|error| match error {
        image::ImageError::IoError(error) => RuntimeError::new(
            ErrorKind::Unreadable,
            format!("`{}` cannot be read: {error}", path.display()),
        ),
        error => RuntimeError::new(
            ErrorKind::BadBinding,
            format!(
                "`{}` is no picture that can be read: {error}",
                path.display()
            ),
        )
        .help("give a PNG or JPEG file"),
    })
}

/// The mean over the area that each new pixel covers; sizes are (height, width).
pub fn area_resize(values: &[f64], from: (usize, usize), to: (usize, usize)) -> Vec<f64> {
    let (rows, columns) = (shares(from.0, to.0), shares(from.1, to.1));
    let mut out = Vec::with_capacity(to.0 * to.1);
    for row in &rows {
        for column in &columns {
            let mut sum = 0.0;
            for (y, share_y) in row {
                for (x, share_x) in column {
                    sum += share_y * share_x * values.get(y * from.1 + x).copied().unwrap_or(0.0);
                }
            }
            out.push(sum);
        }
    }
    out
}

/// For each new cell of an axis, which old cells it covers and with what share of its length.
fn shares(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let cell = from as f64 / to as f64;
    let overlap = |i: usize, start: f64, end: f64| {
        (end.min((i + 1) as f64) - start.max(i as f64)).max(0.0) / cell
    };
    let covered = |k: usize| {
        let (start, end) = (k as f64 * cell, (k + 1) as f64 * cell);
        let cells = (start.floor() as usize)..(end.ceil() as usize).min(from);
        cells
            .map(|i| (i, overlap(i, start, end)))
            .filter(|(_, share)| *share > 0.0)
            .collect()
    };
    (0..to).map(covered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_are_their_means() {
        let values: Vec<f64> = (0..16).map(f64::from).collect();
        assert_eq!(area_resize(&values, (4, 4), (2, 2)), [2.5, 4.5, 10.5, 12.5]);
        let spread = area_resize(&[3.0], (1, 1), (2, 3));
        assert!(spread.len() == 6 && spread.iter().all(|v| (v - 3.0).abs() < 1e-12));
    }

    #[test]
    fn cut_cells_count_by_their_share() {
        let small = area_resize(&[0.0, 3.0, 6.0], (1, 3), (1, 2));
        assert!((small[0] - 1.0).abs() < 1e-12 && (small[1] - 5.0).abs() < 1e-12);
    }

    #[test]
    fn a_mask_is_luminance() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.png");
        let picture = super::super::Picture {
            width: 2,
            height: 1,
            rgb: vec![255, 255, 255, 0, 255, 0],
        };
        super::super::write_png(&path, &picture, None).expect("written");
        let mask = read_mask(&path, 1, 2)
            .and_then(|m| Ok(m.flatten_all()?.to_vec1::<f32>()?))
            .expect("a mask");
        assert!((mask[0] - 1.0).abs() < 1e-6 && (mask[1] - 0.7152).abs() < 1e-6);
        assert_eq!(
            read_mask(&folder.path().join("x.png"), 1, 1)
                .expect_err("none")
                .kind,
            ErrorKind::Unreadable
        );
    }
}
