//! `guidec eval`: runs a rule over recorded predictions.

use std::collections::BTreeSet;
use std::path::Path;

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::pipeline::{Request, Times};
use guide_compiler::plan::Plan;
use guide_runtime::eval;
use guide_runtime::inputs::{self, Sizes};
use guide_runtime::predictor::Predictor;
use guide_runtime::recording::{self, Recording};

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
    if let Some(warning) = of_another(&recording, &plan, &args.recording) {
        ui.diagnostics(&[warning], &files);
    }
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

/// What there is to say of a recording whose run followed another rule: it can be evaluated where it holds
/// what the rule asks for, but its states are those of the other rule's run.
fn of_another(recording: &Recording, plan: &Plan, file: &Path) -> Option<Diagnostic> {
    let (rule, head) = (recording.rule()?, &plan.head);
    if rule.source == head.source && rule.guide == head.guide {
        return None;
    }
    let by = match rule.guide == head.guide {
        true => format!("another text of `{}`", rule.guide),
        false => format!("`{}`, not by `{}`", rule.guide, head.guide),
    };
    let message = format!("the recording `{}` was made by {by}", file.display());
    let asked: BTreeSet<&str> = plan.predictions.iter().map(|p| p.label.as_str()).collect();
    let held: BTreeSet<&str> = recording.labels().into_iter().collect();
    let list = |labels: Vec<&str>| {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        labels.join(", ")
    };
    let mut says = vec![format!(
        "its states `x` are those of a run by `{}`",
        rule.guide
    )];
    let unread: Vec<&str> = held.difference(&asked).copied().collect();
    if !unread.is_empty() {
        says.push(format!("nothing reads its {}", list(unread)));
    }
    let missing: Vec<&str> = asked.difference(&held).copied().collect();
    if !missing.is_empty() {
        says.push(format!("it lacks {}", list(missing)));
    }
    Some(Diagnostic::new(Code::OtherRule, message).help(says.join("; ")))
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
