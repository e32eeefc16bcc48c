//! The options of `guidec man`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What stands under the help.
pub const EXAMPLES: &str = "\
Without --out the pages of all commands are printed, one after the other.

Examples:
  guidec man --out ~/.local/share/man/man1
  guidec man run | man -l -
  guidec man --format markdown > cli.md";

/// `guidec man`
#[derive(Debug, Args)]
pub struct Man {
    /// Only the page of this command
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
    /// Write guidec.1 and a page for each command, such as guidec-run.1, into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["command", "format"])]
    pub out: Option<PathBuf>,
    /// How the pages are written
    #[arg(long, value_name = "FORMAT", default_value = "roff")]
    pub format: ManFormat,
}

/// How a manual is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ManFormat {
    /// For man
    Roff,
    /// For readers of Markdown: one document
    Markdown,
}
