//! `--trace`: a line for each evaluation of the rule, as JSON.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use guide_compiler::plan::Plan;
use guide_runtime::error::Result;
use guide_runtime::probe::{Heard, Measured};
use guide_runtime::run::{Observer, Progress};
use serde_json::{Map, Value, json};

use super::bar::Bar;
use super::between::Between;
use super::output::make_folder;
use super::preview::Preview;
use crate::exit;
use crate::files::{folder_of, write_whole};

/// What stands in the first line.
const FORMAT: &str = "guide-trace/1";

/// The bar, and beside it what else is asked for: a trace, pictures on the way, a preview.
pub struct Watch {
    pub bar: Bar,
    /// Pictures on the way.
    pub between: Option<Between>,
    /// The picture as it forms.
    pub preview: Option<Preview>,
    trace: Option<Trace>,
}

struct Trace {
    file: PathBuf,
    labels: Vec<String>,
    judgements: Vec<String>,
    lines: String,
    heard: Rc<RefCell<Heard>>,
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
                heard: Rc::default(),
            };
            trace.line(&head(plan));
            trace
        });
        Self {
            bar,
            between: None,
            preview: None,
            trace,
        }
    }

    /// What is to note what the networks answer, where there is a trace.
    pub fn heard(&self) -> Option<Rc<RefCell<Heard>>> {
        self.trace.as_ref().map(|trace| Rc::clone(&trace.heard))
    }

    /// Writes the trace, with what the whole run took as its last line.
    pub fn finish(
        self,
        (evaluations, network, arithmetic): (u64, Duration, Duration),
    ) -> exit::Result<Option<PathBuf>> {
        let Some(mut trace) = self.trace else {
            return Ok(None);
        };
        trace.line(&json!({"total": {
            "evaluations": evaluations,
            "seconds": {
                "network": seconds(network),
                "arithmetic": seconds(arithmetic),
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
            let measured = trace.heard.borrow_mut().measured(progress)?;
            let mut line = tick(progress, &trace.labels, &trace.judgements);
            add(&mut line, &measured);
            trace.line(&line);
        }
        if let Some(between) = &mut self.between {
            between.tick(progress)?;
        }
        self.bar.tick(progress)?;
        if let Some(preview) = &mut self.preview {
            preview.tick(progress, &self.bar);
        }
        Ok(())
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

fn tick(progress: &Progress<'_>, labels: &[String], judgements: &[String]) -> Value {
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
    line
}

/// What the tick did to each of its samples; of each prediction the lengths for those that asked it.
fn add(line: &mut Value, measured: &[Measured]) {
    let Some(fields) = line.as_object_mut() else {
        return;
    };
    let each = |of: &dyn Fn(&Measured) -> Value| measured.iter().map(of).collect::<Value>();
    fields.insert("norm".to_owned(), each(&|m| json!(m.norm)));
    fields.insert("update".to_owned(), each(&|m| json!(m.update)));
    // Only where both halves of plain guidance were asked.
    for (name, of) in [
        ("apart", (|m| m.apart) as fn(&Measured) -> Option<f64>),
        ("cosine", |m| m.cosine),
        ("scale", |m| m.scale),
    ] {
        if measured.iter().any(|m| of(m).is_some()) {
            fields.insert(name.to_owned(), each(&|m| json!(of(m))));
        }
    }
    let mut norms: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (label, norm) in measured.iter().flat_map(|m| &m.norms) {
        norms.entry(label).or_default().push(*norm);
    }
    fields.insert("norms".to_owned(), json!(norms));
}

/// To the microsecond.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}
