//! What was found, as numbers: a table for people, an object for programs.

use std::path::Path;

use guide_runtime::image::Picture;
use guide_runtime::measures::diversity;
use serde_json::{Value, json};

use super::results::{Found, Made, Results};
use super::sheet::read;
use crate::exit::Result;

/// The means over the pictures of a variant.
pub struct Row {
    pub label: String,
    pub evaluations: f64,
    pub right: Option<f64>,
    pub saturation: f64,
    pub contrast: f64,
    pub clipped: f64,
    pub sharpness: f64,
    /// The mean difference between the pictures of different seeds, in levels of 256.
    pub diversity: f64,
    /// The mean difference from the reference's pictures of the same seeds.
    pub distance: f64,
}

/// A row for each variant.
pub fn rows(results: &Results, folder: &Path) -> Result<Vec<Row>> {
    let pictures = |found: &Found| -> Result<Vec<(u64, Picture)>> {
        let seeds = found.pictures.keys();
        seeds
            .map(|seed| Ok((*seed, read(&found.file(folder, *seed))?)))
            .collect()
    };
    let reference = results
        .variants
        .iter()
        .find(|found| found.label == results.reference);
    let reference = reference.map(&pictures).transpose()?.unwrap_or_default();
    let row = |found: &Found| -> Result<Row> {
        let own = pictures(found)?;
        let mean = |of: &dyn Fn(&Made) -> f64| {
            found.pictures.values().map(of).sum::<f64>() / found.pictures.len().max(1) as f64
        };
        let judged = found.pictures.values().filter_map(|made| made.right);
        let judged: Vec<f64> = judged.map(|right| f64::from(u8::from(right))).collect();
        let apart = own.iter().filter_map(|(seed, picture)| {
            let other = reference.iter().find(|(known, _)| known == seed);
            other.map(|(_, other)| picture.levels_apart(other))
        });
        let apart: Vec<f64> = apart.collect();
        let average = |list: &[f64]| list.iter().sum::<f64>() / list.len().max(1) as f64;
        let all: Vec<&Picture> = own.iter().map(|(_, picture)| picture).collect();
        Ok(Row {
            label: found.label.clone(),
            evaluations: mean(&|made| made.evaluations as f64),
            right: (!judged.is_empty()).then(|| average(&judged)),
            saturation: mean(&|made| made.saturation),
            contrast: mean(&|made| made.contrast),
            clipped: mean(&|made| made.clipped),
            sharpness: mean(&|made| made.sharpness),
            diversity: diversity(&all),
            distance: average(&apart),
        })
    };
    results.variants.iter().map(row).collect()
}

/// For people.
pub fn text(rows: &[Row], reference: &str) -> String {
    let longest = rows
        .iter()
        .map(|row| row.label.chars().count())
        .max()
        .unwrap_or(0)
        .max(4);
    let judged = rows.iter().any(|row| row.right.is_some());
    let class = |text: &str| {
        if judged {
            format!("  {text:>6}")
        } else {
            String::new()
        }
    };
    let mut out = format!(
        "{:longest$}  evaluations{}  saturation  contrast  clipped  sharpness  diversity  from {}",
        "rule",
        class("class"),
        reference
    );
    for row in rows {
        let right = row
            .right
            .map_or_else(String::new, |right| format!("{:.0} %", 100.0 * right));
        out.push_str(&format!(
            "\n{:longest$}  {:>11.1}{}  {:>10.3}  {:>8.1}  {:>5.1} %  {:>9.2}  {:>9.2}  {:.2}",
            row.label,
            row.evaluations,
            class(&right),
            row.saturation,
            row.contrast,
            100.0 * row.clipped,
            row.sharpness,
            row.diversity,
            row.distance
        ));
    }
    out
}

/// A row as an object.
pub fn value(row: &Row) -> Value {
    json!({
        "label": row.label,
        "evaluations": row.evaluations,
        "class": row.right,
        "saturation": row.saturation,
        "contrast": row.contrast,
        "clipped": row.clipped,
        "sharpness": row.sharpness,
        "diversity": row.diversity,
        "distance": row.distance,
    })
}

/// For programs.
pub fn json(rows: &[Row], results: &Results, folder: &Path) -> String {
    let rows: Vec<Value> = rows.iter().map(value).collect();
    let all = json!({
        "asked": results.asked,
        "reference": results.reference,
        "rows": rows,
        "folder": folder.display().to_string(),
    });
    format!("{all:#}\n")
}
