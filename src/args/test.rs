//! The options of `guidec test`.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};

use super::Target;

/// What stands under the help.
pub const EXAMPLES: &str = "\
Makes the plan of every guide and compares it with the snapshot beside its file: FILE.plan,
or FILE.GUIDE.plan for a guide beside others. Lines at the head of the file say for what:

  //! test: --set scale=3
  //! test large: --model sdxl --steps 30

They take the options of `guidec plan`. Without --model it is the embedded model, without
--steps it is 8 steps. Programs in doc comments (```guide) are compiled, and what stands
after `// =>` in them is computed and compared.

Exit codes: 0 all as before, 1 a difference, a lack or a diagnostic, 3 an unreadable file.

Examples:
  guidec test
  guidec test rules/apg.guide --update
  guidec test --format junit > tests.xml";

/// `guidec test`
#[derive(Debug, Args)]
pub struct Test {
    /// Guides, or folders that are searched for them; hidden folders and `target` are left out
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// Write snapshots that differ or are not there yet; nothing is ever removed
    #[arg(long)]
    pub update: bool,
    /// How many files are compiled at a time [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// A further folder whose files the guides may use; may be repeated
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// How the result is written: human on stderr, json or junit on stdout
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: TestFormat,
    /// Say only what is not as before
    #[arg(long, short)]
    pub quiet: bool,
}

/// How the result of tests is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    /// For people
    Human,
    /// For programs
    Json,
    /// For services that show tests
    Junit,
}

/// What a line `//! test: …` of a guide's header may say.
#[derive(Clone, Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
pub struct TestLine {
    /// The guide that it is about [default: each one of the file]
    #[arg(long, value_name = "NAME")]
    pub guide: Option<String>,
    /// A further folder whose files the guide may use
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// For what.
    #[command(flatten)]
    pub target: Target,
}
