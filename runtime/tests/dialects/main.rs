//! Every variant under `stdlib/dialects`, against slow computations in f64 that follow the sources of the
//! tool it stands for, in the tool's own order, spaces and units.
#![allow(clippy::unwrap_used, reason = "tests")]

mod comfyui;
mod diffusers;
mod others;
mod pyramid;
mod vectors;
mod world;

use std::collections::BTreeSet;

/// A variant without a computation is not done.
#[test]
fn every_dialect_has_a_computation() {
    let sources = [
        include_str!("comfyui.rs"),
        include_str!("diffusers.rs"),
        include_str!("others.rs"),
    ]
    .concat();
    let files = guide_stdlib::files().iter().filter_map(|(path, text)| {
        let name = path.strip_prefix("dialects/")?.strip_suffix(".guide")?;
        let stem = name.rsplit('/').next()?;
        text.contains(&format!("\nguide {stem}(")).then_some(name)
    });
    let missing: BTreeSet<&str> = files
        .filter(|name| !sources.contains(&format!("\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
