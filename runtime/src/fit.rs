//! Coefficients for null predictions that are estimated instead of asked for: the least squares behind
//! `std::rules::linear_adaptive`.
//!
//! Castillo et al. 2023, arXiv 2312.12487: the null prediction of a step is a linear combination of the
//! conditional predictions so far and of the null predictions before it. In a run some of those are
//! estimates themselves, so the steps are fitted in order, each with the estimates of those before.

use candle_core::{DType, Tensor};
use guide_compiler::plan::{Condition, ModelFacts, Tick};
use nalgebra::{DMatrix, DVector};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::predictor::{JudgeQuestion, Predictor, Question, Verdict};

/// Singular values below this share of the largest are noise of predictions in f32.
const SMALLEST: f64 = 1e-7;

/// Which steps are estimated, and from how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Where estimates begin, as a share of the run in 0..1.
    pub start: f64,
    /// How many steps back they reach, at least 1.
    pub past: u32,
    /// Steps of the run.
    pub steps: u32,
}

impl Reach {
    /// The estimated steps, in order: those in which `std::rules::linear_adaptive` does not ask.
    pub fn estimated(&self) -> Vec<u32> {
        let from = (self.start * f64::from(self.steps)).floor().max(0.0) as u32;
        let first = from.max(self.past.saturating_sub(1));
        (first.saturating_add(1)..self.steps).step_by(2).collect()
    }

    fn columns(&self) -> usize {
        1 + 2 * self.past as usize
    }
}

/// What fits best in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The step.
    pub step: u32,
    /// Factors of the conditional predictions, of this step first, then of the null predictions before
    /// it: `1 + 2*past`.
    pub factors: Vec<f64>,
    /// Norm of the errors of the estimates, as a share of that of the null predictions.
    pub error: f64,
    /// The same with the conditional prediction in place of an estimate.
    pub error_of_cond: f64,
}

/// Passes questions on and keeps what was answered under the condition and without it.
pub struct Watch<'a> {
    inner: &'a mut dyn Predictor,
    seen: &'a mut Seen,
}

/// Predictions of runs of plain guidance, `[tick][run]`.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    cond: Vec<Vec<Vec<f32>>>,
    null: Vec<Vec<Vec<f32>>>,
}

impl<'a> Watch<'a> {
    /// Keeps what a predictor answers beside what was seen before.
    pub fn new(inner: &'a mut dyn Predictor, seen: &'a mut Seen) -> Self {
        Self { inner, seen }
    }
}

impl Predictor for Watch<'_> {
    fn facts(&self) -> &ModelFacts {
        self.inner.facts()
    }

    fn predict(
        &mut self,
        index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        let answers = self.inner.predict(index, tick, questions)?;
        for (question, answer) in questions.iter().zip(&answers) {
            let list = match question.prediction.condition {
                Condition::Cond => &mut self.seen.cond,
                Condition::Uncond | Condition::Null => &mut self.seen.null,
                _ => continue,
            };
            if list.len() <= index {
                list.resize(index + 1, Vec::new());
            }
            let all: Vec<f32> = answer.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            let each = all.len() / question.rows.len().max(1);
            list[index].extend(all.chunks(each.max(1)).map(<[f32]>::to_vec));
        }
        Ok(answers)
    }

    fn judge(
        &mut self,
        index: usize,
        tick: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict> {
        self.inner.judge(index, tick, question)
    }
}

impl Seen {
    /// How many runs were seen in every one of so many ticks.
    fn runs(&self, ticks: usize) -> Result<usize> {
        let runs = self.cond.first().map_or(0, Vec::len);
        let whole = |list: &Vec<Vec<Vec<f32>>>| {
            list.len() == ticks && list.iter().all(|tick| tick.len() == runs)
        };
        if runs > 0 && whole(&self.cond) && whole(&self.null) {
            return Ok(runs);
        }
        Err(RuntimeError::new(
            ErrorKind::BadRecording,
            "the runs to fit did not ask for both predictions in every step",
        ))
    }
}

/// The best coefficients for each estimated step.
///
/// # Errors
/// `BadRecording` where a tick lacks predictions, `NotFinite` for a prediction that is not.
pub fn fit(ticks: &[Tick], seen: &Seen, reach: Reach) -> Result<Vec<Fitted>> {
    let runs = seen.runs(ticks.len())?;
    // Of a step that is evaluated twice, the first evaluation is what later steps look back on.
    let firsts: Vec<usize> = (0..ticks.len())
        .filter(|i| ticks[*i].substep == 0)
        .collect();
    let mut known: Vec<Vec<Vec<f32>>> = firsts.iter().map(|i| seen.null[*i].clone()).collect();
    let mut all = Vec::new();
    for step in reach.estimated() {
        let back = |run: usize, by: u32| {
            let at = step as usize - by as usize;
            (&seen.cond[firsts[at]][run], &known[at][run])
        };
        let columns = |tick: usize, run: usize| -> Vec<&[f32]> {
            let past = 1..=reach.past;
            let conds = past.clone().map(|by| back(run, by).0.as_slice());
            let nulls = past.map(|by| back(run, by).1.as_slice());
            let now = seen.cond[tick][run].as_slice();
            [now].into_iter().chain(conds).chain(nulls).collect()
        };
        let mut squares = Squares::new(reach.columns());
        for tick in (0..ticks.len()).filter(|i| ticks[*i].step == step) {
            for run in 0..runs {
                squares.add(&columns(tick, run), &seen.null[tick][run]);
            }
        }
        let fitted = squares.fitted(step)?;
        let first = firsts[step as usize];
        let estimates = (0..runs).map(|run| combined(&columns(first, run), &fitted.factors));
        let estimates: Vec<Vec<f32>> = estimates.collect();
        known[step as usize] = estimates;
        all.push(fitted);
    }
    Ok(all)
}

fn combined(columns: &[&[f32]], factors: &[f64]) -> Vec<f32> {
    let length = columns.first().map_or(0, |column| column.len());
    let sum = |i: usize| {
        let terms = columns.iter().zip(factors);
        terms.map(|(c, f)| f * f64::from(c[i])).sum::<f64>() as f32
    };
    (0..length).map(sum).collect()
}

/// A least squares problem that grows: the triangle of its columns and, last, what they are to make.
/// It is brought back to a triangle after each addition, so that no row need be kept and nothing is
/// squared.
struct Squares {
    triangle: DMatrix<f64>,
}

impl Squares {
    fn new(columns: usize) -> Self {
        Self {
            triangle: DMatrix::zeros(columns + 1, columns + 1),
        }
    }

    fn add(&mut self, columns: &[&[f32]], wanted: &[f32]) {
        let side = self.triangle.ncols();
        let stacked = DMatrix::from_fn(side + wanted.len(), side, |row, column| {
            match row.checked_sub(side) {
                None => self.triangle[(row, column)],
                Some(i) => f64::from(columns.get(column).map_or(wanted, |c| *c)[i]),
            }
        });
        self.triangle = stacked.qr().r();
    }

    fn fitted(&self, step: u32) -> Result<Fitted> {
        let n = self.triangle.ncols() - 1;
        if self.triangle.iter().any(|value| !value.is_finite()) {
            let message = format!("a prediction of step {step} is not finite");
            return Err(RuntimeError::new(ErrorKind::NotFinite, message));
        }
        let columns = self.triangle.view((0, 0), (n, n)).clone_owned();
        let wanted: DVector<f64> = self.triangle.view((0, n), (n, 1)).column(0).clone_owned();
        let beyond = self.triangle[(n, n)];
        let svd = columns.clone().svd(true, true);
        let smallest = SMALLEST * svd.singular_values.max();
        // INVARIANT: both sides of the decomposition were asked for, and the bound is not negative.
        let factors = svd
            .solve(&wanted, smallest)
            .unwrap_or_else(|_| DVector::zeros(n));
        let factors: DVector<f64> = factors.map(short);
        let whole = wanted.norm().hypot(beyond);
        let share = |factors: &DVector<f64>| {
            let off = (&columns * factors - &wanted).norm().hypot(beyond);
            if whole == 0.0 { 0.0 } else { off / whole }
        };
        let mut alone = DVector::zeros(n);
        alone[0] = 1.0;
        Ok(Fitted {
            step,
            error: share(&factors),
            error_of_cond: share(&alone),
            factors: factors.iter().copied().collect(),
        })
    }
}

/// A number in nine digits, as a table holds it: more than f32 can tell apart.
fn short(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}
