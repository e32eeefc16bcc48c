//! `guidec plan`: what each step does and costs, without weights.

use guide_compiler::{pipeline, show};

use crate::args::{Plan, PlanFormat};
use crate::compile::{Compiled, compile, read, request};
use crate::describe::describe;
use crate::exit::{Exit, Failure, Result};
use crate::ui::Ui;

/// Prints the plan, or what stands before it.
pub fn plan(args: &Plan, ui: Ui) -> Result<Exit> {
    let model = describe(&args.target)?;
    // A plan is made for a negative prompt unless the user says that there is none.
    let negative = args.target.negative.as_deref() != Some("");
    let request = request(&args.source, &args.target, model, negative)?;
    if let Some(pass) = &args.after {
        let analysis = read(&args.source)?;
        let text = pipeline::after(&analysis, &request, pass).map_err(|bag| Failure::Said {
            diagnostics: bag.into_sorted(),
            files: analysis.files.clone(),
        })?;
        ui.data(&text)?;
        return Ok(Exit::Done);
    }
    let Compiled {
        plan,
        warnings,
        files,
    } = compile(&args.source, &request)?;
    ui.diagnostics(&warnings, &files);
    let text = match args.format {
        PlanFormat::Text => show::text(&plan),
        PlanFormat::Json => show::json(&plan),
        PlanFormat::Dot => show::dot(&plan),
        PlanFormat::Svg => show::svg(&plan),
    };
    ui.data(&text)?;
    Ok(Exit::Done)
}
