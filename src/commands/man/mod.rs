//! `guidec man`: the command line's own description, as pages for `man` or as Markdown.

mod markdown;
mod page;

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use guide_compiler::diagnostics::{Code, Diagnostic, suggest};

use crate::args::{Cli, Man, ManFormat};
use crate::exit::{Exit, Failure, Result};
use crate::files::write_whole;
use crate::ui::Ui;

/// Prints the pages, or writes them into a folder.
pub fn man(args: &Man, ui: Ui) -> Result<Exit> {
    let commands = commands();
    if let Some(folder) = &args.out {
        write(folder, &commands)?;
        ui.say(&format!("{} pages in {}", commands.len(), folder.display()));
        return Ok(Exit::Done);
    }
    let chosen = match &args.command {
        Some(name) => vec![named(&commands, name)?],
        None => commands.iter().collect(),
    };
    match args.format {
        ManFormat::Markdown => ui.data(&markdown::document(&chosen))?,
        ManFormat::Roff => {
            for command in chosen {
                ui.data(&rendered(command)?)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// guidec itself, then its commands in the order of the help.
fn commands() -> Vec<Command> {
    let mut root = Cli::command();
    root.build();
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    let below: Vec<Command> = root.get_subcommands().filter(shown).cloned().collect();
    std::iter::once(root).chain(below).collect()
}

fn named<'a>(commands: &'a [Command], name: &str) -> Result<&'a Command> {
    if let Some(found) = commands.iter().find(|command| command.get_name() == name) {
        return Ok(found);
    }
    let known = commands.iter().map(Command::get_name);
    let tip = match suggest::nearest(name, known) {
        Some(near) => format!("\n\n  tip: a similar command exists: '{near}'"),
        None => String::new(),
    };
    let message = format!("there is no command '{name}'; guidec --help lists all{tip}");
    Err(Failure::Usage(message))
}

fn rendered(command: &Command) -> Result<String> {
    page::page(command).map_err(|error| {
        let message = format!("a page cannot be made: {error}");
        Diagnostic::new(Code::OutputUnwritable, message).into()
    })
}

fn write(folder: &Path, commands: &[Command]) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Failure::unwritable(folder, error))?;
    for command in commands {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let file = folder.join(format!("{name}.1"));
        write_whole(&file, rendered(command)?.as_bytes())
            .map_err(|error| Failure::unwritable(&file, error))?;
    }
    Ok(())
}

/// What stands under a command's help: words about it, and its examples, a line each.
fn after(command: &Command) -> (Vec<String>, Vec<String>) {
    let text = command.get_after_help().map(ToString::to_string);
    let (mut notes, mut examples) = (Vec::new(), Vec::new());
    let mut in_examples = false;
    for line in text.unwrap_or_default().lines() {
        match line {
            "Examples:" => in_examples = true,
            line if in_examples && line.starts_with("  ") => examples.push(line.trim().to_owned()),
            line => {
                in_examples = false;
                notes.push(line.to_owned());
            }
        }
    }
    let is_empty = |line: &String| line.trim().is_empty();
    while notes.last().is_some_and(is_empty) {
        notes.pop();
    }
    let begin = notes.iter().take_while(|line| is_empty(line)).count();
    notes.drain(..begin);
    (notes, examples)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The words of a line as a shell parts them, up to where another command or a file begins.
    fn words(line: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let (mut in_quotes, mut goes_on) = (false, false);
        for c in line.chars() {
            match c {
                '"' => in_quotes = !in_quotes,
                ' ' if !in_quotes => goes_on = false,
                c if goes_on => words.last_mut().into_iter().for_each(|word| word.push(c)),
                c => {
                    words.push(c.to_string());
                    goes_on = true;
                }
            }
        }
        let is_end = |word: &String| {
            matches!(word.as_str(), ">" | "<" | "|" | "&&") || word.starts_with('(')
        };
        words.into_iter().take_while(|word| !is_end(word)).collect()
    }

    #[test]
    fn every_command_has_examples_and_they_are_understood() {
        for command in commands() {
            let name = command.get_name().to_owned();
            let (_, examples) = after(&command);
            let own = examples.iter().filter(|line| line.contains(&name));
            assert!(own.count() > 0, "{name} has no example");
            let joined = examples.join("\n").replace("\\\n", " ");
            for line in joined.lines().filter(|line| line.starts_with("guidec ")) {
                let parsed = Cli::try_parse_from(words(line));
                assert!(
                    parsed.is_ok(),
                    "{line}\n{}",
                    parsed.err().map(|e| e.to_string()).unwrap_or_default()
                );
            }
        }
    }
}
