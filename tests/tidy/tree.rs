//! The project's own files.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
pub struct Source {
    /// From the workspace's folder, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// The lines that are not of tests: up to a `#[cfg(test)]` that begins a line.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.contains("/tests") || self.path.starts_with("tests/");
        let lines = self
            .text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line));
        lines.take_while(move |(_, line)| !is_test && *line != "#[cfg(test)]")
    }
}

/// Every file with that ending, outside `target` and hidden folders, in order of path.
pub fn files(ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(root(), ending, &mut found);
    found.sort();
    let sources = found.into_iter().map(|path| Source {
        text: fs::read_to_string(&path).expect("the project's files are text"),
        path: relative(&path),
    });
    sources.collect()
}

/// The path from the workspace's folder, with `/`.
pub fn relative(path: &Path) -> String {
    let inside = path
        .strip_prefix(root())
        .expect("the path lies in the workspace");
    inside.to_string_lossy().replace('\\', "/")
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the project's folders are readable") {
        let path = entry.expect("the entry is readable").path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}
