//! Numbers that must lie in a range, found in the step in which they first do not: what filters,
//! quantiles and interventions take, and what a mix is divided by.

use std::collections::BTreeSet;

use guide_grammar::span::Span;

use super::Target;
use super::expr::{ExprId, FilterForm, Form};
use super::merge::{Part, Scheduled};
use super::scalar::ScalarId;
use crate::diagnostics::{Bag, Code, Diagnostic};
use crate::graph::Graph;
use crate::plan::{ArgValue, InputDefault, InputId, Intervention, Shape, is_place};
use crate::primitives::{ArgKind, Bounds, InterventionSignature};
use crate::show::{self, counted};

/// Everything that some step needs with a number that cannot be.
pub fn refuse(graph: &Graph, target: &Target, scheduled: &Scheduled, bag: &mut Bag) {
    let mut look = Look {
        graph,
        target,
        scheduled,
        said: BTreeSet::new(),
        bag,
    };
    for part in &scheduled.parts {
        for expr in part.demand.keys() {
            look.expression(part, *expr);
        }
    }
}

/// Where a number may lie.
struct Range {
    most: f64,
    words: &'static str,
    help: &'static str,
}

const SHARE: Range = Range {
    most: 1.0,
    words: "0..=1",
    help: "give a share from 0 to 1",
};

const NOT_NEGATIVE: Range = Range {
    most: f64::INFINITY,
    words: "0 and above",
    help: "give 0 or more",
};

const POSITIVE: Range = Range {
    most: f64::INFINITY,
    words: "what lies above 0",
    help: "give a number above 0, or `inf`",
};

const FINITE: Range = Range {
    most: f64::MAX,
    words: "the finite numbers",
    help: "give a finite number",
};

const FINITE_NOT_NEGATIVE: Range = Range {
    most: f64::MAX,
    words: "the finite numbers from 0 on",
    help: "give 0 or more",
};

/// A number of an intervention that lies where it may not: what it is, its value, the tick where it
/// changes over the run, and where it may lie.
type Outside = (String, f64, Option<usize>, &'static Range);

/// The numbers of an intervention that lie where they may not, in the first of these ticks.
fn outside(with: &Intervention, ticks: &[usize]) -> Vec<Outside> {
    let known = InterventionSignature::find(&with.name);
    let bad = with.args.iter().filter_map(|arg| {
        let Some(ArgKind::Number(bounds)) = known.and_then(|known| known.takes(&arg.name)) else {
            return None;
        };
        let (fits, range): (fn(&f64) -> bool, _) = match bounds {
            Bounds::Finite => (|v| v.is_finite(), &FINITE),
            Bounds::NotNegative => (|v| (0.0..=f64::MAX).contains(v), &FINITE_NOT_NEGATIVE),
            Bounds::Positive => (|v| *v > 0.0, &POSITIVE),
            Bounds::Sparse => (|v| *v > 1.0 && *v <= 2.0, &SPARSE),
            Bounds::Share => (|v| (0.0..=1.0).contains(v), &SHARE),
        };
        let (value, tick) = match &arg.value {
            ArgValue::Number(value) => (*value, None),
            ArgValue::Curve(curve) => {
                let mut values = ticks.iter().map(|tick| (curve.at(*tick), Some(*tick)));
                values.find(|(value, _)| !fits(value))?
            }
            _ => return None,
        };
        let what = || format!("the `{}` of `{}`", arg.name, with.name);
        (!fits(&value)).then(|| (what(), value, tick, range))
    });
    bad.collect()
}

const SPARSE: Range = Range {
    most: 2.0,
    words: "what lies above 1, up to 2",
    help: "give 2 for the fewest scores that count, less for more; 1.5 is usual",
};

const LEVEL: Range = Range {
    most: 1.0,
    words: "0..=1",
    help: "give a level from 0 to 1: 0.995 is the value that 99.5 % lie below",
};

struct Look<'a> {
    graph: &'a Graph,
    target: &'a Target,
    scheduled: &'a Scheduled,
    said: BTreeSet<Span>,
    bag: &'a mut Bag,
}

impl Look<'_> {
    fn expression(&mut self, part: &Part, expr: ExprId) {
        let exprs = &self.scheduled.exprs;
        match exprs.form(expr) {
            Form::Filter(filter, _) => self.filter(part, expr, filter),
            Form::Reduce {
                level: Some(level), ..
            } => {
                if let Some(level) = exprs.as_scalar(*level) {
                    self.within(part, expr, level, "the level of `quantile`", &LEVEL);
                }
            }
            Form::Predict(ask) => {
                let row = self.scheduled.predictions.get(ask.prediction.index());
                let with = row.into_iter().flat_map(|row| &row.interventions);
                let bad = with.flat_map(|with| outside(with, &part.ticks));
                for (what, value, tick, range) in bad.collect::<Vec<_>>() {
                    self.out_of_range(expr, &what, value, tick, range);
                }
            }
            Form::Entry(input, row, column) => self.entry(part, expr, *input, (*row, *column)),
            Form::Div(of, by) if exprs.shape(*of) == Shape::Tensor => {
                if let Some(by) = exprs.as_scalar(*by) {
                    self.nothing(part, expr, by);
                }
            }
            Form::Linear(terms) if exprs.shape(expr) == Shape::Tensor => {
                for factor in terms.iter().map(|term| term.factor) {
                    self.infinite(part, expr, factor);
                }
            }
            _ => {}
        }
    }

    fn filter(&mut self, part: &Part, expr: ExprId, filter: &FilterForm) {
        match filter {
            FilterForm::Band { of, .. } => self.levels(expr, *of),
            FilterForm::GaussianBlur { sigma, .. } => {
                let what = "the `sigma` of `gaussian_blur`";
                self.within(part, expr, Some(*sigma), what, &NOT_NEGATIVE);
            }
            FilterForm::Resample(factor) => {
                self.within(
                    part,
                    expr,
                    Some(*factor),
                    "the factor of `resample`",
                    &SHARE,
                );
            }
            FilterForm::DctHighpass(cutoff) => {
                let what = "the cutoff of `dct_highpass`";
                self.within(part, expr, Some(*cutoff), what, &SHARE);
            }
            // In shares of an axis' highest frequency; the corner of the plane lies further out.
            FilterForm::FftDisk(radius) => {
                let what = "the radius of `fft_disk`";
                self.within(part, expr, Some(*radius), what, &NOT_NEGATIVE);
            }
            FilterForm::FftBox(radius) => {
                let what = "the radius of `fft_box`";
                self.within(part, expr, Some(*radius), what, &NOT_NEGATIVE);
            }
        }
    }

    /// A known number; `None` is 0.
    fn within(
        &mut self,
        part: &Part,
        expr: ExprId,
        number: Option<ScalarId>,
        what: &str,
        range: &Range,
    ) {
        let Some(number) = number else { return };
        let scalars = &self.scheduled.scalars;
        let at = |tick: &usize| (*tick, scalars.at(number, *tick));
        let outside = |(_, value): &(usize, f64)| !(0.0..=range.most).contains(value);
        if let Some((tick, value)) = part.ticks.iter().map(at).find(outside) {
            let step = scalars.as_literal(number).is_none().then_some(tick);
            self.out_of_range(expr, what, value, step, range);
        }
    }

    fn out_of_range(
        &mut self,
        expr: ExprId,
        what: &str,
        value: f64,
        tick: Option<usize>,
        range: &Range,
    ) {
        let span = self.scheduled.exprs.span(expr);
        if !self.said.insert(span) {
            return;
        }
        let step = tick.and_then(|tick| self.target.timetable.ticks.get(tick));
        let when = step.map_or_else(String::new, |tick| format!(" in step {}", tick.step));
        let message = format!(
            "{what} is {}{when}, outside {}",
            show::number(value),
            range.words
        );
        self.bag.push(
            Diagnostic::new(Code::NotWhole, message)
                .at(span, "out of range")
                .help(range.help),
        );
    }

    /// A pyramid that the latents have no room for.
    fn levels(&mut self, expr: ExprId, of: u32) {
        let [_, height, width] = self.target.facts.latent;
        let fits = |levels: u32| {
            [height, width]
                .into_iter()
                .all(|side| has_room(side, levels))
        };
        let span = self.scheduled.exprs.span(expr);
        if fits(of) || !self.said.insert(span) {
            return;
        }
        let most = (1..of).rev().find(|levels| fits(*levels)).unwrap_or(1);
        let message = format!("a pyramid of {of} levels does not fit latents of {height}x{width}");
        let help = format!(
            "use at most {most}: each level halves both sides, which must be even, and at least 4 where they are halved"
        );
        self.bag.push(
            Diagnostic::new(Code::NotWhole, message)
                .at(span, "too many levels")
                .help(help),
        );
    }

    /// A mix divided by what is 0.
    fn nothing(&mut self, part: &Part, expr: ExprId, by: Option<ScalarId>) {
        let scalars = &self.scheduled.scalars;
        let is_zero = |tick: &&usize| by.is_none_or(|by| scalars.at(by, **tick) == 0.0);
        let Some(tick) = part.ticks.iter().find(is_zero) else {
            return;
        };
        let span = self.scheduled.exprs.span(expr);
        if !self.said.insert(span) {
            return;
        }
        let step = self.step(*tick);
        let message = format!("predictions are divided by 0 in step {step}");
        self.bag.push(
            Diagnostic::new(Code::DividedByNothing, message)
                .at(span, "what stands below the line adds up to nothing")
                .help("choose weights whose sum is not 0"),
        );
    }

    /// A factor of predictions that is no number, most often by a division.
    fn infinite(&mut self, part: &Part, expr: ExprId, factor: ScalarId) {
        let scalars = &self.scheduled.scalars;
        let odd = |tick: &&usize| !scalars.at(factor, **tick).is_finite();
        let Some(tick) = part.ticks.iter().find(odd) else {
            return;
        };
        let (value, step) = (scalars.at(factor, *tick), self.step(*tick));
        let span = self.scheduled.exprs.span(expr);
        if !self.said.insert(span) {
            return;
        }
        let message = format!(
            "predictions are multiplied by {} in step {step}",
            show::number(value)
        );
        self.bag.push(
            Diagnostic::new(Code::DividedByNothing, message)
                .at(
                    span,
                    "one of the factors here is divided by 0, or by what is too small",
                )
                .help("choose weights whose sum is not 0"),
        );
    }

    /// An entry of a table that is bound, or has a default.
    fn entry(&mut self, part: &Part, expr: ExprId, input: InputId, place: (ScalarId, ScalarId)) {
        let Some(rows) = self.rows(input) else { return };
        let scalars = &self.scheduled.scalars;
        let at = |tick: &usize| {
            (
                *tick,
                scalars.at(place.0, *tick),
                scalars.at(place.1, *tick),
            )
        };
        let is_missing = |(_, row, column): &(usize, f64, f64)| {
            let there = rows
                .get(*row as usize)
                .and_then(|row| row.get(*column as usize));
            is_place(*row) && is_place(*column) && there.is_none()
        };
        if let Some((tick, row, column)) = part.ticks.iter().map(at).find(is_missing) {
            let varies = scalars.as_literal(place.0).is_none();
            let step = varies.then(|| self.step(tick));
            let span = self.scheduled.exprs.span(expr);
            self.no_entry(input, (row, column), step, span);
        }
    }

    fn rows(&self, input: InputId) -> Option<&[Vec<f64>]> {
        let input = self.graph.inputs.get(input.index())?;
        match (self.graph.tables.get(&input.name), &input.default) {
            (Some(rows), _) | (None, Some(InputDefault::Table(rows))) => Some(rows),
            _ => None,
        }
    }

    /// A place that a table does not have.
    fn no_entry(
        &mut self,
        input: InputId,
        (row, column): (f64, f64),
        step: Option<u32>,
        span: Span,
    ) {
        let Some(table) = self.graph.inputs.get(input.index()) else {
            return;
        };
        if !self.said.insert(span) {
            return;
        }
        let rows = self.rows(input).unwrap_or_default();
        let name = &table.name;
        let when = step.map_or_else(String::new, |step| format!(" in step {step}"));
        let (message, help) = match rows.get(row as usize) {
            Some(there) => (
                format!(
                    "the table `{name}` has {} in a row, and column {} is asked for{when}",
                    counted(there.len(), "number"),
                    show::number(column)
                ),
                format!("bind `{name}` to a table with more columns; they count from 0"),
            ),
            None => (
                format!(
                    "the table `{name}` has {}, and row {} is asked for{when}",
                    counted(rows.len(), "row"),
                    show::number(row)
                ),
                match step {
                    Some(_) => format!(
                        "bind `{name}` to a table with a row for each of the {} steps; they count from 0",
                        self.target.steps
                    ),
                    None => format!("bind `{name}` to a table with more rows; they count from 0"),
                },
            ),
        };
        self.bag.push(
            Diagnostic::new(Code::BadBinding, message)
                .at(span, "there is no such entry")
                .help(help),
        );
    }

    fn step(&self, tick: usize) -> u32 {
        self.target.timetable.ticks.get(tick).map_or(0, |t| t.step)
    }
}

/// Whether a side can be halved for so many levels. A level is blurred over five pixels before it is
/// halved, and the border is mirrored, for which three must be there.
fn has_room(side: u32, levels: u32) -> bool {
    let halvings = levels.saturating_sub(1);
    let blurred = side.checked_shr(halvings.saturating_sub(1)).unwrap_or(0);
    let whole = side
        .checked_shr(halvings)
        .map(|coarse| u64::from(coarse) << halvings);
    whole == Some(u64::from(side)) && (halvings == 0 || blurred >= 3)
}
