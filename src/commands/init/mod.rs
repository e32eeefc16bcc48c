//! `guidec init`: a folder with a rule, its snapshot, and what tests it.

mod name;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::args::Init;
use crate::commands::test::{self, Outcome};
use crate::exit::{Exit, Failure, Result};
use crate::files::folder_of;
use crate::ui::Ui;

const RULE: &str = include_str!("rule.guide.txt");
const WORKFLOW: &str = include_str!("guides.yml");
const README: &str = include_str!("readme.txt");
const IGNORED: &str = include_str!("ignored.txt");

/// Where GitHub looks for a workflow.
const WORKFLOW_PLACE: &str = ".github/workflows/guides.yml";

/// What may be there already: a repository that has just been begun.
const TOLERATED: &str = ".git";

/// Makes the folder, whole or not at all.
pub fn init(args: &Init, ui: Ui) -> Result<Exit> {
    let folder = &args.folder;
    let is_there = is_there(folder)?;
    let stage = stage(folder, is_there)?;
    let name = name::of(args.name.as_deref(), folder, stage.path())?;
    let plan = fill(stage.path(), &name).map_err(|error| Failure::unwritable(folder, error))?;
    let moved = match is_there {
        true => move_into(stage.path(), folder),
        false => fs::rename(stage.path(), folder),
    };
    moved.map_err(|error| Failure::unwritable(folder, error))?;
    ui.say(&said(folder, &name, &test::evaluations(&plan)));
    Ok(Exit::Done)
}

/// Whether the folder is there.
///
/// # Errors
/// It holds something, is no folder, or cannot be read.
fn is_there(folder: &Path) -> Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Failure::unwritable(folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| Failure::unwritable(folder, error))?;
        let name = entry.file_name();
        if name != TOLERATED {
            let (shown, name) = (folder.display(), name.to_string_lossy().into_owned());
            return Err(Failure::Usage(format!(
                "'{shown}' is not empty: it holds '{name}'; name a folder that is not there yet"
            )));
        }
    }
    Ok(true)
}

/// Where the files are made before they are moved: on the same disk, and gone if that fails.
fn stage(folder: &Path, is_there: bool) -> Result<tempfile::TempDir> {
    let beside = match is_there {
        true => folder.to_owned(),
        false => folder_of(folder),
    };
    let unwritable = |error| Failure::unwritable(folder, error);
    fs::create_dir_all(&beside).map_err(unwritable)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".guidec-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What others may do is decided by the process's mask, as for any new folder.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder.tempdir_in(&beside).map_err(unwritable)
}

/// The rule's text.
fn rule(name: &str) -> String {
    RULE.replace("NAME", name)
}

/// Writes every file, and gives the rule's plan.
fn fill(stage: &Path, name: &str) -> io::Result<String> {
    let put = |place: &str, text: &str| {
        let place = stage.join(place);
        fs::create_dir_all(folder_of(&place))?;
        fs::write(place, text)
    };
    let file = format!("{name}.guide");
    put(&file, &rule(name))?;
    let workflow = WORKFLOW.replace("VERSION", env!("CARGO_PKG_VERSION"));
    put(WORKFLOW_PLACE, &workflow)?;
    put("README.md", &README.replace("NAME", name))?;
    put(".gitignore", IGNORED)?;
    let mut plan = String::new();
    for snapshot in test::of_file(&stage.join(file)).snapshots {
        if let Outcome::New(text) = snapshot.outcome {
            fs::write(&snapshot.place, &text)?;
            if snapshot.line.is_none() {
                plan = text;
            }
        }
    }
    Ok(plan)
}

/// Moves what lies in a folder into another one; if one thing cannot be moved, none is.
fn move_into(from: &Path, to: &Path) -> io::Result<()> {
    let entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
    let mut moved: Vec<(PathBuf, PathBuf)> = Vec::new();
    for entry in entries {
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        if let Err(error) = fs::rename(&old, &new) {
            for (old, new) in moved {
                // What cannot be moved back stays: the first failure is the one to tell of.
                let _ = fs::rename(new, old);
            }
            return Err(error);
        }
        moved.push((old, new));
    }
    Ok(())
}

fn said(folder: &Path, name: &str, cost: &str) -> String {
    let shown = folder.display();
    let into = match folder.to_string_lossy() {
        name if name == "." => String::new(),
        name if name.contains(' ') => format!("  cd \"{name}\"\n"),
        name => format!("  cd {name}\n"),
    };
    format!(
        "{shown} has the rule {name}.guide: {cost} in 8 steps\n\n{into}  \
         guidec run {name}.guide --prompt \"strawberry\"\n  guidec test"
    )
}
