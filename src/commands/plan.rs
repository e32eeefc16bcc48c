//! `guidec plan`: what each step does and costs, without weights.

use guide_compiler::{pipeline, show};

use crate::args::{Plan, PlanFormat};
use crate::compile::{Compiled, compiled, read, request, turns};
use crate::describe::describe;
use crate::exit::{Exit, Failure, Result};
use crate::ui::Ui;

/// Prints the plan, or what stands before it.
pub fn plan(args: &Plan, ui: Ui) -> Result<Exit> {
    let model = describe(&args.target)?;
    // A plan is made for a negative prompt unless the user says that there is none.
    let negative = args.target.negative.as_deref() != Some("");
    let mut request = request(&args.source, &args.target, model, negative)?;
    let analysis = read(&args.source)?;
    if pipeline::means_objective(&analysis, args.source.guide.as_deref()) {
        request = turns(request, &args.target, &args.drawn)?;
    } else if args.drawn.times.is_some() {
        let message = "--times is for objectives; a guide's times are its sampler's";
        return Err(Failure::Usage(message.to_owned()));
    }
    if let Some(pass) = &args.after {
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
    } = compiled(analysis, &request)?;
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
