//! The shape of a file before it is parsed: which line breaks end a statement, where items begin,
//! and which brackets belong together.
//!
//! Takes tokens. Gives a text of the same length in which comments and all other line breaks are
//! spaces, so that places in it are places in the file, cut into pieces that are parsed on their
//! own: an error in one item says nothing about the next.

use std::ops::Range;

use crate::chains::Chains;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::{MAX_DEPTH, MAX_LEVELS};
use crate::span::{FileId, Span};
use crate::tokens::{Token, TokenKind};

/// An item, or what stands in the place of one.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Its tokens, by number.
    pub tokens: Range<usize>,
    /// What is wrong with its brackets; it is parsed only if this is empty.
    pub errors: Vec<SyntaxError>,
}

/// The shape of a file.
pub(crate) struct Shape {
    /// The text to parse.
    pub clean: String,
    /// In order; every token is in one.
    pub chunks: Vec<Chunk>,
}

/// The words that begin an item.
pub(crate) const ITEM_WORDS: [&str; 8] = [
    "use",
    "model",
    "classifier",
    "loss",
    "input",
    "fn",
    "guide",
    "objective",
];

/// A line that ends in one of these goes on (a name that is reserved, or a mark).
const GOES_ON: [&str; 27] = [
    "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "..", "..=", "|",
    "|>", "=", "=>", "->", ",", ":", "not", "if", "else", "::",
];

/// A line that begins with one of these continues the one before it.
const CONTINUES: [&str; 23] = [
    "|>", "*", "/", "%", "+", "-", "==", "!=", "<", "<=", ">", ">=", "..", "..=", "and", "or",
    "in", "as", "per", "else", "->", "=>", "{",
];

/// An open bracket, and what waits for its `{` inside it.
struct Frame {
    /// The opening token, by number; none for the file itself.
    opener: Option<usize>,
    /// Whether line breaks inside it end statements.
    breaks: bool,
    /// For each `if`, `match`, `total` whose `{` is still to come: whether it is a `match`.
    heads: Vec<bool>,
    /// How many prefix operators stand in a row before this place.
    prefixes: usize,
    /// How long the chains of operators are.
    chains: Chains,
}

impl Frame {
    fn new(opener: Option<usize>, breaks: bool) -> Self {
        Self {
            opener,
            breaks,
            heads: Vec::new(),
            prefixes: 0,
            chains: Chains::default(),
        }
    }
}

/// Finds the shape of the file.
pub(crate) fn shape(file: FileId, text: &str, tokens: &[Token]) -> Shape {
    let mut walk = Walk {
        file,
        text,
        tokens,
        frames: vec![Frame::new(None, true)],
        chunks: Vec::new(),
        depth: 0,
        too_deep: false,
    };
    let mut clean = String::with_capacity(text.len());
    for (number, token) in tokens.iter().enumerate() {
        let ends = walk.step(number, token);
        if ends {
            clean.push('\n');
        }
        clean.extend(std::iter::repeat_n(
            ' ',
            token.start.saturating_sub(clean.len()),
        ));
        clean.push_str(token.text(text));
    }
    walk.close_all();
    if let Some(last) = walk.chunks.last_mut() {
        last.tokens.end = tokens.len();
    }
    Shape {
        clean,
        chunks: walk.chunks,
    }
}

struct Walk<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    frames: Vec<Frame>,
    chunks: Vec<Chunk>,
    /// Brackets, heads and prefix operators that are open here.
    depth: usize,
    /// Whether this was said already for the chunk.
    too_deep: bool,
}

impl<'a> Walk<'a> {
    fn word(&self, number: usize) -> &'a str {
        self.tokens
            .get(number)
            .map_or("", |token| token.text(self.text))
    }

    fn previous(&self, number: usize) -> &'a str {
        number.checked_sub(1).map_or("", |before| self.word(before))
    }

    /// Takes one token; says whether the line break before it ends a statement.
    fn step(&mut self, number: usize, token: &Token) -> bool {
        let word = token.text(self.text);
        let mut ends = self.ends_statement(number, token, word);
        if self.begins_item(number, token, word, ends) {
            self.close_all();
            self.open_chunk(number);
            ends = number > 0;
        } else if self.chunks.is_empty() {
            self.open_chunk(number);
        }
        self.count_chains(number, token, word, ends);
        self.count(number, token, word);
        ends
    }

    fn count_chains(&mut self, number: usize, token: &Token, word: &str, ends: bool) {
        let before = self.previous(number);
        let prefix = word == "-" && self.is_prefix(number);
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        if ends {
            frame.chains.end_statement();
        }
        if !prefix && frame.chains.take(word, before) && !self.too_deep {
            self.too_deep = true;
            let error = SyntaxError::new(
                SyntaxErrorKind::TooDeep,
                token.span(self.file),
                format!("an expression has at most {MAX_LEVELS} levels of operators"),
                "this operator is one too many",
            );
            self.report(error.help("give a part of it a name with `let`"));
        }
    }

    /// Whether the `-` at `number` has no left operand.
    fn is_prefix(&self, number: usize) -> bool {
        !number
            .checked_sub(1)
            .is_some_and(|before| self.ends_operand(before))
    }

    fn ends_statement(&self, number: usize, token: &Token, word: &str) -> bool {
        let Some(before) = number.checked_sub(1) else {
            return false;
        };
        let is_string = self
            .tokens
            .get(before)
            .is_none_or(|t| t.kind == TokenKind::String);
        token.after_break
            && self.frames.last().is_none_or(|frame| frame.breaks)
            && (is_string || !GOES_ON.contains(&self.word(before)))
            && !CONTINUES.contains(&word)
    }

    /// An item word at the start of a line begins an item outside all brackets; at the margin, and
    /// with a name after it, even inside one that somebody forgot to close.
    fn begins_item(&self, number: usize, token: &Token, word: &str, ends: bool) -> bool {
        if !ITEM_WORDS.contains(&word) || !token.after_break {
            return false;
        }
        if self.frames.len() == 1 {
            return ends || number == 0;
        }
        let next = self.tokens.get(number + 1).filter(|next| !next.after_break);
        token.at_margin
            && next.is_some_and(|next| match next.kind {
                TokenKind::Name | TokenKind::KindName | TokenKind::BadWord => true,
                TokenKind::String => word == "use",
                _ => false,
            })
    }

    fn open_chunk(&mut self, number: usize) {
        if let Some(last) = self.chunks.last_mut() {
            last.tokens.end = number;
        }
        self.chunks.push(Chunk {
            tokens: number..number,
            errors: Vec::new(),
        });
        self.too_deep = false;
    }

    fn report(&mut self, error: SyntaxError) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.errors.push(error);
        }
    }

    /// Keeps the stack of brackets, heads and prefix operators.
    fn count(&mut self, number: usize, token: &Token, word: &str) {
        let prefix = match word {
            "not" => true,
            "-" => self.is_prefix(number),
            _ => false,
        };
        if prefix {
            self.deepen(token, 1);
            if let Some(frame) = self.frames.last_mut() {
                frame.prefixes += 1;
            }
            return;
        }
        if token.kind != TokenKind::Mark && token.kind != TokenKind::Reserved {
            return;
        }
        match word {
            "(" | "[" => self.open(number, token, false),
            "{" => {
                let breaks = self.breaks_inside(number);
                self.open(number, token, breaks);
            }
            ")" | "]" | "}" => self.close(token, word),
            "if" | "match" | "total" => {
                self.deepen(token, 1);
                if let Some(frame) = self.frames.last_mut() {
                    frame.heads.push(word == "match");
                }
            }
            "::" | "true" | "false" => {}
            _ => self.end_prefixes(),
        }
    }

    /// After an operator, a comma or a word, the prefix operators before it have their operand.
    fn end_prefixes(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            self.depth -= frame.prefixes;
            frame.prefixes = 0;
        }
    }

    fn ends_operand(&self, number: usize) -> bool {
        let Some(token) = self.tokens.get(number) else {
            return false;
        };
        match token.kind {
            TokenKind::Mark | TokenKind::Reserved => {
                matches!(token.text(self.text), ")" | "]" | "}" | "true" | "false")
            }
            TokenKind::Unknown => false,
            _ => true,
        }
    }

    /// Whether the `{` at `number` opens a body, and not the arms of a `match` or a list of `use`.
    fn breaks_inside(&mut self, number: usize) -> bool {
        match self.previous(number) {
            "::" => false,
            "else" => true,
            _ => {
                let head = self.frames.last_mut().and_then(|frame| frame.heads.pop());
                self.depth -= usize::from(head.is_some());
                head != Some(true)
            }
        }
    }

    fn open(&mut self, number: usize, token: &Token, breaks: bool) {
        self.deepen(token, 1);
        self.frames.push(Frame::new(Some(number), breaks));
    }

    fn deepen(&mut self, token: &Token, levels: usize) {
        self.depth += levels;
        if self.depth > MAX_DEPTH && !self.too_deep {
            self.too_deep = true;
            let message = format!(
                "brackets, `if`, `match`, `total` and prefix operators nest at most {MAX_DEPTH} deep"
            );
            let error = SyntaxError::new(
                SyntaxErrorKind::TooDeep,
                token.span(self.file),
                message,
                "this one is too deep",
            );
            self.report(error.help("give an inner part a name with `let`"));
        }
    }

    fn close(&mut self, token: &Token, word: &str) {
        let fits = |frame: &Frame, walk: &Walk<'_>| {
            frame
                .opener
                .is_some_and(|opener| closer_of(walk.word(opener)) == word)
        };
        let Some(place) = self.frames.iter().rposition(|frame| fits(frame, self)) else {
            if self.close_by_wrong(token, word) {
                return;
            }
            let error = SyntaxError::new(
                SyntaxErrorKind::UnclosedBracket,
                token.span(self.file),
                format!("this `{word}` closes nothing"),
                "no bracket is open for it here",
            );
            let place = error.span;
            self.report(error.help(format!("remove the `{word}`")).fix(place, ""));
            return;
        };
        if place + 1 < self.frames.len()
            && let Some(opener) = self.frames.last().and_then(|frame| frame.opener)
            && let Some(open) = self.tokens.get(opener)
        {
            let bracket = self.word(opener);
            let closer = closer_of(bracket);
            let error = SyntaxError::new(
                SyntaxErrorKind::UnclosedBracket,
                open.span(self.file),
                format!("this `{bracket}` is not closed before the `{word}`"),
                format!("opened here, and needs a `{closer}`"),
            )
            .also(
                token.span(self.file),
                format!("a `{closer}` was expected before this"),
            )
            .help(format!("close it with `{closer}`"));
            let before = Span {
                end: token.start as u32,
                ..token.span(self.file)
            };
            self.report(error.fix(before, closer));
        }
        while self.frames.len() > place {
            self.pop();
        }
        self.end_prefixes_after_block(word);
    }

    /// A `(` closed by `]`, or the reverse: one mistake, and both brackets are done with.
    fn close_by_wrong(&mut self, token: &Token, word: &str) -> bool {
        let Some(opener) = self.frames.last().and_then(|frame| frame.opener) else {
            return false;
        };
        let bracket = self.word(opener);
        let Some(open) = self.tokens.get(opener) else {
            return false;
        };
        if bracket == "{" || word == "}" {
            return false;
        }
        let closer = closer_of(bracket);
        let error = SyntaxError::new(
            SyntaxErrorKind::UnclosedBracket,
            token.span(self.file),
            format!("a `{bracket}` is closed by `{word}`"),
            format!("a `{closer}` was expected here"),
        );
        self.report(
            error
                .also(open.span(self.file), "opened here")
                .help(format!("write `{closer}` in place of `{word}`"))
                .fix(token.span(self.file), closer),
        );
        self.pop();
        true
    }

    /// A block ends what a prefix operator could stand before only together with its line; the
    /// operand of `-(…)` or `-f(…)` may go on with `[`, so only a brace ends it.
    fn end_prefixes_after_block(&mut self, word: &str) {
        if word == "}" {
            self.end_prefixes();
        }
    }

    fn pop(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.depth -= frame.heads.len() + frame.prefixes + 1;
        }
    }

    /// Closes the item: what is still open is an error that points to the opening bracket.
    fn close_all(&mut self) {
        let open = self.frames.last().and_then(|frame| frame.opener);
        if let Some(opener) = open
            && let Some(token) = self.tokens.get(opener)
        {
            let bracket = self.word(opener);
            let closer = closer_of(bracket);
            let error = SyntaxError::new(
                SyntaxErrorKind::UnclosedBracket,
                token.span(self.file),
                format!("this `{bracket}` is never closed"),
                format!("opened here, and needs a `{closer}`"),
            );
            self.report(error.help(format!("close it with `{closer}`")));
        }
        self.frames = vec![Frame::new(None, true)];
        self.depth = 0;
    }
}

fn closer_of(opener: &str) -> &'static str {
    match opener {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}
