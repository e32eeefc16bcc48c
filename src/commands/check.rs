//! `guidec check`: says everything that is wrong with each file.

use guide_compiler::analyse;
use guide_compiler::diagnostics::{Diagnostic, render};
use guide_compiler::sources::SourceMap;

use crate::args::{Check, Format};
use crate::exit::{Exit, Failure, Result};
use crate::sources::{self, Disk};
use crate::ui::Ui;

/// Checks every file; one that cannot be read keeps the others from nothing.
pub fn check(args: &Check, ui: Ui) -> Result<Exit> {
    let mut worst = Exit::Done;
    let mut all = Vec::new();
    let mut entries = Vec::new();
    for file in &args.files {
        let (diagnostics, files) = one(file, args)?;
        worst = worst.max(Exit::of_all(&diagnostics));
        match args.format {
            Format::Human => ui.diagnostics(&diagnostics, &files),
            Format::Json => entries.extend(as_values(&diagnostics, &files)),
        }
        all.extend(diagnostics);
    }
    match args.format {
        Format::Human => {
            let count = args.files.len();
            let files = if count == 1 {
                "1 file".to_owned()
            } else {
                format!("{count} files")
            };
            let found =
                render::summary(&all).unwrap_or_else(|| "nothing to complain of".to_owned());
            ui.say(&format!("checked {files}: {found}"));
        }
        Format::Json => {
            let list = serde_json::Value::Array(entries);
            ui.data(&format!("{list:#}\n"))?;
        }
    }
    Ok(worst)
}

fn one(file: &str, args: &Check) -> Result<(Vec<Diagnostic>, SourceMap)> {
    let root = match sources::root(file) {
        Ok(root) => root,
        Err(Failure::Said { diagnostics, files }) => return Ok((diagnostics, files)),
        Err(other) => return Err(other),
    };
    let (files, diagnostics) = analyse(root, &Disk::new(file, &args.allow_path));
    Ok((diagnostics, files))
}

fn as_values(diagnostics: &[Diagnostic], files: &SourceMap) -> Vec<serde_json::Value> {
    let text = render::json(diagnostics, files);
    // What `render` writes is a list.
    serde_json::from_str(&text).unwrap_or_default()
}
