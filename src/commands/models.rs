//! `guidec models`: what can be used, where it lies, and what it can do.

use guide_compiler::model;
use guide_compiler::plan::ModelFacts;
use guide_runtime::models::sd;
use guide_runtime::weights::find::{find, list};
use serde_json::json;

use crate::args::Format;
use crate::describe::places;
use crate::exit::{Exit, Result};
use crate::failed::said;
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
                    Ok(facts) => abilities(facts),
                    Err(error) => format!("cannot be used: {}", error.message),
                };
                format!("{:<12}  {can}\n{:14}{}\n", model.name, "", model.place)
            })
            .collect(),
    };
    ui.data(&text)?;
    Ok(Exit::Done)
}

/// Prints what one model can do, or the names of its network's layers.
///
/// # Errors
/// A model that is nowhere, or whose configs cannot be used.
pub fn model(name: &str, layers: bool, format: Format, ui: Ui) -> Result<Exit> {
    let facts = match find(name, &places()) {
        Ok(found) => sd::facts(&found.source, &found.name).map_err(|error| said(&error))?,
        Err(missing) => match model::known(name) {
            Some(known) => known.facts,
            None => return Err(said(&missing).into()),
        },
    };
    let names = facts.layers.as_deref().unwrap_or_default();
    let text = match (format, layers) {
        (Format::Json, true) => format!("{:#}\n", json!(names)),
        (Format::Json, false) => {
            let (space, latent) = (facts.space, facts.latent);
            let facts =
                json!({"name": facts.name, "space": space, "latent": latent, "layers": names});
            format!("{facts:#}\n")
        }
        (Format::Human, true) => tree(names),
        (Format::Human, false) => format!("{:<12}  {}\n", facts.name, abilities(&facts)),
    };
    ui.data(&text)?;
    Ok(Exit::Done)
}

fn abilities(facts: &ModelFacts) -> String {
    let [channels, height, width] = facts.latent;
    let attends = |layer: &&String| layer.ends_with(".self");
    let count = facts.layers.iter().flatten().filter(attends).count();
    let space = facts.space.name();
    format!("predicts {space}, latents {channels}x{height}x{width}, {count} attentions")
}

/// Layers in order of execution: each side's levels, a line for what stands in them, and on it the
/// layers of an attention. Whatever stands at the head of a line is a selector.
fn tree(names: &[String]) -> String {
    let mut out = String::new();
    let mut level = String::new();
    let mut open = None;
    for name in names {
        let words: Vec<&str> = name.split('.').collect();
        let numbered = words.get(1).is_some_and(|word| word.parse::<u32>().is_ok());
        let above = words[..words.len().min(1 + usize::from(numbered))].join(".");
        if above != level {
            end_line(&mut out);
            out.push_str(&format!("{above}\n"));
            level = above;
        }
        let (parent, last) = name.rsplit_once('.').unwrap_or(("", name));
        let is_part = last.parse::<u32>().is_err();
        match is_part {
            true if open == Some(parent) => out.push_str(&format!(", {last}")),
            true => {
                end_line(&mut out);
                out.push_str(&format!("  {parent:<24}  {last}"));
                open = Some(parent);
            }
            false => {
                end_line(&mut out);
                out.push_str(&format!("  {name}\n"));
                open = None;
            }
        }
    }
    end_line(&mut out);
    out
}

/// Ends a line that is begun.
fn end_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}
