//! `guidec lsp`: what an editor asks while a guide is being written.
//!
//! ```text
//! stdin -> server -> requests -> hover, complete, ... -> stdout
//!            |           |
//!            +------ workspace: open texts, and what the compiler's index knows of them
//! ```
//!
//! One thread answers in the order of asking. An answer is made from the text at that moment, so
//! nothing can be stale; what was cancelled before its turn is not made at all.

mod actions;
mod brackets;
mod callee;
mod capabilities;
mod complete;
mod context;
mod cost;
mod define;
mod diagnostics;
mod documents;
mod format;
mod hints;
mod hover;
mod library;
mod position;
mod rename;
mod requests;
mod semantic;
mod server;
mod signature;
mod std_files;
mod symbols;
mod uri;
mod words;
mod workspace;

use guide_compiler::diagnostics::{Code, Diagnostic};
use lsp_server::Connection;

use crate::args::Lsp;
use crate::exit::{Exit, Result};
use crate::ui::Ui;

/// Serves until the editor says `exit`, or is gone.
pub fn lsp(args: &Lsp, ui: Ui) -> Result<Exit> {
    let (connection, threads) = Connection::stdio();
    let ended = server::serve(&connection, &args.allow_path);
    // The writer ends when nobody can send any more; the reader has, at `exit` or with stdin.
    drop(connection);
    if let Err(error) = threads.join() {
        let message = format!("the editor's message cannot be read: {error}");
        return Err(Diagnostic::new(Code::Unreadable, message).into());
    }
    if let Some(exit) = ended {
        return Ok(exit);
    }
    ui.say("the editor left without saying `exit`");
    Ok(Exit::Wrong)
}
