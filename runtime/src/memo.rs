//! Answers that several runs have in common: the same question, put to the same network at the same point, is
//! answered once.

use std::collections::{HashMap, VecDeque};

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{Condition, ModelFacts, Plan, Prediction, Tick};

use crate::error::Result;
use crate::predictor::{JudgeQuestion, Predictor, Question, Verdict};

/// What a question asks besides its point, and the bits of the point.
type Key = (String, Vec<u32>);

/// Answers that are remembered, the oldest forgotten first.
#[derive(Debug)]
pub struct Memory {
    answers: HashMap<Key, Vec<f32>>,
    order: VecDeque<Key>,
    /// Numbers that are held, and how many may be.
    held: usize,
    most: usize,
}

impl Memory {
    /// Of so many bytes at most.
    pub fn new(bytes: usize) -> Self {
        Self {
            answers: HashMap::new(),
            order: VecDeque::new(),
            held: 0,
            most: bytes / size_of::<f32>(),
        }
    }

    fn keep(&mut self, key: Key, answer: Vec<f32>) {
        self.held += key.1.len() + answer.len();
        if self.answers.insert(key.clone(), answer).is_none() {
            self.order.push_back(key);
        }
        while self.held > self.most {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(answer) = self.answers.remove(&oldest) {
                self.held = self.held.saturating_sub(oldest.1.len() + answer.len());
            }
        }
    }
}

/// A predictor that asks only what it has not been answered before. A sample's answer does not depend on what
/// stands beside it, so nothing changes but the time; where the device does not promise that, leave it out.
pub struct Memo<'a> {
    inner: &'a mut dyn Predictor,
    memory: &'a mut Memory,
    /// By prediction: whether an answer is all that is wanted of its evaluation.
    plain: Vec<bool>,
    /// How many answers were remembered.
    remembered: u64,
    passed: bool,
}

impl<'a> Memo<'a> {
    /// For the run of a plan. What is bound must be the same for all plans that share a memory.
    pub fn new(inner: &'a mut dyn Predictor, memory: &'a mut Memory, plan: &Plan) -> Self {
        let lent: Vec<usize> = plan
            .predictions
            .iter()
            .flat_map(Prediction::takes_from)
            .map(|id| id.index())
            .collect();
        let plain = plan.predictions.iter().enumerate();
        let plain = plain.map(|(at, prediction)| is_plain(prediction) && !lent.contains(&at));
        Self {
            plain: plain.collect(),
            inner,
            memory,
            remembered: 0,
            passed: false,
        }
    }

    /// How many answers were remembered: evaluations of a sample that were not made.
    pub fn remembered(&self) -> u64 {
        self.remembered
    }

    /// What each row of a question is remembered by; none where it must be asked.
    fn keys(&self, question: &Question<'_>) -> Result<Option<Vec<Key>>> {
        let plain = self.plain.get(question.id.index()) == Some(&true);
        if !plain
            || !question.sights.is_empty()
            || question.drawn.is_some()
            || !question.maps.is_empty()
        {
            return Ok(None);
        }
        let Question { prediction, .. } = question;
        let asked = format!(
            "{:?} {:?} {:?} {}",
            prediction.model,
            prediction.condition,
            prediction.control,
            question.t.to_bits()
        );
        let points: Vec<Vec<f32>> = question
            .x
            .flatten_from(1)?
            .to_dtype(DType::F32)?
            .to_vec2()?;
        let keys = points.into_iter().enumerate().map(|(row, point)| {
            let told = question
                .told
                .as_ref()
                .and_then(|told| told.get(row))
                .map(|t| t.to_bits());
            let class = question.class.as_ref().and_then(|class| class.get(row));
            let bits = point.into_iter().map(f32::to_bits).collect();
            (format!("{asked} {told:?} {class:?}"), bits)
        });
        Ok(Some(keys.collect()))
    }

    /// The answer, if every row is remembered.
    fn remember(
        &mut self,
        keys: &[Key],
        shape: &[usize],
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let rows = keys.iter().map(|key| self.memory.answers.get(key));
        let Some(rows) = rows.collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let numbers: Vec<f32> = rows.into_iter().flatten().copied().collect();
        self.remembered += keys.len() as u64;
        Ok(Some(Tensor::from_vec(numbers, shape, device)?))
    }
}

/// Whether the same question of another plan means the same: inputs are numbered by their plan.
fn is_plain(prediction: &Prediction) -> bool {
    let known = matches!(
        prediction.condition,
        Condition::Cond
            | Condition::Uncond
            | Condition::Null
            | Condition::Text(_)
            | Condition::Class(_)
            | Condition::ClassOf(_)
    );
    // A gradient is weighted by what is no part of the question.
    known && prediction.interventions.is_empty() && !prediction.gradient
}

impl Predictor for Memo<'_> {
    fn facts(&self) -> &ModelFacts {
        self.inner.facts()
    }

    fn predict(
        &mut self,
        index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        let mut answers: Vec<Option<Tensor>> = Vec::with_capacity(questions.len());
        let mut keys = Vec::with_capacity(questions.len());
        for question in questions {
            let key = self.keys(question)?;
            answers.push(match &key {
                Some(key) => self.remember(key, question.x.dims(), question.x.device())?,
                None => None,
            });
            keys.push(key);
        }
        let open: Vec<usize> = (0..questions.len())
            .filter(|at| answers[*at].is_none())
            .collect();
        self.passed = !open.is_empty();
        if open.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let asked: Vec<Question<'_>> = open.iter().map(|at| questions[*at].clone()).collect();
        let new = self.inner.predict(index, tick, &asked)?;
        let seen = open.iter().zip(&asked);
        for (own, asked) in
            seen.flat_map(|(at, asked)| questions[*at].sights.iter().zip(&asked.sights))
        {
            if let Some(map) = asked.seen() {
                own.show(map.clone());
            }
        }
        for (at, answer) in open.into_iter().zip(new) {
            if let Some(keys) = keys.get_mut(at).and_then(Option::take) {
                let rows: Vec<Vec<f32>> =
                    answer.flatten_from(1)?.to_dtype(DType::F32)?.to_vec2()?;
                for (key, row) in keys.into_iter().zip(rows) {
                    self.memory.keep(key, row);
                }
            }
            answers[at] = Some(answer);
        }
        Ok(answers.into_iter().flatten().collect())
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
        match self.passed {
            true => self.inner.passes(),
            false => Vec::new(),
        }
    }
}
