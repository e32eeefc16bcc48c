//! `guidec run`: compiles a guide and samples pictures with it.

pub mod bar;
mod between;
pub mod device;
mod kept;
pub mod memory;
pub mod output;
pub mod portions;
pub mod preview;
mod record;
mod saved;
mod source;
mod steps;
pub mod summary;
mod trace;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::plan::{Need, Plan};
use guide_runtime::device::Device;
use guide_runtime::exec::Bindings;
use guide_runtime::image::{self, Picture};
use guide_runtime::inputs::{self, Sizes};
use guide_runtime::models::{AskedFraming, Conditions, Pipeline, SecondTexts, Tiling};
use guide_runtime::predictor::Predictor;
use guide_runtime::probe::Probe;
use guide_runtime::prompt::Reading;
use guide_runtime::run::{Finished, Request, Start};
use guide_runtime::{latents, run as sampling};

use crate::args::{Dtype, Format, Run, Shard, Target, VaeTiling};
use crate::compile::{Compiled, compile, request};
use crate::describe::{changes, describe, pixels};
use crate::exit::{Exit, Failure, Result};
use crate::fetch::{self, Search};
use crate::files::folder_of;
use crate::ui::Ui;
use bar::Bar;
use between::{Between, Halfway};
use kept::{Kept, Made};
use output::Output;
use preview::Preview;
use summary::{About, Summary};
use trace::Watch;

/// Runs a guide, or a saved plan.
pub fn run(args: &Run, ui: Ui) -> Result<Exit> {
    let begin = Instant::now();
    let mut args = source::along(args)?;
    let shard = part(&args)?;
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
    fetch::networks(&args.target.bind, search, ui, || plan(&args, true, ui))?;
    let mut plan = plan(&args, args.reply.quiet, ui)?;
    if args.way.is_some() {
        source::bind(args.to_mut(), &plan);
    }
    let args = &*args;
    let output = Output::prepare(args, &plan)?;
    let device = device::of(&args.machine.device)?;
    let mut pipeline = load(&args.target, args.machine.dtype, &plan, &device, search, ui)?;
    sized(args, &mut plan, &pipeline)?;
    let latent = plan.head.model.latent.map(|side| side as usize);
    let picture = pipeline.picture_size(latent[1], latent[2]);
    memory::check(args.batch, &latent, picture)?;
    pipeline.set_max_batch(args.at_once.most());
    let mut bindings = bind(
        &args.target,
        conditions(args),
        &plan,
        &mut pipeline,
        search,
        ui,
    )?;
    pipeline.prepare(&plan)?;
    bindings.target = target(args, &plan, &pipeline)?;
    let request = Request {
        plan: &plan,
        batch: args.batch as usize,
        latent: &latent,
        device: &device,
        bindings,
        seed: args.seed,
        start: start(args, picture, &pipeline)?,
        stop: &stop,
    };
    let mut watch = Watch::new(
        Bar::start(args.reply.quiet, ui),
        args.trace.as_deref(),
        &plan,
    );
    pipeline.set_tiling(match args.vae_tiling {
        VaeTiling::Auto => Tiling::Auto,
        VaeTiling::On => Tiling::On,
        VaeTiling::Off => Tiling::Off,
    });
    let preview = |way| Preview::new(way, pipeline.decoder(), &plan, ui);
    watch.preview = args.preview.and_then(preview);
    let about = About::new(args, &plan);
    if args.resume || shard.is_some() {
        let kept = Kept::find(args, shard, &output, &about, plan.couples())?;
        return go_on(&kept, &request, &mut pipeline, watch, begin, ui);
    }
    watch.between = args.every.map(|every| Between::new(every, &plan));
    let all = 0..args.batch as usize;
    let finished = sample(args, &request, all, &mut pipeline, &mut watch);
    watch.bar.end();
    let finished = finished?;
    let Drawn { pictures, between } = decode(&pipeline, &finished, &mut watch, &stop)?;
    if pipeline.widened() && !args.reply.quiet {
        ui.say(WIDENED);
    }
    let summary = Summary::new(about, &finished, begin.elapsed());
    let mut files = output.write(&pictures, &between, &summary, &stop)?;
    if let Some(file) = &args.save_latents {
        output::make_folder(&folder_of(file))?;
        latents::write(file, &finished.latents)?;
        files.push(file.clone());
    }
    files.extend(args.record.clone());
    files.extend(watch.finish(finished_in(&finished))?);
    say(args, &summary, &files, ui)
}

const WIDENED: &str = "16 bits are too few for this model's autoencoder: it ran again in f32";

/// What was written, for people or for programs.
fn say(args: &Run, summary: &Summary, files: &[PathBuf], ui: Ui) -> Result<Exit> {
    match args.reply.format {
        Format::Json => ui.data(&summary.json(files))?,
        Format::Human if args.reply.quiet => {}
        Format::Human => ui.say(&summary.text(files)),
    }
    Ok(Exit::Done)
}

/// The part of a batch that is asked for, else the one that an array job's environment says. One picture
/// has no parts: tasks that each draw another seed are left alone.
fn part(args: &Run) -> Result<Option<Shard>> {
    match (args.shard, args.batch) {
        (None, 1) => Ok(None),
        (shard, _) if args.record.is_some() || args.save_latents.is_some() => Ok(shard),
        (shard, _) => Shard::or_of_environment(shard).map_err(Failure::Usage),
    }
}

/// Draws what is not there.
fn go_on(
    kept: &Kept<'_>,
    request: &Request<'_>,
    pipeline: &mut Pipeline,
    mut watch: Watch,
    begin: Instant,
    ui: Ui,
) -> Result<Exit> {
    let args = kept.args;
    let (there, open) = (kept.there.len(), kept.open());
    if !args.reply.quiet && there > 0 {
        ui.say(&format!("{there} of {} pictures are there", there + open));
    }
    let mut made = Made::default();
    let drawn = kept.draw(request, pipeline, &mut watch, &mut made);
    watch.bar.end();
    if matches!(drawn, Err(Failure::Interrupted)) {
        let all = there + made.samples.len();
        ui.say(&format!(
            "{all} of {} pictures are kept; --resume goes on",
            there + open
        ));
    }
    drawn?;
    if pipeline.widened() && !args.reply.quiet {
        ui.say(WIDENED);
    }
    let took = (made.network, made.arithmetic);
    let mut files = std::mem::take(&mut made.files);
    files.extend(kept.sheet()?);
    let evaluations = made.evaluations.iter().sum();
    files.extend(watch.finish((evaluations, took.0, took.1))?);
    let (samples, evaluations) = (made.samples, made.evaluations);
    let summary = Summary::of_some(
        kept.about.clone(),
        samples,
        evaluations,
        took,
        begin.elapsed(),
    );
    say(args, &summary, &files, ui)
}

/// Gives a plan the size that is asked for.
pub fn sized(args: &Run, plan: &mut Plan, pipeline: &Pipeline) -> Result<()> {
    if let Some((width, height)) = args.size {
        let (height, width) = pipeline.latent_size(width as usize, height as usize)?;
        // INVARIANT: the sides of a latent are below those of the picture, which are `u32`.
        plan.head.model.latent[1..].copy_from_slice(&[height as u32, width as u32]);
    }
    Ok(())
}

/// What the first latents are made of; `size` is the picture's height and width.
fn start(args: &Run, size: (usize, usize), pipeline: &Pipeline) -> Result<Start> {
    if let Some(noise) = source::noise(args)? {
        return Ok(Start::Given(noise));
    }
    if let Some(path) = &args.init_latents {
        return Ok(Start::Given(latents::read(path, latents::NAME)?));
    }
    match &args.init_image {
        Some(path) => {
            let picture = image::read_picture(path, size.0, size.1)?;
            Ok(Start::Picture(pipeline.distribution(&picture)?))
        }
        None => Ok(Start::Noise),
    }
}

/// Runs some samples of the request.
fn sample(
    args: &Run,
    request: &Request<'_>,
    samples: Range<usize>,
    pipeline: &mut Pipeline,
    watch: &mut Watch,
) -> Result<Finished> {
    let Some(heard) = watch.heard() else {
        return sample_by(args, request, samples, pipeline, watch);
    };
    let mut probe = Probe::new(pipeline, &heard);
    sample_by(args, request, samples, &mut probe, watch)
}

fn sample_by(
    args: &Run,
    request: &Request<'_>,
    samples: Range<usize>,
    pipeline: &mut dyn Predictor,
    watch: &mut Watch,
) -> Result<Finished> {
    match &args.record {
        None => Ok(sampling::run_some(request, samples, pipeline, watch)?),
        Some(_) if sampling::samples_at_once(request) < request.batch => {
            let most = sampling::samples_at_once(request);
            Err(Failure::Usage(format!(
                "--record keeps at most {most} pictures of this size"
            )))
        }
        Some(file) => record::run(request, pipeline, watch, file),
    }
}

/// Loads the model that a plan is for.
pub fn load(
    target: &Target,
    dtype: Option<Dtype>,
    plan: &Plan,
    device: &Device,
    search: Search<'_>,
    ui: Ui,
) -> Result<Pipeline> {
    let name = target.model.as_deref().unwrap_or(&plan.head.model.name);
    let found = fetch::model(name, search, ui)?;
    let source = found.source.with(&changes(&target.parts))?;
    let dtype = device::dtype(dtype, device);
    Ok(Pipeline::load(&source, &found.name, dtype, device)?)
}

/// Binds prompts and models to the pipeline; what is left is for the rule.
pub fn bind(
    target: &Target,
    conditions: Conditions,
    plan: &Plan,
    pipeline: &mut Pipeline,
    search: Search<'_>,
    ui: Ui,
) -> Result<Bindings> {
    let [_, height, width] = plan.head.model.latent.map(|side| side as usize);
    let sizes = Sizes {
        latent: (height, width),
        picture: pipeline.picture_size(height, width),
    };
    let bound = inputs::bind(plan, &target.bind, sizes, &|picture| {
        pipeline.encode(picture)
    })?;
    inputs::complete(plan, &bound)?;
    for (name, value) in &bound.models {
        let found = fetch::model(value, search, ui)?;
        pipeline.bind_model(name, &found.source)?;
    }
    for (name, value) in &bound.classifiers {
        let classes = bound.classes.get(name).map_or(&[][..], Vec::as_slice);
        pipeline.bind_classifier(name, &fetch::network(value, search, ui)?, classes)?;
    }
    for (name, value) in &bound.losses {
        let network = bound.networks.get(name);
        let network = network.map(|value| fetch::network(value, search, ui));
        let network = network.transpose()?;
        pipeline.bind_loss(name, value, network.as_ref(), sizes.picture)?;
    }
    pipeline.set_conditions(Conditions {
        inputs: bound.prompts,
        ..conditions
    });
    Ok(bound.bindings)
}

/// The class to aim at, for each picture: the one that is asked for, else the one that the prompt names.
pub fn target(args: &Run, plan: &Plan, pipeline: &Pipeline) -> Result<Option<Vec<u32>>> {
    let class = match &args.aim {
        Some(text) => pipeline.class(text)?,
        None if !plan.head.needs.contains(&Need::Target) => return Ok(None),
        None => pipeline.class_of_prompt().ok_or_else(|| {
            Diagnostic::new(
                Code::NotBound,
                format!(
                    "the guide `{}` aims at a class, and the prompt names none",
                    plan.head.guide
                ),
            )
            .help("add `--target` with the number or the name of a class")
        })?,
    };
    Ok(Some(vec![class; args.batch as usize]))
}

/// What the options ask for.
pub fn conditions(args: &Run) -> Conditions {
    let sdxl = &args.sdxl;
    // The options name what lies along the width first, the network what lies along the height.
    let turned = |pair: Option<(u32, u32)>| pair.map(|(x, y)| (y as usize, x as usize));
    Conditions {
        prompt: args.prompt.text.clone(),
        negative: args.target.negative.clone().filter(|text| !text.is_empty()),
        second: SecondTexts {
            prompt: sdxl.prompt_2.clone(),
            negative: sdxl.negative_2.clone(),
        },
        framing: AskedFraming {
            original: turned(sdxl.original_size),
            crop: turned(sdxl.crop),
            target: turned(sdxl.target_size),
        },
        reading: if args.prompt.weights {
            Reading::Weighted
        } else {
            Reading::Literal
        },
        ..Conditions::default()
    }
}

/// A flag that Ctrl-C sets. What is in work then ends at the next evaluation of a network.
pub fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).map_err(|error| {
        Diagnostic::new(
            Code::DeviceFailed,
            format!("interrupts cannot be watched for: {error}"),
        )
    })?;
    Ok(stop)
}

pub fn check(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        Err(Failure::Interrupted)
    } else {
        Ok(())
    }
}

/// How much of the way is taken from a picture, where one is given; diffusers' default without a word.
fn strength(args: &Run) -> Result<Option<f64>> {
    let asked = args.target.strength;
    match &args.init_image {
        Some(_) => Ok(Some(asked.unwrap_or(0.8))),
        None if asked.is_some() => Err(Failure::Usage(
            "--strength is for a start from a picture; add --init-image FILE".to_owned(),
        )),
        None => Ok(None),
    }
}

/// The plan: of a guide, or read from a file that `guidec plan --format json` wrote. Warnings are said
/// unless it is to be quiet.
pub fn plan(args: &Run, quiet: bool, ui: Ui) -> Result<Plan> {
    if args.source.file.ends_with(".json") {
        return saved::read(args);
    }
    let mut model = describe(&args.target)?;
    if let Some((width, height)) = args.size
        && let Some(pixels) = pixels(&args.target)
    {
        // What does not divide is refused once the model is there.
        model.facts.latent[1..].copy_from_slice(&[height / pixels, width / pixels]);
    }
    let negative = args
        .target
        .negative
        .as_deref()
        .is_some_and(|text| !text.is_empty());
    let mut request = request(&args.source, &args.target, model, negative)?;
    request.strength = strength(args)?;
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

/// The pictures of a run, and those on their way.
struct Drawn {
    pictures: Vec<Picture>,
    between: Vec<Halfway>,
}

/// The pictures of a run, one after another, so that an interruption does not wait for all.
fn decode(
    pipeline: &Pipeline,
    finished: &Finished,
    watch: &mut Watch,
    stop: &AtomicBool,
) -> Result<Drawn> {
    let between = watch.between.take();
    let between = between.map(|between| between.pictures(pipeline, stop));
    let between = between.transpose()?.unwrap_or_default();
    let mut pictures = Vec::new();
    for latents in latents::rows(&finished.latents)? {
        check(stop)?;
        pictures.extend(Picture::of(&pipeline.decode(&latents)?)?);
    }
    Ok(Drawn { pictures, between })
}

/// What a run asked and took.
fn finished_in(finished: &Finished) -> (u64, Duration, Duration) {
    let evaluations = finished.evaluations.iter().sum();
    (evaluations, finished.network, finished.arithmetic)
}
