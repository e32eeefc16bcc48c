//! Asks the predictor: picks the samples that need an answer, gathers their rows, keeps the answers.

use std::sync::OnceLock;

use candle_core::{DType, Tensor};
use guide_compiler::plan::{
    Batch, Code, Condition, Guard, Judging, Look, NoiseCurve, Operand, Plan, PredictionId, Segment,
    Shape, Tick, Use,
};

use super::dims::Dims;
use super::sample::broken;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::ops::random::Stream;
use crate::predictor::{JudgeQuestion, Predictor, Question, Sight, Verdict};

/// What an executor knows of its samples, as far as questions need it.
pub(super) trait Known {
    /// Whether sample `b` asks this.
    fn asks(&self, b: usize, when: Option<&Guard>) -> Result<bool>;
    /// A number for each class of sample `b`.
    fn scores(&self, b: usize, operand: &Operand) -> Result<Vec<f64>>;
    /// A number of sample `b`.
    fn number(&self, b: usize, operand: &Operand) -> Result<f64>;
    /// The seed of sample `b`.
    fn seed(&self, b: usize) -> u64;
    /// A latent, for these samples: `[rows, C, …]`.
    fn latent(&self, rows: &[usize], operand: &Operand) -> Result<Tensor>;
    /// A map, for these samples: `[rows, 1, …]`.
    fn map(&self, rows: &[usize], operand: &Operand) -> Result<Tensor>;
}

/// An answer: rows of a tensor, and which samples they belong to.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub prediction: usize,
    /// `[rows, C, …]`, f32, contiguous.
    pub data: Tensor,
    pub row: Vec<Option<usize>>,
    /// What was seen, `[rows, 1, …]`, f32, contiguous.
    pub sights: Vec<(Look, Tensor)>,
}

/// The tick at hand.
pub(super) struct Now<'a> {
    pub plan: &'a Plan,
    pub segment: &'a Segment,
    pub noise: &'a OnceLock<NoiseCurve>,
    pub index: usize,
    pub tick: &'a Tick,
    /// The tick's place in its segment.
    pub k: usize,
    pub dims: &'a Dims,
    pub x: &'a Tensor,
}

/// Puts the questions of a batch, for the samples that need them and have no answer yet.
pub(super) fn ask(
    now: &Now<'_>,
    batch: &Batch,
    known: &dyn Known,
    heard: &[Heard],
    predictor: &mut dyn Predictor,
) -> Result<Vec<Heard>> {
    let mut asked: Vec<Vec<usize>> = Vec::new();
    for question in &batch.uses {
        let mut rows = Vec::new();
        for b in 0..now.dims.batch {
            let answered = heard
                .iter()
                .any(|h| h.prediction == question.prediction.index() && h.row[b].is_some());
            if !answered && known.asks(b, question.when.as_ref())? {
                rows.push(b);
            }
        }
        asked.push(rows);
    }
    // In a coupled rule samples see one another, so that all are evaluated where one is.
    if batch.coupled && asked.iter().any(|rows| !rows.is_empty()) {
        asked
            .iter_mut()
            .for_each(|rows| *rows = (0..now.dims.batch).collect());
    }
    let mut questions = Vec::new();
    let mut points = Points::new();
    for (question, rows) in batch.uses.iter().zip(&asked) {
        // Samples whose times the run finds are each at another point of the noise.
        let together = match question.time {
            Some(_) => 1,
            None => rows.len().max(1),
        };
        for rows in rows.chunks(together) {
            let x = point(now, question, rows, known, &mut points)?;
            questions.push(put(now, question, rows, known, x)?);
        }
    }
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let answers = predictor.predict(now.index, now.tick, &questions)?;
    if answers.len() != questions.len() {
        return Err(RuntimeError::new(
            ErrorKind::TensorShape,
            format!(
                "{} questions got {} answers",
                questions.len(),
                answers.len()
            ),
        ));
    }
    let mut new = Vec::new();
    for (question, answer) in questions.iter().zip(answers) {
        let wanted = now.dims.rows(question.rows.len(), Shape::Tensor);
        if answer.dims() != wanted {
            return Err(RuntimeError::new(
                ErrorKind::TensorShape,
                format!(
                    "the answer for `{}` has the shape {:?}, not {wanted:?}",
                    question.prediction.label,
                    answer.dims()
                ),
            ));
        }
        let mut row = vec![None; now.dims.batch];
        for (i, b) in question.rows.iter().enumerate() {
            row[*b] = Some(i);
        }
        new.push(Heard {
            prediction: question.id.index(),
            data: answer.to_dtype(DType::F32)?.contiguous()?,
            row,
            sights: seen(now, question)?,
        });
    }
    Ok(new)
}

/// What was seen for a question.
fn seen(now: &Now<'_>, question: &Question<'_>) -> Result<Vec<(Look, Tensor)>> {
    let wanted = now.dims.rows(question.rows.len(), Shape::Map);
    let sights = question.sights.iter().map(|sight| {
        let map = sight.seen().filter(|map| map.dims() == wanted);
        let map = map.ok_or_else(|| {
            let label = &question.prediction.label;
            let message = format!("nothing was seen of `{}`", sight.look().label(label));
            RuntimeError::new(ErrorKind::TensorShape, message)
        })?;
        let map = map.to_dtype(DType::F32)?.contiguous()?;
        Ok((sight.look().clone(), map))
    });
    sights.collect()
}

/// What the rule looks at in a prediction's evaluation.
fn sights<'a>(now: &Now<'a>, prediction: PredictionId) -> Vec<Sight<'a>> {
    let mut sights: Vec<Sight<'a>> = Vec::new();
    for op in now.segment.ops() {
        if let Code::Look { of, look } = &op.code
            && *of == Operand::Prediction(prediction)
            && sights.iter().all(|sight| sight.look() != look)
        {
            sights.push(Sight::new(look));
        }
    }
    sights
}

/// What a classifier answered, for which samples.
pub(super) enum Ruled {
    /// No sample asked.
    Nothing,
    /// Logits of these samples.
    Logits(Vec<(usize, Vec<f64>)>),
    /// A gradient, as an answer like a prediction's.
    Gradient(Heard),
}

/// Puts a question to a classifier, for the samples that need it.
pub(super) fn judge(
    now: &Now<'_>,
    judging: &Judging,
    known: &dyn Known,
    predictor: &mut dyn Predictor,
) -> Result<Ruled> {
    let mut rows = Vec::new();
    for b in 0..now.dims.batch {
        if known.asks(b, judging.when.as_ref())? {
            rows.push(b);
        }
    }
    if rows.is_empty() {
        return Ok(Ruled::Nothing);
    }
    // INVARIANT: `Plan::check` has looked at the tables.
    let judgement = &now.plan.judgements[judging.judgement.index()];
    let classifier = &now.plan.classifiers[judgement.classifier.index()];
    let weights = |operand: &Operand| {
        let each = rows.iter().map(|b| known.scores(*b, operand));
        each.collect::<Result<Vec<_>>>()
    };
    let question = JudgeQuestion {
        judgement,
        classifier,
        rows: &rows,
        of: known.latent(&rows, &judging.of)?,
        t: now.tick.t,
        by: judging.by.as_ref().map(weights).transpose()?,
    };
    match predictor.judge(now.index, now.tick, &question)? {
        Verdict::Logits(logits) if logits.len() == rows.len() && question.by.is_none() => {
            Ok(Ruled::Logits(rows.into_iter().zip(logits).collect()))
        }
        Verdict::Gradient(gradient)
            if gradient.dims() == now.dims.rows(rows.len(), Shape::Tensor) =>
        {
            let mut row = vec![None; now.dims.batch];
            for (i, b) in rows.iter().enumerate() {
                row[*b] = Some(i);
            }
            Ok(Ruled::Gradient(Heard {
                prediction: now.plan.predictions.len() + judging.judgement.index(),
                data: gradient.to_dtype(DType::F32)?.contiguous()?,
                row,
                sights: Vec::new(),
            }))
        }
        _ => Err(RuntimeError::new(
            ErrorKind::TensorShape,
            format!("the answer for `{}` has another shape", judgement.label),
        )),
    }
}

/// Where the questions of a batch are put, apart from `x`: the point, for which samples.
type Points<'a> = Vec<(&'a Operand, &'a [usize], Tensor)>;

/// Where a question is put: gathered once for all questions at one point.
fn point<'a>(
    now: &Now<'_>,
    question: &'a Use,
    rows: &'a [usize],
    known: &dyn Known,
    points: &mut Points<'a>,
) -> Result<Tensor> {
    let Some(at) = &question.at else {
        return pick(now.x, rows);
    };
    let before = points.iter().find(|(p, r, _)| *p == at && *r == rows);
    if let Some((_, _, x)) = before {
        return Ok(x.clone());
    }
    let x = known.latent(rows, at)?;
    points.push((at, rows, x.clone()));
    Ok(x)
}

fn put<'a>(
    now: &Now<'a>,
    question: &Use,
    rows: &'a [usize],
    known: &dyn Known,
    x: Tensor,
) -> Result<Question<'a>> {
    let prediction = now
        .plan
        .predictions
        .get(question.prediction.index())
        .ok_or_else(|| broken("the plan asks for a prediction that it does not list"))?;
    let found = match (&question.time, rows.first()) {
        (Some(time), Some(b)) => Some(known.number(*b, time)?),
        _ => question.t.as_ref().map(|t| t.at(now.k)),
    };
    let (t, alpha, sigma) = match found {
        Some(t) if t != now.tick.t => {
            let curve = || now.plan.timetable.noise.curve();
            let (alpha, sigma) = now.noise.get_or_init(curve).at(t);
            (t, alpha, sigma)
        }
        _ => (now.tick.t, now.tick.alpha, now.tick.sigma),
    };
    let each = |operand: &Operand| {
        rows.iter()
            .map(|b| known.number(*b, operand))
            .collect::<Result<Vec<f64>>>()
    };
    let told = question.told.as_ref().map(each).transpose()?;
    let class = question
        .class
        .as_ref()
        .map(each)
        .transpose()?
        .map(|all| all.into_iter().map(|class| class as u32).collect());
    let drawn = match &prediction.condition {
        Condition::Unrelated { key, .. } => {
            let stream = |b: &usize| Stream::new(known.seed(*b), now.tick.step, key);
            Some(rows.iter().map(stream).collect())
        }
        _ => None,
    };
    let by = question.by.as_ref();
    Ok(Question {
        id: question.prediction,
        prediction,
        rows,
        x,
        t,
        alpha,
        sigma,
        told,
        class,
        maps: question
            .maps
            .iter()
            .map(|map| known.map(rows, map))
            .collect::<Result<_>>()?,
        by: by.map(|by| known.latent(rows, by)).transpose()?,
        seeds: rows.iter().map(|b| known.seed(*b)).collect(),
        drawn,
        sights: sights(now, question.prediction),
    })
}

/// These rows of a tensor; the tensor itself where that is all of them.
pub(super) fn pick(from: &Tensor, rows: &[usize]) -> Result<Tensor> {
    if rows.len() == from.dim(0)? {
        return Ok(from.clone());
    }
    let index: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
    Ok(from.index_select(&Tensor::new(index, from.device())?, 0)?)
}
