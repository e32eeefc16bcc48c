//! `guidec fmt`: formats files in place, or says which are not formatted.

use std::path::Path;

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::sources::{Loaded, SourceMap};
use guide_grammar::FormatError;

use crate::args::Fmt;
use crate::exit::{Exit, Failure, Result};
use crate::files::write_whole;
use crate::sources;
use crate::ui::Ui;

/// Formats every file; one that cannot be formatted keeps the others from nothing.
pub fn fmt(args: &Fmt, ui: Ui) -> Result<Exit> {
    let mut worst = Exit::Done;
    for file in &args.files {
        if file.starts_with("std::") {
            return Err(Failure::Usage(format!(
                "'{file}' is not a file that could be written"
            )));
        }
        let ended = one(file, args.check, ui).or_else(|failure| match failure {
            Failure::Said { .. } => {
                ui.failure(&failure);
                Ok(failure.exit())
            }
            other => Err(other),
        })?;
        worst = worst.max(ended);
    }
    Ok(worst)
}

fn one(file: &str, check: bool, ui: Ui) -> Result<Exit> {
    let before = sources::root(file)?;
    let after = formatted(&before)?;
    if check {
        if before.text == after {
            return Ok(Exit::Done);
        }
        ui.data(&format!("{}\n", before.path))?;
        return Ok(Exit::Wrong);
    }
    if file == "-" {
        ui.data(&after)?;
    } else if before.text != after {
        let place = Path::new(file);
        write_whole(place, after.as_bytes()).map_err(|error| Failure::unwritable(place, error))?;
    }
    Ok(Exit::Done)
}

/// A text that guidec made, in the layout of any other.
#[cfg(feature = "run")]
pub fn text(text: &str) -> Result<String> {
    formatted(&Loaded {
        path: "a guide".to_owned(),
        text: text.to_owned(),
    })
}

fn formatted(before: &Loaded) -> Result<String> {
    guide_grammar::format(&before.text).map_err(|error| {
        let diagnostics = match error {
            FormatError::Syntax(errors) => errors.iter().map(Diagnostic::from).collect(),
            FormatError::ChangedMeaning => vec![changed_meaning(&before.path)],
        };
        let mut files = SourceMap::default();
        files.add(before.clone());
        Failure::Said { diagnostics, files }
    })
}

fn changed_meaning(path: &str) -> Diagnostic {
    let message =
        format!("formatting would change the meaning of `{path}`, so nothing was written");
    Diagnostic::new(Code::UnexpectedToken, message)
        .help("report the file: this is a mistake of the formatter")
}
