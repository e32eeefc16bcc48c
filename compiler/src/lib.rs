//! The guide compiler: syntax tree to checked graph to plan. Pure: no files, environment, clock,
//! tensors or printing.
//!
//! ```text
//! text --parse--> ast --resolve--> resolved --check--> graph --plan--> plan
//! ```

pub mod diagnostics;
pub mod graph;
pub mod memory;
pub mod plan;
pub mod primitives;
pub mod resolve;
pub mod resolved;
pub mod sources;
pub mod timetable;
