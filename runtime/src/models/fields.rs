//! Reading a config file field by field, so that each refusal names the field and its value.

use serde_json::{Map, Value};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::weights::Source;

/// No count in a config is larger; it keeps absurd configs from asking for absurd memory.
const MAX_COUNT: u64 = 1 << 20;

/// The fields of one config file.
#[derive(Debug)]
pub struct Fields {
    shown: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads the config at `path`.
    ///
    /// # Errors
    /// `ModelIncomplete` without the file, `BadConfig` where it is not a JSON object.
    pub fn read(source: &Source, path: &str) -> Result<Self> {
        Self::parse(source.show(path), &source.text(path)?)
    }

    /// Reads the text of a config that is called `shown` in messages.
    ///
    /// # Errors
    /// `BadConfig` where it is not a JSON object.
    pub fn parse(shown: String, text: &str) -> Result<Self> {
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(Self { shown, map }),
            Ok(_) => Err(RuntimeError::new(
                ErrorKind::BadConfig,
                format!("`{shown}` is not a JSON object"),
            )),
            Err(error) => Err(RuntimeError::new(
                ErrorKind::BadConfig,
                format!("`{shown}` is not JSON: {error}"),
            )),
        }
    }

    /// The value, where it is there and not `null`.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// The fields of an object inside of this one; none where it is missing.
    ///
    /// # Errors
    /// `BadConfig` where it is no object.
    pub fn inside(&self, field: &str) -> Result<Self> {
        let shown = format!("{} in {field}", self.shown);
        match self.get(field) {
            None => Ok(Self {
                shown,
                map: Map::new(),
            }),
            Some(Value::Object(map)) => Ok(Self {
                shown,
                map: map.clone(),
            }),
            Some(_) => Err(self.refuse(field, "an object is needed")),
        }
    }

    /// A refusal of the field's value.
    pub fn refuse(&self, field: &str, wanted: &str) -> RuntimeError {
        let found = match self.map.get(field) {
            Some(value) => format!("`{}`", short(value)),
            None => "missing".to_owned(),
        };
        RuntimeError::new(
            ErrorKind::BadConfig,
            format!("`{field}` in `{}` is {found}, and {wanted}", self.shown),
        )
    }

    /// Refuses a field that is there with another value than those allowed; `null` and absence pass.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn only(&self, field: &str, allowed: &[Value]) -> Result<()> {
        match self.get(field) {
            None => Ok(()),
            Some(value) if allowed.iter().any(|one| same(one, value)) => Ok(()),
            Some(_) => {
                let list: Vec<String> = allowed
                    .iter()
                    .map(|value| format!("`{}`", short(value)))
                    .collect();
                let wanted = if list.is_empty() {
                    "this runtime knows no such part".to_owned()
                } else {
                    format!("this runtime knows {}", list.join(" and "))
                };
                Err(self.refuse(field, &wanted))
            }
        }
    }

    /// Refuses fields that are neither among `known`, nor empty, nor about the file itself (`_…`).
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn no_others(&self, known: &[&str]) -> Result<()> {
        for (field, value) in &self.map {
            let empty = value.is_null() || *value == Value::Bool(false);
            if !empty && !field.starts_with('_') && !known.contains(&field.as_str()) {
                return Err(self.refuse(field, "this runtime does not know the field"));
            }
        }
        Ok(())
    }

    /// A count of at least one.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn count(&self, field: &str, default: Option<usize>) -> Result<usize> {
        match (self.get(field), default) {
            (None, Some(default)) => Ok(default),
            (value, _) => value
                .and_then(as_count)
                .ok_or_else(|| self.refuse(field, "a whole number above 0 is needed")),
        }
    }

    /// A whole number that may be zero.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn whole(&self, field: &str, default: usize) -> Result<usize> {
        match self.get(field) {
            None => Ok(default),
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            Some(value) => {
                as_count(value).ok_or_else(|| self.refuse(field, "a whole number is needed"))
            }
        }
    }

    /// A list of counts.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn counts(&self, field: &str) -> Result<Vec<usize>> {
        let list = self
            .get(field)
            .and_then(Value::as_array)
            .map(|list| list.iter().map(as_count).collect());
        match list {
            Some(Some(counts)) => Ok(counts),
            _ => Err(self.refuse(field, "a list of whole numbers above 0 is needed")),
        }
    }

    /// A count for each of `levels` levels: one number for all, or a list.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn per_level(&self, field: &str, levels: usize, default: usize) -> Result<Vec<usize>> {
        match self.get(field) {
            None => Ok(vec![default; levels]),
            Some(Value::Array(_)) => {
                let list = self.counts(field)?;
                if list.len() != levels {
                    return Err(self.refuse(
                        field,
                        &format!("one entry for each of {levels} blocks is needed"),
                    ));
                }
                Ok(list)
            }
            Some(_) => Ok(vec![self.count(field, None)?; levels]),
        }
    }

    /// A finite number.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn number(&self, field: &str, default: f64) -> Result<f64> {
        match self.get(field) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .filter(|n| n.is_finite())
                .ok_or_else(|| self.refuse(field, "a number is needed")),
        }
    }

    /// A truth value.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.get(field) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.refuse(field, "`true` or `false` is needed")),
        }
    }

    /// A word.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn word(&self, field: &str, default: &str) -> Result<String> {
        match self.get(field) {
            None => Ok(default.to_owned()),
            Some(value) => value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| self.refuse(field, "a word in quotes is needed")),
        }
    }

    /// A list of words.
    ///
    /// # Errors
    /// `BadConfig`.
    pub fn words(&self, field: &str) -> Result<Vec<String>> {
        let list = self.get(field).and_then(Value::as_array);
        list.and_then(|list| {
            list.iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect()
        })
        .ok_or_else(|| self.refuse(field, "a list of words is needed"))
    }
}

fn as_count(value: &Value) -> Option<usize> {
    let count = value.as_u64().filter(|n| (1..=MAX_COUNT).contains(n))?;
    usize::try_from(count).ok()
}

/// Equal, where `1` and `1.0` are one number.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && one.as_f64() == other.as_f64())
}

/// A value as text, cut where it is long.
fn short(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
