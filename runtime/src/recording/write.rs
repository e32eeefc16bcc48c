//! Records a run: a predictor that remembers what another one answered.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{ModelFacts, Space, Tick};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{FORMAT, Rule, of_gradient};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::files::write_whole;
use crate::predictor::{JudgeQuestion, Predictor, Question, Verdict};

/// A number of a tick.
type OfTick = fn(&Tick) -> f64;

/// Passes questions on and keeps the answers. Samples that a tick did not ask for are NaN in the
/// file: no rule that demands the same ever reads them.
pub struct Recorder<'a> {
    inner: &'a mut dyn Predictor,
    batch: usize,
    ticks: Vec<Tick>,
    x: Vec<Vec<f32>>,
    kept: BTreeMap<String, Kept>,
    inputs: BTreeMap<String, Tensor>,
    target: Option<Vec<u32>>,
    rule: Option<Rule>,
}

/// What is kept of each tick under a name: answers, or what was seen.
struct Kept {
    /// Of one sample.
    shape: Vec<usize>,
    /// By tick, empty where nothing asked.
    ticks: Vec<Vec<f32>>,
}

impl<'a> Recorder<'a> {
    /// A recorder of a run with these ticks, for `batch` samples.
    pub fn new(inner: &'a mut dyn Predictor, ticks: &[Tick], batch: usize) -> Self {
        let none = vec![Vec::new(); ticks.len()];
        Self {
            inner,
            batch,
            ticks: ticks.to_vec(),
            x: none,
            kept: BTreeMap::new(),
            inputs: BTreeMap::new(),
            target: None,
            rule: None,
        }
    }

    /// Notes whose run it is.
    pub fn rule(&mut self, rule: Rule) {
        self.rule = Some(rule);
    }

    /// Notes the noisy state of a tick, `[B, C, H, W]`: once for each, before the rule is evaluated.
    ///
    /// # Errors
    /// The device fails.
    pub fn state(&mut self, tick: usize, x: &Tensor) -> Result<()> {
        if let Some(place) = self.x.get_mut(tick) {
            *place = x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        }
        Ok(())
    }

    /// Keeps the values of some samples in a tick.
    fn keep(&mut self, name: String, tick: usize, rows: &[usize], values: &Tensor) -> Result<()> {
        let shape = values.dims().get(1..).unwrap_or_default().to_vec();
        let values: Vec<f32> = values.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let sample = values.len() / rows.len().max(1);
        let kept = self.kept.entry(name).or_insert_with(|| Kept {
            shape,
            ticks: vec![Vec::new(); self.ticks.len()],
        });
        let Some(kept) = kept.ticks.get_mut(tick) else {
            return Ok(());
        };
        kept.resize(self.batch * sample, f32::NAN);
        for (row, values) in rows.iter().zip(values.chunks_exact(sample.max(1))) {
            if let Some(place) = kept.get_mut(row * sample..(row + 1) * sample) {
                place.copy_from_slice(values);
            }
        }
        Ok(())
    }

    /// Notes an input, under its own name.
    pub fn input(&mut self, name: &str, value: &Tensor) {
        self.inputs.insert(name.to_string(), value.clone());
    }

    /// Notes the class aimed at.
    pub fn target(&mut self, target: &[u32]) {
        self.target = Some(target.to_vec());
    }

    /// Writes the file whole, or leaves what was there.
    ///
    /// # Errors
    /// The run was not finished; the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let facts = self.inner.facts();
        let latent = facts.latent.map(|side| side as usize);
        let sample: usize = latent.iter().product();
        if let Some(tick) = self.x.iter().position(|x| x.len() != self.batch * sample) {
            return Err(RuntimeError::new(
                ErrorKind::BadRecording,
                format!(
                    "the run stopped before tick {tick}, so that there is no whole recording of it"
                ),
            ));
        }
        let mut file = File::default();
        let all: Vec<usize> = [vec![self.ticks.len(), self.batch], latent.to_vec()].concat();
        file.floats("x", &all, self.x.concat());
        for (name, kept) in &self.kept {
            let sample: usize = kept.shape.iter().product();
            let empty = vec![f32::NAN; self.batch * sample];
            let values: Vec<f32> = kept
                .ticks
                .iter()
                .flat_map(|tick| if tick.is_empty() { &empty } else { tick })
                .copied()
                .collect();
            let all = [&[self.ticks.len(), self.batch], kept.shape.as_slice()].concat();
            file.floats(name, &all, values);
        }
        let curves: [(&str, OfTick); 7] = [
            ("t", |tick| tick.t),
            ("alpha", |tick| tick.alpha),
            ("sigma", |tick| tick.sigma),
            ("t1000", |tick| tick.t1000),
            ("t_next", |tick| tick.t_next),
            ("alpha_next", |tick| tick.alpha_next),
            ("sigma_next", |tick| tick.sigma_next),
        ];
        for (name, of) in curves {
            file.floats(
                name,
                &[self.ticks.len()],
                self.ticks.iter().map(|tick| of(tick) as f32).collect(),
            );
        }
        file.whole(
            "tick",
            &[self.ticks.len()],
            self.ticks.iter().map(|tick| i64::from(tick.step)),
        );
        file.whole(
            "substep",
            &[self.ticks.len()],
            self.ticks.iter().map(|tick| i64::from(tick.substep)),
        );
        if let Some(target) = &self.target {
            file.whole(
                "target",
                &[target.len()],
                target.iter().map(|class| i64::from(*class)),
            );
        }
        for (name, value) in &self.inputs {
            file.floats(
                name,
                value.dims(),
                value
                    .to_dtype(DType::F32)?
                    .to_device(&Device::Cpu)?
                    .flatten_all()?
                    .to_vec1()?,
            );
        }
        let space = match facts.space {
            Space::Score => {
                return Err(RuntimeError::new(
                    ErrorKind::BadRecording,
                    "a recording cannot hold predictions in `score`",
                ));
            }
            space => space.name(),
        };
        let mut metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("prediction".to_string(), space.to_string()),
        ]);
        if let Some(rule) = &self.rule {
            rule.write(&mut metadata);
        }
        file.save(path, metadata)
    }
}

impl Predictor for Recorder<'_> {
    fn facts(&self) -> &ModelFacts {
        self.inner.facts()
    }

    fn predict(
        &mut self,
        tick_index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        let answers = self.inner.predict(tick_index, tick, questions)?;
        for (question, answer) in questions.iter().zip(&answers) {
            let label = &question.prediction.label;
            let name = match question.by {
                Some(_) => format!("grad/{}", of_gradient(label)),
                None => label.clone(),
            };
            self.keep(name, tick_index, question.rows, answer)?;
            for sight in &question.sights {
                if let Some(map) = sight.seen() {
                    let name = sight.look().recorded(label);
                    self.keep(name, tick_index, question.rows, map)?;
                }
            }
        }
        Ok(answers)
    }

    fn judge(
        &mut self,
        tick_index: usize,
        tick: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict> {
        let verdict = self.inner.judge(tick_index, tick, question)?;
        let label = &question.judgement.label;
        let (name, values) = match &verdict {
            Verdict::Logits(logits) => {
                let classes = logits.first().map_or(0, Vec::len);
                let values: Vec<f32> = logits.iter().flatten().map(|v| *v as f32).collect();
                let values = Tensor::from_vec(values, (logits.len(), classes), &Device::Cpu)?;
                let kind = if question.classifier.loss {
                    "value"
                } else {
                    "logits"
                };
                (format!("{kind}/{label}"), values)
            }
            Verdict::Gradient(gradient) => {
                (format!("grad/{}", of_gradient(label)), gradient.clone())
            }
        };
        self.keep(name, tick_index, question.rows, &values)?;
        Ok(verdict)
    }

    fn passes(&self) -> Vec<usize> {
        self.inner.passes()
    }
}

/// A safetensors file in the making.
#[derive(Default)]
pub(crate) struct File {
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl File {
    pub fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.tensors
            .insert(name.to_string(), (Dtype::F32, shape.to_vec(), bytes));
    }

    pub fn whole(&mut self, name: &str, shape: &[usize], values: impl Iterator<Item = i64>) {
        let bytes = values.flat_map(i64::to_le_bytes).collect();
        self.tensors
            .insert(name.to_string(), (Dtype::I64, shape.to_vec(), bytes));
    }

    pub fn bytes(&mut self, name: &str, shape: &[usize], values: Vec<u8>) {
        self.tensors
            .insert(name.to_string(), (Dtype::U8, shape.to_vec(), values));
    }

    /// Writes beside the path, then renames: a reader sees the old file or the new one.
    pub fn save(self, path: &Path, metadata: HashMap<String, String>) -> Result<()> {
        let refuse = |error: &dyn std::fmt::Display| {
            RuntimeError::new(
                ErrorKind::OutputUnwritable,
                format!("`{}` cannot be written: {error}", path.display()),
            )
            .help("choose a folder that exists and has room")
        };
        let views = self
            .tensors
            .iter()
            .map(|(name, (dtype, shape, bytes))| {
                Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| refuse(&error))?;
        let bytes =
            safetensors::serialize(views, Some(metadata)).map_err(|error| refuse(&error))?;
        write_whole(path, &bytes)
    }
}
