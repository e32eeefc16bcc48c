//! The description of a model by its name or folder, without its weights.

use guide_compiler::diagnostics::Diagnostic;
use guide_compiler::model::{self, Model};
use guide_compiler::plan::Space;

#[cfg(feature = "run")]
use guide_runtime::error::RuntimeError;
#[cfg(feature = "run")]
use guide_runtime::weights::Changes;
#[cfg(feature = "run")]
use guide_runtime::weights::find::{Places, find};

#[cfg(feature = "run")]
use crate::args::Parts;
use crate::args::Target;
use crate::exit::Result;

/// What goes without `--model`.
pub const EMBEDDED: &str = "pocket";

/// The model that `--model` names: its own configs, else what is known of the name.
///
/// # Errors
/// A model that is nowhere, or whose configs cannot be used.
pub fn describe(target: &Target) -> Result<Model> {
    let name = target.model.as_deref().unwrap_or(EMBEDDED);
    match configs(name, target) {
        Ok((shown, [unet, scheduler])) => Ok(model::of_configs(&shown, &unet, &scheduler)?),
        Err(missing) => known(name, target, missing),
    }
}

/// What is known of a model that lies nowhere here, or not yet.
fn known(name: &str, target: &Target, missing: Diagnostic) -> Result<Model> {
    let mut known = model::known(name).ok_or(missing)?;
    if let Some(space) = predicted(target) {
        known.facts.space = space;
        known.scheduler.space = space;
    }
    Ok(known)
}

/// What the options say that the network predicts.
#[cfg(feature = "run")]
fn predicted(target: &Target) -> Option<Space> {
    target
        .parts
        .prediction
        .map(|prediction| prediction.both().0)
}

#[cfg(not(feature = "run"))]
fn predicted(_: &Target) -> Option<Space> {
    None
}

#[cfg(feature = "run")]
fn configs(name: &str, target: &Target) -> std::result::Result<(String, [String; 2]), Diagnostic> {
    let said = |error: RuntimeError| crate::failed::said(&error);
    let found = find(name, &places()).map_err(said)?;
    let source = found.source.with(&changes(&target.parts)).map_err(said)?;
    let text = |path: &str| source.text(path).map_err(said);
    Ok((
        found.name.clone(),
        [
            text("unet/config.json")?,
            text("scheduler/scheduler_config.json")?,
        ],
    ))
}

/// How many pixels of a picture one of a latent stands for, along a side: the decoder doubles the sides
/// once between each two of its levels. Nothing where the model does not say; loading it will.
#[cfg(feature = "run")]
pub fn pixels(target: &Target) -> Option<u32> {
    let found = find(target.model.as_deref().unwrap_or(EMBEDDED), &places()).ok()?;
    let source = found.source.with(&changes(&target.parts)).ok()?;
    let text = source.text("vae/config.json").ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    let levels = config.get("block_out_channels")?.as_array()?.len();
    u32::try_from(levels)
        .ok()?
        .checked_sub(1)
        .and_then(|halvings| 1u32.checked_shl(halvings))
}

/// What the options change of the model.
#[cfg(feature = "run")]
pub fn changes(parts: &Parts) -> Changes {
    Changes {
        config: parts.config.clone(),
        tokenizer: parts.tokenizer.clone(),
        vae: parts.vae.clone(),
        predicts: parts.prediction.map(|prediction| prediction.both().1),
        loras: parts.loras.clone(),
    }
}

/// Where models may lie.
#[cfg(feature = "run")]
pub fn places() -> Places {
    Places::of(|name| std::env::var(name).ok())
}

#[cfg(not(feature = "run"))]
fn configs(name: &str, _: &Target) -> std::result::Result<(String, [String; 2]), Diagnostic> {
    use guide_compiler::diagnostics::Code;
    let folder = std::path::Path::new(name);
    if !folder.is_dir() {
        let message = format!("there is no model `{name}`");
        let help = format!(
            "give a folder in diffusers layout, or one of {}",
            model::KNOWN.join(", ")
        );
        return Err(Diagnostic::new(Code::ModelNotFound, message).help(help));
    }
    let text = |path: &str| {
        let place = folder.join(path);
        std::fs::read_to_string(&place).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", place.display());
            Diagnostic::new(Code::ModelIncomplete, message)
        })
    };
    let shown = folder
        .file_name()
        .map_or(name.into(), |last| last.to_string_lossy());
    Ok((
        shown.into_owned(),
        [
            text("unet/config.json")?,
            text("scheduler/scheduler_config.json")?,
        ],
    ))
}
