//! `guidec compare`, `guidec sweep`, `guidec merge`.

use std::path::PathBuf;

use clap::Args;

use super::{AtOnce, Machine, OUTPUT, Prompt, Reply, SAMPLING, Shard, Source, Target, size};

/// After the help of `compare`.
pub const COMPARE_EXAMPLES: &str = "\
A rule is a file or std::rules::NAME, with settings after commas. All rules start from the same
noise; what several of them ask of the network in the same place is asked once.

The folder gets report.html, which holds everything and needs no network; contact.png, the
pictures side by side; pictures/, one folder a rule; and results.json, all numbers.

Examples:
  guidec compare std::rules::cfg std::rules::apg --prompt \"red apple\" --batch 4
  guidec compare std::rules::cfg,scale=15 std::rules::apg,scale=15 my_rule.guide --prompt panda
  guidec compare std::rules::cfg my_rule.guide --prompt panda --out first --resume";

/// After the help of `sweep`.
pub const SWEEP_EXAMPLES: &str = "\
Values are FROM:TO:COUNT, evenly from the first to the last, or a list with commas. One parameter
makes a column for each value and a row for each seed; two make a grid for each seed.

Examples:
  guidec sweep std::rules::cfg --param scale=1:15:8 --prompt \"red apple\" --batch 4
  guidec sweep std::rules::apg --param scale=4,8,16 --param eta=0:1:3 --prompt panda
  guidec sweep std::rules::cfg_scheduled --param shape=linear,cosine --prompt panda";

/// After the help of `merge`.
pub const MERGE_EXAMPLES: &str = "\
Joins what shards of one command have written: the same pictures and numbers as without shards.

Examples:
  guidec compare std::rules::cfg std::rules::apg --batch 8 --shard 0/2 --out part0
  guidec compare std::rules::cfg std::rules::apg --batch 8 --shard 1/2 --out part1
  guidec merge part0 part1 --out whole";

/// `guidec compare`
#[derive(Debug, Args)]
pub struct Compare {
    /// The rules: files or std::rules::NAME, each with settings after commas, as in
    /// std::rules::apg,scale=15,eta=1
    #[arg(value_name = "RULE", required = true, num_args = 1..)]
    pub rules: Vec<String>,
    /// The rule that the others' pictures are held against, by its place or label [default: the
    /// first]
    #[arg(long, value_name = "RULE")]
    pub reference: Option<String>,
    /// A further folder whose files the guides may use; may be repeated
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// What is the same for all.
    #[command(flatten)]
    pub together: Together,
}

/// `guidec sweep`
#[derive(Debug, Args)]
pub struct Sweep {
    /// Which guide.
    #[command(flatten)]
    pub source: Source,
    /// A parameter and its values, as in scale=1:15:8 or shape=linear,cosine; once or twice
    #[arg(long = "param", value_name = "NAME=VALUES", required = true)]
    pub params: Vec<String>,
    /// What is the same for all.
    #[command(flatten)]
    pub together: Together,
}

/// `guidec merge`
#[derive(Debug, Args)]
pub struct Merge {
    /// The folders that the shards have written
    #[arg(value_name = "DIR", required = true, num_args = 1..)]
    pub parts: Vec<PathBuf>,
    /// A new folder for the whole
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What several runs have in common.
#[derive(Clone, Debug, Args)]
pub struct Together {
    /// What they show.
    #[command(flatten)]
    pub prompt: Prompt,
    /// The class to aim at, by its number or its name [default: the one that the prompt names]
    #[arg(long = "target", value_name = "CLASS", help_heading = SAMPLING)]
    pub aim: Option<String>,
    /// For what.
    #[command(flatten)]
    pub target: Target,
    /// The seed of the first picture of each rule; the next has the next seed
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SAMPLING)]
    pub seed: u64,
    /// Number of pictures of each rule
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = SAMPLING,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// Width and height of the pictures [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = size, help_heading = SAMPLING)]
    pub size: Option<(u32, u32)>,
    /// What it runs on.
    #[command(flatten)]
    pub machine: Machine,
    /// In which portions.
    #[command(flatten)]
    pub at_once: AtOnce,
    /// Only a part of the seeds: the I-th of N parts, counted from 0; `guidec merge` joins them
    /// [default: what SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT or JOB_COMPLETION_INDEX and
    /// JOB_COMPLETIONS say, else all]
    #[arg(long, value_name = "I/N", help_heading = SAMPLING)]
    pub shard: Option<Shard>,
    /// The folder for everything [default: a new one]
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
    /// Go on with a folder that was begun: pictures that are there and whole are kept
    #[arg(long, requires = "out", help_heading = OUTPUT)]
    pub resume: bool,
    /// How it is told.
    #[command(flatten)]
    pub reply: Reply,
}
