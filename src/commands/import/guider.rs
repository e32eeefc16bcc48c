//! diffusers' saved guiders: `guider_config.json`.

use guide_compiler::diagnostics::{Diagnostic, suggest};
use serde_json::Value;

use super::fields::{self, layers, missing, number, shown, spelled, spelled_layers, truth};
use super::guider_classes::{GUIDERS, Guider, LAYERS, NUMBERS};
use super::imported::{Imported, Rule};
use super::{Object, refused};

/// A guider's import under way.
struct Reading<'a> {
    config: &'a Object,
    class: &'static str,
    values: Vec<(&'static str, String)>,
    left_out: Vec<String>,
    /// The fields that were read.
    known: Vec<&'static str>,
}

/// Takes over a guider.
///
/// # Errors
/// A class that is not known; a field that is missing or of the wrong kind.
pub fn imported(file: &str, config: &Object) -> Result<Imported, Diagnostic> {
    let guider = class_of(config)?;
    let mut reading = Reading {
        config,
        class: guider.class,
        values: Vec::new(),
        left_out: Vec::new(),
        known: vec!["enabled"],
    };
    for (field, param) in guider.numbers {
        reading.number(field, param)?;
    }
    if guider.class == "FrequencyDecoupledGuidance" {
        reading.frequencies()?;
    } else {
        for (field, param) in NUMBERS {
            reading.number(field, param)?;
        }
    }
    reading.original()?;
    reading.layers()?;
    match guider.class {
        "SmoothedEnergyGuidance" => reading.blur()?,
        "AutoGuidance" => reading.dropout()?,
        // What it inherits, said again.
        "PerturbedAttentionGuidance" => reading.known.extend([
            "skip_layer_guidance_scale",
            "skip_layer_guidance_start",
            "skip_layer_guidance_stop",
            "skip_layer_guidance_layers",
        ]),
        _ => {}
    }
    reading.rest();
    let enabled = match config.get("enabled") {
        Some(value) => truth("enabled", value)?,
        None => true,
    };
    let rule = Rule {
        path: guider.path,
        values: reading.values,
    };
    let mut about = format!(
        "The guider `{}` of diffusers, imported from `{}`.",
        guider.class,
        shown(file)
    );
    if !enabled {
        about.push_str(" It was not enabled, which leaves the conditional prediction alone.");
    }
    Ok(Imported {
        guide: snake(guider.class),
        about,
        run: None,
        rule: enabled.then_some(rule),
        additions: Vec::new(),
        around: None,
        left_out: reading.left_out,
    })
}

fn class_of(config: &Object) -> Result<&'static Guider, Diagnostic> {
    let class = match config.get("_class_name") {
        Some(value) => fields::text("_class_name", value)?,
        None => return Err(missing("the configuration", "_class_name")),
    };
    if let Some(known) = GUIDERS.iter().find(|guider| guider.class == class) {
        return Ok(known);
    }
    let message = format!("no guider `{}` is known here", shown(class));
    let near = suggest::nearest(class, GUIDERS.iter().map(|guider| guider.class));
    Err(match near {
        Some(near) => refused(message).help(format!("a similar one is `{near}`")),
        None => {
            let all: Vec<&str> = GUIDERS.iter().map(|guider| guider.class).collect();
            refused(message).help(format!("known are `{}`", all.join("`, `")))
        }
    })
}

/// `NormalizedAttentionCFGGuidance` as `normalized_attention_cfg_guidance`
fn snake(class: &str) -> String {
    let mut name = String::new();
    let letters: Vec<char> = class.chars().collect();
    for (at, c) in letters.iter().enumerate() {
        let after_small = at > 0 && !letters[at - 1].is_ascii_uppercase();
        let before_small = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && at > 0 && (after_small || before_small) {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

impl<'a> Reading<'a> {
    /// A field that is there and not null.
    fn get(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.push(field);
        self.config.get(field).filter(|value| !value.is_null())
    }

    /// A number; null, which is none, is 0.
    fn number(&mut self, field: &'static str, param: &'static str) -> Result<(), Diagnostic> {
        self.known.push(field);
        match self.config.get(field) {
            None => {}
            Some(Value::Null) => self.values.push((param, "0".to_owned())),
            Some(value) => self.values.push((param, spelled(number(field, value)?))),
        }
        Ok(())
    }

    fn original(&mut self) -> Result<(), Diagnostic> {
        if let Some(value) = self.get("use_original_formulation") {
            let original = truth("use_original_formulation", value)?;
            self.values.push(("original", original.to_string()));
        }
        Ok(())
    }

    /// The layers that a guider names, where it has some.
    fn layers(&mut self) -> Result<(), Diagnostic> {
        let Some((_, plain, hooks)) = LAYERS.iter().find(|(class, ..)| *class == self.class) else {
            return Ok(());
        };
        let numbers = match (self.get(plain), self.get(hooks)) {
            (Some(value), _) => layers(plain, value)?,
            (None, Some(value)) => self.hooked(hooks, value)?,
            (None, None) => {
                let message = format!("a `{}` needs `{plain}` or `{hooks}`", self.class);
                return Err(refused(message));
            }
        };
        self.values.push(("layers", spelled_layers(&numbers)));
        Ok(())
    }

    /// The layers of hook configurations, with what of them has no equal.
    fn hooked(&mut self, field: &'static str, value: &Value) -> Result<Vec<u64>, Diagnostic> {
        let all = match value {
            Value::Array(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut numbers = Vec::new();
        for config in all {
            let Some(indices) = config.get("indices") else {
                return Err(missing(&format!("`{field}`"), "indices"));
            };
            numbers.extend(layers("indices", indices)?);
            self.hook_options(field, config);
        }
        layers(field, &numbers.into())
    }

    fn hook_options(&mut self, field: &str, config: &Value) {
        let perturbs = self.class == "PerturbedAttentionGuidance";
        let usual = [
            ("fqn", Value::from("auto")),
            ("skip_attention", (!perturbs).into()),
            ("skip_attention_scores", perturbs.into()),
            ("skip_ff", (!perturbs).into()),
            ("dropout", 1.0.into()),
            ("query_proj_identifiers", Value::Null),
        ];
        for (option, usual) in usual {
            let Some(found) = config.get(option).filter(|found| !found.is_null()) else {
                continue;
            };
            // Query projections are found by the layer here.
            let is_usual = *found == usual || option == "query_proj_identifiers";
            let is_usual = is_usual || found.as_f64().is_some_and(|n| Some(n) == usual.as_f64());
            if !is_usual {
                let found = shown(&found.to_string());
                self.left_out.push(format!(
                    "`{option}` {found} of `{field}`: whole layers are disturbed here"
                ));
            }
        }
    }

    fn blur(&mut self) -> Result<(), Diagnostic> {
        let threshold = match self.get("seg_blur_threshold_inf") {
            Some(value) => number("seg_blur_threshold_inf", value)?,
            None => 9999.0,
        };
        if let Some(value) = self.get("seg_blur_sigma") {
            let sigma = number("seg_blur_sigma", value)?;
            let sigma = if sigma > threshold {
                f64::INFINITY
            } else {
                sigma
            };
            self.values.push(("sigma", spelled(sigma)));
        }
        Ok(())
    }

    fn dropout(&mut self) -> Result<(), Diagnostic> {
        if let Some(value) = self.get("dropout") {
            let dropout = number("dropout", value)?;
            if dropout != 1.0 {
                self.left_out.push(format!(
                    "`dropout` {}: the layers are left out as a whole here, as with 1",
                    spelled(dropout)
                ));
            }
        }
        Ok(())
    }

    /// The scales, windows and rescaling of `FrequencyDecoupledGuidance`, which may differ by level.
    fn frequencies(&mut self) -> Result<(), Diagnostic> {
        let scales = match self.get("guidance_scales") {
            Some(value) => numbers("guidance_scales", value)?,
            None => vec![10.0, 5.0],
        };
        let (Some(high), Some(low), true) = (scales.first(), scales.last(), scales.len() >= 2)
        else {
            let message = "`guidance_scales` needs two numbers or more, one for each level";
            return Err(refused(message));
        };
        let last = (scales.len() - 1) as f64;
        let line = |at: usize| high + (low - high) * at as f64 / last;
        let levels = scales.iter().enumerate();
        let off: Vec<String> = levels
            .filter(|(at, scale)| (line(*at) - **scale).abs() > 1e-9 * scale.abs().max(1.0))
            .map(|(at, scale)| format!("{} for {}", spelled(line(at)), spelled(*scale)))
            .collect();
        if !off.is_empty() {
            self.left_out.push(format!(
                "the scales between the first and the last of `guidance_scales`: they lie on a line here, {}",
                off.join(", ")
            ));
        }
        self.values.push(("scale_high", spelled(*high)));
        self.values.push(("scale_low", spelled(*low)));
        self.values.push(("levels", scales.len().to_string()));
        for (field, param) in [
            ("start", "start"),
            ("stop", "stop"),
            ("guidance_rescale", "phi"),
        ] {
            self.one_for_all(field, param)?;
        }
        if let Some(value) = self.get("parallel_weights") {
            let weights = numbers("parallel_weights", value)?;
            if weights.iter().any(|weight| *weight != 1.0) {
                self.left_out.push(
                    "`parallel_weights`: the levels are not split along the prompt's here"
                        .to_owned(),
                );
            }
        }
        if let Some(value) = self.get("guidance_rescale_space")
            && fields::text("guidance_rescale_space", value)? != "data"
        {
            self.left_out.push(
                "`guidance_rescale_space` `freq`: the whole prediction is rescaled here".to_owned(),
            );
        }
        Ok(())
    }

    /// A number, or a list of which the first is taken.
    fn one_for_all(&mut self, field: &'static str, param: &'static str) -> Result<(), Diagnostic> {
        let Some(value) = self.get(field) else {
            return Ok(());
        };
        let all = numbers(field, value)?;
        let Some(first) = all.first() else {
            return Err(fields::unfit(field, "a number or a list of numbers", value));
        };
        if all.iter().any(|other| other != first) {
            self.left_out.push(format!(
                "the values of `{field}` after the first: all levels have {} here",
                spelled(*first)
            ));
        }
        self.values.push((param, spelled(*first)));
        Ok(())
    }

    /// What was not read and is not of diffusers' own bookkeeping.
    fn rest(&mut self) {
        for (field, value) in self.config {
            let own = field.starts_with('_') || self.known.contains(&field.as_str());
            if !own && !value.is_null() {
                let value = shown(&value.to_string());
                let what = match field.as_str() {
                    "distilled_guidance_scale" => ": it is an input of the network",
                    _ => ", which is not known here",
                };
                self.left_out
                    .push(format!("`{}` {value}{what}", shown(field)));
            }
        }
    }
}

/// A number or a list of numbers.
fn numbers(field: &str, value: &Value) -> Result<Vec<f64>, Diagnostic> {
    match value {
        Value::Array(all) => all.iter().map(|value| number(field, value)).collect(),
        one => Ok(vec![number(field, one)?]),
    }
}
