//! `--trace`: a line for each evaluation of the rule, as JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use guide_compiler::plan::Plan;
use guide_runtime::error::Result;
use guide_runtime::run::{Finished, Observer, Progress};
use serde_json::{Map, Value, json};

use super::bar::Bar;
use super::output::make_folder;
use crate::exit;
use crate::files::{folder_of, write_whole};

/// What stands in the first line.
const FORMAT: &str = "guide-trace/1";

/// The bar, and beside it the trace where one is asked for.
pub struct Watch {
    pub bar: Bar,
    trace: Option<Trace>,
}

struct Trace {
    file: PathBuf,
    labels: Vec<String>,
    judgements: Vec<String>,
    lines: String,
}

impl Watch {
    /// Watches the run of a plan.
    pub fn new(bar: Bar, file: Option<&Path>, plan: &Plan) -> Self {
        let trace = file.map(|file| {
            let mut trace = Trace {
                file: file.to_owned(),
                labels: plan.predictions.iter().map(|p| p.label.clone()).collect(),
                judgements: plan.judgements.iter().map(|j| j.label.clone()).collect(),
                lines: String::new(),
            };
            trace.line(&head(plan));
            trace
        });
        Self { bar, trace }
    }

    /// Writes the trace, with what the whole run took as its last line.
    pub fn finish(self, finished: &Finished) -> exit::Result<Option<PathBuf>> {
        let Some(mut trace) = self.trace else {
            return Ok(None);
        };
        trace.line(&json!({"total": {
            "evaluations": finished.evaluations.iter().sum::<u64>(),
            "seconds": {
                "network": seconds(finished.network),
                "arithmetic": seconds(finished.arithmetic),
            },
        }}));
        make_folder(&folder_of(&trace.file))?;
        write_whole(&trace.file, trace.lines.as_bytes())
            .map_err(|error| exit::Failure::unwritable(&trace.file, error))?;
        Ok(Some(trace.file))
    }
}

impl Observer for Watch {
    fn tick(&mut self, progress: &Progress<'_>) -> Result<()> {
        if let Some(trace) = &mut self.trace {
            let line = tick(progress, &trace.labels, &trace.judgements)?;
            trace.line(&line);
        }
        self.bar.tick(progress)
    }
}

impl Trace {
    fn line(&mut self, value: &Value) {
        self.lines.push_str(&value.to_string());
        self.lines.push('\n');
    }
}

fn head(plan: &Plan) -> Value {
    let settings = plan.head.settings.iter();
    let settings: Map<String, Value> = settings
        .map(|setting| (setting.name.clone(), Value::from(setting.value.clone())))
        .collect();
    json!({
        "format": FORMAT,
        "guide": plan.head.guide,
        "model": plan.head.model.name,
        "sampler": plan.head.sampler,
        "steps": plan.head.steps,
        "settings": settings,
    })
}

fn tick(progress: &Progress<'_>, labels: &[String], judgements: &[String]) -> Result<Value> {
    let (tick, guided) = (progress.tick, progress.guided);
    let first = progress.samples.start;
    let asked = guided.evaluated.by_prediction.iter();
    let asked: Map<String, Value> = asked
        .filter_map(|(id, samples)| {
            let samples: Vec<usize> = samples.iter().map(|sample| first + sample).collect();
            Some((labels.get(id.index())?.clone(), json!(samples)))
        })
        .collect();
    let judged = guided.evaluated.by_judgement.iter();
    let judged: Map<String, Value> = judged
        .filter_map(|(id, samples)| {
            let samples: Vec<usize> = samples.iter().map(|sample| first + sample).collect();
            Some((judgements.get(id.index())?.clone(), json!(samples)))
        })
        .collect();
    let mut line = json!({
        "tick": progress.index,
        "step": tick.step,
        "substep": tick.substep,
        "t": tick.t,
        "alpha": tick.alpha,
        "sigma": tick.sigma,
        "samples": [first, progress.samples.end],
        "evaluated": asked,
        "passes": progress.passes,
        "held": guided.hold.iter().filter(|held| **held).count(),
        "norm": norms(&guided.denoise)?,
        "seconds": {
            "network": seconds(progress.took.network),
            "rule": seconds(progress.took.rule),
            "solver": seconds(progress.took.solver),
        },
    });
    // Only rules that ask classifiers have it.
    if !judged.is_empty()
        && let Some(fields) = line.as_object_mut()
    {
        fields.insert("judged".to_owned(), Value::from(judged));
    }
    Ok(line)
}

/// The length of each sample's guided prediction.
fn norms(of: &guide_runtime::device::Tensor) -> Result<Vec<f64>> {
    let rows: Vec<Vec<f32>> = of.flatten_from(1)?.to_vec2()?;
    let norm = |row: &Vec<f32>| {
        row.iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    Ok(rows.iter().map(norm).collect())
}

/// To the microsecond.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}
