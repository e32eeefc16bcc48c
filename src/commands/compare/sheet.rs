//! All pictures on one sheet.

use std::path::Path;

use guide_runtime::image::{Grid, Picture, contact_sheet, read_rgb};

use super::results::{Found, Results};
use crate::exit::Result;

/// Reads a picture of the comparison.
pub fn read(place: &Path) -> Result<Picture> {
    Ok(read_rgb(place)?)
}

/// The variant at a place of the grid.
pub fn at(results: &Results, place: (usize, usize)) -> Option<&Found> {
    results.variants.iter().find(|found| found.place == place)
}

/// The pictures side by side: a row for each seed, or for each row of the grid and each seed.
pub fn sheet(results: &Results, folder: &Path) -> Result<Picture> {
    let seeds = results.seeds();
    let mut grid = Grid {
        columns: results.columns.clone(),
        ..Grid::default()
    };
    let rows = results.rows.len().max(1);
    for seed in &seeds {
        for row in 0..rows {
            let mut pictures = Vec::with_capacity(results.columns.len());
            for column in 0..results.columns.len() {
                let found = at(results, (column, row)).filter(|f| f.pictures.contains_key(seed));
                // A place that is empty keeps the others in theirs.
                pictures.push(match found {
                    Some(found) => read(&found.file(folder, *seed))?,
                    None => Picture::filled(1, 1, [255; 3]),
                });
            }
            grid.rows.push(pictures);
            grid.names.push(match (results.rows.get(row), seeds.len()) {
                (None, _) => format!("seed {seed}"),
                (Some(name), 1) => name.clone(),
                (Some(name), _) => format!("{name}, seed {seed}"),
            });
        }
    }
    Ok(contact_sheet(&grid))
}
