//! What an import comes to, and how it is written as a guide.

use super::fields::shown;
use crate::commands::doc::item::{self, Param, StdItem};
use crate::commands::doc::page::wrapped;

/// Columns of a comment.
const WIDTH: usize = 96;

/// A rule of the library with its parameters set.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `std::dialects::comfyui::apg`
    pub path: &'static str,
    /// The parameters that the file sets, with their values as the language spells them.
    pub values: Vec<(&'static str, String)>,
}

/// A direction that is added to the rule's result.
#[derive(Clone, Debug)]
pub struct Addition {
    /// What it uses.
    pub uses: Vec<&'static str>,
    /// Its parameters: name, kind, value and comment.
    pub params: Vec<(&'static str, &'static str, String, &'static str)>,
    /// The direction.
    pub code: &'static str,
}

/// An import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What the guide is called.
    pub guide: String,
    /// Where it comes from, a sentence.
    pub about: String,
    /// The words after the guide in the command that makes the picture.
    pub run: Option<String>,
    /// The rule; without one, the conditional prediction alone.
    pub rule: Option<Rule>,
    /// What is added to it.
    pub additions: Vec<Addition>,
    /// What the rule is handed to, by which it works on a changed network.
    pub around: Option<Rule>,
    /// What is not taken over.
    pub left_out: Vec<String>,
}

impl Imported {
    /// The text of the guide, formatted; `file` is where it will stand.
    pub fn written(&self, file: &str) -> String {
        let text = format!(
            "{}\n{}\n{}",
            self.head(file),
            self.imports(),
            self.guide_itself()
        );
        // INVARIANT: foreign text stands in comments alone, on one line, and values are spelled here, so
        // this has no syntax error; were it otherwise, the user would see where.
        guide_grammar::format(&text).unwrap_or(text)
    }

    /// The comment of the file.
    fn head(&self, file: &str) -> String {
        let mut lines = comment(&self.about);
        if !self.left_out.is_empty() {
            lines.push(String::new());
            lines.push("Not taken over:".to_owned());
            for left in &self.left_out {
                let wrapped = comment(&format!("- {left}"));
                let indented = wrapped.iter().enumerate();
                lines.extend(indented.map(|(at, line)| match at {
                    0 => line.clone(),
                    _ => format!("  {line}"),
                }));
            }
        }
        if let Some(run) = &self.run {
            lines.push(String::new());
            lines.push(format!("    guidec run {} {run}", shown(file)));
        }
        let lines: Vec<String> = lines
            .iter()
            .map(|line| format!("//! {line}").trim_end().to_owned())
            .collect();
        lines.join("\n") + "\n"
    }

    fn imports(&self) -> String {
        let rule = self.rule.iter().chain(&self.around).map(|rule| rule.path);
        let more = self.additions.iter().flat_map(|a| a.uses.iter().copied());
        let mut paths: Vec<&str> = rule.chain(more).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.iter().map(|path| format!("use {path}\n")).collect()
    }

    fn guide_itself(&self) -> String {
        let item = self.rule.as_ref().and_then(Rule::item);
        let params = item.as_ref().map_or(&[][..], |item| &item.params);
        let mut text = String::from("/// As the file has it; `--set` changes a number.\n");
        text.push_str(&format!("guide {}(\n", self.guide));
        for param in params {
            text.push_str(&parameter(self.rule.as_ref(), param));
        }
        let around = self.around.as_ref().and_then(|around| {
            let mut item = around.item()?;
            item.params.retain(|param| param.kind != "Guide");
            Some((around, item))
        });
        if let Some((around, item)) = &around {
            for param in &item.params {
                text.push_str(&parameter(Some(around), param));
            }
        }
        for (name, kind, value, doc) in self.additions.iter().flat_map(|a| &a.params) {
            text.push_str(&format!("    /// {doc}\n    {name}: {kind} = {value},\n"));
        }
        text.push_str(") {\n    ");
        let args = |params: &[Param]| -> String {
            let args = params
                .iter()
                .map(|param| format!("        {0}: {0},\n", param.name));
            args.collect()
        };
        let code = match &item {
            Some(item) => format!("{}(\n{}    )", item.name, args(params)),
            None => "predict(cond)".to_owned(),
        };
        match &around {
            Some((_, around)) => {
                let args = args(&around.params);
                text.push_str(&format!("{}(\n{code},\n{args}    )", around.name));
            }
            None => text.push_str(&code),
        }
        for addition in &self.additions {
            text.push_str(&format!("\n        + {}", addition.code));
        }
        text.push_str("\n}\n");
        text
    }
}

/// A parameter of a rule, with its comment and the file's value.
fn parameter(rule: Option<&Rule>, param: &Param) -> String {
    let values = rule.into_iter().flat_map(|rule| &rule.values);
    let mut set = values
        .filter(|(name, _)| *name == param.name)
        .map(|(_, value)| value);
    let value = set.next_back().or(param.default.as_ref());
    let default = value.map(|value| format!(" = {value}")).unwrap_or_default();
    let docs: String = param
        .docs
        .iter()
        .map(|line| format!("    /// {line}\n"))
        .collect();
    format!("{docs}    {}: {}{default},\n", param.name, param.kind)
}

impl Rule {
    /// The rule's item in the library.
    pub fn item(&self) -> Option<StdItem> {
        item::all()
            .into_iter()
            .find(|item| item.path() == self.path)
    }

    /// Whether it has a parameter of that name.
    pub fn takes(&self, name: &str) -> bool {
        self.item()
            .is_some_and(|item| item.params.iter().any(|param| param.name == name))
    }
}

/// A text as lines of a comment.
fn comment(text: &str) -> Vec<String> {
    let line: String = text.lines().collect::<Vec<&str>>().join(" ");
    wrapped(&line, WIDTH - 6)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A text between the quotes of a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", shown(text).replace('\'', r"'\''"))
}
