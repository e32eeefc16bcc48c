//! The `guidec` command line.

mod args;
mod commands;
mod compile;
mod describe;
mod exit;
#[cfg(feature = "run")]
mod failed;
#[cfg(feature = "run")]
mod fetch;
mod files;
mod sources;
mod ui;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use ui::Ui;

fn main() -> ExitCode {
    #[cfg(feature = "run")]
    guide_runtime::device::keep_freed_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A help text that nobody reads any more is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let ui = Ui::new();
    let ended = match cli.command {
        #[cfg(feature = "run")]
        Command::Run(args) => commands::run::run(&args, ui),
        #[cfg(feature = "run")]
        Command::Compare(args) => commands::compare::compare(&args, ui),
        #[cfg(feature = "run")]
        Command::Sweep(args) => commands::compare::sweep(&args, ui),
        #[cfg(feature = "run")]
        Command::Merge(args) => commands::compare::merge(&args, ui),
        Command::Trace(args) => commands::trace::trace(&args, ui),
        Command::Check(args) => commands::check::check(&args, ui),
        Command::Plan(args) => commands::plan::plan(&args, ui),
        #[cfg(feature = "run")]
        Command::Eval(args) => commands::eval::eval(&args, ui),
        #[cfg(feature = "run")]
        Command::Fit(args) => commands::fit::fit(&args, ui),
        #[cfg(feature = "run")]
        Command::Invert(args) => commands::invert::invert(&args, ui),
        #[cfg(feature = "run")]
        Command::Optimise(args) => commands::optimise::optimise(&args, ui),
        Command::Fmt(args) => commands::fmt::fmt(&args, ui),
        Command::Test(args) => commands::test::test(&args, ui),
        Command::Init(args) => commands::init::init(&args, ui),
        Command::Import(args) => commands::import::import(&args, ui),
        Command::Lsp(args) => commands::lsp::lsp(&args, ui),
        Command::Explain { code } => commands::explain::explain(code.as_deref(), ui),
        Command::Doc { name, out } => commands::doc::doc(name.as_deref(), out.as_deref(), ui),
        #[cfg(feature = "run")]
        Command::Models {
            name: Some(name),
            layers,
            format,
        } => commands::models::model(&name, layers, format, ui),
        #[cfg(feature = "run")]
        Command::Models { format, .. } => commands::models::models(format, ui),
        Command::Completions { shell } => commands::completions::completions(shell, ui),
        Command::Man(args) => commands::man::man(&args, ui),
        Command::Debug { form, source } => commands::debug::debug(form, &source, ui),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            ui.failure(&failure);
            failure.exit().into()
        }
    }
}
