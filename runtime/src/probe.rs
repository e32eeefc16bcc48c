//! What a run's predictions and results are like, step by step: for traces and reports.

use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use guide_compiler::plan::{Condition, ModelFacts, Prediction, Tick};

use crate::error::Result;
use crate::exec::kernels::dot;
use crate::predictor::{JudgeQuestion, Predictor, Question, Verdict};
use crate::run::Progress;

/// What the networks answered in the tick at hand.
#[derive(Debug, Default)]
pub struct Heard {
    /// By label, for each sample that asked, the length of the answer.
    norms: BTreeMap<String, BTreeMap<usize, f64>>,
    /// By sample the answer under the prompt.
    cond: BTreeMap<usize, Vec<f32>>,
    /// By sample the answer without it: under the negative prompt, else under the null condition.
    uncond: BTreeMap<usize, Vec<f32>>,
}

/// A predictor that notes what it answers.
pub struct Probe<'a> {
    inner: &'a mut dyn Predictor,
    heard: &'a RefCell<Heard>,
}

impl<'a> Probe<'a> {
    /// Notes what `inner` answers.
    pub fn new(inner: &'a mut dyn Predictor, heard: &'a RefCell<Heard>) -> Self {
        Self { inner, heard }
    }
}

/// Which of the two halves of plain guidance a prediction is: the main network's, unchanged, at `x`.
fn half(prediction: &Prediction) -> Option<bool> {
    let plain = prediction.model.is_none() && prediction.interventions.is_empty();
    let label = prediction.label.as_str();
    match prediction.condition {
        Condition::Cond if plain && label == "cond" => Some(true),
        Condition::Uncond | Condition::Null if plain && matches!(label, "uncond" | "null") => {
            Some(false)
        }
        _ => None,
    }
}

impl Predictor for Probe<'_> {
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
        let mut heard = self.heard.borrow_mut();
        for (question, answer) in questions.iter().zip(&answers) {
            let half = half(question.prediction);
            for (sample, row) in question.rows.iter().zip(rows(answer)?) {
                let norms = heard.norms.entry(question.prediction.label.clone());
                norms.or_default().insert(*sample, norm(&row));
                match half {
                    Some(true) => heard.cond.insert(*sample, row),
                    Some(false) => heard.uncond.insert(*sample, row),
                    None => None,
                };
            }
        }
        drop(heard);
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

    fn passes(&self) -> Vec<usize> {
        self.inner.passes()
    }
}

/// What a tick did to a sample. Numbers that need a prediction that was not asked are `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// The length of the guided prediction.
    pub norm: f64,
    /// How far the solver moved the latent.
    pub update: f64,
    /// The length of the difference of `cond` and `uncond`.
    pub apart: Option<f64>,
    /// The cosine of the angle between `cond` and `uncond`.
    pub cosine: Option<f64>,
    /// The scale in force: the one for which plain guidance comes nearest to the guided prediction,
    /// `(g - u) (c - u) / |c - u|^2`.
    pub scale: Option<f64>,
    /// The length of each prediction that was asked, by label.
    pub norms: BTreeMap<String, f64>,
}

impl Heard {
    /// What a tick did to each of its samples; what was heard is forgotten.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn measured(&mut self, progress: &Progress<'_>) -> Result<Vec<Measured>> {
        let heard = std::mem::take(self);
        let guided = rows(&progress.guided.denoise)?;
        let (before, after) = (rows(progress.before)?, rows(progress.after)?);
        let all = guided.iter().zip(before.iter().zip(&after)).enumerate();
        let one = |sample: usize, guided: &[f32], before: &[f32], after: &[f32]| {
            let both = heard.cond.get(&sample).zip(heard.uncond.get(&sample));
            let norms = heard.norms.iter();
            let norms = norms.filter_map(|(label, of)| Some((label.clone(), *of.get(&sample)?)));
            let mut measured = Measured {
                norm: norm(guided),
                update: apart(before, after),
                norms: norms.collect(),
                ..Measured::default()
            };
            if let Some((cond, uncond)) = both {
                let between = apart(cond, uncond);
                let lengths = norm(cond) * norm(uncond);
                measured.apart = Some(between);
                measured.cosine = (lengths > 0.0).then(|| dot(cond, uncond) / lengths);
                measured.scale =
                    (between > 0.0).then(|| along(guided, cond, uncond) / between.powi(2));
            }
            measured
        };
        let all = all.map(|(sample, (guided, (before, after)))| one(sample, guided, before, after));
        Ok(all.collect())
    }
}

fn rows(of: &Tensor) -> Result<Vec<Vec<f32>>> {
    Ok(of.flatten_from(1)?.to_dtype(DType::F32)?.to_vec2()?)
}

fn norm(of: &[f32]) -> f64 {
    dot(of, of).sqrt()
}

fn apart(a: &[f32], b: &[f32]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum::<f64>().sqrt()
}

/// `(g - u) (c - u)`
fn along(g: &[f32], c: &[f32], u: &[f32]) -> f64 {
    let products = g.iter().zip(c).zip(u).map(|((g, c), u)| {
        let u = f64::from(*u);
        (f64::from(*g) - u) * (f64::from(*c) - u)
    });
    products.sum()
}
