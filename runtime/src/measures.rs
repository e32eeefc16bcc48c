//! What is measured of pictures, without a network.

use crate::image::Picture;

/// What a picture is like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// The mean of HSV's saturation, in 0..=1.
    pub saturation: f64,
    /// The standard deviation of its brightness, in levels of 256.
    pub contrast: f64,
    /// The share of its numbers that are 0 or 255.
    pub clipped: f64,
    /// The mean size of the Laplacian of its brightness, in levels of 256.
    pub sharpness: f64,
}

impl Measures {
    /// Of a picture.
    pub fn of(picture: &Picture) -> Self {
        let grey = brightness(picture);
        let ends = picture.rgb.iter().filter(|value| matches!(value, 0 | 255));
        Self {
            saturation: saturation(picture),
            contrast: deviation(&grey),
            clipped: ends.count() as f64 / picture.rgb.len().max(1) as f64,
            sharpness: laplacian(&grey, picture.width, picture.height),
        }
    }
}

/// The mean difference between every two pictures, in levels of 256; 0 for fewer than two.
pub fn diversity(pictures: &[&Picture]) -> f64 {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (at, one) in pictures.iter().enumerate() {
        for other in &pictures[..at] {
            sum += one.levels_apart(other);
            pairs += 1.0;
        }
    }
    sum / f64::max(pairs, 1.0)
}

/// Rec. 601 luma of each pixel, in levels of 256.
fn brightness(picture: &Picture) -> Vec<f64> {
    let pixels = picture.rgb.as_chunks::<3>().0.iter();
    let of =
        |[r, g, b]: &[u8; 3]| 0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b);
    pixels.map(of).collect()
}

fn saturation(picture: &Picture) -> f64 {
    let pixels = picture.rgb.as_chunks::<3>().0;
    let of = |pixel: &[u8; 3]| {
        let most = f64::from(pixel.iter().copied().max().unwrap_or(0));
        let least = f64::from(pixel.iter().copied().min().unwrap_or(0));
        (most - least) / most.max(1.0)
    };
    pixels.iter().map(of).sum::<f64>() / pixels.len().max(1) as f64
}

fn deviation(grey: &[f64]) -> f64 {
    let count = grey.len().max(1) as f64;
    let mean = grey.iter().sum::<f64>() / count;
    let squares = grey.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / count).sqrt()
}

fn laplacian(grey: &[f64], width: usize, height: usize) -> f64 {
    let mut sum = 0.0;
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let at = y * width + x;
            let round = grey[at - 1] + grey[at + 1] + grey[at - width] + grey[at + width];
            sum += (4.0 * grey[at] - round).abs();
        }
    }
    sum / (width.saturating_sub(2) * height.saturating_sub(2)).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_pictures_have_no_contrast_and_colours_are_saturated() {
        let grey = Measures::of(&Picture::filled(4, 3, [100, 100, 100]));
        assert_eq!(grey, Measures::default());
        let red = Measures::of(&Picture::filled(4, 3, [255, 0, 0]));
        assert_eq!((red.saturation, red.clipped, red.contrast), (1.0, 1.0, 0.0));
    }

    #[test]
    fn contrast_and_sharpness_are_those_of_the_formula() {
        let mut picture = Picture::filled(3, 3, [0, 0, 0]);
        picture.rgb[12..15].fill(90);
        let measures = Measures::of(&picture);
        // One pixel of nine is 90 above the others.
        let deviation = 90.0 * (1.0f64 / 9.0 - 1.0 / 81.0).sqrt();
        assert!((measures.contrast - deviation).abs() < 1e-9);
        assert!((measures.sharpness - 4.0 * 90.0).abs() < 1e-9);
        assert!((measures.clipped - 8.0 / 9.0).abs() < 1e-9);
    }

    #[test]
    fn diversity_is_the_mean_over_pairs() {
        let pictures = [0, 10, 40].map(|level| Picture::filled(2, 2, [level; 3]));
        let all: Vec<&Picture> = pictures.iter().collect();
        assert!((diversity(&all) - (10.0 + 40.0 + 30.0) / 3.0).abs() < 1e-9);
        assert_eq!(diversity(&all[..1]), 0.0);
    }
}
