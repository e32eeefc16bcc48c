//! The mistakes that people make, each with a way out: looked for where a chunk stopped parsing.

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::expected::Stop;
use crate::lexical::lower_case;
use crate::lines::ITEM_WORDS;
use crate::pest_grammar::Rule;
use crate::tokens::{Token, TokenKind};

impl Stop<'_> {
    /// The mistake that this is, if it is a known one.
    pub fn mistake(&self) -> Option<SyntaxError> {
        self.no_item()
            .or_else(|| self.no_call_after_pipe())
            .or_else(|| self.wrong_name())
            .or_else(|| self.body_without_value())
            .or_else(|| self.second_value())
            .or_else(|| self.missing_else())
            .or_else(|| self.gap_before_bracket())
            .or_else(|| self.range_where_none_is())
            .or_else(|| self.foreign_word())
            .or_else(|| self.wrong_mark())
    }

    fn unexpected_token(&self, message: impl Into<String>, label: &str) -> SyntaxError {
        SyntaxError::new(
            SyntaxErrorKind::UnexpectedToken,
            self.span(),
            message,
            label,
        )
    }

    /// Something else than an item, outside all bodies.
    fn no_item(&self) -> Option<SyntaxError> {
        let outside = self.expects(Rule::EOI) && !self.after_operand() || self.number == 0;
        let word = self.word(0);
        if !outside || ITEM_WORDS.contains(&word) || self.token(0).is_none() {
            return None;
        }
        let starts = self.at_break || self.number == 0 || self.word(-1) == "}";
        if !starts {
            return None;
        }
        let span = self.token(0)?.span(self.source.file);
        let error = SyntaxError::new(
            SyntaxErrorKind::UnexpectedToken,
            span,
            format!("no item begins with `{word}`"),
            "an item was expected here",
        );
        Some(match word {
            "def" | "function" | "func" | "fun" | "rule" | "proc" => {
                error.help("write `guide name(…) { … }`, or `fn name(…) -> Kind { … }`")
            }
            "import" | "from" | "include" => error.help("write `use std::ops::momentum`"),
            "let" | "const" | "var" => error.help("move it into the body of a `guide` or `fn`"),
            "}" | ")" | "]" => error.help(format!("remove the `{word}`")).fix(span, ""),
            _ => match ITEM_WORDS.iter().find(|item| close(item, word)) {
                Some(item) => error.write(*item),
                None => error.help(
                    "begin with `use`, `model`, `classifier`, `loss`, `input`, `fn`, `guide` or \
                     `objective`",
                ),
            },
        })
    }

    /// `x |> f`, `x |> 2`, `x |> f() + 1`
    fn no_call_after_pipe(&self) -> Option<SyntaxError> {
        // Back over a path to the pipe.
        let mut back = -1;
        while matches!(self.kind(back), Some(TokenKind::Name)) || self.word(back) == "::" {
            back -= 1;
        }
        let pipe = |message: &str, label: &str, span| {
            SyntaxError::new(SyntaxErrorKind::PipeIntoNoCall, span, message, label)
        };
        let place = self
            .token(0)
            .map_or(self.span(), |token| token.span(self.source.file));
        if self.word(back) == "|>" {
            let message = "right of `|>` stands a call";
            if back == -1 {
                let error = pipe(message, "this is not a call", place);
                return Some(error.help("write `value |> name(…)`"));
            }
            let (first, last) = (self.token(back + 1)?, self.token(-1)?);
            let span = first.span(self.source.file).to(last.span(self.source.file));
            let called = format!("write `{}()`", span.text(self.source.text));
            return Some(pipe(message, "this is not called", span).help(called));
        }
        let operator = matches!(
            self.word(0),
            "+" | "-" | "*" | "/" | "%" | "[" | "and" | "or" | "in"
        ) || matches!(self.word(0), "==" | "!=" | "<" | "<=" | ">" | ">=");
        if operator && self.expects(Rule::pipe_op) && !self.after_operand() {
            let message = "right of `|>` stands one call and nothing else";
            let error = pipe(message, "this would belong to the call", place);
            return Some(error.help("put the pipe into parentheses: `(value |> name(…))`"));
        }
        None
    }

    /// A word that cannot be a name, or cannot be a kind.
    fn wrong_name(&self) -> Option<SyntaxError> {
        let token = self.token(0).filter(|_| !self.at_break)?;
        let word = self.word(0);
        let span = token.span(self.source.file);
        let wants_name = [
            Rule::name,
            Rule::pattern,
            Rule::param,
            Rule::use_name,
            Rule::total,
        ]
        .iter()
        .chain(&[Rule::resource_args, Rule::resource_open, Rule::resource_arg])
        .any(|rule| self.expects(*rule));
        let wants_kind = self.expects(Rule::kind)
            || self.expects(Rule::kind_name)
            || self.expects(Rule::kind_named);
        let names_argument = self.before_operand() || self.expects(Rule::arg);
        match token.kind {
            TokenKind::Reserved if wants_name && !names_argument || self.word(1) == ":" => Some(
                SyntaxError::new(
                    SyntaxErrorKind::ReservedWord,
                    span,
                    format!("`{word}` is a reserved word"),
                    "a name was expected here",
                )
                .help(format!(
                    "choose another name, such as `{}`",
                    lower_case(word)
                )),
            ),
            TokenKind::KindName if wants_name && !wants_kind && !names_argument => Some(
                SyntaxError::new(
                    SyntaxErrorKind::BadName,
                    span,
                    format!("`{word}` is not a name"),
                    "names are lower-case letters, digits and `_`",
                )
                .write(lower_case(word)),
            ),
            TokenKind::KindName if names_argument && !wants_kind => {
                let error = SyntaxError::new(
                    SyntaxErrorKind::BadName,
                    span,
                    format!("`{word}` is a kind's name, and a value was expected"),
                    "names of values are lower-case letters, digits and `_`",
                );
                Some(match self.word(1) {
                    "{" => error.help(
                        "there are no record literals: call with named arguments, \
                         `name(field: value)`",
                    ),
                    _ => error.write(lower_case(word)),
                })
            }
            TokenKind::Name if wants_kind => Some(
                SyntaxError::new(
                    SyntaxErrorKind::BadName,
                    span,
                    format!("`{word}` is not a kind"),
                    "names of kinds begin with a capital",
                )
                .write(capitals(word)),
            ),
            _ => None,
        }
    }

    /// A `}` where the value of a body is missing.
    fn body_without_value(&self) -> Option<SyntaxError> {
        if self.word(0) != "}" {
            return None;
        }
        let starts_statement = self.expects(Rule::let_) || self.expects(Rule::kw_let);
        let after_let = self.expects(Rule::nl) && !self.expects(Rule::rbrace);
        if !starts_statement && !after_let {
            return None;
        }
        let brace = self.token(0)?.span(self.source.file);
        let statement = self.last_statement();
        if let Some(minus) = self.leading_minus(statement) {
            return Some(self.leading_minus_error(minus, brace));
        }
        let error = SyntaxError::new(
            SyntaxErrorKind::BodyWithoutValue,
            brace,
            "a body ends in an expression, its value",
            "an expression is missing before this",
        );
        let tokens = self
            .source
            .tokens
            .get(statement..self.number)
            .unwrap_or(&[]);
        let word = |place: usize| tokens.get(place).map_or("", |t| t.text(self.source.text));
        let binds = tokens.get(1).is_some_and(|t| t.kind == TokenKind::Name);
        Some(match tokens.first() {
            Some(first) if word(0) == "let" && binds => error
                .also(
                    first.span(self.source.file),
                    "a `let` has no value of its own",
                )
                .help(format!("add a last line: `{}`", word(1))),
            Some(first) if word(0) == "let" => error
                .also(
                    first.span(self.source.file),
                    "a `let` has no value of its own",
                )
                .help("add a last line with the value"),
            _ => error.help("write the value between the braces: `{ value }`"),
        })
    }

    /// The number of the first token of the last statement before this place.
    fn last_statement(&self) -> usize {
        let mut depth = 0usize;
        for number in (0..self.number).rev() {
            let word = self
                .source
                .tokens
                .get(number)
                .map_or("", |t| t.text(self.source.text));
            match word {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" if depth == 0 => return number + 1,
                "(" | "[" | "{" => depth -= 1,
                "let" if depth == 0 => return number,
                _ => {}
            }
        }
        0
    }

    /// The last `-` that begins a line of the statement, outside its brackets.
    fn leading_minus(&self, statement: usize) -> Option<usize> {
        let mut depth = 0usize;
        let mut found = None;
        for number in statement..self.number {
            let token = self.source.tokens.get(number)?;
            match token.text(self.source.text) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                "-" if depth == 0 && token.after_break => found = Some(number),
                _ => {}
            }
        }
        found
    }

    fn leading_minus_error(&self, minus: usize, brace: crate::span::Span) -> SyntaxError {
        let file = self.source.file;
        let place = |number: usize| self.source.tokens.get(number).map(|t: &Token| t.span(file));
        let at = place(minus).unwrap_or(brace);
        let line = at.to(place(self.number - 1).unwrap_or(at));
        let error = SyntaxError::new(
            SyntaxErrorKind::LeadingMinus,
            at,
            "a line that begins with `-` continues the line before it",
            "this is read as a subtraction",
        );
        let before = minus.checked_sub(1).and_then(place).unwrap_or(at);
        let written: Vec<_> = line.text(self.source.text).split_whitespace().collect();
        error
            .also(before, "from what stands here")
            .also(brace, "so the body has no value")
            .help(format!(
                "write `({})` for a value of its own",
                written.join(" ")
            ))
    }

    /// A statement after the value of a body.
    fn second_value(&self) -> Option<SyntaxError> {
        let in_body = self.expects(Rule::rbrace) || self.expects(Rule::nl);
        let word = self.word(0);
        if !in_body || self.expects(Rule::comma) || self.expects(Rule::EOI) {
            return None;
        }
        let span = self.token(0)?.span(self.source.file);
        let error = |message: &str, label: &str| {
            SyntaxError::new(SyntaxErrorKind::UnexpectedToken, span, message, label)
        };
        if word == "=" && self.kind(-1) == Some(TokenKind::Name) {
            let name = self.word(-1);
            return Some(
                error("a value gets its name with `let`", "not expected here")
                    .help(format!("write `let {name} = …`")),
            );
        }
        // Only what begins a line is a statement of its own.
        if !self.token(0)?.after_break || matches!(word, "}" | ")" | "]") {
            return None;
        }
        if self.after_operand() && !self.at_break {
            return None;
        }
        let error = error(
            "a body has one value, at its end",
            "this stands after the value",
        );
        Some(match word {
            "let" => error.help("move the value below the last `let`"),
            _ => error.help("name what stands before it: `let name = …`"),
        })
    }

    fn missing_else(&self) -> Option<SyntaxError> {
        let wants = self.expects(Rule::kw_else) || self.expects(Rule::else_if);
        if !wants || self.word(-1) != "}" || self.expects(Rule::arm_pattern) {
            return None;
        }
        let error = self.unexpected_token(
            "an `if` is a value, so it needs an `else`",
            "an `else` is missing",
        );
        Some(match self.word(0) {
            "elif" | "elseif" | "elsif" => error.write("else if"),
            _ => error.help("add `else { … }`"),
        })
    }

    /// `f (x)`, `prompts [0]`
    fn gap_before_bracket(&self) -> Option<SyntaxError> {
        let (token, before) = (self.token(0)?, self.token(-1)?);
        let word = self.word(0);
        let gap = token.start > before.end && !self.at_break;
        let name = self.word(-1);
        match word {
            "(" if gap && before.kind == TokenKind::Name && !self.expects(Rule::name) => Some(
                self.unexpected_token(
                    "the `(` of a call touches the name",
                    "a gap stands before it",
                )
                .help(format!("write `{name}(`")),
            ),
            "[" if gap && self.after_operand() => Some(
                self.unexpected_token(
                    "the `[` of an index touches what it indexes",
                    "a gap stands before it",
                )
                .help(format!("write `{name}[`")),
            ),
            _ => None,
        }
    }

    fn range_where_none_is(&self) -> Option<SyntaxError> {
        let word = self.word(0);
        let one_end = "a range has both ends";
        if matches!(self.word(-1), ".." | "..=") && self.before_operand() {
            let error = self.unexpected_token(one_end, "the second end is missing");
            return Some(error.help("write `a..b`"));
        }
        if matches!(word, ".." | "..=") && self.before_operand() {
            let error = self.unexpected_token(one_end, "the first end is missing");
            return Some(error.help("write `a..b`"));
        }
        if matches!(word, ".." | "..=") {
            let message = "a range stands only after `in`, in the arms of a `match` and in the \
                           arguments of a `classifier` or `loss`";
            let error = self.unexpected_token(message, "not expected here");
            return Some(error.help("write `value in a..b` to compare"));
        }
        if self.expects(Rule::range_op) {
            let error = self.unexpected_token("a range was expected", "expected `..` before this");
            return Some(error.help("write `a..b`, or `a..=b` to include its end"));
        }
        None
    }

    /// Words of other languages.
    fn foreign_word(&self) -> Option<SyntaxError> {
        let before = self.token(-1)?;
        if before.kind != TokenKind::Name || !self.after_operand() {
            return None;
        }
        let help = match self.word(-1) {
            "return" => "remove `return`: the last expression of a body is its value",
            "for" | "while" => "write `total i in 0..n { … }` for a sum; there are no other loops",
            "var" | "const" | "mut" => "write `let`",
            "switch" | "case" => "write `match value { a..b => …, else => … }`",
            _ => return None,
        };
        let error = SyntaxError::new(
            SyntaxErrorKind::UnexpectedToken,
            before.span(self.source.file),
            format!("there is no `{}` in a guide file", self.word(-1)),
            "not a word of the language",
        );
        Some(error.help(help))
    }

    fn wrong_mark(&self) -> Option<SyntaxError> {
        let after = self.after_operand();
        match self.word(0) {
            "+" if self.before_operand() => {
                let error = self
                    .unexpected_token("there is no unary `+`", "an expression was expected here");
                let place = error.span;
                Some(error.help("remove the `+`").fix(place, ""))
            }
            "=" if after => {
                let error = self.unexpected_token("`=` is no comparison", "not expected here");
                let place = error.span;
                Some(error.help("write `==` to compare").fix(place, "=="))
            }
            "*" if self.word(-1) == "*" && self.before_operand() => {
                let error = self.unexpected_token("there is no `**`", "not expected here");
                Some(error.help("write `pow(a, b)` for a power"))
            }
            "{" if after || self.before_operand() => Some(
                self.unexpected_token(
                    "a `{` opens a body, and none belongs here",
                    "not expected here",
                )
                .help(
                    "there are no record literals: call with named arguments, \
                         `name(field: value)`",
                ),
            ),
            "|" if after => {
                let error = self.unexpected_token(
                    "`|` stands only between strings of a kind",
                    "not expected here",
                );
                Some(error.help("write `or`, or `|>` to pipe"))
            }
            "=>" | "->" if self.expects(Rule::assign) => {
                let error = self.unexpected_token("a value follows `=`", "not expected here");
                Some(error.write("="))
            }
            _ => None,
        }
    }
}

/// `prompt_list` as a kind: `PromptList`.
fn capitals(word: &str) -> String {
    let parts = word.split('_').map(|part| {
        let mut chars = part.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    parts.collect()
}

/// Whether two words differ by at most two letters added, left out or changed.
fn close(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > 2 || other.len() < 2 {
        return false;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let at =
                |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
            let change = at(&row, j) + usize::from(a != b);
            next.push(change.min(at(&row, j + 1) + 1).min(at(&next, j) + 1));
        }
        row = next;
    }
    row.last()
        .is_some_and(|distance| *distance <= 1 + usize::from(one.len() > 4))
}
