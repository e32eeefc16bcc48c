//! `guidec explain`: the page of a diagnostic, or of what the language leaves out on purpose.

use guide_compiler::diagnostics::{Code, Severity, suggest, topics};

use crate::exit::{Exit, Failure, Result};
use crate::ui::Ui;

/// Prints the page of a code or topic, or a line for each.
pub fn explain(name: Option<&str>, ui: Ui) -> Result<Exit> {
    let Some(name) = name else {
        ui.data(&list())?;
        return Ok(Exit::Done);
    };
    let page = match (Code::find(name), topics::find(name)) {
        (Some(code), _) => code.page(),
        (None, Some(topic)) => topic.page,
        (None, None) => return Err(unknown(name)),
    };
    ui.data(&format!("{}\n", page.trim_end()))?;
    Ok(Exit::Done)
}

fn unknown(name: &str) -> Failure {
    let known = Code::ALL.iter().map(|code| code.number());
    let known = known.chain(topics::TOPICS.iter().map(|topic| topic.name));
    let tip = match suggest::nearest(name, known) {
        Some(near) => format!("\n\n  tip: a similar page exists: '{near}'"),
        None => String::new(),
    };
    Failure::Usage(format!(
        "there is no page '{name}'; guidec explain lists all{tip}"
    ))
}

fn list() -> String {
    let mut out = String::new();
    for code in Code::ALL {
        let kind = match code.severity() {
            Severity::Error => "error  ",
            Severity::Warning => "warning",
        };
        out.push_str(&format!("{}  {kind}  {}\n", code.number(), code.title()));
    }
    out.push_str("\nLeft out of the language on purpose, with what to do instead:\n");
    for topic in topics::TOPICS {
        out.push_str(&format!("  {}\n", topic.name));
    }
    out
}
