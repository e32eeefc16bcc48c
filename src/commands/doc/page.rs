//! How a page of `guidec doc` looks.

use guide_compiler::primitives::{InterventionSignature, Parameter, Primitive};

use super::cost::Cost;
use super::item::{Param, StdItem};

/// Characters in a line.
pub const WIDTH: usize = 80;

/// The page of an item of the standard library. `twins` are the paths of what has its name elsewhere.
pub fn of_item(item: &StdItem, cost: Option<&Cost>, twins: &[String]) -> String {
    let mut out = title(&item.path(), item.kind());
    out.push_str(&paragraphs(&item.docs));
    out.push('\n');
    out.push_str(&paragraphs(&item.file_docs));
    out.push('\n');
    out.push_str(&signature_of(item));
    if !item.params.is_empty() {
        out.push_str("\nParameters\n");
        item.params
            .iter()
            .for_each(|param| out.push_str(&described(param)));
    }
    if let Some(cost) = cost {
        out.push_str(&format!("\nCost    {}\n", cost.evaluations));
        out.push_str(&format!("Needs   {}\n", cost.needs));
    }
    if !twins.is_empty() {
        out.push_str(&format!("\nAlso    {}\n", twins.join("\n        ")));
    }
    out.push_str(&format!("\nSource  {}\n", item.file()));
    for line in item.source.lines() {
        out.push_str(format!("    {line}").trim_end());
        out.push('\n');
    }
    out
}

/// The page of an intervention.
pub fn of_intervention(intervention: &InterventionSignature) -> String {
    let mut out = title(intervention.name, "intervention");
    out.push_str(&format!("{}\n\n", wrapped(intervention.doc, WIDTH)));
    let params: Vec<Parameter> = intervention.parameters.iter().map(|(p, _)| *p).collect();
    out.push_str(&signature(intervention.name, &table(&params), ""));
    let example: Vec<&str> = params
        .iter()
        .filter(|(_, d)| d.is_none())
        .map(|(n, _)| *n)
        .collect();
    let example = example.join(", ");
    out.push_str(&format!(
        "\nUse     predict(cond, with: {}({example}))\n",
        intervention.name
    ));
    if !intervention.supported {
        out.push_str("Note    this version checks it and cannot run it yet\n");
    }
    if let Some(word) = intervention.couples_by {
        out.push_str(&format!(
            "Note    with `{word}` the samples of a batch see each other\n"
        ));
    }
    out
}

/// The page of a primitive.
pub fn of_primitive(primitive: Primitive) -> String {
    let mut out = title(primitive.name(), "primitive");
    out.push_str(&format!("{}\n\n", wrapped(primitive.doc(), WIDTH)));
    out.push_str(&signature(
        primitive.name(),
        &table(primitive.parameters()),
        "",
    ));
    out
}

fn title(name: &str, kind: &str) -> String {
    let gap = WIDTH
        .saturating_sub(name.chars().count() + kind.chars().count())
        .max(2);
    format!("{name}{:gap$}{kind}\n\n", "")
}

/// How an item is called, indented.
pub fn signature_of(item: &StdItem) -> String {
    let params = item.params.iter().map(head_of);
    let result = item.result.as_ref();
    let result = result.map(|kind| format!(" -> {kind}")).unwrap_or_default();
    signature(&item.name, &params.collect::<Vec<_>>(), &result)
}

/// `scale: Scalar = 7.5`
pub fn head_of(param: &Param) -> String {
    parameter(&param.name, Some(&param.kind), param.default.as_deref())
}

fn table(params: &[Parameter]) -> Vec<String> {
    params
        .iter()
        .map(|(name, default)| match *default {
            Some("") => format!("{name}?"),
            default => parameter(name, None, default),
        })
        .collect()
}

fn parameter(name: &str, kind: Option<&str>, default: Option<&str>) -> String {
    let kind = kind.map(|kind| format!(": {kind}")).unwrap_or_default();
    let default = default
        .map(|default| format!(" = {default}"))
        .unwrap_or_default();
    format!("{name}{kind}{default}")
}

/// `name(a, b) -> Kind`, one parameter a line where it is long.
fn signature(name: &str, params: &[String], result: &str) -> String {
    let short = format!("    {name}({}){result}\n", params.join(", "));
    if short.chars().count() <= WIDTH {
        return short;
    }
    let lines: String = params
        .iter()
        .map(|param| format!("        {param},\n"))
        .collect();
    format!("    {name}(\n{lines}    ){result}\n")
}

fn described(param: &Param) -> String {
    let head = head_of(param);
    let text = wrapped(&param.docs.join(" "), WIDTH - 8);
    let lines: String = text
        .lines()
        .map(|line| format!("        {line}\n"))
        .collect();
    format!("    {head}\n{lines}")
}

/// Doc lines as wrapped paragraphs, an empty line between two.
fn paragraphs(docs: &[String]) -> String {
    let parts = docs
        .split(|line| line.trim().is_empty())
        .filter(|part| !part.is_empty());
    let parts: Vec<String> = parts
        .map(|part| wrapped(&part.join(" "), WIDTH) + "\n")
        .collect();
    parts.join("\n")
}

/// Words in lines of at most `width` characters, where no word is longer.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// What stands before the first full stop, colon or semicolon that ends a clause.
pub fn first_sentence(text: &str) -> String {
    let end = [". ", "; ", ": "]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    match end {
        Some(end) => format!("{}.", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{first_sentence, wrapped};

    #[test]
    fn words_are_wrapped_and_long_ones_kept_whole() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("incomprehensible x", 5), "incomprehensible\nx");
        assert_eq!(wrapped("  a   b ", 9), "a b");
    }

    #[test]
    fn the_first_clause_ends_at_the_first_mark() {
        assert_eq!(first_sentence("Mixes both. Then stops."), "Mixes both.");
        assert_eq!(
            first_sentence("Running update: `m = d`, on."),
            "Running update."
        );
        assert_eq!(first_sentence("Adds up."), "Adds up.");
    }
}
