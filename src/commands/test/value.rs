//! Values in programs of doc comments: `// => 3.75` after a `let`, computed on a recording.
//!
//! The program is run with another last line, which makes every element of the guided prediction the
//! value of the `let`; the first element of the first tick is compared with what is printed.

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::pipeline::{self, Request, Times};
use guide_compiler::sources::Loaded;
use guide_grammar::ast::{self, FunctionKind, ItemKind, Pattern};
use guide_grammar::span::Span;
use guide_grammar::{Comment, Parsed, parse};
use guide_runtime::eval;
use guide_runtime::exec::Bindings;
use guide_runtime::predictor::Predictor;
use guide_runtime::recording::{self, Recording};

use super::example::{Block, Neighbour, VALUE};
use super::said::Said;
use crate::failed::said as failed;

/// Results are f32, so no more digits than these can be told apart.
const PRECISION: f64 = 1e-6;

/// What keeps the value, whatever the rest of the guide calls its own.
const KEPT: &str = "value_of_this_example";

/// Compares every value that a program shows; how many there are.
pub fn compare(neighbour: &Neighbour<'_>, text: &str, block: &Block, said: &mut Said) -> usize {
    let Parsed { file, comments, .. } = parse(block.opening.file, text);
    let mut shown = comments
        .iter()
        .filter(|comment| comment.text.starts_with(VALUE))
        .peekable();
    if shown.peek().is_none() {
        return 0;
    }
    let recording = match recording(neighbour) {
        Ok(recording) => recording,
        Err(diagnostic) => {
            said.say(*diagnostic);
            return 0;
        }
    };
    let mut count = 0;
    for comment in shown {
        count += 1;
        let program = Program {
            neighbour,
            text,
            block,
            recording: &recording,
        };
        if let Err(diagnostic) = program.compare(&file, comment) {
            said.say(*diagnostic);
        }
    }
    count
}

fn recording(neighbour: &Neighbour<'_>) -> Result<Recording, Box<Diagnostic>> {
    let Some((place, line)) = neighbour.recording else {
        return recording::example().map_err(|error| Box::new(failed(&error)));
    };
    recording::read(place).map_err(|error| Box::new(failed(&error).at(*line, "named here")))
}

/// A program and what it is run on.
struct Program<'a> {
    neighbour: &'a Neighbour<'a>,
    text: &'a str,
    block: &'a Block,
    recording: &'a Recording,
}

impl Program<'_> {
    fn compare(&self, file: &ast::File, comment: &Comment) -> Result<(), Box<Diagnostic>> {
        let printed = comment.text[VALUE.len()..].trim();
        let Ok(wanted) = printed.parse::<f64>() else {
            let message = format!("`{printed}` is no number");
            return Err(differs(message, comment.span, "shown as a value")
                .help("write the value of a Scalar, as in `// => 3.75`")
                .into());
        };
        let Some((guide, named)) = subject(file, self.text, comment) else {
            return Err(
                differs("a value that belongs to no `let`", comment.span, "of what")
                    .help("write it after a `let NAME = …` in the body of a guide")
                    .into(),
            );
        };
        let found = self.value(guide, named, comment.span)?;
        if agrees(found, wanted, printed) {
            return Ok(());
        }
        let message = format!(
            "`{}` is {}, not {printed}",
            named.node,
            like(found, printed)
        );
        Err(differs(message, named.span, "this value")
            .at(comment.span, "shown as another")
            .help(format!("write `{VALUE} {}`", like(found, printed)))
            .into())
    }

    /// The value of a `let`, in the first tick of the first sample.
    fn value(
        &self,
        guide: &ast::Function,
        named: &ast::Name,
        shown: Span,
    ) -> Result<f64, Box<Diagnostic>> {
        let name = self.neighbour.name(self.block);
        let root = Loaded {
            path: name.clone(),
            text: probe(self.text, guide, named),
        };
        let analysis = pipeline::read(root, &self.neighbour.disk(&name));
        let compiled = pipeline::compile(&analysis, &self.request(guide)).map_err(|refused| {
            let reason = refused.into_sorted().into_iter().next();
            let reason = reason.map_or_else(String::new, |first| format!(": {}", first.message));
            let message = format!("the value of `{}` cannot be shown{reason}", named.node);
            let refused = differs(message, named.span, "this value").at(shown, "shown here");
            Box::new(refused.help("show the value of a Scalar, in a guide that needs no setting"))
        })?;
        let mut recording = self.recording.clone();
        let output = eval::eval(&compiled.plan, &mut recording, &Bindings::default())
            .map_err(|error| Box::new(failed(&error).at(shown, "for this value")))?;
        Ok(output
            .guided
            .first()
            .map_or(f64::NAN, |value| f64::from(*value)))
    }

    fn request(&self, guide: &ast::Function) -> Request {
        Request {
            backward: Default::default(),
            guide: Some(guide.name.node.clone()),
            settings: Vec::new(),
            prompt_counts: Vec::new(),
            tables: Vec::new(),
            negative: true,
            classifiers: Vec::new(),
            facts: self.recording.facts().clone(),
            times: Times::Recording(self.recording.timetable()),
            steps: self.recording.steps(),
            strength: None,
        }
    }
}

fn differs(message: impl Into<String>, place: Span, label: &str) -> Diagnostic {
    Diagnostic::new(Code::ExampleDiffers, message).at(place, label)
}

/// The guide and the `let` that a value stands after: on its line, or on one below it.
fn subject<'a>(
    file: &'a ast::File,
    text: &str,
    comment: &Comment,
) -> Option<(&'a ast::Function, &'a ast::Name)> {
    let guides = file.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Function(function) if function.kind == FunctionKind::Guide => Some(function),
        _ => None,
    });
    let mut lets = guides.flat_map(|guide| guide.body.lets.iter().map(move |one| (guide, one)));
    lets.find_map(|(guide, one)| {
        let between = text.get(one.span.end as usize..comment.span.start as usize)?;
        match &one.pattern {
            Pattern::Name(name) if between.trim().is_empty() => Some((guide, name)),
            _ => None,
        }
    })
}

/// The program with a guide that returns the value of a `let` in place of its own result.
fn probe(text: &str, guide: &ast::Function, named: &ast::Name) -> String {
    let lets = guide.body.lets.iter();
    let end = lets
        .filter(|one| matches!(&one.pattern, Pattern::Name(name) if name.span == named.span))
        .map(|one| one.span.end as usize)
        .next()
        .unwrap_or_default();
    let value = guide.body.value.span.range();
    format!(
        "{}\nlet {KEPT} = {}\n{}prediction(raw(x) * 0 + {KEPT}){}",
        &text[..end],
        named.node,
        &text[end..value.start],
        &text[value.end..]
    )
}

/// Whether a value, rounded to the digits that are printed, is what is printed.
fn agrees(found: f64, wanted: f64, printed: &str) -> bool {
    if !wanted.is_finite() {
        return found == wanted || (found.is_nan() && wanted.is_nan());
    }
    let (mantissa, exponent) = parts(printed);
    let power: i32 = exponent.and_then(|e| e.parse().ok()).unwrap_or(0);
    let unit = 10f64.powi(power.saturating_sub(decimals(mantissa) as i32));
    (found - wanted).abs() <= (unit / 2.0).max(PRECISION * wanted.abs())
}

/// A number in the form that another is printed in.
fn like(found: f64, printed: &str) -> String {
    let (mantissa, exponent) = parts(printed);
    // With fewer digits the number could look like the one that it is not.
    let digits = decimals(mantissa).max(2);
    let text = match exponent {
        Some(_) => return format!("{found:.digits$e}"),
        None => format!("{found:.digits$}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn parts(printed: &str) -> (&str, Option<&str>) {
    match printed.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (printed, None),
    }
}

fn decimals(mantissa: &str) -> usize {
    mantissa.split_once('.').map_or(0, |(_, after)| after.len())
}

#[cfg(test)]
mod tests {
    use super::{agrees, like};

    fn shown(found: f64, printed: &str) -> bool {
        agrees(found, printed.parse().expect("a number"), printed)
    }

    #[test]
    fn a_value_has_the_digits_that_are_printed() {
        assert!(shown(3.7549, "3.75") && !shown(3.7551, "3.75"));
        assert!(shown(4.4, "4") && !shown(4.6, "4"));
        assert!(shown(-0.126, "-0.13") && !shown(0.126, "-0.13"));
        assert!(shown(1234.0, "1.2e3") && !shown(1260.0, "1.2e3"));
        assert!(shown(f64::INFINITY, "inf") && !shown(1.0, "inf"));
        assert!(!shown(f64::NAN, "1.0") && shown(f64::NAN, "nan"));
        assert!(shown(f64::from(0.1f32), "0.1000000000"));
    }

    #[test]
    fn what_is_found_is_said_alike() {
        assert_eq!(like(4.0, "5"), "4");
        assert_eq!(like(0.12345, "0.5"), "0.12");
        assert_eq!(like(0.12345, "0.500"), "0.123");
        assert_eq!(like(1234.0, "1.2e2"), "1.23e3");
    }
}
