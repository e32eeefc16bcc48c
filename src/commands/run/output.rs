//! Where pictures go: names that nothing has yet, looked for before the run, written whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use guide_compiler::plan::Plan;
use guide_runtime::image::{Grid, Picture, contact_sheet, encode_png};

use super::between::Halfway;
use super::check;
use super::summary::Summary;
use crate::args::Run;
use crate::exit::{Failure, Result};
use crate::files::{beside, folder_of, is_special, write_whole};

/// Characters of a prompt in a name.
const MOST_OF_PROMPT: usize = 40;

/// Bytes that must be free beside the pixels of the pictures.
pub const SPARE: u64 = 64 << 10;

/// The most bytes that are tried out: larger ones take long, and disks that full are rare.
const MOST_TRIED: u64 = 256 << 20;

/// Where a run's files go.
pub struct Output {
    place: Place,
    seed: u64,
}

enum Place {
    /// A file whose name the user gave.
    File(PathBuf),
    /// A new name in a folder: `GUIDE-PROMPT-seedN`, or `GUIDE-PROMPT-seedsN-M` for a batch.
    Named {
        folder: PathBuf,
        name: String,
        batch: bool,
    },
}

impl Output {
    /// Decides where files go, and makes sure that they can: an unwritable or full folder is found
    /// before the run, not after it.
    pub fn prepare(args: &Run, plan: &Plan) -> Result<Output> {
        let is_png = args
            .out
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
        if is_png && args.batch > 1 {
            let sentence = "one .png cannot hold a batch; give --out a folder".to_owned();
            return Err(Failure::Usage(sentence));
        }
        let place = if is_png && !args.out.is_dir() {
            Place::File(args.out.clone())
        } else {
            let name = named(&plan.head.guide, &args.prompt.text, args.seed, args.batch);
            Place::Named {
                folder: args.out.clone(),
                name,
                batch: args.batch > 1,
            }
        };
        // A latent's side is eight pixels or fewer. The contact sheet holds every picture once more.
        let [_, height, width] = plan.head.model.latent.map(|side| u64::from(side) * 8);
        let (width, height) = args
            .size
            .map_or((width, height), |(w, h)| (u64::from(w), u64::from(h)));
        let bytes = width
            .saturating_mul(height)
            .saturating_mul(6 * u64::from(args.batch));
        let bytes = SPARE + bytes.min(MOST_TRIED);
        match &place {
            Place::File(file) => try_out_for(file, bytes)?,
            Place::Named { folder, .. } => try_out(folder, bytes)?,
        }
        for file in args.save_latents.iter().chain(&args.record) {
            try_out_for(file, SPARE)?;
        }
        Ok(Output {
            place,
            seed: args.seed,
        })
    }

    /// Writes everything; what is interrupted or fails leaves no part of a picture.
    pub fn write(
        &self,
        pictures: &[Picture],
        between: &[Halfway],
        summary: &Summary,
        stop: &AtomicBool,
    ) -> Result<Vec<PathBuf>> {
        let mut encoded = Vec::new();
        for (sample, picture) in pictures.iter().enumerate() {
            check(stop)?;
            encoded.push(encode_png(picture, &summary.about().text(sample))?);
        }
        let mut halfway = Vec::new();
        for one in between {
            check(stop)?;
            let about = summary.about().after(one.sample, one.step);
            halfway.push((one, encode_png(&one.picture, &about)?));
        }
        let sheet = (pictures.len() > 1).then(|| sheet_of(pictures));
        let sheet = sheet
            .map(|sheet| encode_png(&sheet, &summary.about().text(0)))
            .transpose()?;
        check(stop)?;
        make_folder(&self.folder())?;
        let written = match &self.place {
            Place::File(file) => {
                let picture = encoded.first().map_or(&[][..], Vec::as_slice);
                write_whole(file, picture).map_err(|error| Failure::unwritable(file, error))?;
                with_halfway(file.clone(), &halfway)?
            }
            Place::Named {
                folder,
                name,
                batch: false,
            } => {
                let picture = encoded.first().map_or(&[][..], Vec::as_slice);
                let file = file_of_new_name(folder, name, picture);
                let file = file.map_err(|error| Failure::unwritable(folder, error))?;
                with_halfway(file, &halfway)?
            }
            Place::Named {
                folder,
                name,
                batch: true,
            } => {
                let files = encoded.iter().enumerate().map(|(sample, file)| {
                    let seed = self.seed.wrapping_add(sample as u64);
                    (format!("seed{seed}.png"), file.as_slice())
                });
                let halfway = halfway.iter().map(|(one, file)| {
                    let seed = self.seed.wrapping_add(one.sample as u64);
                    (format!("seed{seed}{}.png", one.suffix()), file.as_slice())
                });
                let sheet = sheet
                    .as_deref()
                    .map(|file| ("contact.png".to_owned(), file));
                let files: Vec<(String, &[u8])> = files.chain(halfway).chain(sheet).collect();
                let folder = folder_of_new_name(folder, name, &files);
                let folder = folder.map_err(|error| Failure::unwritable(&self.folder(), error))?;
                files.iter().map(|(name, _)| folder.join(name)).collect()
            }
        };
        Ok(written)
    }

    /// Writes what pictures are on their way, side by side, as `NAME-PLACE.png` beside where the end will
    /// stand; what stood there is replaced.
    pub fn on_the_way(&self, pictures: &[Picture], place: &str, about: &str) -> Result<PathBuf> {
        let (folder, name) = match &self.place {
            Place::File(file) => {
                let stem = file.file_stem().unwrap_or_default();
                (folder_of(file), stem.to_string_lossy().into_owned())
            }
            Place::Named { folder, name, .. } => (folder.clone(), name.clone()),
        };
        let encoded = match pictures {
            [one] => encode_png(one, about)?,
            many => encode_png(&sheet_of(many), about)?,
        };
        make_folder(&folder)?;
        let file = folder.join(format!("{name}-{place}.png"));
        write_whole(&file, &encoded).map_err(|error| Failure::unwritable(&file, error))?;
        Ok(file)
    }

    /// Where a sample's picture stands if no name is looked for that nothing has.
    pub fn place_of(&self, sample: u32) -> PathBuf {
        match &self.place {
            Place::File(file) => file.clone(),
            Place::Named {
                folder,
                name,
                batch: false,
            } => folder.join(format!("{name}.png")),
            Place::Named { folder, name, .. } => {
                let seed = self.seed.wrapping_add(u64::from(sample));
                folder.join(name).join(format!("seed{seed}.png"))
            }
        }
    }

    /// Likewise where the sheet of a batch stands.
    pub fn place_of_sheet(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Named {
                folder,
                name,
                batch: true,
            } => Some(folder.join(name).join("contact.png")),
            _ => None,
        }
    }

    fn folder(&self) -> PathBuf {
        match &self.place {
            Place::File(file) => folder_of(file),
            Place::Named { folder, .. } => folder.clone(),
        }
    }
}

/// A picture that is written, and beside it those on its way.
fn with_halfway(picture: PathBuf, halfway: &[(&Halfway, Vec<u8>)]) -> Result<Vec<PathBuf>> {
    let mut files = vec![picture.clone()];
    for (one, bytes) in halfway {
        let file = one.beside(&picture);
        write_whole(&file, bytes).map_err(|error| Failure::unwritable(&file, error))?;
        files.push(file);
    }
    Ok(files)
}

/// All pictures of a batch side by side.
pub fn sheet_of(pictures: &[Picture]) -> Picture {
    contact_sheet(&side_by_side(pictures))
}

/// About as many rows as columns.
fn side_by_side(pictures: &[Picture]) -> Grid {
    let columns = (1..).find(|n| n * n >= pictures.len()).unwrap_or(1);
    let rows = pictures.chunks(columns).map(<[Picture]>::to_vec).collect();
    Grid {
        rows,
        ..Grid::default()
    }
}

/// `GUIDE-PROMPT-seedN`, or `GUIDE-PROMPT-seedsN-M` for a batch.
fn named(guide: &str, prompt: &str, seed: u64, batch: u32) -> String {
    let words = words_of(prompt, "unprompted");
    match batch {
        0 | 1 => format!("{guide}-{words}-seed{seed}"),
        _ => format!(
            "{guide}-{words}-seeds{seed}-{}",
            seed.wrapping_add(u64::from(batch) - 1)
        ),
    }
}

/// The words of a text as a part of a file's name; `none` where it has none.
pub fn words_of(text: &str, none: &str) -> String {
    let mut words = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            words.push(c);
        } else if !words.is_empty() && !words.ends_with('-') {
            words.push('-');
        }
    }
    let words: String = words.chars().take(MOST_OF_PROMPT).collect();
    match words.trim_end_matches('-') {
        "" => none.to_owned(),
        words => words.to_owned(),
    }
}

/// `NAME`, `NAME-2`, `NAME-3`, …
fn names(name: &str) -> impl Iterator<Item = String> {
    std::iter::once(name.to_owned()).chain((2u32..).map(move |n| format!("{name}-{n}")))
}

/// A file under the first name that nothing has, also where another run looks for one just now.
fn file_of_new_name(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut file = beside(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    for name in names(name) {
        let place = folder.join(format!("{name}.png"));
        match file.persist_noclobber(&place) {
            Ok(_) => return Ok(place),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(error.error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A folder under the first name that nothing has, with all its files in it.
fn folder_of_new_name(folder: &Path, name: &str, files: &[(String, &[u8])]) -> io::Result<PathBuf> {
    let unfinished = tempfile::Builder::new()
        .prefix(".guidec-")
        .tempdir_in(folder)?;
    for (name, bytes) in files {
        let mut file = beside(unfinished.path())?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(unfinished.path().join(name))
            .map_err(|error| error.error)?;
    }
    for name in names(name) {
        let place = folder.join(name);
        // Making the folder claims the name; moving the finished one there replaces it at once.
        match fs::create_dir(&place) {
            Ok(()) => {
                let permissions = fs::metadata(&place)?.permissions();
                fs::set_permissions(unfinished.path(), permissions)?;
                if let Err(error) = fs::rename(unfinished.path(), &place) {
                    fs::remove_dir(&place)?;
                    return Err(error);
                }
                // The folder has moved: nothing is left to be taken away.
                let _ = unfinished.keep();
                return Ok(place);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Makes a folder of a name that nothing has.
pub fn new_folder(within: &Path, name: &str) -> Result<PathBuf> {
    for name in names(name) {
        let place = within.join(name);
        match fs::create_dir(&place) {
            Ok(()) => return Ok(place),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::unwritable(&place, error)),
        }
    }
    Err(Failure::unwritable(within, "every name is taken"))
}

/// Tries out the folder of a file, which must not be a folder itself.
pub fn try_out_for(file: &Path, bytes: u64) -> Result<()> {
    if file.is_dir() {
        let error = io::Error::from(io::ErrorKind::IsADirectory);
        return Err(Failure::unwritable(file, error));
    }
    // What goes to a device or a pipe needs no room beside it.
    if is_special(file) {
        return Ok(());
    }
    try_out(&folder_of(file), bytes)
}

/// Writes that many bytes to a file in the folder. The file goes away again, and so do the folders
/// that were missing: what fails later leaves nothing.
fn try_out(folder: &Path, bytes: u64) -> Result<()> {
    let named = |folder: &&Path| !folder.as_os_str().is_empty();
    let missing: Vec<&Path> = folder
        .ancestors()
        .filter(named)
        .take_while(|folder| !folder.exists())
        .collect();
    let attempt = || -> io::Result<()> {
        if folder.exists() && !folder.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        fs::create_dir_all(folder)?;
        let mut file = beside(folder)?;
        let block = [0u8; 1 << 16];
        let mut left = bytes;
        while left > 0 {
            let size = left.min(block.len() as u64) as usize;
            file.write_all(block.get(..size).unwrap_or(&block))?;
            left -= size as u64;
        }
        file.flush()
    };
    let tried = attempt();
    for folder in missing {
        // One that was not made, or that something else uses by now, stays as it is.
        let _ = fs::remove_dir(folder);
    }
    tried.map_err(|error| Failure::unwritable(folder, error))
}

/// Makes a folder that is missing.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Failure::unwritable(folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_guide_prompt_and_seed() {
        assert_eq!(named("first", "strawberry", 0, 1), "first-strawberry-seed0");
        assert_eq!(
            named("cfg", "Red apple, glossy!", 7, 4),
            "cfg-red-apple-glossy-seeds7-10"
        );
        assert_eq!(
            named("cfg", "../../etc/passwd", 1, 1),
            "cfg-etc-passwd-seed1"
        );
        assert_eq!(named("cfg", "", 1, 1), "cfg-unprompted-seed1");
        assert_eq!(
            named("cfg", &"ä ".repeat(90), 1, 1).chars().count(),
            "cfg--seed1".len() + 39
        );
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |bytes: &[u8]| file_of_new_name(folder.path(), "a", bytes).expect("a file");
        assert_eq!(write(b"1"), folder.path().join("a.png"));
        assert_eq!(write(b"2"), folder.path().join("a-2.png"));
        assert_eq!(fs::read(folder.path().join("a.png")).expect("a file"), b"1");
        let files = [("x.png".to_owned(), &b"x"[..])];
        let make = || folder_of_new_name(folder.path(), "b", &files).expect("a folder");
        assert_eq!(make(), folder.path().join("b"));
        assert_eq!(make(), folder.path().join("b-2"));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 4);
    }
}
