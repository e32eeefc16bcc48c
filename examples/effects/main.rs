//! What rules do to the embedded model's pictures, measured over many seeds, as a table:
//!
//!     cargo run --release --example effects -- [--seeds N] [--things N] [--steps N] [--device cpu|cuda|metal] [--row LABEL]... [OUT.md]
//!
//! `runtime/reference/effects.md` says what the columns are, and what came out.
#![allow(clippy::print_stderr, reason = "a program of its own")]

mod measures;
mod rows;

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use guide_compiler::memory::Memory;
use guide_compiler::model;
use guide_compiler::pipeline::{self, Request as Wanted};
use guide_compiler::plan::Plan;
use guide_compiler::sources::Loaded;
use guide_runtime::device::{self, Device, Tensor};
use guide_runtime::exec::Bindings;
use guide_runtime::image::Picture;
use guide_runtime::latents;
use guide_runtime::models::judge::Judge;
use guide_runtime::models::{Conditions, Pipeline, embedded};
use guide_runtime::run::{Request, Start, run};

use measures::{Made, Measures};
use rows::{ROWS, Row};

/// What the table is made of.
struct Asked {
    seeds: usize,
    things: usize,
    steps: u32,
    /// Labels of the rows to draw; all where none is named.
    rows: Vec<String>,
    device: Device,
    out: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    device::keep_freed_memory();
    let asked = asked(std::env::args().skip(1))?;
    let mut work = Work::new(&asked)?;
    let mut table = String::from(measures::HEAD);
    for row in wanted(&asked.rows)? {
        let line = work.row(row)?;
        eprintln!("{line}");
        table.push_str(&line);
        table.push('\n');
    }
    match &asked.out {
        Some(file) => std::fs::write(file, table)?,
        None => eprintln!("\n{table}"),
    }
    Ok(())
}

fn asked(mut args: impl Iterator<Item = String>) -> Result<Asked, Box<dyn Error>> {
    let mut asked = Asked {
        seeds: 64,
        things: usize::MAX,
        steps: 20,
        rows: Vec::new(),
        device: Device::Cpu,
        out: None,
    };
    while let Some(arg) = args.next() {
        if let "--device" | "--row" = arg.as_str() {
            let name = args.next().ok_or(format!("{arg} needs a name"))?;
            if arg == "--row" {
                asked.rows.push(name);
            } else {
                asked.device = device::open(&name, 0)?;
            }
            continue;
        }
        let mut number = || -> Result<usize, Box<dyn Error>> {
            let text = args.next().ok_or(format!("{arg} needs a number"))?;
            Ok(text.parse()?)
        };
        match arg.as_str() {
            "--seeds" => asked.seeds = number()?.max(2),
            "--things" => asked.things = number()?.max(1),
            "--steps" => asked.steps = u32::try_from(number()?)?,
            other if other.starts_with('-') => return Err(format!("no option {other}").into()),
            other => asked.out = Some(other.into()),
        }
    }
    Ok(asked)
}

/// The rows of these labels, in their order; every row where none is named.
fn wanted(labels: &[String]) -> Result<Vec<&'static Row>, Box<dyn Error>> {
    if labels.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let named = |label: &String| {
        let row = ROWS.iter().find(|row| row.label == label);
        row.ok_or_else(|| format!("no row `{label}`").into())
    };
    labels.iter().map(named).collect()
}

/// The model, what it is measured by, and what it is asked for.
struct Work<'a> {
    asked: &'a Asked,
    pipeline: Pipeline,
    judge: Judge,
    /// Names of things, and the mean of their latents in the data it was trained on.
    things: Vec<(String, Tensor)>,
}

impl<'a> Work<'a> {
    fn new(asked: &'a Asked) -> Result<Self, Box<dyn Error>> {
        let source = embedded::source();
        let data = include_bytes!("data.safetensors");
        let mut things: Vec<(String, Tensor)> = measures::data(data)?;
        things.truncate(asked.things);
        Ok(Self {
            asked,
            pipeline: Pipeline::load(&source, embedded::NAME, measures::F32, &asked.device)?,
            judge: Judge::load(&source.below("judge/clean"), &[], &Device::Cpu)?,
            things,
        })
    }

    /// The plan of a row.
    fn plan(&self, row: &Row) -> Result<Plan, Box<dyn Error>> {
        let source = embedded::source();
        let unet = source.text("unet/config.json")?;
        let scheduler = source.text("scheduler/scheduler_config.json")?;
        let model = model::of_configs(embedded::NAME, &unet, &scheduler)
            .map_err(|said| said.message.clone())?;
        let library = Memory::with_library(guide_stdlib::files().iter().copied());
        let root = Loaded {
            path: "row.guide".to_owned(),
            text: row.guide.to_owned(),
        };
        let analysis = pipeline::read(root, &library);
        let wanted = Wanted {
            guide: Some("row".to_owned()),
            negative: false,
            steps: self.asked.steps,
            ..Wanted::new(model)
        };
        let compiled = pipeline::compile(&analysis, &wanted).map_err(|bag| {
            let said: Vec<String> = bag.iter().map(|said| said.message.clone()).collect();
            format!("{}: {}", row.label, said.join("; "))
        })?;
        Ok(compiled.plan)
    }

    /// A line of the table.
    fn row(&mut self, row: &Row) -> Result<String, Box<dyn Error>> {
        let plan = self.plan(row)?;
        let mut measures = Measures::default();
        for at in 0..self.things.len() {
            let (name, mean) = self.things[at].clone();
            let labels = &self.judge.config().labels;
            let class = labels.iter().position(|label| *label == name);
            let class = class.ok_or(format!("the judge does not know `{name}`"))?;
            let (latents, evaluations) = self.sample(&plan, row, &name, class)?;
            let mut pictures = Vec::new();
            for one in latents::rows(&latents)? {
                let decoded = self.pipeline.decode(&one)?;
                let tensor = decoded.to_device(&Device::Cpu)?;
                let picture = Picture::of(&tensor)?.into_iter().next();
                pictures.push((tensor, picture.ok_or("no picture")?));
            }
            measures.add(&Made {
                latents: &latents.to_device(&Device::Cpu)?,
                pictures: &pictures,
                data: &mean,
                judge: &self.judge,
                class: row.prompted.then_some(class),
                evaluations,
            })?;
        }
        Ok(measures.line(row.label, row.prompted))
    }

    /// Final latents for all seeds, and the evaluations that a picture took.
    fn sample(
        &mut self,
        plan: &Plan,
        row: &Row,
        name: &str,
        class: usize,
    ) -> Result<(Tensor, f64), Box<dyn Error>> {
        self.pipeline.set_conditions(Conditions {
            prompt: if row.prompted {
                name.to_owned()
            } else {
                String::new()
            },
            ..Conditions::default()
        });
        self.pipeline.prepare(plan)?;
        let latent = plan.head.model.latent.map(|side| side as usize);
        let request = Request {
            plan,
            batch: self.asked.seeds,
            latent: &latent,
            device: &self.asked.device,
            bindings: Bindings {
                target: Some(vec![class as u32; self.asked.seeds]),
                ..Bindings::default()
            },
            seed: 0,
            start: Start::Noise,
            stop: &AtomicBool::new(false),
        };
        let finished = run(&request, &mut self.pipeline, &mut ())?;
        let evaluations: u64 = finished.evaluations.iter().sum();
        Ok((
            finished.latents,
            evaluations as f64 / self.asked.seeds as f64,
        ))
    }
}
