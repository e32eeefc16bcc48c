//! A plan from a file.

use std::io::Read;

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::plan::{FORMAT, Plan};

use crate::args::Run;
use crate::exit::{Failure, Result};

/// The largest plan that is read: 64 MiB.
const MOST_BYTES: u64 = 64 << 20;

/// Reads the plan; options that a plan has fixed already are bad usage.
pub fn read(args: &Run) -> Result<Plan> {
    let target = &args.target;
    let fixed = [
        ("--set", !target.set.is_empty()),
        ("--guide", args.source.guide.is_some()),
        ("--steps", target.steps.is_some()),
        ("--sampler", target.sampler.is_some()),
        ("--spacing", target.spacing.is_some()),
        ("--prediction", target.parts.prediction.is_some()),
        ("--eta", target.eta.is_some()),
        ("--strength", target.strength.is_some()),
    ];
    if let Some((option, _)) = fixed.iter().find(|(_, given)| *given) {
        let file = &args.source.file;
        return Err(Failure::Usage(format!(
            "{option} is fixed in the plan '{file}'; plan again"
        )));
    }
    let plan = parse(&args.source.file)?;
    if plan.head.objective.is_some() {
        return Err(bad(&args.source.file, "it is the plan of an objective")
            .help("optimise with the objective's file: `guidec optimise FILE`")
            .into());
    }
    if plan.timetable.skipped > 0 && args.init_image.is_none() {
        return Err(
            bad(&args.source.file, "it was made for a start from a picture")
                .help("add `--init-image FILE`, or plan again without `--strength`")
                .into(),
        );
    }
    if plan.head.negative && target.negative.as_deref().is_none_or(str::is_empty) {
        return Err(bad(&args.source.file, "it was made for a negative prompt")
            .help("add `--negative TEXT`, or plan again with `--negative \"\"`")
            .into());
    }
    Ok(plan)
}

fn parse(file: &str) -> Result<Plan> {
    let unreadable = |error: std::io::Error| {
        Diagnostic::new(
            Code::Unreadable,
            format!("the file `{file}` cannot be read: {error}"),
        )
    };
    let mut text = String::new();
    let stream = std::fs::File::open(file).map_err(unreadable)?;
    stream
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(bad(file, "it is too large").into());
    }
    let plan: Plan = serde_json::from_str(&text).map_err(|error| bad(file, &error.to_string()))?;
    if plan.format != FORMAT {
        return Err(bad(
            file,
            &format!("its format is `{}`, not `{FORMAT}`", plan.format),
        )
        .into());
    }
    plan.check().map_err(|reason| bad(file, &reason))?;
    Ok(plan)
}

fn bad(file: &str, reason: &str) -> Diagnostic {
    Diagnostic::new(
        Code::BadPlan,
        format!("the plan `{file}` cannot be used: {reason}"),
    )
}
