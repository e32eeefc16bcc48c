//! What an optimisation is told, in the words of a run, of its state and of its summary.

use guide_compiler::plan::Plan;
use guide_runtime::optimise::Facts;
use serde_json::{Value, json};

use crate::args::{Optimise, Run, VaeTiling};

/// What a run would be told that makes its pictures and texts in the same way.
pub fn as_run(args: &Optimise) -> Run {
    Run {
        source: args.source.clone(),
        prompt: args.prompt.clone(),
        aim: args.aim.clone(),
        target: args.target.clone(),
        seed: args.seed,
        batch: args.batch,
        size: args.size,
        sdxl: args.sdxl.clone(),
        machine: args.machine.clone(),
        at_once: args.at_once,
        init_image: None,
        vae_tiling: VaeTiling::Auto,
        way: None,
        init_latents: None,
        out: args.out.clone(),
        every: None,
        preview: None,
        resume: false,
        shard: None,
        save_latents: args.save_latents.clone(),
        record: None,
        trace: None,
        reply: args.reply,
    }
}

/// What decides what comes out: a kept state goes on only where all of it is the same.
pub fn facts(args: &Optimise, plan: &Plan) -> Facts {
    let head = &plan.head;
    let settings: Vec<String> = head
        .settings
        .iter()
        .map(|setting| format!("{}={}", setting.name, setting.value))
        .collect();
    let bound: Vec<String> = args
        .target
        .bind
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let [_, height, width] = head.model.latent;
    let start = match (&args.init_image, &args.init_latents) {
        (Some(file), _) | (None, Some(file)) => file.display().to_string(),
        (None, None) => "noise".to_owned(),
    };
    let range = head.objective.map_or(String::new(), |range| {
        format!("{}..{}", range.from, range.to)
    });
    let loras = args.target.parts.loras.iter();
    let loras: Vec<String> = loras
        .map(|(file, weight)| format!("{file:?}*{weight}"))
        .collect();
    let all = [
        ("objective", head.guide.clone()),
        ("source", head.source.clone()),
        ("parameters", settings.join(", ")),
        ("bindings", bound.join(", ")),
        ("model", head.model.name.clone()),
        ("loras", loras.join(", ")),
        ("vae", format!("{:?}", args.target.parts.vae)),
        ("prompt", args.prompt.text.clone()),
        ("second prompts", format!("{:?}", args.sdxl)),
        ("prompt weights", args.prompt.weights.to_string()),
        (
            "negative prompt",
            args.target.negative.clone().unwrap_or_default(),
        ),
        ("class", args.aim.clone().unwrap_or_default()),
        ("turns in all", head.steps.to_string()),
        ("times", range),
        ("rate", args.rate().to_string()),
        ("seed", args.seed.to_string()),
        ("batch", args.batch.to_string()),
        ("latent", format!("{width}x{height}")),
        ("start", start),
        ("target", args.what.name().to_owned()),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What a summary and a picture say besides what a run's say.
pub fn made(args: &Optimise, plan: &Plan) -> impl Iterator<Item = (&'static str, Value)> {
    let range = plan
        .head
        .objective
        .map(|range| json!([range.from, range.to]));
    let all = [
        ("target", Some(json!(args.what.name()))),
        ("rate", Some(json!(args.rate()))),
        ("times", range),
        (
            "init_image",
            args.init_image.as_ref().map(|file| json!(file)),
        ),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
}
