//! Whose run a recording is of, in its metadata.

use std::collections::{BTreeMap, HashMap};

use guide_compiler::plan::Head;

const GUIDE: &str = "guide";
const SOURCE: &str = "source";
const SETTINGS: &str = "settings";

/// The rule that a recorded run followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The guide's name.
    pub guide: String,
    /// The SHA-256 of its text and of all it uses, as in [`Head::source`].
    pub source: String,
    /// Its parameters as they were in force.
    pub settings: BTreeMap<String, String>,
}

impl Rule {
    /// The rule of a plan.
    pub fn of(head: &Head) -> Self {
        let settings = head.settings.iter();
        Self {
            guide: head.guide.clone(),
            source: head.source.clone(),
            settings: settings
                .map(|setting| (setting.name.clone(), setting.value.clone()))
                .collect(),
        }
    }

    /// What metadata say; `None` where they name no rule. Settings that cannot be read are none: they
    /// decide nothing.
    pub(super) fn read(metadata: &HashMap<String, String>) -> Option<Self> {
        let settings = metadata.get(SETTINGS);
        let settings = settings.and_then(|text| serde_json::from_str(text).ok());
        Some(Self {
            guide: metadata.get(GUIDE)?.clone(),
            source: metadata.get(SOURCE)?.clone(),
            settings: settings.unwrap_or_default(),
        })
    }

    pub(super) fn write(&self, metadata: &mut HashMap<String, String>) {
        let settings = serde_json::json!(self.settings).to_string();
        metadata.insert(GUIDE.to_owned(), self.guide.clone());
        metadata.insert(SOURCE.to_owned(), self.source.clone());
        metadata.insert(SETTINGS.to_owned(), settings);
    }
}
