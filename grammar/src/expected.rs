//! What pest expected, in the user's words.

use pest::error::{Error, ErrorVariant, InputLocation};

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::pest_grammar::Rule;
use crate::span::FileId;
use crate::tokens::Token;

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
        let _ = (expected, self.clean);
        let token = self
            .tokens
            .iter()
            .find(|token| token.end > at)
            .or(self.tokens.last());
        let span = token.map_or(crate::span::Span::new(self.file, at, at), |t| {
            t.span(self.file)
        });
        SyntaxError::new(
            SyntaxErrorKind::UnexpectedToken,
            span,
            format!("`{}` was not expected", span.text(self.text)),
            "not expected here",
        )
    }
}
