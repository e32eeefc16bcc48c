//! The description of a model by its name or folder, without its weights.

use guide_compiler::diagnostics::Diagnostic;
use guide_compiler::model::{self, Model};

use crate::exit::Result;

/// What goes without `--model`.
pub const EMBEDDED: &str = "pocket";

/// The model that `--model` names: a folder's own configs, else what is known of the name.
///
/// # Errors
/// A model that is nowhere, or whose configs cannot be used.
pub fn describe(name: Option<&str>) -> Result<Model> {
    let name = name.unwrap_or(EMBEDDED);
    match configs(name) {
        Ok((shown, [unet, scheduler])) => Ok(model::of_configs(&shown, &unet, &scheduler)?),
        Err(missing) => model::known(name).ok_or_else(|| missing.into()),
    }
}

#[cfg(feature = "run")]
fn configs(name: &str) -> std::result::Result<(String, [String; 2]), Diagnostic> {
    let found =
        guide_runtime::weights::find::find(name, &places()).map_err(|e| crate::failed::said(&e))?;
    let text = |path: &str| {
        found
            .source
            .text(path)
            .map_err(|error| crate::failed::said(&error))
    };
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
pub fn pixels(name: Option<&str>) -> Option<u32> {
    let found = guide_runtime::weights::find::find(name.unwrap_or(EMBEDDED), &places()).ok()?;
    let text = found.source.text("vae/config.json").ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    let levels = config.get("block_out_channels")?.as_array()?.len();
    u32::try_from(levels)
        .ok()?
        .checked_sub(1)
        .and_then(|halvings| 1u32.checked_shl(halvings))
}

/// Where models may lie.
#[cfg(feature = "run")]
pub fn places() -> guide_runtime::weights::find::Places {
    guide_runtime::weights::find::Places::of(|name| std::env::var(name).ok())
}

#[cfg(not(feature = "run"))]
fn configs(name: &str) -> std::result::Result<(String, [String; 2]), Diagnostic> {
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
