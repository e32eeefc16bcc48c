//! From what the user asked for to a plan: the file, the model's description, the settings.

use guide_compiler::diagnostics::Diagnostic;
use guide_compiler::model::Model;
use guide_compiler::pipeline::{self, Analysis, Request, Times};
use guide_compiler::plan::Plan;
use guide_compiler::schedule::{Backward, KnownClassifier};
use guide_compiler::sources::SourceMap;
use guide_compiler::timetable::{Sampler, Spacing};

use crate::args::{Drawn, Source, Target, given_twice};
use crate::exit::{Failure, Result};
use crate::sources::{self, Disk};

/// A plan with what there is to say about it.
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    /// The files that they are about.
    pub files: SourceMap,
}

/// What a guide is compiled for, by the command line.
pub fn request(source: &Source, target: &Target, model: Model, negative: bool) -> Result<Request> {
    let mut scheduler = model.scheduler;
    let sampler = match &target.sampler {
        Some(name) => {
            let (sampler, levels) = Sampler::parse(name)?;
            scheduler.levels = levels.unwrap_or(scheduler.levels);
            // Whatever sampler the model was published with, the user wants this one.
            scheduler.ignored.retain(|i| i.field != "_class_name");
            sampler
        }
        None => scheduler.sampler.unwrap_or_default(),
    };
    if let Some(eta) = target.eta {
        if sampler != Sampler::Ddim {
            return Err(Failure::Usage(format!(
                "--eta is for --sampler ddim, not for {sampler}"
            )));
        }
        scheduler.eta = eta;
    }
    let spacing = target.spacing.as_deref().map(Spacing::parse).transpose()?;
    Ok(Request {
        guide: source.guide.clone(),
        settings: target.set.clone(),
        prompt_counts: counts(&target.bind),
        tables: tables(&target.bind),
        negative,
        classifiers: classifiers(target),
        backward: backward(target, model.facts.latent),
        facts: model.facts,
        times: Times::Sampler {
            scheduler,
            sampler,
            spacing,
        },
        strength: target.strength,
        // A number that no plan can have stays one.
        steps: u32::try_from(target.steps.unwrap_or(20)).unwrap_or(u32::MAX),
    })
}

/// The turns of an objective where nothing is said.
const TURNS: u64 = 300;
/// Where their times are drawn, as shares of the noise: as usual, without its ends.
const RANGE: (f64, f64) = (0.02, 0.98);

/// The same for an objective, which takes turns instead of a sampler's steps.
///
/// # Errors
/// Options that only samplers have.
pub fn turns(request: Request, target: &Target, drawn: &Drawn) -> Result<Request> {
    let of_samplers = [
        ("--sampler", target.sampler.is_some()),
        ("--spacing", target.spacing.is_some()),
        ("--eta", target.eta.is_some()),
        ("--strength", target.strength.is_some()),
    ];
    if let Some((option, _)) = of_samplers.iter().find(|(_, given)| *given) {
        let message = format!("{option} is for samplers; an objective is optimised with Adam");
        return Err(Failure::Usage(message));
    }
    let scheduler = match request.times {
        Times::Sampler { scheduler, .. } => scheduler,
        _ => {
            return Err(Failure::Usage(
                "an objective needs a model's noise".to_owned(),
            ));
        }
    };
    Ok(Request {
        times: Times::Turns {
            scheduler,
            range: drawn.times.unwrap_or(RANGE),
        },
        steps: u32::try_from(target.steps.unwrap_or(TURNS)).unwrap_or(u32::MAX),
        ..request
    })
}

/// Reads and checks the file of a guide.
pub fn read(source: &Source) -> Result<Analysis> {
    let root = sources::root(&source.file)?;
    Ok(pipeline::read(
        root,
        &Disk::new(&source.file, &source.allow_path),
    ))
}

/// Compiles a guide for a request.
#[cfg(feature = "run")]
pub fn compile(source: &Source, request: &Request) -> Result<Compiled> {
    compiled(read(source)?, request)
}

/// Compiles what was read.
pub fn compiled(analysis: Analysis, request: &Request) -> Result<Compiled> {
    if let Some(name) = given_twice(&request.settings) {
        return Err(Failure::Usage(format!(
            "the parameter '{name}' is set twice"
        )));
    }
    match pipeline::compile(&analysis, request) {
        Ok(compiled) => Ok(Compiled {
            plan: compiled.plan,
            warnings: compiled.warnings.into_sorted(),
            files: analysis.files,
        }),
        Err(bag) => Err(Failure::Said {
            diagnostics: bag.into_sorted(),
            files: analysis.files,
        }),
    }
}

/// What is bound to a file of numbers, for tables that a plan reads. A file that is none is a mask or a
/// picture, or is refused when it is bound.
#[cfg(feature = "run")]
pub fn tables(bind: &[(String, String)]) -> Vec<(String, Vec<Vec<f64>>)> {
    let numbers = |value: &str| value.ends_with(".csv") || value.ends_with(".safetensors");
    let files = bind.iter().filter(|(_, value)| numbers(value));
    let read = |(name, value): &(String, String)| {
        let rows = guide_runtime::inputs::table(value.as_ref(), name).ok()?;
        Some((name.clone(), rows))
    };
    files.filter_map(read).collect()
}

/// What is known of classifiers without their weights: of those that are bound, and of the model's own.
/// What cannot be read is refused when it is bound.
#[cfg(feature = "run")]
fn classifiers(target: &Target) -> Vec<KnownClassifier> {
    use guide_compiler::plan::Seen;
    use guide_runtime::inputs;
    use guide_runtime::models::judge::JudgeConfig;
    use guide_runtime::models::own_folder;
    use guide_runtime::weights::{Source, find::find};

    let known = |source: &Source, name: Option<&str>, sees: Option<Seen>| {
        let texts = name.map(|name| format!("{name}{}", inputs::CLASSES));
        let given = target
            .bind
            .iter()
            .filter(|(of, _)| Some(of) == texts.as_ref());
        let classes: Vec<String> = given.map(|(_, text)| text.clone()).collect();
        let config = JudgeConfig::read(source, &classes).ok()?;
        Some(KnownClassifier {
            name: name.map(str::to_owned),
            sees,
            classes: config.labels.len() as u32,
            backward: Some(config.backward()),
        })
    };
    // The network of a loss is asked under the loss's name.
    let bound = target.bind.iter().filter_map(|(name, value)| {
        let name = name.strip_suffix(inputs::NETWORK).unwrap_or(name);
        known(&there(value)?, Some(name), None)
    });
    let mut all: Vec<KnownClassifier> = bound.collect();
    let model = target.model.as_deref().unwrap_or(crate::describe::EMBEDDED);
    if let Ok(found) = find(model, &crate::describe::places()) {
        let own = [Seen::Noisy, Seen::X0, Seen::Image];
        all.extend(
            own.into_iter()
                .filter_map(|sees| known(&found.source.below(own_folder(sees)), None, Some(sees))),
        );
    }
    all
}

/// What is bound, where it is a network that lies here: by its folder, or by a name of the hub.
#[cfg(feature = "run")]
fn there(value: &str) -> Option<guide_runtime::weights::Source> {
    use guide_runtime::weights::Source;
    use guide_runtime::weights::find::{find, repository};

    let is_network = |source: &Source| source.has("config.json");
    let folder = Source::Folder(value.into());
    if is_network(&folder) {
        return Some(folder);
    }
    repository(value)?;
    let found = find(value, &crate::describe::places()).ok()?;
    Some(found.source).filter(is_network)
}

/// What backward passes through the model hold, by its configs. What cannot be read is refused when it is
/// loaded.
#[cfg(feature = "run")]
fn backward(target: &Target, [_, height, width]: [u32; 3]) -> Backward {
    use guide_runtime::models::sd::{UNetConfig, VaeConfig};
    use guide_runtime::weights::find::find;

    let model = target.model.as_deref().unwrap_or(crate::describe::EMBEDDED);
    let Ok(found) = find(model, &crate::describe::places()) else {
        return Backward::default();
    };
    let (height, width) = (height as usize, width as usize);
    let network = UNetConfig::read(&found.source, "unet").ok();
    let decoder = VaeConfig::read(&found.source, "vae").ok();
    Backward {
        network: network.map(|config| config.backward(height, width)),
        decoder: decoder.map(|config| config.backward(height, width)),
    }
}

/// Without the runtime nothing is known of them.
#[cfg(not(feature = "run"))]
fn backward(_: &Target, _: [u32; 3]) -> Backward {
    Backward::default()
}

/// Without the runtime no classifier is known.
#[cfg(not(feature = "run"))]
fn classifiers(_: &Target) -> Vec<KnownClassifier> {
    Vec::new()
}

/// Without the runtime no table is read.
#[cfg(not(feature = "run"))]
pub fn tables(_: &[(String, String)]) -> Vec<(String, Vec<Vec<f64>>)> {
    Vec::new()
}

/// How often each name is bound: what counts for lists of prompts.
pub fn counts(bind: &[(String, String)]) -> Vec<(String, u32)> {
    let mut counts: Vec<(String, u32)> = Vec::new();
    for (name, _) in bind {
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name.clone(), 1)),
        }
    }
    counts
}
