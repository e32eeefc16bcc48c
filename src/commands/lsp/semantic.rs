//! What each word is, for editors that colour by meaning.

use std::collections::BTreeMap;

use gen_lsp_types::SemanticToken;
use guide_compiler::index::{Indexed, Namesake};
use guide_compiler::resolved::{Binder, ItemKind, Meaning};
use guide_grammar::span::Span;
use guide_grammar::{Token, TokenKind};

use super::context::ITEM_WORDS;
use super::documents::Document;
use super::workspace::{ROOT, Workspace};
use crate::sources::STD_FOLDER;

const TYPES: &[&str] = &[
    "keyword",
    "comment",
    "string",
    "number",
    "operator",
    "type",
    "function",
    "parameter",
    "variable",
    "property",
    "namespace",
    "macro",
    "enumMember",
];
const MODIFIERS: &[&str] = &["declaration", "defaultLibrary", "documentation"];

const DECLARATION: u32 = 1;
const LIBRARY: u32 = 2;
const DOCUMENTATION: u32 = 4;

/// The types by number.
pub fn types() -> Vec<String> {
    TYPES.iter().map(|name| (*name).to_owned()).collect()
}

/// The modifiers by bit.
pub fn modifiers() -> Vec<String> {
    MODIFIERS.iter().map(|name| (*name).to_owned()).collect()
}

/// All words that lie within a span.
pub fn tokens(workspace: &Workspace, document: &Document, within: Span) -> Vec<SemanticToken> {
    let text: &str = &document.text;
    let snapshot = workspace.snapshot(document);
    let names = snapshot.indexed.names().iter();
    let names: BTreeMap<u32, &Namesake> = names
        .filter(|name| name.span.file == ROOT)
        .map(|name| (name.span.start, name))
        .collect();
    let lexed = guide_grammar::lex(ROOT, text);
    let mut found: Vec<(Span, &str, u32)> = Vec::new();
    for comment in lexed.comments {
        let words = comment.text(text);
        let is_doc = words.starts_with("///") && !words.starts_with("////");
        let is_doc = is_doc || words.starts_with("//!");
        found.push((comment, "comment", if is_doc { DOCUMENTATION } else { 0 }));
    }
    for (at, token) in lexed.tokens.iter().enumerate() {
        let next = lexed.tokens.get(at + 1).map_or("", |next| next.text(text));
        let named = names.get(&(token.start as u32)).copied();
        if let Some((kind, bits)) = class(&snapshot.indexed, text, token, next, named) {
            found.push((token.span(ROOT), kind, bits));
        }
    }
    found.sort_by_key(|(span, ..)| *span);
    let inside = |span: &Span| within.start <= span.start && span.end <= within.end;
    let found = found.into_iter().filter(|(span, ..)| inside(span));
    relative(document, found)
}

/// What a token is.
fn class(
    indexed: &Indexed,
    text: &str,
    token: &Token,
    next: &str,
    named: Option<&Namesake>,
) -> Option<(&'static str, u32)> {
    let words = token.text(text);
    Some(match token.kind {
        TokenKind::Reserved => ("keyword", 0),
        TokenKind::Number | TokenKind::BadNumber => ("number", 0),
        TokenKind::String | TokenKind::OpenString | TokenKind::BadString => ("string", 0),
        TokenKind::KindName => ("type", LIBRARY),
        TokenKind::Mark => match words {
            "(" | ")" | "[" | "]" | "{" | "}" | "," | ":" | "::" => return None,
            _ => ("operator", 0),
        },
        TokenKind::Name => match named {
            Some(named) => of_name(indexed, named)?,
            None if token.at_margin && ITEM_WORDS.contains(&words) => ("keyword", 0),
            None if matches!(words, "as" | "per" | "evaluation") => ("keyword", 0),
            None if next == "::" => ("namespace", 0),
            None if words == "prev" && next == "(" => ("function", LIBRARY),
            None if next == "(" => ("function", 0),
            None if next == ":" => ("property", 0),
            None => ("variable", 0),
        },
        TokenKind::BadWord | TokenKind::Unknown => return None,
    })
}

fn of_name(indexed: &Indexed, named: &Namesake) -> Option<(&'static str, u32)> {
    let declared = if named.defines { DECLARATION } else { 0 };
    Some(match &named.meaning {
        Meaning::Local(item, local) => match indexed.local(*item, *local)?.binder {
            Binder::Param => ("parameter", declared),
            Binder::Let | Binder::Total => ("variable", declared),
        },
        Meaning::Item(id) => {
            let item = indexed.item(*id)?;
            let path = indexed.analysis.files.path(item.name.span.file);
            let library = if path.starts_with(STD_FOLDER) {
                LIBRARY
            } else {
                0
            };
            match item.kind {
                ItemKind::Function(_) => ("function", declared | library),
                ItemKind::Resource(_) | ItemKind::Input(_) => ("variable", declared),
            }
        }
        Meaning::Module(_) => ("namespace", 0),
        Meaning::Word(_) => ("enumMember", LIBRARY),
        Meaning::Primitive(_) => ("function", LIBRARY),
        Meaning::Intervention(_) => ("macro", LIBRARY),
    })
}

/// As the protocol has them: each from the one before it.
fn relative<'a>(
    document: &Document,
    found: impl Iterator<Item = (Span, &'a str, u32)>,
) -> Vec<SemanticToken> {
    let text: &str = &document.text;
    let (mut line, mut column) = (0, 0);
    let mut tokens = Vec::new();
    for (span, kind, bits) in found {
        let start = document.lines.position(text, span.start);
        let kind = TYPES.iter().position(|name| *name == kind).unwrap_or(0);
        let same_line = start.line == line;
        tokens.push(SemanticToken {
            delta_line: start.line - line,
            delta_start: if same_line {
                start.character - column
            } else {
                start.character
            },
            length: document.lines.width(span.text(text)),
            token_type: kind as u32,
            token_modifiers_bitset: bits,
        });
        (line, column) = (start.line, start.character);
    }
    tokens
}
