//! The options of `guidec trace`.

use std::path::PathBuf;

use clap::Args;

use super::Format;

/// What stands under the help.
pub const EXAMPLES: &str = "\
Reads what `guidec run --trace` wrote. A line of the table is a quantity: its curve over the
steps, the mean of all samples, and its least, most and last value. --out draws the same as
charts, where a band goes from the sample with the least to that with the most.

Examples:
  guidec run std::rules::adaptive --prompt \"fox\" --trace run.jsonl
  guidec trace run.jsonl
  guidec trace run.jsonl --sample 0 --out run.svg
  guidec trace run.jsonl --format json > run.json";

/// `guidec trace`
#[derive(Debug, Args)]
pub struct Trace {
    /// The trace, or `-` for the standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Draw charts into this SVG file instead of printing a table
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub out: Option<PathBuf>,
    /// Only one sample of the batch, counted from 0
    #[arg(long, value_name = "N")]
    pub sample: Option<usize>,
    /// human: a table; json: an object with a point for each step
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}
