//! `guidec eval`: runs a rule over recorded predictions.

use guide_compiler::pipeline::{Request, Times};
use guide_runtime::eval;
use guide_runtime::inputs::{self, Sizes};
use guide_runtime::predictor::Predictor;
use guide_runtime::recording;

use crate::args::Eval;
use crate::compile::{self, Compiled};
use crate::exit::{Exit, Result};
use crate::ui::Ui;

/// Evaluates the rule, and writes what came out.
pub fn eval(args: &Eval, ui: Ui) -> Result<Exit> {
    let mut recording = recording::read(&args.recording)?;
    let request = Request {
        guide: args.source.guide.clone(),
        settings: args.set.clone(),
        prompt_counts: counts(args, &recording.labels()),
        tables: compile::tables(&args.bind),
        negative: true,
        classifiers: Vec::new(),
        backward: Default::default(),
        facts: recording.facts().clone(),
        times: Times::Recording(recording.timetable()),
        steps: recording.steps(),
        strength: None,
    };
    let Compiled {
        plan,
        warnings,
        files,
    } = compile::compile(&args.source, &request)?;
    ui.diagnostics(&warnings, &files);
    let [_, height, width] = recording.latent();
    let sizes = Sizes {
        latent: (height, width),
        picture: (height, width),
    };
    // What only labels predictions needs no binding, and other inputs may stand in the recording.
    let given: Vec<(String, String)> = args
        .bind
        .iter()
        .filter(|(name, _)| plan.inputs.iter().any(|input| input.name == *name))
        .cloned()
        .collect();
    let bound = inputs::bind(&plan, &given, sizes, &|picture| Ok(picture.clone()))?;
    let output = eval::eval(&plan, &mut recording, &bound.bindings)?;
    eval::write(&output, recording.space(), &args.out)?;
    Ok(Exit::Done)
}

/// How many prompts a list holds: those that are bound, else those that the recording has labels
/// for, as in `prompts[1]`.
fn counts(args: &Eval, labels: &[&str]) -> Vec<(String, u32)> {
    let mut counts = compile::counts(&args.bind);
    for label in labels {
        let parts = label
            .split_once('[')
            .and_then(|(name, rest)| Some((name, rest.split_once(']')?)));
        let Some((name, (place, _))) = parts else {
            continue;
        };
        let Ok(place) = place.parse::<u32>() else {
            continue;
        };
        if args.bind.iter().any(|(bound, _)| bound == name) {
            continue;
        }
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count = (*count).max(place.saturating_add(1)),
            None => counts.push((name.to_owned(), place.saturating_add(1))),
        }
    }
    counts
}
