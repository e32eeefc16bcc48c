//! The grammar on whole files: the tour of the language, real programs, every error, laws.

mod dump;
mod errors;
mod files;
mod laws;
mod layout;
mod limits;
mod manual;

/// The tree of a text that has no errors.
fn tree(text: &str) -> guide_grammar::ast::File {
    let parsed = guide_grammar::parse(guide_grammar::span::FileId(0), text);
    assert_eq!(parsed.errors, [], "in\n{text}");
    parsed.file
}
