//! The pictures that a comparison has finished since its results were written: a line for each, added at the end of
//! a file, so that a long comparison does not write all its numbers again with every picture. What one that was
//! stopped leaves is read with its results.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::results::{Made, Results};
use crate::exit::{Failure, Result};

/// The file's name in the folder of a comparison.
const FILE: &str = "unfinished.jsonl";

/// A picture.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The folder of its rule.
    folder: String,
    seed: u64,
    made: Made,
}

/// The file, open at its end.
pub struct Journal {
    place: PathBuf,
    file: File,
}

impl Journal {
    /// Begins an empty one: what an older one held stands in the results by now.
    pub fn begin(folder: &Path) -> Result<Self> {
        let place = folder.join(FILE);
        let file = File::create(&place).map_err(|error| Failure::unwritable(&place, error))?;
        Ok(Self { place, file })
    }

    /// Adds a picture that lies in its place.
    pub fn add(&mut self, folder: &str, seed: u64, made: &Made) -> Result<()> {
        let line = Line {
            folder: folder.to_owned(),
            seed,
            made: made.clone(),
        };
        let written = serde_json::to_string(&line)
            .map_err(io::Error::from)
            // At once, so that a line which was cut off is the last one.
            .and_then(|text| self.file.write_all(format!("{text}\n").as_bytes()));
        written.map_err(|error| Failure::unwritable(&self.place, error))
    }
}

/// Removes what is left of one, once the results hold everything.
pub fn end(folder: &Path) -> Result<()> {
    let place = folder.join(FILE);
    match fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::unwritable(&place, error))
        }
        _ => Ok(()),
    }
}

/// Takes over what was finished after the results were written. A line that was cut off is none, and its picture is
/// made again.
pub fn read(folder: &Path, results: &mut Results) -> io::Result<()> {
    let text = match fs::read(folder.join(FILE)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let lines = text.lines().map(serde_json::from_str::<Line>);
    for line in lines.filter_map(std::result::Result::ok) {
        let mut variants = results.variants.iter_mut();
        if let Some(found) = variants.find(|found| found.folder == line.folder) {
            found.pictures.insert(line.seed, line.made);
        }
    }
    Ok(())
}
