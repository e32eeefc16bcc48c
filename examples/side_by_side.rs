//! Puts pictures of several runs into one labelled picture, a row a run: how the README's picture
//! is made (`examples/readme/make.sh`).
//!
//!     cargo run --release --example side_by_side -- OUT.png "CFG=FOLDER" "APG=FOLDER"

use std::error::Error;
use std::path::{Path, PathBuf};

use guide_runtime::image::{Grid, Picture, contact_sheet, write_png};

/// How much each picture is enlarged, by whole pixels.
const ZOOM: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let out = args
        .next()
        .ok_or("usage: side_by_side OUT.png LABEL=FOLDER...")?;
    let mut grid = Grid::default();
    for arg in args {
        let (label, folder) = arg.split_once('=').ok_or("each row is LABEL=FOLDER")?;
        grid.names.push(label.to_owned());
        grid.rows.push(pictures(Path::new(folder))?);
    }
    write_png(Path::new(&out), &contact_sheet(&grid), None)?;
    Ok(())
}

/// The pictures of a folder by name, without its contact sheet.
fn pictures(folder: &Path) -> Result<Vec<Picture>, Box<dyn Error>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "png"))
        .filter(|p| p.file_name().is_some_and(|n| n != "contact.png"))
        .collect();
    files.sort();
    files.iter().map(|file| enlarged(file)).collect()
}

fn enlarged(file: &Path) -> Result<Picture, Box<dyn Error>> {
    let image = image::open(file)?.to_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut picture = Picture::filled(width * ZOOM, height * ZOOM, [255; 3]);
    for (x, y, pixel) in image.enumerate_pixels() {
        let dot = Picture::filled(ZOOM, ZOOM, pixel.0);
        picture.paste(&dot, x as usize * ZOOM, y as usize * ZOOM);
    }
    Ok(picture)
}
