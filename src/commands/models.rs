//! `guidec models`: what can be used, where it lies, and what it can do.

use guide_runtime::weights::find::list;
use serde_json::json;

use crate::args::Format;
use crate::describe::places;
use crate::exit::{Exit, Result};
use crate::ui::Ui;

/// Prints a line for each model, and for one that cannot be used why.
pub fn models(format: Format, ui: Ui) -> Result<Exit> {
    let listed = list(&places());
    let text = match format {
        Format::Json => {
            let entries = listed.iter().map(|model| match &model.facts {
                Ok(facts) => json!({
                    "name": model.name,
                    "place": model.place,
                    "space": facts.space,
                    "latent": facts.latent,
                    "layers": facts.layers,
                }),
                Err(error) => json!({
                    "name": model.name,
                    "place": model.place,
                    "error": { "code": error.kind.code(), "message": error.message },
                }),
            });
            format!("{:#}\n", serde_json::Value::Array(entries.collect()))
        }
        Format::Human => listed
            .iter()
            .map(|model| {
                let can = match &model.facts {
                    Ok(facts) => {
                        let [channels, height, width] = facts.latent;
                        let attends = |layer: &&String| layer.ends_with(".self");
                        let count = facts.layers.iter().flatten().filter(attends).count();
                        let space = facts.space.name();
                        format!("predicts {space}, latents {channels}x{height}x{width}, {count} attentions")
                    }
                    Err(error) => format!("cannot be used: {}", error.message),
                };
                format!("{:<12}  {can}\n{:14}{}\n", model.name, "", model.place)
            })
            .collect(),
    };
    ui.data(&text)?;
    Ok(Exit::Done)
}
