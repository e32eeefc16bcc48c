//! What pest expected, in the user's words. No name of a rule ever leaves this file.

use pest::error::{Error, ErrorVariant, InputLocation};

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexical::shown;
use crate::pest_grammar::Rule;
use crate::span::{FileId, Span};
use crate::tokens::{Token, TokenKind};

/// A chunk that did not parse, and where it stands.
pub(crate) struct Source<'t> {
    pub file: FileId,
    /// The whole text.
    pub text: &'t str,
    /// The text that was parsed, of the same length.
    pub clean: &'t str,
    /// The tokens of the chunk.
    pub tokens: &'t [Token],
}

/// Where a chunk stopped making sense.
pub(crate) struct Stop<'t> {
    pub source: &'t Source<'t>,
    /// The token that was not expected, by number; the number of tokens at the end of the chunk.
    pub number: usize,
    /// Whether a line break that ends a statement stands before it.
    pub at_break: bool,
    /// The rules that were tried here.
    pub expected: &'t [Rule],
}

impl Source<'_> {
    /// The error of a chunk.
    pub fn error(&self, error: &Error<Rule>) -> SyntaxError {
        let start = self.tokens.first().map_or(0, |token| token.start);
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => start + at,
        };
        let expected = match &error.variant {
            ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
            ErrorVariant::CustomError { .. } => &[],
        };
        let number = self.tokens.partition_point(|token| token.end <= at);
        let blank = self.clean.get(at..).unwrap_or("");
        let at_break = blank.trim_start_matches(' ').starts_with('\n');
        let stop = Stop {
            source: self,
            number,
            at_break,
            expected,
        };
        stop.mistake().unwrap_or_else(|| stop.unexpected())
    }
}

impl<'t> Stop<'t> {
    /// The token at some distance from the one that was not expected.
    pub fn token(&self, distance: isize) -> Option<&'t Token> {
        let number = self.number.checked_add_signed(distance)?;
        self.source.tokens.get(number)
    }

    /// Its text; nothing where there is none.
    pub fn word(&self, distance: isize) -> &'t str {
        self.token(distance)
            .map_or("", |token| token.text(self.source.text))
    }

    /// Its kind.
    pub fn kind(&self, distance: isize) -> Option<TokenKind> {
        self.token(distance).map(|token| token.kind)
    }

    /// The place of the token that was not expected, or the end of what stands before it.
    pub fn span(&self) -> Span {
        match (self.token(0), self.token(-1)) {
            (Some(token), _) if !self.at_break => token.span(self.source.file),
            (_, Some(before)) => before.span(self.source.file).after(),
            (Some(token), None) => token.span(self.source.file),
            (None, None) => Span::new(self.source.file, 0, 0),
        }
    }

    /// Whether a rule was tried here.
    pub fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Whether an operator could have followed, so that what stands before is an expression.
    pub fn after_operand(&self) -> bool {
        self.expects(Rule::operator) || self.expects(Rule::arithmetic)
    }

    /// Whether an expression could have begun here.
    pub fn before_operand(&self) -> bool {
        self.symbols().contains(&"an expression")
    }

    /// Whether the token that was not expected could begin an operand or an arm.
    fn starts_operand(&self) -> bool {
        use TokenKind::{KindName, Name, Number, String};
        matches!(self.kind(0), Some(Name | KindName | Number | String))
            || matches!(self.word(0), "(" | "[" | "if" | "match" | "total" | "else")
    }

    /// What could have stood here, each once, in a fixed order.
    fn symbols(&self) -> Vec<&'static str> {
        let operand = self.after_operand();
        let statement = self.expects(Rule::let_) || self.expects(Rule::kw_let);
        let mut symbols = Vec::new();
        for rule in self.expected {
            match rule {
                // A path or a comparison could have gone on, which is not worth a word.
                Rule::colons | Rule::colon | Rule::kw_in if operand => {}
                Rule::nl if statement => {}
                _ => symbols.extend(symbol(*rule)),
            }
        }
        symbols.sort_unstable();
        symbols.dedup();
        symbols.into_iter().map(|(_, symbol)| symbol).collect()
    }

    /// The plain error: what was expected, what was found.
    fn unexpected(&self) -> SyntaxError {
        let found = match self.token(0) {
            _ if self.at_break => "the end of the line".to_owned(),
            Some(token) => format!("`{}`", shown(token.text(self.source.text))),
            None => "the end of the item".to_owned(),
        };
        let symbols = self.symbols();
        let expected = match symbols.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
            None => "something else".to_owned(),
        };
        let error = SyntaxError::new(
            SyntaxErrorKind::UnexpectedToken,
            self.span(),
            format!("expected {expected}, found {found}"),
            format!("expected {expected}"),
        );
        if self.expects(Rule::comma) && self.starts_operand() {
            let before = Span {
                end: error.span.start,
                ..error.span
            };
            return error.help("put a `,` before it").fix(before, ", ");
        }
        error
    }
}

/// What a user calls a rule, and where it stands in a list; nothing for what is not worth a word
/// beside the others.
fn symbol(rule: Rule) -> Option<(u8, &'static str)> {
    const ITEM: (u8, &str) = (0, "an item");
    const EXPRESSION: (u8, &str) = (1, "an expression");
    const NAME: (u8, &str) = (2, "a name");
    const KIND: (u8, &str) = (3, "a kind");
    const OPERATOR: (u8, &str) = (9, "an operator");
    Some(match rule {
        Rule::chunk | Rule::item | Rule::use_item | Rule::resource | Rule::input => ITEM,
        Rule::function | Rule::function_kind | Rule::resource_kind => ITEM,
        Rule::kw_use | Rule::kw_model | Rule::kw_classifier | Rule::kw_loss => ITEM,
        Rule::kw_input | Rule::kw_fn | Rule::kw_guide | Rule::kw_objective => ITEM,
        Rule::expr | Rule::operand | Rule::sum | Rule::term | Rule::postfix => EXPRESSION,
        Rule::primary | Rule::paren | Rule::list | Rule::reference | Rule::call => EXPRESSION,
        Rule::path | Rule::number | Rule::kw_true | Rule::kw_false => EXPRESSION,
        Rule::if_ | Rule::match_ | Rule::total | Rule::prefix | Rule::negate => EXPRESSION,
        Rule::kw_if | Rule::kw_match | Rule::kw_total => EXPRESSION,
        Rule::arg => (1, "an argument"),
        Rule::arg_name | Rule::resource_arg => (2, "a named argument"),
        Rule::range => (1, "a range"),
        Rule::arm | Rule::arm_pattern => (1, "an arm"),
        Rule::name | Rule::use_name | Rule::resource_open | Rule::resource_args => NAME,
        Rule::pattern => (2, "a name or names in parentheses"),
        Rule::pattern_tuple => (2, "names in parentheses"),
        Rule::param => (2, "a parameter"),
        Rule::kind | Rule::kind_named | Rule::kind_name | Rule::kind_tuple => KIND,
        Rule::kind_choice => (3, "a choice of strings"),
        Rule::kind_arg => (3, "a space"),
        Rule::string => (4, "a string"),
        Rule::params => (5, "`(` and the parameters"),
        Rule::generics => (5, "`<`"),
        Rule::block => (5, "a body in `{` and `}`"),
        Rule::let_ | Rule::kw_let => (5, "`let`"),
        Rule::use_list => (5, "`::{`"),
        Rule::use_as | Rule::kw_as => (5, "`as`"),
        Rule::result | Rule::thin_arrow => (5, "`->`"),
        Rule::per_evaluation => (5, "`per evaluation`"),
        Rule::kw_per => (5, "`per`"),
        Rule::kw_evaluation => (5, "`evaluation`"),
        Rule::else_if | Rule::kw_else => (5, "`else`"),
        Rule::kw_in => (5, "`in`"),
        Rule::operator | Rule::arithmetic | Rule::pipe_op => OPERATOR,
        Rule::less => (5, "`<`"),
        Rule::greater => (5, "`>`"),
        Rule::list_mark => (5, "`[]`"),
        Rule::index => return None,
        Rule::lparen => (6, "`(`"),
        Rule::rparen => (7, "`)`"),
        Rule::lbracket => (6, "`[`"),
        Rule::rbracket => (7, "`]`"),
        Rule::lbrace => (6, "`{`"),
        Rule::rbrace => (7, "`}`"),
        Rule::comma => (6, "`,`"),
        Rule::colon => (5, "`:`"),
        Rule::colons => (5, "`::`"),
        Rule::assign => (5, "`=`"),
        Rule::fat_arrow => (5, "`=>`"),
        Rule::bar => (5, "`|`"),
        Rule::range_op => (5, "`..`"),
        Rule::args => (6, "`(`"),
        Rule::nl => (8, "a line break"),
        Rule::EOI => (8, "the end of the item"),
        Rule::WHITESPACE | Rule::word_char | Rule::reserved => return None,
    })
}
