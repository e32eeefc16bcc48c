//! `guidec debug`: the inner forms of a guide, for those who work on the compiler.

use guide_compiler::pipeline::{self, Request};
use guide_grammar::span::FileId;

use crate::args::{Form, Source, Target};
use crate::compile::read;
use crate::describe::describe;
use crate::exit::{Exit, Failure, Result};
use crate::sources;
use crate::ui::Ui;

/// Prints a form.
pub fn debug(form: Form, source: &Source, ui: Ui) -> Result<Exit> {
    if form == Form::Ast {
        let parsed = guide_grammar::parse(FileId(0), &sources::root(&source.file)?.text);
        ui.data(&format!("{:#?}\n", parsed.file))?;
        return Ok(if parsed.errors.is_empty() {
            Exit::Done
        } else {
            Exit::Wrong
        });
    }
    let analysis = read(source)?;
    if form == Form::Resolved {
        ui.data(&format!("{:#?}\n", analysis.program))?;
        let wrong = analysis.diagnostics.has_errors();
        return Ok(if wrong { Exit::Wrong } else { Exit::Done });
    }
    let request = Request {
        guide: source.guide.clone(),
        ..Request::new(describe(&Target::default())?)
    };
    match pipeline::graph(&analysis, &request) {
        Ok(graph) => ui.data(&format!("{graph:#?}\n"))?,
        Err(bag) => {
            return Err(Failure::Said {
                diagnostics: bag.into_sorted(),
                files: analysis.files,
            });
        }
    }
    Ok(Exit::Done)
}
