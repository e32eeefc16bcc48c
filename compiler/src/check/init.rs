//! What a state starts with: it agrees with the state in kind, space and weight.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::SpaceTerm;
use crate::resolved::Expr;

use super::engine::Engine;
use super::value::{Data, Kind, Value, space_text};

impl<'p> Engine<'p> {
    /// `init` as `v` is: of one kind, space and weight.
    pub(crate) fn fit_init(
        &mut self,
        name: &str,
        data: &Data,
        init: Value,
        expr: &'p Expr,
        span: Span,
    ) -> Option<Data> {
        let init = match self.flatten(init, expr.span) {
            Value::Data(init) => init,
            Value::Error => return None,
            other => {
                self.wrong_kind(&other, &data.describe(), span, expr.span);
                return None;
            }
        };
        if init.kind == Kind::Open
            || (self.is_zero(&init)
                && (data.kind.is_factor()
                    || data.kind == Kind::Raw
                    || (data.is_tensor() && data.weight.is_zero())))
        {
            return Some(init);
        }
        if init.kind != data.kind {
            let diagnostic = Diagnostic::new(
                Code::WrongKind,
                format!(
                    "`{name}` is {} and starts with {}",
                    data.describe(),
                    init.describe()
                ),
            )
            .at(expr.span, format!("this is {}", init.describe()))
            .at(span, format!("`{name}` is {}", data.describe()));
            self.report(diagnostic);
            return None;
        }
        if !data.is_tensor() {
            return Some(init);
        }
        let init = if init.space != data.space && init.space == SpaceTerm::Native && init.plain {
            let to = data.space.clone();
            self.carry_over(init, &to, expr.span)
        } else {
            init
        };
        if init.space != data.space {
            let (is, wants) = (
                space_text(&init.space).to_string(),
                space_text(&data.space).to_string(),
            );
            let text = self.text(expr);
            let diagnostic = Diagnostic::new(
                Code::MixedSpaces,
                format!("`{name}` is in `{wants}` and starts in `{is}`"),
            )
            .at(expr.span, format!("this is {}", init.describe()))
            .at(span, format!("`{name}` is {}", data.describe()))
            .help(format!("write `init: {wants}({text})`"))
            .wrap(expr.span, &wants);
            self.report(diagnostic);
            return None;
        }
        if !init.weight.equals(&data.weight) {
            let code = if data.weight.is_one() {
                Code::WeightNotOne
            } else {
                Code::WeightNotZero
            };
            let (is, wants) = (
                self.weight_text(&init.weight),
                self.weight_text(&data.weight),
            );
            let diagnostic = Diagnostic::new(
                code,
                format!("`{name}` has weight `{wants}` and starts with weight `{is}`"),
            )
            .at(
                expr.span,
                format!("this is {}, of weight `{is}`", init.describe()),
            )
            .at(
                span,
                format!("`{name}` is {}, of weight `{wants}`", data.describe()),
            );
            self.report(diagnostic);
            return None;
        }
        Some(init)
    }
}
