//! A picture in the words of each kind of terminal. None of them moves what comes after it: whoever draws
//! puts the cursor back.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use guide_runtime::image::{Picture, encode_png};
use icy_sixel::SixelImage;
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Rgb};

use super::cells::{Cells, Terminal};

/// The most bytes of base64 in a part of a kitty picture.
const PART: usize = 4096;

/// Colours that a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// All.
    True,
    /// The cube of 6x6x6 and the greys.
    Of256,
}

/// By kitty's graphics protocol: the picture takes the place of the one with the same number.
pub fn kitty(picture: &Picture, cells: Cells, number: u32) -> Option<String> {
    let data = STANDARD.encode(encode_png(picture, "").ok()?);
    let mut text = String::new();
    let parts: Vec<&[u8]> = data.as_bytes().chunks(PART).collect();
    for (at, part) in parts.iter().enumerate() {
        let more = u8::from(at + 1 < parts.len());
        text.push_str("\x1b_G");
        if at == 0 {
            let Cells { columns, lines } = cells;
            let _ = write!(
                text,
                "a=T,f=100,i={number},p=1,q=2,C=1,c={columns},r={lines},"
            );
        }
        // INVARIANT: base64 is ASCII.
        let _ = write!(text, "m={more};{}\x1b\\", String::from_utf8_lossy(part));
    }
    Some(text)
}

/// As an inline image of iTerm2.
pub fn iterm2(picture: &Picture, cells: Cells) -> Option<String> {
    let file = encode_png(picture, "").ok()?;
    Some(format!(
        "\x1b]1337;File=inline=1;size={};width={};height={};preserveAspectRatio=0:{}\x07",
        file.len(),
        cells.columns,
        cells.lines,
        STANDARD.encode(&file)
    ))
}

/// As sixels: pixels of the terminal, of which there are so many to a character.
pub fn sixel(picture: &Picture, cells: Cells, terminal: &Terminal) -> Option<String> {
    let (across, down) = terminal.cell;
    // Sixels are six pixels high; a part of one would reach into the next line.
    let height = (cells.lines * down) / 6 * 6;
    let scaled = scaled(picture, cells.columns * across, height.max(6))?;
    let pixels: Vec<u8> = scaled
        .pixels()
        .flat_map(|&Rgb([red, green, blue])| [red, green, blue, u8::MAX])
        .collect();
    let (width, height) = (scaled.width() as usize, scaled.height() as usize);
    SixelImage::try_from_rgba(pixels, width, height)
        .and_then(|image| image.encode())
        .ok()
}

/// As half-blocks: a character's upper half in one colour, its lower half in another. A line ends with
/// the terminal's own colours; between lines stands what moves the cursor to the next.
pub fn blocks(picture: &Picture, cells: Cells, colours: Colours) -> Option<String> {
    let scaled = scaled(picture, cells.columns, 2 * cells.lines)?;
    let mut text = String::new();
    for line in 0..cells.lines as u32 {
        let mut last = None;
        for column in 0..cells.columns as u32 {
            let pair = [0, 1].map(|half| {
                let Rgb(rgb) = *scaled.get_pixel(column, 2 * line + half);
                colour(rgb, colours)
            });
            if last.as_ref() != Some(&pair) {
                let [upper, lower] = &pair;
                let _ = write!(text, "\x1b[38;{upper};48;{lower}m");
                last = Some(pair);
            }
            text.push('▀');
        }
        text.push_str("\x1b[0m\r\n");
    }
    Some(text)
}

/// What stands after the 38 or 48 that sets a colour.
fn colour([red, green, blue]: [u8; 3], colours: Colours) -> String {
    match colours {
        Colours::True => format!("2;{red};{green};{blue}"),
        Colours::Of256 => format!("5;{}", nearest_of_256([red, green, blue])),
    }
}

/// The levels of a colour of the cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The number of the nearest colour of the cube, or of the greys after it. The first sixteen are what a
/// user chose them to be.
fn nearest_of_256(rgb: [u8; 3]) -> usize {
    let level = |byte: u8| {
        let all = LEVELS.iter().enumerate();
        let nearest = all.min_by_key(|(_, level)| level.abs_diff(byte));
        nearest.map_or(0, |(at, _)| at)
    };
    let apart = |other: [u8; 3]| -> u32 {
        let pairs = rgb.iter().zip(other);
        pairs.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    let [red, green, blue] = rgb.map(level);
    let of_cube = (
        16 + 36 * red + 6 * green + blue,
        [red, green, blue].map(|at| LEVELS[at]),
    );
    let mean = rgb.iter().map(|byte| usize::from(*byte)).sum::<usize>() / 3;
    let grey = (mean.saturating_sub(3) / 10).min(23);
    let of_greys = (232 + grey, [8 + 10 * grey as u8; 3]);
    if apart(of_greys.1) < apart(of_cube.1) {
        of_greys.0
    } else {
        of_cube.0
    }
}

fn scaled(picture: &Picture, width: usize, height: usize) -> Option<ImageBuffer<Rgb<u8>, Vec<u8>>> {
    let side = |side: usize| u32::try_from(side).ok();
    let own = (side(picture.width)?, side(picture.height)?);
    let image = ImageBuffer::from_raw(own.0, own.1, picture.rgb.clone())?;
    Some(resize(
        &image,
        side(width)?,
        side(height)?,
        FilterType::Triangle,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: Cells = Cells {
        columns: 8,
        lines: 4,
    };

    /// Colours that change along both sides, enough of them for several parts.
    fn picture() -> Picture {
        let mut picture = Picture::filled(96, 96, [0; 3]);
        for (at, rgb) in picture.rgb.chunks_exact_mut(3).enumerate() {
            let (x, y) = (at % 96, at / 96);
            rgb.copy_from_slice(&[(2 * x) as u8, (x * y) as u8, (2 * y) as u8]);
        }
        picture
    }

    fn shown_by(file: &[u8]) -> Vec<u8> {
        let image = image::load_from_memory(file).expect("a picture");
        image.to_rgb8().into_raw()
    }

    #[test]
    fn kitty_gets_the_picture_in_parts() {
        let picture = picture();
        let text = kitty(&picture, CELLS, 7).expect("drawn");
        let mut data = String::new();
        let mut parts = text.split("\x1b\\").filter(|part| !part.is_empty());
        let mut last = None;
        for part in parts.by_ref() {
            let (keys, part) = part
                .strip_prefix("\x1b_G")
                .and_then(|part| part.split_once(';'))
                .expect("keys and data");
            assert!(part.len() <= PART);
            assert_eq!(keys.contains("a=T"), last.is_none());
            last = Some(keys.contains("m=1"));
            data.push_str(part);
        }
        assert_eq!(last, Some(false));
        assert!(data.len() > PART, "one part is no test");
        let first = text.split(';').next().unwrap_or_default();
        assert_eq!(first, "\x1b_Ga=T,f=100,i=7,p=1,q=2,C=1,c=8,r=4,m=1");
        let file = STANDARD.decode(data).expect("base64");
        assert_eq!(shown_by(&file), picture.rgb);
    }

    #[test]
    fn iterm2_gets_the_picture() {
        let picture = picture();
        let text = iterm2(&picture, CELLS).expect("drawn");
        let (keys, data) = text.split_once(':').expect("keys and data");
        assert!(keys.ends_with("width=8;height=4;preserveAspectRatio=0"));
        let data = data.strip_suffix('\x07').expect("an end");
        let file = STANDARD.decode(data).expect("base64");
        assert!(keys.contains(&format!("size={};", file.len())));
        assert_eq!(shown_by(&file), picture.rgb);
    }

    #[test]
    fn sixels_show_the_picture() {
        let terminal = Terminal {
            columns: 80,
            lines: 24,
            cell: (12, 24),
        };
        let picture = picture();
        let text = sixel(&picture, CELLS, &terminal).expect("drawn");
        let image = SixelImage::decode(text.as_bytes()).expect("sixels");
        assert_eq!((image.width, image.height), (96, 96));
        let shown = image.pixels.as_chunks::<4>().0.iter();
        let off: u64 = shown
            .zip(picture.rgb.as_chunks::<3>().0)
            .flat_map(|(shown, own)| [0, 1, 2].map(|at| u64::from(shown[at].abs_diff(own[at]))))
            .sum();
        let mean = off as f64 / picture.rgb.len() as f64;
        // 256 colours of the 4,000 or so.
        assert!(mean < 12.0, "{mean} levels off in the mean");
    }

    #[test]
    fn colours_are_those_of_the_terminal() {
        assert_eq!(colour([255, 0, 128], Colours::True), "2;255;0;128");
        assert_eq!(colour([255, 0, 130], Colours::Of256), "5;198");
        assert_eq!(colour([60, 200, 40], Colours::Of256), "5;76");
        assert_eq!(colour([100, 100, 102], Colours::Of256), "5;241");
        assert_eq!(colour([0, 0, 0], Colours::Of256), "5;16");
        assert_eq!(colour([255, 255, 255], Colours::Of256), "5;231");
    }
}
