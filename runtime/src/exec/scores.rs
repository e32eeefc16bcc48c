//! What classifiers answer, for one sample: a number for each class, and operations on such.

use std::borrow::Cow;

use guide_compiler::plan::{Code, Operand, Reduce, Shape, Term};

use super::program;
use super::sample::{Frame, Slot, broken};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::ops::axes;
use crate::ops::scalar::wide;

/// Numbers by class, or one that stands for all.
type Numbers<'s> = Cow<'s, [f64]>;

impl Slot {
    /// The numbers of an operand, if they were computed; of a single number a list of one.
    pub fn scores<'s>(
        &'s self,
        frame: &Frame<'_>,
        b: usize,
        operand: &Operand,
    ) -> Result<Option<Numbers<'s>>> {
        let is_list = |operand: &Operand| {
            program::shape_of(frame.plan, frame.segment, operand) == Shape::Scores
        };
        Ok(match operand {
            Operand::Judgement(id) => self.ruled[id.index()].as_deref().map(Cow::Borrowed),
            Operand::Value(id) if is_list(operand) => {
                let list = self.done[id.index()].then(|| self.lists[id.index()].as_slice());
                list.map(Cow::Borrowed)
            }
            other => self
                .number(frame, b, other)?
                .map(|number| Cow::Owned(vec![number])),
        })
    }

    /// Runs an operation that gives a number for each class; `None` where it lacks an operand.
    pub(super) fn list(
        &self,
        frame: &Frame<'_>,
        b: usize,
        code: &Code,
    ) -> Result<Option<Vec<f64>>> {
        let get = |operand: &Operand| self.scores(frame, b, operand);
        Ok(match code {
            Code::Linear(terms) => self.sum(frame, b, terms)?,
            Code::Div(a, c) => both(get(a)?, get(c)?, wide::div),
            Code::Binary(f, a, c) => both(get(a)?, get(c)?, |a, c| wide::binary(*f, a, c)),
            Code::Unary(f, a) => get(a)?.map(|a| a.iter().map(|a| wide::unary(*f, *a)).collect()),
            Code::Clip(a, low, high) => {
                let above = both(get(a)?, get(low)?, wide::max).map(Cow::Owned);
                both(above, get(high)?, wide::min)
            }
            Code::Select(by, a, c) => match self.number(frame, b, by)? {
                None => None,
                Some(by) => get(if by != 0.0 { a } else { c })?.map(Cow::into_owned),
            },
            Code::Softmax(a) => get(a)?.map(|a| softmax(&a)),
            Code::OneHot(like, class) => match (get(like)?, self.number(frame, b, class)?) {
                (Some(like), Some(class)) => {
                    let mut only = vec![0.0; like.len()];
                    only[place(class, like.len())?] = 1.0;
                    Some(only)
                }
                _ => None,
            },
            _ => {
                return Err(broken(
                    "the plan has an operation that no numbers by class have",
                ));
            }
        })
    }

    /// Runs an operation that gives one number of the numbers for each class.
    pub(super) fn of_list(&self, frame: &Frame<'_>, b: usize, code: &Code) -> Result<Option<f64>> {
        let get = |operand: &Operand| self.scores(frame, b, operand);
        Ok(match code {
            Code::Pick(a, class) => match (get(a)?, self.number(frame, b, class)?) {
                (Some(a), Some(class)) => Some(a[place(class, a.len())?]),
                _ => None,
            },
            Code::Argmax(a, except) => {
                let except = match except {
                    None => None,
                    Some(class) => match self.number(frame, b, class)? {
                        None => return Ok(None),
                        class => class,
                    },
                };
                match get(a)? {
                    None => None,
                    Some(a) => {
                        let except = except.map(|class| place(class, a.len())).transpose()?;
                        Some(largest(&a, except) as f64)
                    }
                }
            }
            Code::Reduce(reduce) => self.reduced(frame, b, reduce)?,
            _ => None,
        })
    }

    fn reduced(&self, frame: &Frame<'_>, b: usize, reduce: &Reduce) -> Result<Option<f64>> {
        let Some(of) = self.scores(frame, b, &reduce.of)? else {
            return Ok(None);
        };
        let with = match &reduce.with {
            None => Cow::Borrowed(&[][..]),
            Some(with) => match self.scores(frame, b, with)? {
                None => return Ok(None),
                Some(with) => with,
            },
        };
        let level = match &reduce.level {
            None => 0.0,
            Some(level) => match self.number(frame, b, level)? {
                None => return Ok(None),
                Some(level) => level,
            },
        };
        Ok(Some(axes::of_numbers(reduce.op, &of, &with, level)))
    }

    fn sum(&self, frame: &Frame<'_>, b: usize, terms: &[Term]) -> Result<Option<Vec<f64>>> {
        let mut sum: Option<Vec<f64>> = None;
        for term in terms {
            let mut product = vec![term.factor.at(frame.k)];
            for operand in term.by.iter().chain(&term.of) {
                let by = self.scores(frame, b, operand)?;
                match both(Some(Cow::Owned(product)), by, |a, b| a * b) {
                    Some(next) => product = next,
                    None => return Ok(None),
                }
            }
            sum = match sum {
                None => Some(product),
                Some(sum) => both(Some(Cow::Owned(sum)), Some(Cow::Owned(product)), |a, b| {
                    a + b
                }),
            };
        }
        Ok(Some(sum.unwrap_or_else(|| vec![0.0])))
    }
}

/// A function of two lists, or of a list and one number for all.
fn both(
    a: Option<Numbers<'_>>,
    b: Option<Numbers<'_>>,
    f: impl Fn(f64, f64) -> f64,
) -> Option<Vec<f64>> {
    let (a, b) = (a?, b?);
    Some(match (a.as_ref(), b.as_ref()) {
        ([a], b) => b.iter().map(|b| f(*a, *b)).collect(),
        (a, [b]) => a.iter().map(|a| f(*a, *b)).collect(),
        (a, b) => a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect(),
    })
}

fn softmax(of: &[f64]) -> Vec<f64> {
    let most = of.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = of.iter().map(|v| (v - most).exp()).collect();
    let all: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / all).collect()
}

/// The class of the largest number but for one; of equals the first.
fn largest(of: &[f64], except: Option<usize>) -> usize {
    let mut best: Option<(usize, f64)> = None;
    for (class, value) in of.iter().enumerate() {
        let is_better = best.is_none_or(|(_, most)| *value > most);
        if Some(class) != except && is_better {
            best = Some((class, *value));
        }
    }
    best.map_or(0, |(class, _)| class)
}

/// The place of a class among so many.
fn place(class: f64, classes: usize) -> Result<usize> {
    let there = class >= 0.0 && class < classes as f64;
    if there {
        return Ok(class as usize);
    }
    Err(RuntimeError::new(
        ErrorKind::BadBinding,
        format!("class {class} is asked for, and the classifier has {classes} classes"),
    )
    .help("classes are counted from 0"))
}

#[cfg(test)]
mod tests {
    use super::{largest, place, softmax};

    #[test]
    fn probabilities_add_up_and_large_logits_do_not_overflow() {
        let probs = softmax(&[1000.0, 1001.0, 999.0]);
        assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        // exp(1)/(exp(0) + exp(1) + exp(-1))
        assert!((probs[1] - 0.665_240_955_774_821_6).abs() < 1e-12);
    }

    #[test]
    fn the_largest_but_for_one() {
        assert_eq!(largest(&[0.5, 2.0, 2.0], None), 1);
        assert_eq!(largest(&[0.5, 2.0, 2.0], Some(1)), 2);
        assert_eq!(largest(&[0.5, 2.0], Some(1)), 0);
    }

    #[test]
    fn classes_end_somewhere() {
        assert_eq!(place(1.0, 2), Ok(1));
        let error = place(2.0, 2).expect_err("no such class");
        assert!(error.message.contains("class 2 is asked for"));
    }
}
