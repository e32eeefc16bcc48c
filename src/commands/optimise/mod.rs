//! `guidec optimise`: goes down the gradient of an objective until it is a picture.

mod told;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use guide_compiler::plan::Plan;
use guide_runtime::device::{Device, Tensor};
use guide_runtime::error::{ErrorKind, RuntimeError};
use guide_runtime::exec::Bindings;
use guide_runtime::image::{self, Picture};
use guide_runtime::latents;
use guide_runtime::models::Pipeline;
use guide_runtime::optimise::{Facts, Optimisation, Request, State, Target, noise};
use guide_runtime::run::Finished;
use serde_json::json;

use super::run::bar::Bar;
use super::run::output::{self, Output};
use super::run::summary::{About, Summary};
use super::run::{self, device, memory, stop_on_interrupt};
use crate::args::{Format, Optimise, Run, What};
use crate::compile::{self, Compiled, compile};
use crate::describe::{describe, pixels};
use crate::exit::{Exit, Failure, Result};
use crate::fetch::{self, Search};
use crate::files::folder_of;
use crate::ui::Ui;

/// After how many turns the state is kept where nothing else is asked for.
const KEPT_EVERY: u32 = 50;

/// Optimises.
pub fn optimise(args: &Optimise, ui: Ui) -> Result<Exit> {
    let begin = Instant::now();
    let stop = stop_on_interrupt()?;
    let search = Search::new(
        args.target.offline,
        args.reply.quiet,
        args.machine.dtype,
        &stop,
    );
    if let Some(name) = &args.target.model {
        fetch::model(name, search, ui)?;
    }
    fetch::networks(&args.target.bind, search, ui, || plan(args, true, ui))?;
    let mut plan = plan(args, args.reply.quiet, ui)?;
    let told = told::as_run(args);
    let output = Output::prepare(&told, &plan)?;
    if let Some(file) = &args.resume {
        output::try_out_for(file, output::SPARE)?;
    }
    let device = device::of(&args.machine.device)?;
    let mut pipeline = run::load(&args.target, args.machine.dtype, &plan, &device, search, ui)?;
    if let Some((width, height)) = args.size {
        let (height, width) = pipeline.latent_size(width as usize, height as usize)?;
        // INVARIANT: the sides of a latent are below those of the picture, which are `u32`.
        plan.head.model.latent[1..].copy_from_slice(&[height as u32, width as u32]);
    }
    let latent = plan.head.model.latent.map(|side| side as usize);
    memory::check(
        args.batch,
        &latent,
        pipeline.picture_size(latent[1], latent[2]),
    )?;
    pipeline.set_max_batch(args.at_once.most());
    let mut bindings = run::bind(
        &args.target,
        run::conditions(&told),
        &plan,
        &mut pipeline,
        search,
        ui,
    )?;
    pipeline.prepare(&plan)?;
    bindings.target = run::target(&told, &plan, &pipeline)?;
    let work = Work {
        args,
        told: &told,
        plan: &plan,
        latent: &latent,
        device: &device,
        stop: &stop,
        output: &output,
        facts: told::facts(args, &plan),
    };
    let (finished, mut files) = work.go(bindings, &mut pipeline, ui)?;
    let pictures = work.pictures(&finished.latents, &pipeline)?;
    let summary = work.summary(&finished, begin);
    files.extend(output.write(&pictures, &[], &summary, &stop)?);
    if let Some(file) = &args.save_latents {
        output::make_folder(&folder_of(file))?;
        latents::write(file, &work.latents(&finished.latents, &pipeline)?)?;
        files.push(file.clone());
    }
    match args.reply.format {
        Format::Json => ui.data(&summary.json(&files))?,
        Format::Human if args.reply.quiet => {}
        Format::Human => ui.say(&summary.text(&files)),
    }
    Ok(Exit::Done)
}

/// The plan of the objective. Warnings are said unless it is to be quiet.
fn plan(args: &Optimise, quiet: bool, ui: Ui) -> Result<Plan> {
    if args.source.file.ends_with(".json") {
        return Err(Failure::Usage(
            "optimise takes the text of an objective, not a saved plan".to_owned(),
        ));
    }
    let mut model = describe(&args.target)?;
    if let Some((width, height)) = args.size
        && let Some(pixels) = pixels(&args.target)
    {
        // What does not divide is refused once the model is there.
        model.facts.latent[1..].copy_from_slice(&[height / pixels, width / pixels]);
    }
    let negative = args.target.negative.as_deref();
    let negative = negative.is_some_and(|text| !text.is_empty());
    let request = compile::request(&args.source, &args.target, model, negative)?;
    let request = compile::turns(request, &args.target, &args.drawn)?;
    let Compiled {
        plan,
        warnings,
        files,
    } = compile(&args.source, &request)?;
    if !quiet {
        ui.diagnostics(&warnings, &files);
    }
    Ok(plan)
}

/// What an optimisation is made of.
struct Work<'a> {
    args: &'a Optimise,
    told: &'a Run,
    plan: &'a Plan,
    latent: &'a [usize],
    device: &'a Device,
    stop: &'a AtomicBool,
    output: &'a Output,
    facts: Facts,
}

impl Work<'_> {
    /// Takes all turns; gives what they end in, and the files that were written on the way.
    fn go(
        &self,
        bindings: Bindings,
        pipeline: &mut Pipeline,
        ui: Ui,
    ) -> Result<(Finished, Vec<PathBuf>)> {
        let request = Request {
            plan: self.plan,
            batch: self.args.batch as usize,
            latent: self.latent,
            device: self.device,
            bindings,
            seed: self.args.seed,
            target: match self.args.what {
                What::Latent => Target::Latent,
                What::Image => Target::Image,
            },
            stop: self.stop,
        };
        let state = self.begin(&request, pipeline, ui)?;
        let mut work = Optimisation::new(&request, state)?;
        let mut bar = Bar::of("turn", self.args.reply.quiet, ui);
        let walked = self.walk(&mut work, pipeline, &mut bar);
        bar.end();
        if matches!(walked, Err(Failure::Interrupted)) {
            self.keep(&work.state)?;
            if let Some(file) = &self.args.resume {
                let turns = work.state.turns();
                ui.say(&format!("{turns} turns are kept in {}", file.display()));
            }
        }
        let mut files = walked?;
        files.extend(self.args.resume.clone());
        let finished = Finished {
            latents: work.state.variable,
            evaluations: work.evaluations,
            network: work.network,
            arithmetic: work.arithmetic,
        };
        Ok((finished, files))
    }

    /// Takes the turns that are left, keeps the state and shows pictures on the way.
    fn walk(
        &self,
        work: &mut Optimisation<'_>,
        pipeline: &mut Pipeline,
        bar: &mut Bar,
    ) -> Result<Vec<PathBuf>> {
        let total = self.plan.head.steps;
        let mut shown = Vec::new();
        while !work.is_done() {
            work.turn(pipeline)?;
            let turns = work.state.turns();
            bar.show(
                turns as usize,
                total as usize,
                work.evaluations.iter().sum(),
            );
            let every = self.args.every.unwrap_or(KEPT_EVERY);
            if turns.is_multiple_of(every) || turns == total {
                self.keep(&work.state)?;
            }
            let shows = self.args.every.is_some() && turns.is_multiple_of(every);
            if shows && turns < total {
                shown.push(self.show(&work.state, pipeline)?);
            }
        }
        Ok(shown)
    }

    /// The state that the turns go on from.
    fn begin(&self, request: &Request<'_>, pipeline: &Pipeline, ui: Ui) -> Result<State> {
        if let Some(file) = self.args.resume.as_deref().filter(|file| file.exists()) {
            let state = State::read(file, &self.facts, self.args.rate(), self.device)?;
            let (_, wanted) = self.shapes(pipeline);
            of_shape(&state.variable, &wanted, file)?;
            if !self.args.reply.quiet {
                let (turns, total) = (state.turns(), self.plan.head.steps);
                ui.say(&format!("goes on after turn {turns} of {total}"));
            }
            return Ok(state);
        }
        let start = self.start(request, pipeline)?;
        Ok(State::new(start, self.args.rate())?)
    }

    /// What the first turn begins with.
    fn start(&self, request: &Request<'_>, pipeline: &Pipeline) -> Result<Tensor> {
        let is_image = self.args.what == What::Image;
        if let Some(file) = &self.args.init_image {
            let size = pipeline.picture_size(self.latent[1], self.latent[2]);
            let picture = image::read_picture(file, size.0, size.1)?;
            let one = match is_image {
                true => picture,
                false => pipeline.distribution(&picture)?.mean,
            };
            let all = Tensor::cat(&vec![one; request.batch], 0);
            return Ok(all.map_err(RuntimeError::from)?);
        }
        let latents = match &self.args.init_latents {
            Some(file) => {
                let given = latents::read(file, latents::NAME)?;
                of_shape(&given, &self.shapes(pipeline).0, file)?;
                given.to_device(self.device).map_err(RuntimeError::from)?
            }
            None => noise(request)?,
        };
        Ok(match is_image {
            true => pipeline.decode(&latents)?,
            false => latents,
        })
    }

    /// The shapes of all latents, and of what is moved.
    fn shapes(&self, pipeline: &Pipeline) -> (Vec<usize>, Vec<usize>) {
        let batch = self.args.batch as usize;
        let latents = [&[batch], self.latent].concat();
        let (height, width) = pipeline.picture_size(self.latent[1], self.latent[2]);
        let moved = match self.args.what {
            What::Latent => latents.clone(),
            What::Image => vec![batch, 3, height, width],
        };
        (latents, moved)
    }

    /// The latents of what is moved.
    fn latents(&self, moved: &Tensor, pipeline: &Pipeline) -> Result<Tensor> {
        Ok(match self.args.what {
            What::Latent => moved.clone(),
            What::Image => pipeline.encode(moved)?,
        })
    }

    /// The pictures of what is moved, one after another, so that an interruption does not wait for all.
    fn pictures(&self, moved: &Tensor, pipeline: &Pipeline) -> Result<Vec<Picture>> {
        let mut pictures = Vec::new();
        for one in latents::rows(moved)? {
            run::check(self.stop)?;
            let picture = match self.args.what {
                What::Latent => pipeline.decode(&one)?,
                What::Image => one,
            };
            pictures.extend(Picture::of(&picture)?);
        }
        Ok(pictures)
    }

    /// Writes the state, where the user wants it kept.
    fn keep(&self, state: &State) -> Result<()> {
        match &self.args.resume {
            Some(file) => {
                output::make_folder(&folder_of(file))?;
                Ok(state.write(file, &self.facts)?)
            }
            None => Ok(()),
        }
    }

    /// Writes the picture as far as it is.
    fn show(&self, state: &State, pipeline: &Pipeline) -> Result<PathBuf> {
        let pictures = self.pictures(&state.variable, pipeline)?;
        let about = json!({ "objective": self.plan.head.guide, "turns": state.turns() });
        let place = format!("turn{}", state.turns());
        self.output
            .on_the_way(&pictures, &place, &about.to_string())
    }

    fn summary(&self, finished: &Finished, begin: Instant) -> Summary {
        let mut summary = Summary::new(About::new(self.told, self.plan), finished, begin.elapsed());
        told::made(self.args, self.plan).for_each(|(name, value)| summary.add(name, value));
        summary
    }
}

fn of_shape(given: &Tensor, wanted: &[usize], file: &Path) -> Result<()> {
    if given.dims() == wanted {
        return Ok(());
    }
    let message = format!(
        "the latents in `{}` have the shape {:?}, not {wanted:?}",
        file.display(),
        given.dims()
    );
    Err(RuntimeError::new(ErrorKind::BadBinding, message).into())
}
