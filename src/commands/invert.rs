//! `guidec invert`: finds the noise from which a run makes a picture, and says how near it comes back.

use std::sync::atomic::AtomicBool;

use guide_compiler::pipeline::{Request as Wanted, Times};
use guide_compiler::plan::Plan;
use guide_runtime::device::{Device, Tensor};
use guide_runtime::exec::Bindings;
use guide_runtime::image::{self, Picture};
use guide_runtime::latents::distance;
use guide_runtime::models::{Conditions, Pipeline};
use guide_runtime::run::{self as sampling, Finished, Observer, Progress, Request, Start};
use guide_runtime::trajectory::{Collect, Trajectory};
use serde_json::json;

use super::run::bar::Bar;
use super::run::{self, device, output, stop_on_interrupt};
use crate::args::{Format, Invert, Source};
use crate::compile::{self, compile};
use crate::describe::{describe, pixels};
use crate::exit::{Exit, Failure, Result};
use crate::fetch::{self, Search};
use crate::files::{folder_of, write_whole};
use crate::ui::Ui;

/// What is followed where no guide is named.
const PLAIN: &str = "std::rules::cfg";

/// Inverts a picture.
pub fn invert(args: &Invert, ui: Ui) -> Result<Exit> {
    refuse(args)?;
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
    let [mut there, mut back] = plans(args, ui)?;
    for file in [Some(&args.out), args.picture.as_ref()]
        .into_iter()
        .flatten()
    {
        output::try_out_for(file, output::SPARE)?;
    }
    let device = device::of(&args.machine.device)?;
    let mut pipeline = run::load(&args.target, args.machine.dtype, &back, &device, search, ui)?;
    if let Some((width, height)) = args.size {
        let (height, width) = pipeline.latent_size(width as usize, height as usize)?;
        for plan in [&mut there, &mut back] {
            // INVARIANT: the sides of a latent are below those of the picture, which are `u32`.
            plan.head.model.latent[1..].copy_from_slice(&[height as u32, width as u32]);
        }
    }
    let conditions = Conditions {
        prompt: args.prompt.clone(),
        negative: negative(args),
        ..Conditions::default()
    };
    let bindings = run::bind(&args.target, conditions, &back, &mut pipeline, search, ui)?;
    let latent = back.head.model.latent.map(|side| side as usize);
    let size = pipeline.picture_size(latent[1], latent[2]);
    let picture = image::read_picture(&args.image, size.0, size.1)?;
    let clean = pipeline.distribution(&picture)?.mean;
    let mut work = Work {
        args,
        ui,
        stop: &stop,
        device: &device,
        latent: &latent,
        bindings,
        pipeline,
    };
    let mut way = Collect::default();
    work.run(&there, Start::Clean(clean), &mut way)?;
    let way = way.finish()?;
    let again = work.run(&back, Start::Given(way.noise()?), &mut ())?;
    let report = work.report(&way, &again, &picture)?;
    output::make_folder(&folder_of(&args.out))?;
    way.write(&args.out, &about(args, &there))?;
    if let Some(file) = &args.picture {
        let bytes = image::encode_png(&report.picture, &json!({"round_trip": true}).to_string())?;
        output::make_folder(&folder_of(file))?;
        write_whole(file, &bytes).map_err(|error| Failure::unwritable(file, error))?;
    }
    report.say(args, &there, ui)?;
    Ok(Exit::Done)
}

/// Refuses options that only runs from noise have.
fn refuse(args: &Invert) -> Result<()> {
    let target = &args.target;
    if target.sampler.as_deref().is_some_and(|name| name != "ddim") {
        let message = "only ddim can be walked backwards; leave out --sampler";
        return Err(Failure::Usage(message.to_owned()));
    }
    let given = [("--eta", target.eta), ("--strength", target.strength)];
    match given.iter().find(|(_, value)| value.is_some()) {
        Some((name, _)) => {
            let message = format!("{name} is not for an inversion, which draws no noise");
            Err(Failure::Usage(message))
        }
        None => Ok(()),
    }
}

fn negative(args: &Invert) -> Option<String> {
    let negative = args.target.negative.clone();
    negative.filter(|text| !text.is_empty())
}

/// The plans of the way to the noise and back.
fn plans(args: &Invert, ui: Ui) -> Result<[Plan; 2]> {
    let mut model = describe(&args.target)?;
    if let Some((width, height)) = args.size
        && let Some(pixels) = pixels(&args.target)
    {
        model.facts.latent[1..].copy_from_slice(&[height / pixels, width / pixels]);
    }
    let source = Source {
        file: args.file.clone().unwrap_or_else(|| PLAIN.to_owned()),
        guide: args.guide.clone(),
        allow_path: args.allow_path.clone(),
    };
    let mut request = compile::request(&source, &args.target, model, negative(args).is_some())?;
    if args.file.is_none() && request.settings.iter().all(|(name, _)| name != "scale") {
        request.settings.push(("scale".to_owned(), "1".to_owned()));
    }
    let Times::Sampler {
        scheduler, spacing, ..
    } = request.times.clone()
    else {
        return Err(Failure::Usage("an inversion needs a sampler".to_owned()));
    };
    let backwards = Times::Inversion {
        scheduler: scheduler.clone(),
        spacing,
    };
    let forwards = Times::Sampler {
        scheduler,
        sampler: guide_compiler::timetable::Sampler::Ddim,
        spacing,
    };
    let of = |times: Times| {
        let wanted = Wanted {
            times,
            ..request.clone()
        };
        compile(&source, &wanted)
    };
    let (there, back) = (of(backwards)?, of(forwards)?);
    if !args.reply.quiet {
        ui.diagnostics(&back.warnings, &back.files);
    }
    Ok([there.plan, back.plan])
}

/// What the file says of how it was made.
fn about(args: &Invert, plan: &Plan) -> Vec<(&'static str, String)> {
    vec![
        ("guide", plan.head.guide.clone()),
        ("model", plan.head.model.name.clone()),
        ("steps", plan.head.steps.to_string()),
        ("prompt", args.prompt.clone()),
        ("negative", negative(args).unwrap_or_default()),
    ]
}

/// A model with what is run on it.
struct Work<'a> {
    args: &'a Invert,
    ui: Ui,
    stop: &'a AtomicBool,
    device: &'a Device,
    latent: &'a [usize],
    bindings: Bindings,
    pipeline: Pipeline,
}

/// Shows a run, and lets something else see it.
struct Both<'a> {
    bar: Bar,
    other: &'a mut dyn Observer,
}

impl Observer for Both<'_> {
    fn tick(&mut self, progress: &Progress<'_>) -> guide_runtime::error::Result<()> {
        self.bar.tick(progress)?;
        self.other.tick(progress)
    }
}

impl Work<'_> {
    fn run(&mut self, plan: &Plan, start: Start, other: &mut dyn Observer) -> Result<Finished> {
        self.pipeline.prepare(plan)?;
        let request = Request {
            plan,
            batch: 1,
            latent: self.latent,
            device: self.device,
            bindings: self.bindings.clone(),
            seed: 0,
            start,
            stop: self.stop,
        };
        let mut both = Both {
            bar: Bar::start(self.args.reply.quiet, self.ui),
            other,
        };
        let finished = sampling::run(&request, &mut self.pipeline, &mut both);
        both.bar.end();
        Ok(finished?)
    }

    fn report(&self, way: &Trajectory, again: &Finished, picture: &Tensor) -> Result<Report> {
        let given = one(picture)?;
        let came_back = one(&self.pipeline.decode(&again.latents)?)?;
        // What the autoencoder alone loses is no fault of the way.
        let through = one(&self.pipeline.decode(&way.clean()?)?)?;
        Ok(Report {
            latents: distance(&again.latents, &way.clean()?)?,
            of_picture: came_back.levels_apart(&given),
            of_autoencoder: through.levels_apart(&given),
            picture: came_back,
        })
    }
}

/// The picture of a tensor `[1, 3, H, W]`.
fn one(tensor: &Tensor) -> Result<Picture> {
    let first = Picture::of(tensor)?.into_iter().next();
    first.ok_or_else(|| Failure::Usage("a run made no picture".to_owned()))
}

/// How near a round trip came.
struct Report {
    /// Of the latents, as a share of their norm.
    latents: f64,
    /// Mean difference of the pictures, in levels of 256.
    of_picture: f64,
    /// The same of the picture that is only encoded and decoded.
    of_autoencoder: f64,
    /// Where it ended.
    picture: Picture,
}

impl Report {
    fn say(&self, args: &Invert, plan: &Plan, ui: Ui) -> Result<()> {
        let steps = plan.head.steps;
        match args.reply.format {
            Format::Json => ui.data(
                &json!({
                    "file": args.out, "picture": args.picture, "guide": plan.head.guide,
                    "steps": steps, "latents": self.latents, "levels": self.of_picture,
                    "levels_of_autoencoder": self.of_autoencoder,
                })
                .to_string(),
            ),
            Format::Human if args.reply.quiet => Ok(()),
            Format::Human => {
                ui.say(&format!(
                    "{} steps back and forth with `{}`: the latents come back within {:.2} % of their norm,\n\
                     the picture within {:.2} of 256 levels ({:.2} by the autoencoder alone)",
                    steps,
                    plan.head.guide,
                    100.0 * self.latents,
                    self.of_picture,
                    self.of_autoencoder
                ));
                let picture = args
                    .picture
                    .iter()
                    .map(|file| format!(" {}", file.display()));
                ui.say(&format!(
                    "{}{}",
                    args.out.display(),
                    picture.collect::<String>()
                ));
                Ok(())
            }
        }
    }
}
