//! A syntax error as a diagnostic.

use guide_grammar::SyntaxError;

use crate::diagnostics::{Code, Diagnostic};

/// The same, in the compiler's form.
pub(super) fn diagnostic(error: &SyntaxError) -> Diagnostic {
    // INVARIANT: a test holds every kind's number against the table of codes.
    let code = Code::find(error.kind.number()).unwrap_or(Code::UnexpectedToken);
    let mut diagnostic = Diagnostic::new(code, &error.message).at(error.span, &error.label);
    for label in &error.labels {
        diagnostic = diagnostic.at(label.span, &label.text);
    }
    diagnostic.help = error.help.clone();
    diagnostic
}

#[cfg(test)]
mod tests {
    use guide_grammar::SyntaxErrorKind;

    use crate::diagnostics::Code;

    #[test]
    fn every_kind_of_syntax_error_has_its_code() {
        let numbers: Vec<_> = SyntaxErrorKind::ALL.iter().map(|k| k.number()).collect();
        let codes: Vec<_> = Code::ALL
            .iter()
            .map(|c| c.number())
            .filter(|n| n.starts_with("G01"))
            .collect();
        assert_eq!(numbers, codes);
    }
}
