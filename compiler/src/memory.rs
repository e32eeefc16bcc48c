//! Files in memory: for tests, editors and everything that has text but no disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Loaded, SourceError, Sources};

/// The standard library and some files of the user's, all as text.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    library: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl Memory {
    /// With the files of the standard library: `("rules/apg.guide", text)`.
    pub fn with_library<'a>(library: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let own = |(path, text): (&str, &str)| (path.to_owned(), text.to_owned());
        Self {
            library: library.into_iter().map(own).collect(),
            files: BTreeMap::new(),
        }
    }

    /// With one more file, by a path with `/` relative to the root file's folder.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }
}

impl Sources for Memory {
    fn std(&self, path: &str) -> Option<Loaded> {
        let text = self.library.get(&format!("{path}.guide"))?.clone();
        Some(Loaded {
            path: format!("stdlib/{path}.guide"),
            text,
        })
    }

    fn std_names(&self, folder: &str) -> Vec<String> {
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let inside = self
            .library
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix));
        let names: BTreeSet<&str> = inside
            .map(|rest| rest.split_once('/').map_or(rest, |(name, _)| name))
            .map(|name| name.strip_suffix(".guide").unwrap_or(name))
            .collect();
        names.into_iter().map(str::to_owned).collect()
    }

    fn beside(&self, from: &str, relative: &str) -> Result<Loaded, SourceError> {
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return Err(SourceError::Outside(relative.to_owned(), ".".to_owned()));
                    }
                }
                name => parts.push(name),
            }
        }
        let path = parts.join("/");
        match self.files.get(&path) {
            Some(text) => Ok(Loaded {
                path,
                text: text.clone(),
            }),
            None => Err(SourceError::Missing(path)),
        }
    }
}
