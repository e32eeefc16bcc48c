//! What a syntax error says: its kind, the places involved, a sentence, a way out.

use crate::span::Span;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident $number:literal;)*) => {
        /// What is wrong; one kind for each code of syntax.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SyntaxErrorKind {
            $($(#[doc = $doc])* $name,)*
        }

        impl SyntaxErrorKind {
            /// All of them, in the order of their numbers.
            pub const ALL: &[SyntaxErrorKind] = &[$(SyntaxErrorKind::$name),*];

            /// The code as users see it: `G0107`.
            pub fn number(self) -> &'static str {
                match self { $(SyntaxErrorKind::$name => $number,)* }
            }
        }
    };
}

kinds! {
    /// Something else was expected here.
    UnexpectedToken "G0101";
    /// A bracket that is never closed, or closed by another.
    UnclosedBracket "G0102";
    /// Brackets or operators nested too deeply.
    TooDeep "G0103";
    /// A file over the size limit.
    FileTooLarge "G0104";
    /// A file that is not UTF-8.
    NotUtf8 "G0105";
    /// A doc comment where nothing can be documented.
    MisplacedDoc "G0106";
    /// `a < b < c`
    ChainedComparison "G0107";
    /// A positional argument after a named one.
    PositionalAfterNamed "G0108";
    /// A name that the language does not allow.
    BadName "G0109";
    /// A number written wrongly.
    BadNumber "G0110";
    /// An `else` arm that is not last, or one of several.
    MisplacedElse "G0111";
    /// A string that is never closed.
    UnclosedString "G0112";
    /// A reserved word used as a name.
    ReservedWord "G0113";
    /// A body that does not end in an expression.
    BodyWithoutValue "G0114";
    /// A line that begins with a minus and was meant as a line of its own.
    LeadingMinus "G0115";
    /// A pipe into something that is not a call.
    PipeIntoNoCall "G0116";
}

/// What one more place contributes to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxLabel {
    /// The place.
    pub span: Span,
    /// What it contributes.
    pub text: String,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// The primary place.
    pub span: Span,
    /// What the primary place contributes.
    pub label: String,
    /// Further places.
    pub labels: Vec<SyntaxLabel>,
    /// One sentence in the user's terms: lower case, no final period, user text in backticks.
    pub message: String,
    /// An imperative with code to paste.
    pub help: Option<String>,
    /// What stands in the place of what once it is mended, where that is certain.
    pub fix: Option<Box<(Span, String)>>,
}

impl SyntaxError {
    /// An error at `span`.
    pub(crate) fn new(
        kind: SyntaxErrorKind,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            span,
            label: label.into(),
            labels: Vec::new(),
            message: message.into(),
            help: None,
            fix: None,
        }
    }

    /// With one more place.
    pub(crate) fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(SyntaxLabel {
            span,
            text: text.into(),
        });
        self
    }

    /// With a text that belongs in the primary place: the way out, and for editors.
    pub(crate) fn write(self, text: impl Into<String>) -> Self {
        let (span, text) = (self.span, text.into());
        self.help(format!("write `{text}`")).fix(span, text)
    }

    /// With what an editor can change by itself.
    pub(crate) fn fix(mut self, span: Span, text: impl Into<String>) -> Self {
        self.fix = Some(Box::new((span, text.into())));
        self
    }

    /// With a way out.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
