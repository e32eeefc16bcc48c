//! What is known of a model before its weights are read.

use guide_compiler::plan::{ModelFacts, Space};

use super::config::UNetConfig;
use super::unet::layer_names;
use crate::error::Result;
use crate::models::fields::Fields;
use crate::weights::Source;

/// The facts of the model called `name`, from its `unet/config.json` and `scheduler/scheduler_config.json`.
///
/// # Errors
/// `ModelIncomplete` without these files, `BadConfig`.
pub fn facts(source: &Source, name: &str) -> Result<ModelFacts> {
    let config = UNetConfig::read(source, "unet")?;
    Ok(ModelFacts {
        name: name.to_owned(),
        space: space(source)?,
        latent: latent(&config),
        layers: Some(layer_names(&config)),
    })
}

/// The space that the network answers in, by the scheduler's `prediction_type`.
///
/// # Errors
/// `ModelIncomplete`, `BadConfig`.
pub(in crate::models) fn space(source: &Source) -> Result<Space> {
    let fields = Fields::read(source, "scheduler/scheduler_config.json")?;
    match fields.word("prediction_type", "epsilon")?.as_str() {
        "epsilon" => Ok(Space::Eps),
        "v_prediction" => Ok(Space::V),
        "sample" => Ok(Space::X0),
        _ => Err(fields.refuse(
            "prediction_type",
            "this runtime knows `epsilon`, `v_prediction` and `sample`",
        )),
    }
}

fn latent(config: &UNetConfig) -> [u32; 3] {
    // INVARIANT: `Fields` bounds every count well below `u32::MAX`.
    [config.in_channels, config.sample_size, config.sample_size]
        .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}
