//! The rules of the library, and what their documentation promises.

use guide_grammar::ast::{FunctionKind, ItemKind, KindNode};
use guide_grammar::span::FileId;

/// A parameter: its name, its kind if it is a plain one, and its documentation.
#[derive(Clone)]
pub struct Param {
    pub name: String,
    pub kind: String,
    pub docs: String,
}

/// A rule of the library.
#[derive(Clone)]
pub struct Rule {
    pub name: &'static str,
    pub text: &'static str,
    pub params: Vec<Param>,
    /// The inputs that are lists of prompts.
    pub lists: Vec<String>,
    /// Whether it works in the model's own space on purpose.
    pub native: bool,
    /// Whether it is planned for a negative prompt.
    pub negative: bool,
}

/// Every file of `stdlib/rules`.
pub fn rules() -> Vec<Rule> {
    let files = guide_stdlib::files().iter();
    let rules = files.filter_map(|(path, text)| {
        let name = path.strip_prefix("rules/")?.strip_suffix(".guide")?;
        Some(read(name, text))
    });
    rules.collect()
}

fn read(name: &'static str, text: &'static str) -> Rule {
    let parsed = guide_grammar::parse(FileId(0), text);
    assert!(parsed.errors.is_empty(), "{name} does not parse");
    let mut rule = Rule {
        name,
        text,
        params: Vec::new(),
        lists: Vec::new(),
        native: text.contains("native("),
        negative: true,
    };
    for item in parsed.file.items {
        match item.kind {
            ItemKind::Input(input) if matches!(input.kind.node, KindNode::List(_)) => {
                rule.lists.push(input.name.node);
            }
            ItemKind::Function(f) if f.kind == FunctionKind::Guide && f.name.node == name => {
                rule.params = f.params.into_iter().map(param).collect();
            }
            _ => {}
        }
    }
    rule
}

fn param(param: guide_grammar::ast::Param) -> Param {
    let docs: Vec<&str> = param.docs.iter().map(|line| line.node.as_str()).collect();
    Param {
        name: param.name.node,
        kind: match param.kind.node {
            KindNode::Named(kind, _) => kind.node,
            _ => String::new(),
        },
        docs: docs.join(" "),
    }
}

impl Param {
    /// The value `V` of which the documentation says `V is …`.
    pub fn value_that(&self, phrase: &str) -> Option<&str> {
        let before = self
            .docs
            .split(phrase)
            .next()
            .filter(|b| b.len() < self.docs.len())?;
        let value = before.split_whitespace().last()?.trim_matches('`');
        value.parse::<f64>().is_ok().then_some(value)
    }

    /// The value without effect on plain guidance.
    pub fn plain(&self) -> Option<&str> {
        let phrases = [
            "is none",
            "is no limit",
            "is plain guidance",
            "is that of plain guidance",
        ];
        phrases.iter().find_map(|phrase| self.value_that(phrase))
    }
}

/// A test that fails by a panic.
pub fn trial(name: String, test: impl FnOnce() + Send + 'static) -> libtest_mimic::Trial {
    libtest_mimic::Trial::test(name, move || {
        test();
        Ok(())
    })
}
