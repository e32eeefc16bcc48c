//! Markdown for people: signatures, comments, what is known of a value.

use guide_compiler::check::Known;
use guide_compiler::index::words;

use super::library::Signature;

/// Lines of the language.
pub fn code(text: &str) -> String {
    format!("```guide\n{text}\n```\n")
}

/// How a thing is called, and what its comments say.
pub fn of_signature(signature: &Signature) -> String {
    let mut out = code(&signature.in_lines());
    out.push_str(&paragraphs(&signature.docs));
    let params = signature.params.iter().filter(|p| !p.docs.is_empty());
    let params: Vec<String> = params
        .map(|p| format!("- `{}`: {}", p.name, p.docs.join(" ")))
        .collect();
    if !params.is_empty() {
        out.push_str(&format!("\n{}\n", params.join("\n")));
    }
    out
}

/// Doc lines as paragraphs.
pub fn paragraphs(docs: &[String]) -> String {
    if docs.is_empty() {
        return String::new();
    }
    format!("\n{}\n", docs.join("\n"))
}

/// What is known of a value, in a line.
pub fn of_known(known: &Known) -> String {
    let mut parts = vec![known.what.clone()];
    if let Some(weight) = &known.weight {
        parts.push(format!("weight `{weight}`"));
    }
    parts.extend(known.stage.map(|stage| stage_of(stage).to_owned()));
    format!("\n{}\n", parts.join(" · "))
}

fn stage_of(stage: &str) -> &'static str {
    match stage {
        "const" => "`const`: known before the run",
        "step" => "`step`: known for each step before the run",
        _ => "`sample`: found by the run, for each sample",
    }
}

/// A built-in word.
pub fn of_word(word: &str) -> Option<String> {
    Some(format!("{}\n{}\n", code(word), words::word(word)?))
}

/// A kind.
pub fn of_kind(name: &str) -> Option<String> {
    Some(format!("{}\n{}\n", code(name), words::kind(name)?))
}
