//! Reference numbers: each line of the manifest in `tests/oracle/rules` is a test, from the text of
//! the rule to what `eval` gives.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod pipeline;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use guide_compiler::plan::Plan;
use guide_runtime::eval::eval;
use guide_runtime::exec::{Binding, Bindings};
use guide_runtime::recording;
use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;

#[derive(Clone, Deserialize)]
struct Line {
    rule: Option<String>,
    program: Option<String>,
    guide: Option<String>,
    set: BTreeMap<String, serde_json::Value>,
    bind: BTreeMap<String, String>,
    recording: String,
    expected: String,
    tolerance: Tolerance,
    evaluations: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
struct Tolerance {
    rel: f64,
    abs: f64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle/rules")
}

/// A setting as the language spells it; the words of a choice may stand without quotes.
fn setting(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Line {
    /// The guide's name, and its text if this version has it.
    fn source(&self) -> (String, Option<String>) {
        match (&self.rule, &self.program) {
            (Some(rule), _) => {
                let name = rule.trim_start_matches("std::rules::").to_string();
                let text = pipeline::rule(&name).map(String::from);
                (name, text)
            }
            (None, Some(program)) => (
                self.guide.clone().unwrap_or_default(),
                std::fs::read_to_string(folder().join(program)).ok(),
            ),
            (None, None) => (String::new(), None),
        }
    }

    fn test(&self, name: &str, text: &str) -> Result<(), Failed> {
        let mut recording = recording::read(&folder().join(&self.recording))?;
        let settings = self
            .set
            .iter()
            .map(|(name, value)| (name.clone(), setting(value)))
            .collect();
        let facts = guide_runtime::predictor::Predictor::facts(&recording).clone();
        let plan: Plan =
            pipeline::planned(name, text, settings, facts, recording.timetable(), None)?;
        let mut bindings = Bindings::default();
        for (input, value) in self
            .bind
            .iter()
            .filter(|(_, value)| value.ends_with(".safetensors"))
        {
            let mut tensors = candle_core::safetensors::load(folder().join(value), &Device::Cpu)?;
            let tensor = tensors
                .remove(input)
                .ok_or(format!("`{value}` lacks `{input}`"))?;
            bindings
                .inputs
                .insert(input.clone(), Binding::Tensor(tensor));
        }
        let got = eval(&plan, &mut recording, &bindings)?;
        let want = candle_core::safetensors::load(folder().join(&self.expected), &Device::Cpu)?;
        let batch = recording.batch();
        self.compare(
            "guided",
            &got.guided,
            want.get("guided").ok_or("no `guided`")?,
            batch,
        )?;
        match (want.get("renoise"), &got.renoise) {
            (Some(want), Some(got)) => self.compare("renoise", got, want, batch)?,
            (None, None) => {}
            (want, got) => {
                return Err(
                    format!("renoise: wanted {}, got {}", want.is_some(), got.is_some()).into(),
                );
            }
        }
        if self
            .evaluations
            .as_deref()
            .is_none_or(|text| !text.starts_with("open"))
        {
            let want: Vec<i64> = want
                .get("evaluations")
                .ok_or("no `evaluations`")?
                .flatten_all()?
                .to_vec1()?;
            if want != got.evaluations {
                return Err(format!("evaluations {:?} are not {want:?}", got.evaluations).into());
            }
        }
        Ok(())
    }

    fn compare(&self, what: &str, got: &[f32], want: &Tensor, batch: usize) -> Result<(), Failed> {
        let ticks = want.dim(0)?;
        let want: Vec<f32> = want.flatten_all()?.to_vec1()?;
        if got.len() != want.len() {
            return Err(format!("{what} has {} elements, not {}", got.len(), want.len()).into());
        }
        let sample = want.len() / (ticks * batch);
        for (row, (got, want)) in got.chunks(sample).zip(want.chunks(sample)).enumerate() {
            let most = want
                .iter()
                .fold(0f64, |most, v| most.max(f64::from(v.abs())));
            let allowed = self.tolerance.abs + self.tolerance.rel * most;
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                // Written so that a NaN fails.
                let near = (f64::from(*got) - f64::from(*want)).abs() <= allowed;
                if !near {
                    let (tick, b) = (row / batch, row % batch);
                    return Err(format!("{what} in tick {tick}, sample {b}, element {i}: {got} is not {want} within {allowed:e}").into());
                }
            }
        }
        Ok(())
    }
}

fn main() {
    let text = std::fs::read_to_string(folder().join("manifest.json")).unwrap();
    let lines: Vec<Line> = serde_json::from_str(&text).unwrap();
    let mut absent: BTreeMap<String, usize> = BTreeMap::new();
    let mut trials = Vec::new();
    for line in lines {
        let (name, text) = line.source();
        let Some(text) = text else {
            *absent.entry(name).or_default() += 1;
            continue;
        };
        let title = line
            .expected
            .trim_start_matches("expected/")
            .trim_end_matches(".safetensors")
            .to_string();
        trials.push(Trial::test(title, move || line.test(&name, &text)));
    }
    if !absent.is_empty() {
        let list: Vec<String> = absent
            .iter()
            .map(|(name, count)| format!("{name} ({count})"))
            .collect();
        eprintln!("not in the standard library yet: {}", list.join(", "));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
