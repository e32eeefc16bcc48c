//! The options of `guidec run`.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};

use crate::commands::run::preview::Way;

use super::{AtOnce, Machine, OUTPUT, Prompt, Reply, SAMPLING, Sdxl, Shard, Source, Target, size};

/// What stands under the help.
pub const EXAMPLES: &str = "\
Without --model the small model inside guidec is used: 64x64 pictures of 455 things.

Pictures are named GUIDE-PROMPT-seedN.png, as in first-strawberry-seed0.png. A batch gets a
folder GUIDE-PROMPT-seedsN-M with seedN.png ... and contact.png, all of them side by side.
With --every N a picture's clean forms stand beside it, as seedN-stepM.png.
Where a name is taken, -2, -3, ... is added: without --out NAME.png nothing is replaced.
With --resume or --shard names are taken as they are, and pictures of something else are refused.
Each picture holds a text chunk `guidec`: a JSON object that says what made it.

Examples:
  guidec run examples/first.guide --prompt \"strawberry\"
  guidec run std::rules::cfg --set scale=4 --prompt \"panda\" --seed 7 --batch 4 --out pictures
  guidec run my_rule.guide --bind region=mask.png --bind style=\"glossy\" --prompt \"lemon\"
  guidec run std::rules::apg --prompt \"panda\" --every 5 --out panda.png
  guidec run std::rules::cfg --prompt \"owl\" --steps 50 --preview
  guidec run std::rules::cfg --prompt \"owl\" --batch 64 --resume
  guidec run plan.json --prompt \"strawberry\"";

/// `guidec run`
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Which guide.
    #[command(flatten)]
    pub source: Source,
    /// What they show.
    #[command(flatten)]
    pub prompt: Prompt,
    /// The class to aim at, by its number or its name [default: the one that the prompt names]
    #[arg(long = "target", value_name = "CLASS", help_heading = SAMPLING)]
    pub aim: Option<String>,
    /// For what.
    #[command(flatten)]
    pub target: Target,
    /// The seed of the first picture; the next has the next seed
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SAMPLING)]
    pub seed: u64,
    /// Number of pictures
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = SAMPLING,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// Width and height of the pictures [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = size, help_heading = SAMPLING)]
    pub size: Option<(u32, u32)>,
    /// For models of SDXL.
    #[command(flatten)]
    pub sdxl: Sdxl,
    /// What it runs on.
    #[command(flatten)]
    pub machine: Machine,
    /// In which portions.
    #[command(flatten)]
    pub at_once: AtOnce,
    /// Start from a picture (PNG or JPEG), brought to the size of the run, with noise on it; see
    /// --strength
    #[arg(long, value_name = "FILE", conflicts_with = "init_latents", help_heading = SAMPLING)]
    pub init_image: Option<PathBuf>,
    /// Decode pictures in overlapping tiles, which takes less memory: auto (above 1024x1024), on
    /// (above 512x512), or off
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = SAMPLING)]
    pub vae_tiling: VaeTiling,
    /// Start from the noise of a picture and give its way there to the rule: a file that
    /// `guidec invert` wrote, whose steps and sampler the run then has
    #[arg(long = "source", value_name = "FILE", conflicts_with_all = ["init_image", "init_latents"],
          help_heading = SAMPLING)]
    pub way: Option<PathBuf>,
    /// Start from these latents instead of noise: a safetensors file with `latents`
    #[arg(long, value_name = "FILE", help_heading = SAMPLING)]
    pub init_latents: Option<PathBuf>,
    /// Only a part of the pictures of a batch: the I-th of N parts, counted from 0, written as they are
    /// finished into one folder [default: what SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT or
    /// JOB_COMPLETION_INDEX and JOB_COMPLETIONS say, else all]
    #[arg(long, value_name = "I/N", conflicts_with_all = ["record", "save_latents"],
          help_heading = SAMPLING)]
    pub shard: Option<Shard>,
    /// A folder, or the name of one .png
    #[arg(long, value_name = "PATH", default_value = ".", help_heading = OUTPUT)]
    pub out: PathBuf,
    /// Write pictures as they are finished, and keep those that are there and whole: the same command
    /// goes on where it was stopped
    #[arg(long, conflicts_with_all = ["record", "save_latents"], help_heading = OUTPUT)]
    pub resume: bool,
    /// Also write the clean picture that the run aims at after every N steps, as NAME-stepN.png beside
    /// the final one
    #[arg(long, value_name = "N", help_heading = OUTPUT,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub every: Option<u32>,
    /// Show the picture as it forms, in the terminal; --preview=WAY where the terminal is not known: kitty,
    /// iterm2, sixel, or blocks, two pixels a character
    #[arg(long, value_name = "WAY", num_args = 0..=1, require_equals = true, hide_possible_values = true,
          default_missing_value = "auto", conflicts_with = "quiet", help_heading = OUTPUT)]
    pub preview: Option<Way>,
    /// Write the final latents to a safetensors file, as `latents`
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub save_latents: Option<PathBuf>,
    /// Write every prediction to a safetensors file that `guidec eval` reads
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub record: Option<PathBuf>,
    /// Write a line of JSON for each evaluation of the rule: what was asked, and what it took
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub trace: Option<PathBuf>,
    /// How it is told.
    #[command(flatten)]
    pub reply: Reply,
}

/// When pictures are decoded in tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VaeTiling {
    /// Large ones
    Auto,
    /// All that are larger than a tile
    On,
    /// None
    Off,
}

impl Run {
    /// A run of a file, with nothing else said.
    pub fn of_file(file: &str) -> Self {
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            run: Run,
        }
        // INVARIANT: a run needs nothing but a file, and what stands after `--` is one.
        Alone::parse_from(["run", "--", file]).run
    }
}
