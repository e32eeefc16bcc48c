//! All commands in one document of Markdown.

use clap::{Arg, ArgAction, Command};

const HEAD: &str = "\
# The command line

Every command with its options, as `guidec COMMAND --help` says it. `guidec man --format markdown` makes this page.
";

/// The document of these commands.
pub fn document(commands: &[&Command]) -> String {
    let mut out = HEAD.to_owned();
    if commands.len() > 1 {
        out.push_str("\n| command | does |\n| --- | --- |\n");
        // The first is guidec itself.
        for command in commands.iter().skip(1) {
            let name = command.get_name();
            let about = command.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default().replace('|', "\\|");
            out.push_str(&format!("| [`{name}`](#guidec-{name}) | {about} |\n"));
        }
    }
    for command in commands {
        out.push_str(&section(command));
    }
    out
}

fn section(command: &Command) -> String {
    let title = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let mut out = format!(
        "\n## {title}\n\n{}\n\n```text\n{usage}\n```\n",
        text(&about)
    );
    for (heading, args) in grouped(command) {
        out.push_str(&format!("\n### {heading}\n\n"));
        for arg in args {
            out.push_str(&option(arg));
        }
    }
    let (notes, examples) = super::after(command);
    if !notes.is_empty() {
        out.push_str(&format!("\n```text\n{}\n```\n", notes.join("\n")));
    }
    if !examples.is_empty() {
        out.push_str(&format!(
            "\nExamples:\n\n```sh\n{}\n```\n",
            examples.join("\n")
        ));
    }
    out
}

/// Arguments by heading, as the help has them.
fn grouped(command: &Command) -> Vec<(String, Vec<&Arg>)> {
    let mut groups: Vec<(String, Vec<&Arg>)> = Vec::new();
    let is_own = |arg: &&Arg| {
        let action = arg.get_action();
        let is_help = matches!(
            action,
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        !arg.is_hide_set() && !is_help
    };
    for arg in command.get_arguments().filter(is_own) {
        let heading = match arg.get_help_heading() {
            Some(heading) => heading,
            None if arg.is_positional() => "Arguments",
            None => "Options",
        };
        match groups.iter_mut().find(|(known, _)| known == heading) {
            Some((_, args)) => args.push(arg),
            None => groups.push((heading.to_owned(), vec![arg])),
        }
    }
    groups
}

/// An argument as an item of a list.
fn option(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("`-{short}`, "));
    let help = arg.get_long_help().or(arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let mut out = format!("- {}`{arg}`: {}", short.unwrap_or_default(), text(&help));
    let takes_values = arg.get_action().takes_values();
    let values = arg.get_possible_values();
    let shown: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
    if takes_values && !shown.is_empty() {
        let names: Vec<String> = shown
            .iter()
            .map(|v| format!("`{}`", v.get_name()))
            .collect();
        out.push_str(&format!(". One of {}", names.join(", ")));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if takes_values && defaults.iter().any(|value| value != "``") {
        out.push_str(&format!(" [default: {}]", defaults.join(", ")));
    }
    out.push('\n');
    out
}

/// Words of a help text that Markdown would take for a link or markup.
fn text(help: &str) -> String {
    let mut out = String::new();
    let mut in_code = false;
    for c in help.chars() {
        in_code ^= c == '`';
        match c {
            '<' | '>' | '*' | '_' | '|' if !in_code => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push('\n'),
            _ => out.push(c),
        }
    }
    out
}
