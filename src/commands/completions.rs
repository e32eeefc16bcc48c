//! `guidec completions`: a script for a shell.

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{Exit, Result};
use crate::ui::Ui;

/// Prints the script.
pub fn completions(shell: clap_complete::Shell, ui: Ui) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "guidec", &mut script);
    ui.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
