//! `guidec fit`: finds the coefficients of `linear_adaptive` from runs of a model, and shows how far its
//! results then lie from those of plain guidance.

mod report;
mod write;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use guide_compiler::pipeline::{self, Request};
use guide_compiler::plan::Plan;
use guide_compiler::sources::Loaded;
use guide_runtime::device::Device;
use guide_runtime::exec::{Binding, Bindings};
use guide_runtime::fit::{self, Fitted, Reach, Seen, Watch};
use guide_runtime::models::{Conditions, Pipeline};
use guide_runtime::predictor::Predictor;
use guide_runtime::run::{self as sampling, Finished};

use super::run::{device, output, stop_on_interrupt};
use crate::args::{Fit, Parts, Source, Target};
use crate::compile;
use crate::describe::describe;
use crate::exit::{Exit, Failure, Result};
use crate::fetch::{self, Search};
use crate::files::{folder_of, write_whole};
use crate::sources::Disk;
use crate::ui::Ui;
use report::{Distance, Report};

/// What is run where no prompt is given.
const COMMON: [&str; 8] = [
    "panda",
    "strawberry",
    "red apple",
    "bicycle",
    "sailboat",
    "sunflower",
    "rocket",
    "house with a garden",
];

/// Records, fits, writes and measures.
pub fn fit(args: &Fit, ui: Ui) -> Result<Exit> {
    let stop = stop_on_interrupt()?;
    let search = Search::new(args.offline, args.reply.quiet, args.machine.dtype, &stop);
    if let Some(name) = &args.model {
        fetch::model(name, search, ui)?;
    }
    let request = request(args)?;
    let reach = reach(args, &request)?;
    if args.out.is_dir() {
        return Err(Failure::unwritable(&args.out, "it is a folder"));
    }
    let mut work = Work::new(args, ui, &request, search)?;
    let seen = work.record()?;
    let fitted = fit::fit(&work.plain.timetable.ticks, &seen, reach)?;
    let text = write::guide(args, &work.plain, work.prompts.len(), &fitted)?;
    let plan = fitted_plan(args, &request, text.clone())?;
    output::make_folder(&folder_of(&args.out))?;
    write_whole(&args.out, text.as_bytes())
        .map_err(|error| Failure::unwritable(&args.out, error))?;
    let distance = work.measure(&plan, &fitted)?;
    let report = Report {
        args,
        plain: &work.plain,
        runs: work.prompts.len() * args.seeds as usize,
        fitted: &fitted,
        distance,
    };
    report.say(ui)?;
    Ok(Exit::Done)
}

/// What both guides are compiled for.
fn request(args: &Fit) -> Result<Request> {
    let target = Target {
        set: vec![("scale".to_owned(), write::number(args.scale))],
        bind: Vec::new(),
        model: args.model.clone(),
        parts: Parts::default(),
        steps: Some(args.steps),
        sampler: args.sampler.clone(),
        spacing: args.spacing.clone(),
        eta: None,
        strength: None,
        negative: args.negative.clone(),
        offline: args.offline,
    };
    let model = describe(&target)?;
    compile::request(&cfg(), &target, model, negative(args).is_some())
}

/// The rule that is recorded.
fn cfg() -> Source {
    Source {
        file: "std::rules::cfg".to_owned(),
        guide: None,
        allow_path: Vec::new(),
    }
}

fn negative(args: &Fit) -> Option<String> {
    args.negative.clone().filter(|text| !text.is_empty())
}

/// Which steps are estimated.
fn reach(args: &Fit, request: &Request) -> Result<Reach> {
    if !(0.0..1.0).contains(&args.start) {
        let message = format!("--start is {}, and lies in 0..1", args.start);
        return Err(Failure::Usage(message));
    }
    if !args.scale.is_finite() || args.scale == 0.0 || args.scale == 1.0 {
        let message = "--scale is a number other than 0 and 1, which ask for one prediction alone";
        return Err(Failure::Usage(message.to_owned()));
    }
    let reach = Reach {
        start: args.start,
        past: args.past,
        steps: request.steps,
    };
    // That there are no steps at all is said where the plan is made.
    if request.steps > 0 && reach.estimated().is_empty() {
        return Err(Failure::Usage(format!(
            "of {} steps none would be estimated: take more --steps, or a lower --start or --past",
            args.steps
        )));
    }
    Ok(reach)
}

/// The plan of the guide that was written, as a user's run would make it.
fn fitted_plan(args: &Fit, request: &Request, text: String) -> Result<Plan> {
    let path = args.out.display().to_string();
    let sources = Disk::new(&path, &[]);
    let analysis = pipeline::read(Loaded { path, text }, &sources);
    let request = Request {
        guide: Some(write::NAME.to_owned()),
        ..request.clone()
    };
    match pipeline::compile(&analysis, &request) {
        Ok(compiled) => Ok(compiled.plan),
        Err(bag) => Err(Failure::Said {
            diagnostics: bag.into_sorted(),
            files: analysis.files,
        }),
    }
}

/// A model with what is run on it.
struct Work<'a> {
    args: &'a Fit,
    ui: Ui,
    stop: &'a AtomicBool,
    plain: Plan,
    pipeline: Pipeline,
    device: Device,
    prompts: Vec<String>,
}

impl<'a> Work<'a> {
    fn new(args: &'a Fit, ui: Ui, request: &Request, search: Search<'a>) -> Result<Self> {
        let plain = compile::compile(&cfg(), request)?.plan;
        let device = device::of(&args.machine.device)?;
        let name = args.model.as_deref().unwrap_or(&plain.head.model.name);
        let found = fetch::model(name, search, ui)?;
        let dtype = device::dtype(args.machine.dtype, &device);
        let pipeline = Pipeline::load(&found.source, &found.name, dtype, &device)?;
        let common = COMMON.iter().map(|text| (*text).to_owned());
        Ok(Self {
            args,
            ui,
            stop: search.stop,
            plain,
            pipeline,
            device,
            prompts: match args.prompt.is_empty() {
                true => common.collect(),
                false => args.prompt.clone(),
            },
        })
    }

    fn say(&self, what: &str, at: usize) {
        if !self.args.reply.quiet {
            let (count, prompt) = (self.prompts.len(), &self.prompts[at]);
            self.ui.say(&format!("{what} {}/{count}  {prompt}", at + 1));
        }
    }

    /// Plain guidance for every prompt and seed.
    fn record(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        let plan = self.plain.clone();
        for at in 0..self.prompts.len() {
            self.say("record", at);
            let seeds = (self.args.seed, self.args.seeds as usize);
            self.run(&plan, at, seeds, Bindings::default(), Some(&mut seen))?;
        }
        Ok(seen)
    }

    /// One more run of each prompt: how far the fitted guide ends from plain guidance, and how far it
    /// would if the conditional prediction stood for every estimate.
    fn measure(&mut self, plan: &Plan, fitted: &[Fitted]) -> Result<Distance> {
        let mut alone = Bindings::default();
        let row = |f: &Fitted| {
            (0..f.factors.len())
                .map(|i| f64::from(u8::from(i == 0)))
                .collect()
        };
        let rows = fitted.iter().map(row).collect();
        alone
            .inputs
            .insert(write::TABLE.to_owned(), Binding::Table(rows));
        let plain = self.plain.clone();
        let seeds = (self.args.seed.wrapping_add(u64::from(self.args.seeds)), 1);
        let mut distance = Distance::default();
        for at in 0..self.prompts.len() {
            self.say("compare", at);
            let wanted = self.run(&plain, at, seeds, Bindings::default(), None)?;
            let got = self.run(plan, at, seeds, Bindings::default(), None)?;
            let without = self.run(plan, at, seeds, alone.clone(), None)?;
            distance.add(&wanted, &got, &without)?;
        }
        Ok(distance)
    }

    fn run(
        &mut self,
        plan: &Plan,
        prompt: usize,
        (seed, batch): (u64, usize),
        bindings: Bindings,
        seen: Option<&mut Seen>,
    ) -> Result<Finished> {
        self.pipeline.set_conditions(Conditions {
            prompt: self.prompts[prompt].clone(),
            negative: negative(self.args),
            ..Conditions::default()
        });
        self.pipeline.prepare(plan)?;
        let latent = plan.head.model.latent.map(|side| side as usize);
        let request = sampling::Request {
            plan,
            batch,
            latent: &latent,
            device: &self.device,
            bindings,
            seed,
            start: sampling::Start::Noise,
            stop: self.stop,
        };
        let predictor: &mut dyn Predictor = &mut self.pipeline;
        Ok(match seen {
            Some(seen) => sampling::run(&request, &mut Watch::new(predictor, seen), &mut ())?,
            None => sampling::run(&request, predictor, &mut ())?,
        })
    }
}

/// A path as a user would write it after a command.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
