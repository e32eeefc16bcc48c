//! Reductions that run beside a pass: a block at a time, folded in order of the blocks.

use guide_compiler::plan::ReduceOp;

use super::kernels;
use crate::ops::{axes, scalar::narrow};

/// What a reduction has gathered so far.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    op: ReduceOp,
    count: f64,
    /// Sum, largest or smallest; for a standard deviation the sum of distances from `third`.
    first: f64,
    /// Squares of the first operand, or squared distances from `third`.
    second: f64,
    /// Squares of the second operand; for a standard deviation the first element.
    third: f64,
}

impl Fold {
    /// Nothing gathered.
    pub fn new(op: ReduceOp) -> Self {
        let first = match op {
            ReduceOp::Largest | ReduceOp::LogSumExp => f64::NEG_INFINITY,
            ReduceOp::Smallest => f64::INFINITY,
            _ => 0.0,
        };
        Self {
            op,
            count: 0.0,
            first,
            second: 0.0,
            third: 0.0,
        }
    }

    /// Takes in a block of both operands (the same one twice where there is but one).
    #[inline(always)]
    pub fn add(&mut self, a: &[f32], b: &[f32]) {
        let count = a.len() as f64;
        match self.op {
            ReduceOp::Sum | ReduceOp::Mean => self.first += kernels::sum(a),
            ReduceOp::Norm => self.first += kernels::dot(a, a),
            ReduceOp::Dot => self.first += kernels::dot(a, b),
            ReduceOp::Cosine => {
                self.first += kernels::dot(a, b);
                self.second += kernels::dot(a, a);
                self.third += kernels::dot(b, b);
            }
            // Shifted data (Chan, Golub and LeVeque 1983): one reading of the elements. The first
            // element is itself among them, so what cancels is at most as many times the result as
            // there are elements, and f64 has 29 bits more than they.
            ReduceOp::Std => {
                if self.count == 0.0 {
                    self.third = a.first().copied().map_or(0.0, f64::from);
                }
                let (sum, squares) = kernels::moments(a, self.third);
                self.first += sum;
                self.second += squares;
            }
            ReduceOp::Largest => self.first = extreme(a, self.first, narrow::max),
            ReduceOp::Smallest => self.first = extreme(a, self.first, narrow::min),
            ReduceOp::LogSumExp => {
                let largest = extreme(a, self.first, narrow::max);
                if largest.is_infinite() {
                    self.first = largest;
                } else {
                    let here: f64 = a.iter().map(|v| (f64::from(*v) - largest).exp()).sum();
                    let before = if self.second == 0.0 {
                        0.0
                    } else {
                        self.second * (self.first - largest).exp()
                    };
                    self.second = before + here;
                    self.first = largest;
                }
            }
            // Needs the whole sample in order; never part of a pass.
            ReduceOp::Quantile => self.first = f64::NAN,
        }
        self.count += count;
    }

    /// The result.
    pub fn finish(self) -> f64 {
        match self.op {
            ReduceOp::Mean => self.first / self.count,
            ReduceOp::Norm => self.first.sqrt(),
            ReduceOp::Cosine => axes::cosine(self.first, self.second, self.third),
            ReduceOp::Std => {
                let around_mean = self.second - self.first * self.first / self.count;
                // Rounding may leave a little less than nothing; NaN stays.
                let around_mean = if around_mean < 0.0 { 0.0 } else { around_mean };
                (around_mean / (self.count - 1.0)).sqrt()
            }
            ReduceOp::LogSumExp if self.first.is_finite() => self.first + self.second.ln(),
            _ => self.first,
        }
    }
}

/// The extreme of a block and of what came before it, in lanes.
#[inline(always)]
fn extreme(values: &[f32], start: f64, better: impl Fn(f32, f32) -> f32) -> f64 {
    let mut lanes = [start as f32; 16];
    let (whole, rest) = values.as_chunks::<16>();
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = better(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = better(*lane, *value);
    }
    f64::from(lanes.into_iter().fold(start as f32, better))
}
