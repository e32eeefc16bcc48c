//! The options of `guidec init`.

use std::path::PathBuf;

use clap::Args;

/// What stands under the help.
pub const EXAMPLES: &str = "\
Writes a rule with its tests, the snapshots of its plans, a workflow for GitHub that
formats, checks and tests the guides, a README.md and a .gitignore. A folder that holds
anything but `.git` is refused, and one that cannot be made whole is not made.

Examples:
  guidec init my_rules
  guidec init my_rules --name late_guidance
  cd my_rules && guidec test";

/// `guidec init`
#[derive(Debug, Args)]
pub struct Init {
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// What the rule is called [default: like the folder]
    #[arg(long, value_name = "RULE")]
    pub name: Option<String>,
}
