//! The guide compiler: syntax tree to checked graph to plan. Pure: no files, environment, clock,
//! tensors or printing.
//!
//! ```text
//! text --parse--> ast --resolve--> resolved --check--> graph --plan--> plan
//! ```

pub mod check;
pub mod cost;
pub mod diagnostics;
pub mod graph;
pub mod index;
pub mod memory;
pub mod model;
pub mod pipeline;
pub mod plan;
pub mod primitives;
pub mod resolve;
pub mod resolved;
pub mod schedule;
pub mod show;
pub mod sources;
pub mod timetable;

use diagnostics::Diagnostic;
use sources::{Loaded, SourceMap, Sources};

/// Everything there is to say about a file and all that it uses, in order of file and place.
/// Settings, models and steps play no part.
pub fn analyse(root: Loaded, sources: &dyn Sources) -> (SourceMap, Vec<Diagnostic>) {
    let analysis = pipeline::read(root, sources);
    (analysis.files, analysis.diagnostics.into_sorted())
}
