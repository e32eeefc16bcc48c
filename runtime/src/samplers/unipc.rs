//! UniPC (Zhao et al. 2023, algorithms 1 and 2): each evaluation first corrects the step that led to
//! it, and then predicts the next one.

use candle_core::Tensor;
use guide_compiler::plan::{Clip, Form, Method, Second, Space, Tick};

use super::halves::{Halves, Point, ShiftAs, here, there};
use super::history::History;
use super::{Solver, one_prediction, order};
use crate::error::Result;
use crate::exec::Guided;
use crate::noise::NoiseSource;

/// The solver, with earlier values and where the last step began.
#[derive(Debug)]
pub(super) struct UniPc {
    native: Space,
    orders: Vec<u32>,
    form: Form,
    second: Second,
    clip: Clip,
    history: History,
    last: Option<Last>,
}

/// Where the last step began.
#[derive(Debug)]
struct Last {
    from: Point,
    /// The latents, corrected.
    starts: Vec<f64>,
    /// The order of each sample's step; 0 is one that is not corrected.
    orders: Vec<usize>,
}

/// A step from one noise level to another, with the levels of `lambda` before it, the latest first.
struct Way<'a> {
    from: Point,
    to: Point,
    earlier: &'a [f64],
}

/// Weights of a step: of the latent it begins with, of the value there, of those before, and of the one
/// where it ends.
#[derive(Debug, PartialEq)]
struct Weights {
    start: f64,
    now: f64,
    earlier: Vec<f64>,
    end: f64,
}

impl UniPc {
    pub fn new(native: Space, method: &Method) -> Self {
        Self {
            native,
            orders: method.orders.clone(),
            form: method.form,
            second: method.second,
            clip: method.clip,
            history: History::new(3),
            last: None,
        }
    }

    /// The weights of a predictor of `order`, or of a corrector that also looks at the end.
    fn weights(&self, way: &Way<'_>, order: usize, corrects: bool) -> Weights {
        let (from, to) = (way.from, way.to);
        let h = to.lambda() - from.lambda();
        let (hh, start, lead) = match self.form {
            Form::Clean => (-h, to.sigma / from.sigma, to.alpha),
            Form::Noise => (h, to.alpha / from.alpha, to.sigma),
        };
        let e = hh.exp_m1();
        let now = if to.sigma == 0.0 && self.form == Form::Noise {
            // The limit of `-sigma'*(exp(h) - 1)`.
            -to.alpha * from.sigma / from.alpha
        } else {
            -lead * e
        };
        let mut weights = Weights {
            start,
            now,
            earlier: Vec::new(),
            end: 0.0,
        };
        let ratios: Vec<f64> = way
            .earlier
            .iter()
            .take(order - 1)
            .map(|level| (level - from.lambda()) / h)
            .collect();
        let unknowns = ratios.len() + usize::from(corrects);
        if unknowns == 0 || !hh.is_finite() {
            return weights;
        }
        let by = match self.second {
            Second::Step => hh,
            _ => e,
        };
        let shares = shares(&ratios, corrects, hh, by);
        for (share, ratio) in shares.iter().zip(&ratios) {
            let weight = -lead * by * share / ratio;
            weights.earlier.push(weight);
            weights.now -= weight;
        }
        if let Some(share) = shares.last().filter(|_| corrects) {
            weights.end = -lead * by * share;
            weights.now -= weights.end;
        }
        weights
    }

    /// The highest order that what is remembered allows.
    fn possible(&self, tick: &Tick, sample: usize) -> usize {
        let lambda = here(tick).lambda();
        let mut seen = vec![lambda];
        for level in self.history.levels(sample) {
            if !level.is_finite() || seen.contains(&level) {
                break;
            }
            seen.push(level);
        }
        seen.len()
    }

    /// The latents with the step corrected that led to them. The moved part of a latent stays.
    fn corrected(&self, tick: &Tick, halves: &Halves, values: &[f64]) -> Vec<f64> {
        let mut out = halves.from.clone();
        let Some(Last {
            from,
            starts,
            orders,
        }) = &self.last
        else {
            return out;
        };
        let each = halves.each.max(1);
        for (sample, out) in out.chunks_exact_mut(each).enumerate() {
            let levels = self.history.levels(sample);
            let (Some(order), Some(earlier)) = (
                orders.get(sample).filter(|order| **order > 0),
                levels.get(1..),
            ) else {
                continue;
            };
            let way = Way {
                from: *from,
                to: here(tick),
                earlier,
            };
            if !(way.to.lambda() - from.lambda()).is_finite() {
                continue;
            }
            let weights = self.weights(&way, *order, true);
            let at = sample * each..(sample + 1) * each;
            let moved = halves.from[at.clone()].iter().zip(&halves.x[at.clone()]);
            for (((out, start), value), (from, x)) in out
                .iter_mut()
                .zip(&starts[at.clone()])
                .zip(&values[at.clone()])
                .zip(moved)
            {
                *out = weights.start * start + weights.end * value + (from - f64::from(*x));
            }
            let mut looked = vec![weights.now];
            looked.extend(&weights.earlier);
            self.history.add(sample, &looked, out);
        }
        out
    }
}

/// How much each difference counts: the solution of the equations 10 and 11 of the paper.
fn shares(ratios: &[f64], corrects: bool, hh: f64, by: f64) -> Vec<f64> {
    let unknowns = ratios.len() + usize::from(corrects);
    // With one unknown the paper takes one half.
    if unknowns == 1 {
        return vec![0.5];
    }
    let mut places = ratios.to_vec();
    places.extend(corrects.then_some(1.0));
    let (mut phi, mut factorial) = (hh.exp_m1() / hh - 1.0, 1.0);
    let mut rows = Vec::with_capacity(unknowns);
    for power in 0..unknowns as i32 {
        let mut row: Vec<f64> = places.iter().map(|place| place.powi(power)).collect();
        row.push(phi * factorial / by);
        factorial *= f64::from(power) + 2.0;
        phi = phi / hh - 1.0 / factorial;
        rows.push(row);
    }
    solve(rows)
}

/// Solves linear equations, each a row with its right side last, by Gauss's elimination.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for column in 0..n {
        let largest = (column..n).max_by(|a, b| {
            let size = |row: usize| rows[row][column].abs();
            size(*a).total_cmp(&size(*b))
        });
        rows.swap(column, largest.unwrap_or(column));
        let pivot = rows[column].clone();
        for (at, row) in rows.iter_mut().enumerate() {
            let factor = row[column] / pivot[column];
            if at != column {
                row.iter_mut()
                    .zip(&pivot)
                    .for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

impl Solver for UniPc {
    fn step(
        &mut self,
        tick: &Tick,
        x: &Tensor,
        guided: &Guided,
        _: &mut dyn NoiseSource,
    ) -> Result<Tensor> {
        one_prediction("unipc", tick, guided)?;
        let mut halves = Halves::new(tick, x, guided, self.native, ShiftAs::Score)?;
        halves.clip_and_follow(self.clip, tick);
        let values = match self.form {
            Form::Clean => &halves.x0,
            Form::Noise => &halves.eps,
        };
        let starts = self.corrected(tick, &halves, values);
        let each = halves.each.max(1);
        let wanted = order(&self.orders, tick) as usize;
        let mut next = values.clone();
        let mut orders = Vec::with_capacity(halves.hold.len());
        for (sample, next) in next.chunks_exact_mut(each).enumerate() {
            let order = wanted.min(self.possible(tick, sample));
            let levels = self.history.levels(sample);
            let way = Way {
                from: here(tick),
                to: there(tick),
                earlier: &levels,
            };
            let weights = self.weights(&way, order, false);
            let starts = &starts[sample * each..(sample + 1) * each];
            for (next, start) in next.iter_mut().zip(starts) {
                *next = weights.start * start + weights.now * *next;
            }
            self.history.add(sample, &weights.earlier, next);
            let held = halves.hold.get(sample).copied().unwrap_or(false);
            orders.push(if held { 0 } else { order });
        }
        self.history.push(here(tick).lambda(), values, &halves.hold);
        self.last = Some(Last {
            from: here(tick),
            starts,
            orders,
        });
        halves.next(tick, x, |i| next[i])
    }
}
