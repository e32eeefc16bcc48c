//! The options of `guidec fit`.

use std::path::PathBuf;

use clap::Args;

use super::{Machine, OUTPUT, Reply, SAMPLING};

/// What stands under the help.
pub const EXAMPLES: &str = "\
Runs plain guidance for each prompt, finds by least squares how each null
prediction follows from earlier ones, and writes a guide that runs like any other.
One more run of each prompt, with a seed of its own, then shows how far its result
lies from that of plain guidance.

Examples:
  guidec fit --out fitted.guide
  guidec run fitted.guide --prompt \"panda\"
  guidec fit --model sd15 --steps 30 --prompt \"a cat\" --prompt \"a street\" --out sd15.guide";

const RUNS: &str = "Recorded runs";
const ESTIMATES: &str = "Estimates";

/// `guidec fit`
#[derive(Debug, Args)]
pub struct Fit {
    /// What recorded runs show; may be repeated [default: eight common things]
    #[arg(long, value_name = "TEXT", help_heading = RUNS)]
    pub prompt: Vec<String>,
    /// Number of runs of each prompt
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = RUNS,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub seeds: u32,
    /// The seed of the first run of a prompt; the next has the next seed
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = RUNS)]
    pub seed: u64,
    /// The guidance scale of the runs
    #[arg(long, value_name = "SCALE", default_value_t = 7.5, help_heading = RUNS,
          allow_negative_numbers = true)]
    pub scale: f64,
    /// What is avoided, or what uncond stands for; empty is the null condition
    #[arg(long, value_name = "TEXT", help_heading = RUNS)]
    pub negative: Option<String>,
    /// Where in the run estimates begin, in 0..1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, help_heading = ESTIMATES,
          allow_negative_numbers = true)]
    pub start: f64,
    /// How many steps back estimates reach
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = ESTIMATES,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub past: u32,
    /// The model: a name, a folder in diffusers layout, or a .safetensors file [default: the
    /// embedded one]
    #[arg(long, value_name = "NAME|DIR|FILE", help_heading = SAMPLING)]
    pub model: Option<String>,
    /// Number of sampling steps
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = SAMPLING)]
    pub steps: u64,
    /// The sampler, as for `guidec run` [default: the one of the model's scheduler, else ddim]
    #[arg(long, value_name = "NAME", help_heading = SAMPLING)]
    pub sampler: Option<String>,
    /// How the steps are spread over the noise: leading, trailing or linspace [default: what
    /// the model's scheduler says]
    #[arg(long, value_name = "NAME", help_heading = SAMPLING)]
    pub spacing: Option<String>,
    /// Never download anything
    #[arg(long, help_heading = SAMPLING)]
    pub offline: bool,
    /// What it runs on.
    #[command(flatten)]
    pub machine: Machine,
    /// The guide to write
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: PathBuf,
    /// How it is told.
    #[command(flatten)]
    pub reply: Reply,
}
