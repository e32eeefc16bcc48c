//! Text to syntax tree to text. No IO, no meaning of names, no types.
//!
//! ```text
//! text -> tokens -> lines -> guide.pest -> build -> tree
//!         (scan)    (shape)  (pest)                  |
//!                                        format <----+
//! ```

pub mod ast;
mod build;
mod chains;
mod comments;
mod error;
mod expected;
mod format;
mod lexical;
pub mod limits;
mod lines;
mod mistakes;
mod pest_grammar;
pub mod span;
mod tokens;

use pest::Parser;

pub use comments::Comment;
pub use error::{SyntaxError, SyntaxErrorKind, SyntaxLabel};
pub use format::{FormatError, format};
pub use limits::decode;
pub use tokens::{Token, TokenKind};

use comments::Docs;
use pest_grammar::{GuideParser, Rule};
use span::{FileId, Span};

/// What a text says.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The tree; items that did not parse are missing.
    pub file: ast::File,
    /// The comments that document nothing, in order.
    pub comments: Vec<Comment>,
    /// What is wrong, in order of place.
    pub errors: Vec<SyntaxError>,
}

/// A text without its grammar: for what must know words where the tree has none.
#[derive(Clone, Debug, Default)]
pub struct Lexed {
    /// In order.
    pub tokens: Vec<Token>,
    /// Comments and doc lines, in order.
    pub comments: Vec<Span>,
}

/// The tokens of a text; of one over the size limit, none.
pub fn lex(file: FileId, text: &str) -> Lexed {
    if limits::check_size(file, text).is_err() {
        return Lexed::default();
    }
    let scan = tokens::scan(file, text);
    let docs = scan.docs.iter().map(|doc| doc.line.span);
    let mut comments: Vec<Span> = scan.comments.iter().map(|c| c.span).chain(docs).collect();
    comments.sort();
    Lexed {
        tokens: scan.tokens,
        comments,
    }
}

/// Reads a file. Never fails as a whole: an item with an error is left out of the tree, and every
/// such item has its own error.
pub fn parse(file: FileId, text: &str) -> Parsed {
    if let Err(error) = limits::check_size(file, text) {
        let tree = ast::File {
            docs: Vec::new(),
            items: Vec::new(),
            span: Span::new(file, 0, 0),
        };
        return Parsed {
            file: tree,
            comments: Vec::new(),
            errors: vec![error],
        };
    }
    let scan = tokens::scan(file, text);
    let shape = lines::shape(file, text, &scan.tokens);
    let mut builder = build::Builder::new(file, text, Docs { list: scan.docs });
    let first = scan.tokens.first().map_or(text.len(), |token| token.start);
    let docs = builder.docs_mut().take_of_file(first);
    let mut items = Vec::new();
    let mut errors = Vec::new();
    let mut from = 0;
    for chunk in shape.chunks {
        let tokens = scan.tokens.get(chunk.tokens).unwrap_or(&[]);
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
            continue;
        };
        let source = expected::Source {
            file,
            text,
            clean: &shape.clean,
            tokens,
        };
        let mut found = chunk.errors;
        lexical::add_errors(file, text, tokens, &mut found);
        if found.is_empty() {
            let piece = shape.clean.get(first.start..last.end).unwrap_or("");
            let built = match GuideParser::parse(Rule::chunk, piece) {
                Ok(mut pairs) => match pairs.next() {
                    Some(pair) => builder.chunk(pair, first.start, from),
                    None => Ok(Vec::new()),
                },
                Err(error) => Err(vec![source.error(&error)]),
            };
            match built {
                Ok(built) => items.extend(built),
                Err(built) => found = built,
            }
        }
        if !found.is_empty() {
            builder.docs_mut().drop_between(from, last.end);
        }
        errors.append(&mut found);
        from = last.end;
    }
    errors.extend(lexical::misplaced_docs(&builder.docs_mut().list));
    errors.sort_by_key(|error| (error.span, error.kind));
    errors.truncate(limits::MAX_ERRORS);
    let span = Span::new(file, 0, text.len());
    Parsed {
        file: ast::File { docs, items, span },
        comments: scan.comments,
        errors,
    }
}
