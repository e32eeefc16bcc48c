//! A file with any text is parsed, resolved and checked without a panic, and every label of every
//! diagnostic lies in a file.
#![no_main]

use guide_compiler::sources::{Loaded, SourceError, Sources};
use libfuzzer_sys::fuzz_target;

struct NoFiles;

impl Sources for NoFiles {
    fn std(&self, path: &str) -> Option<Loaded> {
        let name = format!("{path}.guide");
        let (_, text) = guide_stdlib::files().iter().find(|(p, _)| *p == name)?;
        Some(Loaded { path: format!("stdlib/{name}"), text: (*text).to_string() })
    }

    fn std_names(&self, _folder: &str) -> Vec<String> {
        Vec::new()
    }

    fn beside(&self, _from: &str, relative: &str) -> Result<Loaded, SourceError> {
        Err(SourceError::Missing(relative.to_string()))
    }
}

fuzz_target!(|text: &str| {
    let root = Loaded { path: "fuzz.guide".to_string(), text: text.to_string() };
    let (files, diagnostics) = guide_compiler::analyse(root, &NoFiles);
    for label in diagnostics.iter().flat_map(|d| &d.labels) {
        assert!(label.span.end as usize <= files.text(label.span.file).len());
    }
});
