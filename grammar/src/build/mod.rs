//! What pest has matched, to the tree. Takes the pairs of one `chunk`; gives its items.
//!
//! Here stand also the checks that a context-free grammar does not make: chained comparisons,
//! positional arguments after named ones, the place of `else` in a `match`, the height of the tree.

mod expr;
mod item;
mod statement;

use std::cell::{Cell, RefCell};

use pest::iterators::Pair;

use crate::ast::{Item, Name};
use crate::comments::Docs;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::MAX_LEVELS;
use crate::pest_grammar::Rule;
use crate::span::{FileId, Span, Spanned};

/// A part of the tree, and how many levels it has.
pub(crate) struct Tall<T> {
    pub node: T,
    pub height: usize,
}

/// What the building of a chunk shares.
pub(crate) struct Builder<'t> {
    file: FileId,
    /// The whole text of the file.
    text: &'t str,
    /// Where the chunk begins in it.
    offset: usize,
    /// The doc lines of the file.
    docs: RefCell<Docs>,
    errors: RefCell<Vec<SyntaxError>>,
    too_tall: Cell<bool>,
}

impl<'t> Builder<'t> {
    /// A builder for a file; `docs` are its doc lines.
    pub fn new(file: FileId, text: &'t str, docs: Docs) -> Self {
        Self {
            file,
            text,
            offset: 0,
            docs: RefCell::new(docs),
            errors: RefCell::new(Vec::new()),
            too_tall: Cell::new(false),
        }
    }

    /// The items of a chunk that begins at byte `offset` and whose docs begin after byte `from`; or
    /// what is wrong with it. An error hides all items of the chunk.
    pub fn chunk(
        &mut self,
        chunk: Pair<'_, Rule>,
        offset: usize,
        from: usize,
    ) -> Result<Vec<Item>, Vec<SyntaxError>> {
        self.offset = offset;
        self.too_tall.set(false);
        let place = self.span(&chunk);
        let mut from = from;
        let mut items = Vec::new();
        for pair in chunk.into_inner() {
            if matches!(pair.as_rule(), Rule::nl | Rule::EOI) {
                continue;
            }
            match self.item(pair, from) {
                Some(item) => {
                    from = item.span.end as usize;
                    items.push(item);
                }
                // INVARIANT: every shape that the grammar matches is read; this is said rather than
                // a panic should the two ever disagree.
                None if !self.errors.borrow().is_empty() => {}
                None => self.report(SyntaxError::new(
                    SyntaxErrorKind::UnexpectedToken,
                    place,
                    "this item cannot be read",
                    "in this item",
                )),
            }
        }
        let errors = self.errors.take();
        if errors.is_empty() {
            Ok(items)
        } else {
            Err(errors)
        }
    }

    /// The doc lines, with those that were used marked.
    pub fn docs_mut(&mut self) -> &mut Docs {
        self.docs.get_mut()
    }

    fn report(&self, error: SyntaxError) {
        self.errors.borrow_mut().push(error);
    }

    /// The place of a pair, without the blanks that pest leaves before an absent optional part.
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let start = pair.as_span().start() + self.offset;
        Span::new(self.file, start, start + pair.as_str().trim_end().len())
    }

    fn words(&self, span: Span) -> &'t str {
        span.text(self.text)
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> Name {
        Spanned::new(pair.as_str().to_owned(), self.span(pair))
    }

    fn docs_between(&self, from: usize, to: usize) -> Vec<Spanned<String>> {
        self.docs.borrow_mut().take(from, to)
    }

    /// A string without its quotes and escapes.
    fn string(&self, pair: &Pair<'_, Rule>) -> Spanned<String> {
        let quoted = pair.as_str();
        let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("");
        let mut text = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => text.push('\n'),
                    other => text.extend(other),
                },
                _ => text.push(c),
            }
        }
        Spanned::new(text, self.span(pair))
    }

    /// One level over parts of height `below`; reports a tree that grows too tall, once for a chunk,
    /// and says whether it is.
    fn level(&self, below: usize, span: Span) -> Option<usize> {
        if below < MAX_LEVELS {
            return Some(below + 1);
        }
        if !self.too_tall.replace(true) {
            let message = format!("an expression has at most {MAX_LEVELS} levels of operators");
            let place = Span {
                end: span.start.saturating_add(1).min(span.end),
                ..span
            };
            self.report(
                SyntaxError::new(
                    SyntaxErrorKind::TooDeep,
                    place,
                    message,
                    "this one has more",
                )
                .help("give a part of it a name with `let`"),
            );
        }
        None
    }
}
