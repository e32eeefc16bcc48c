//! Syntax errors as diagnostics: the grammar knows no codes of the compiler.

use guide_grammar::{SyntaxError, SyntaxErrorKind};

use super::{Code, Diagnostic};

impl From<SyntaxErrorKind> for Code {
    fn from(kind: SyntaxErrorKind) -> Code {
        match kind {
            SyntaxErrorKind::UnexpectedToken => Code::UnexpectedToken,
            SyntaxErrorKind::UnclosedBracket => Code::UnclosedBracket,
            SyntaxErrorKind::TooDeep => Code::TooDeep,
            SyntaxErrorKind::FileTooLarge => Code::FileTooLarge,
            SyntaxErrorKind::NotUtf8 => Code::NotUtf8,
            SyntaxErrorKind::MisplacedDoc => Code::MisplacedDoc,
            SyntaxErrorKind::ChainedComparison => Code::ChainedComparison,
            SyntaxErrorKind::PositionalAfterNamed => Code::PositionalAfterNamed,
            SyntaxErrorKind::BadName => Code::BadName,
            SyntaxErrorKind::BadNumber => Code::BadNumber,
            SyntaxErrorKind::MisplacedElse => Code::MisplacedElse,
            SyntaxErrorKind::UnclosedString => Code::UnclosedString,
            SyntaxErrorKind::ReservedWord => Code::ReservedWord,
            SyntaxErrorKind::BodyWithoutValue => Code::BodyWithoutValue,
            SyntaxErrorKind::LeadingMinus => Code::LeadingMinus,
            SyntaxErrorKind::PipeIntoNoCall => Code::PipeIntoNoCall,
        }
    }
}

impl From<&SyntaxError> for Diagnostic {
    fn from(error: &SyntaxError) -> Diagnostic {
        let mut diagnostic =
            Diagnostic::new(error.kind.into(), &error.message).at(error.span, &error.label);
        for label in &error.labels {
            diagnostic = diagnostic.at(label.span, &label.text);
        }
        diagnostic.help = error.help.clone();
        match error.fix.as_deref() {
            Some((span, text)) => diagnostic.fix(*span, text),
            None => diagnostic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_its_code_have_one_number() {
        for kind in SyntaxErrorKind::ALL {
            assert_eq!(kind.number(), Code::from(*kind).number());
        }
    }

    #[test]
    fn every_code_of_syntax_has_a_kind() {
        let codes = Code::ALL
            .iter()
            .filter(|code| code.number().starts_with("G01"));
        assert_eq!(codes.count(), SyntaxErrorKind::ALL.len());
    }
}
