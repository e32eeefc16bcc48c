//! What a comparison has found: all that the report, the sheet and the table are made of, and that is kept
//! between runs and joined from shards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use guide_compiler::diagnostics::{Code, Diagnostic};
use serde::{Deserialize, Serialize};

use super::journal;
use crate::exit::{Failure, Result};
use crate::files::write_whole;

/// What stands first in the file.
pub const FORMAT: &str = "guide-comparison/1";
/// The file's name in its folder.
pub const FILE: &str = "results.json";

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    pub format: String,
    /// What was asked for, beside the rules: two comparisons with the same can be joined.
    pub asked: BTreeMap<String, serde_json::Value>,
    /// Above the columns.
    pub columns: Vec<String>,
    /// Before the rows; empty where seeds make the rows.
    pub rows: Vec<String>,
    /// The label of the variant that the others are held against.
    pub reference: String,
    pub variants: Vec<Found>,
}

/// What was found of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub label: String,
    /// Its column and row.
    pub place: (usize, usize),
    /// The folder of its pictures, below `pictures`.
    pub folder: String,
    /// The plan, as people read it.
    pub plan: String,
    /// The evaluations that the plan states for a picture.
    pub planned: (u64, u64),
    /// By seed.
    pub pictures: BTreeMap<u64, Made>,
}

/// A picture, and what it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Evaluations that the rule asked for.
    pub evaluations: u64,
    pub saturation: f64,
    pub contrast: f64,
    pub clipped: f64,
    pub sharpness: f64,
    /// Whether the embedded classifier sees what the prompt names, where both are there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub right: Option<bool>,
    /// A point for each step.
    pub curve: Vec<Point>,
}

/// What a step did to a picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    pub t: f64,
    pub sigma: f64,
    pub evaluations: u64,
    pub norm: f64,
    pub update: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cosine: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scale: Option<f64>,
    /// Of the clean picture that the step aims at, decoded, where that is cheap.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub saturation: Option<f64>,
}

impl Found {
    /// Where the picture of a seed lies, in the folder of the comparison.
    pub fn file(&self, folder: &Path, seed: u64) -> PathBuf {
        let name = format!("seed{seed}.png");
        folder.join("pictures").join(&self.folder).join(name)
    }
}

impl Results {
    /// All seeds of all variants.
    pub fn seeds(&self) -> BTreeSet<u64> {
        let all = self.variants.iter().flat_map(|found| found.pictures.keys());
        all.copied().collect()
    }

    /// Reads what lies in a folder, also of a comparison that was stopped.
    pub fn read(folder: &Path) -> Result<Self> {
        let place = folder.join(FILE);
        let unreadable = |why: String| {
            let message = format!("`{}` cannot be read: {why}", place.display());
            Diagnostic::new(Code::Unreadable, message)
                .help("name a folder that `guidec compare` or `guidec sweep` has written")
        };
        let text = fs::read_to_string(&place).map_err(|error| unreadable(error.to_string()))?;
        let mut results: Results =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if results.format != FORMAT {
            let why = format!("its format is `{}`, not `{FORMAT}`", results.format);
            return Err(unreadable(why).into());
        }
        let odd =
            |found: &&Found| found.folder.contains(['/', '\\']) || found.folder.starts_with('.');
        if let Some(found) = results.variants.iter().find(odd) {
            let why = format!("`{}` is no folder of pictures", found.folder);
            return Err(unreadable(why).into());
        }
        journal::read(folder, &mut results).map_err(|error| unreadable(error.to_string()))?;
        Ok(results)
    }

    /// Writes it into a folder, whole.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let place = folder.join(FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::unwritable(&place, error))?;
        write_whole(&place, format!("{text}\n").as_bytes())
            .map_err(|error| Failure::unwritable(&place, error))
    }

    /// Whether two are of the same request, so that their pictures belong together.
    pub fn fits(&self, other: &Results) -> bool {
        let same = |(one, other): (&Found, &Found)| {
            one.label == other.label && one.plan == other.plan && one.folder == other.folder
        };
        self.asked == other.asked
            && (&self.columns, &self.rows) == (&other.columns, &other.rows)
            && self.variants.len() == other.variants.len()
            && self.variants.iter().zip(&other.variants).all(same)
    }

    /// Takes over what another has found.
    pub fn join(&mut self, other: Results) {
        for (one, other) in self.variants.iter_mut().zip(other.variants) {
            one.pictures.extend(other.pictures);
        }
    }
}
