//! `guidec merge`: joins what shards have made.

use std::fs;
use std::path::Path;

use super::results::{self, Results};
use crate::args::Merge;
use crate::commands::run::output::make_folder;
use crate::exit::{Exit, Failure, Result};
use crate::files::write_whole;
use crate::ui::Ui;

/// Joins the folders into a new one.
pub fn merge(args: &Merge, ui: Ui) -> Result<Exit> {
    if args.out.join(results::FILE).exists() {
        let sentence = format!(
            "{} holds a comparison already; name a new folder",
            args.out.display()
        );
        return Err(Failure::Usage(sentence));
    }
    let mut parts = args.parts.iter();
    let first = parts
        .next()
        .ok_or_else(|| Failure::Usage("nothing to join".to_owned()))?;
    let mut whole = Results::read(first)?;
    copy(&whole, first, &args.out)?;
    for folder in parts {
        let part = Results::read(folder)?;
        if !whole.fits(&part) {
            return Err(Failure::Usage(format!(
                "{} is of another comparison than {}",
                folder.display(),
                first.display()
            )));
        }
        copy(&part, folder, &args.out)?;
        whole.join(part);
    }
    whole.write(&args.out)?;
    let (files, _) = super::finish(&args.out, &whole)?;
    for file in files {
        ui.say(&format!("wrote {}", file.display()));
    }
    Ok(Exit::Done)
}

fn copy(results: &Results, from: &Path, to: &Path) -> Result<()> {
    for found in &results.variants {
        make_folder(&to.join("pictures").join(&found.folder))?;
        for seed in found.pictures.keys() {
            let (old, new) = (found.file(from, *seed), found.file(to, *seed));
            super::sheet::read(&old)?;
            let bytes = fs::read(&old).map_err(|error| Failure::unwritable(&old, error))?;
            write_whole(&new, &bytes).map_err(|error| Failure::unwritable(&new, error))?;
        }
    }
    Ok(())
}
