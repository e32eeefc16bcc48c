//! `guidec compare` and `guidec sweep`: the same seeds through several rules, or through one rule with several
//! values; `guidec merge` joins what shards have made.

mod journal;
mod merge;
mod report;
mod results;
mod sheet;
mod table;
mod variants;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use guide_compiler::plan::Plan;
use guide_compiler::show;
use guide_runtime::device::{DType, Device};
use guide_runtime::image::encode_png;
use guide_runtime::memo::Memory;
use guide_runtime::models::Pipeline;
use guide_runtime::run::{Request, Start};
use serde_json::json;

use crate::args::{Compare, Format, Run, Shard, Sweep, Together};
use crate::commands::run as one;
use crate::commands::run::bar::Bar;
use crate::commands::run::output::{make_folder, new_folder};
use crate::commands::run::portions::{at_once, in_a_row};
use crate::exit::{Exit, Failure, Result};
use crate::fetch::{self, Search};
use crate::files::write_whole;
use crate::ui::Ui;
use journal::Journal;
use results::{FORMAT, Found, Made, Results};
use variants::{Variant, Variants};
use work::Jury;

pub use merge::merge;

/// Bytes of answers that are remembered from rule to rule.
const REMEMBERED: usize = 256 << 20;

/// Several rules.
pub fn compare(args: &Compare, ui: Ui) -> Result<Exit> {
    let variants = variants::of_rules(args)?;
    let reference = match &args.reference {
        None => variants
            .list
            .first()
            .map(|v| v.label.clone())
            .unwrap_or_default(),
        Some(wanted) => {
            let by_label = variants.list.iter().find(|v| v.label == *wanted);
            let by_text = args.rules.iter().position(|rule| rule == wanted);
            let found = by_label.or_else(|| variants.list.get(by_text?));
            let found = found.ok_or_else(|| {
                let labels: Vec<&str> = variants.list.iter().map(|v| v.label.as_str()).collect();
                let list = labels.join("', '");
                Failure::Usage(format!("--reference '{wanted}' is none of '{list}'"))
            })?;
            found.label.clone()
        }
    };
    together(
        "compare",
        &args.together,
        &args.allow_path,
        variants,
        reference,
        ui,
    )
}

/// One rule with several values.
pub fn sweep(args: &Sweep, ui: Ui) -> Result<Exit> {
    let variants = variants::of_values(args)?;
    let reference = variants
        .list
        .first()
        .map(|v| v.label.clone())
        .unwrap_or_default();
    let paths = &args.source.allow_path;
    together("sweep", &args.together, paths, variants, reference, ui)
}

/// What a variant is run as.
fn as_run(variant: &Variant, args: &Together, allow_path: &[PathBuf]) -> Run {
    let mut run = Run::of_file(&variant.file);
    run.source.guide.clone_from(&variant.guide);
    run.source.allow_path = allow_path.to_vec();
    run.prompt.clone_from(&args.prompt);
    run.aim.clone_from(&args.aim);
    run.target = args.target.clone();
    run.target.set.extend(variant.set.iter().cloned());
    run.size = args.size;
    run.machine.clone_from(&args.machine);
    run.at_once = args.at_once;
    run.reply = args.reply;
    run
}

/// A variant that is ready to run.
struct Ready {
    run: Run,
    plan: Plan,
}

fn together(
    command: &str,
    args: &Together,
    allow_path: &[PathBuf],
    variants: Variants,
    reference: String,
    ui: Ui,
) -> Result<Exit> {
    let shard = Shard::or_of_environment(args.shard).map_err(Failure::Usage)?;
    let stop = one::stop_on_interrupt()?;
    let search = Search::new(
        args.target.offline,
        args.reply.quiet,
        args.machine.dtype,
        &stop,
    );
    if let Some(name) = &args.target.model {
        fetch::model(name, search, ui)?;
    }
    // Every rule is compiled before the first is run.
    let mut ready = Vec::with_capacity(variants.list.len());
    for variant in &variants.list {
        let run = as_run(variant, args, allow_path);
        let plan = one::plan(&run, ui)?;
        ready.push(Ready { run, plan });
    }
    let device = one::device::of(&args.machine.device)?;
    let first = ready
        .first()
        .ok_or_else(|| Failure::Usage("nothing to compare".to_owned()))?;
    let pipeline = one::load(
        &args.target,
        args.machine.dtype,
        &first.plan,
        &device,
        search,
        ui,
    )?;
    let mut results = begun(args, &variants, &ready, reference);
    let folder = place(command, args, &mut results)?;
    let mut work = Work {
        args,
        shard,
        folder: &folder,
        journal: None,
        device: &device,
        pipeline,
        memory: Memory::new(REMEMBERED),
        search,
        stop: &stop,
        ui,
        remembered: 0,
        seconds: (0.0, 0.0),
    };
    for (at, ready) in ready.iter_mut().enumerate() {
        work.variant(at, ready, &mut results)?;
    }
    results.write(&folder)?;
    journal::end(&folder)?;
    let (files, rows) = finish(&folder, &results)?;
    match args.reply.format {
        Format::Json => ui.data(&table::json(&rows, &results, &folder))?,
        Format::Human if args.reply.quiet => {}
        Format::Human => {
            ui.say(&table::text(&rows, &results.reference));
            let (network, arithmetic) = work.seconds;
            ui.say(&format!(
                "network {network:.1} s, arithmetic {arithmetic:.2} s; {} evaluations were another rule's already",
                work.remembered
            ));
            files
                .iter()
                .for_each(|file| ui.say(&format!("wrote {}", file.display())));
        }
    }
    Ok(Exit::Done)
}

/// The sheet and the report of what a folder holds; also the numbers that stand in the report.
fn finish(folder: &Path, results: &Results) -> Result<(Vec<PathBuf>, Vec<table::Row>)> {
    let sheet = folder.join("contact.png");
    let picture = encode_png(
        &sheet::sheet(results, folder)?,
        &json!(results.asked).to_string(),
    )?;
    let write = |place: &Path, bytes: &[u8]| {
        write_whole(place, bytes).map_err(|error| Failure::unwritable(place, error))
    };
    write(&sheet, &picture)?;
    let rows = table::rows(results, folder)?;
    let page = folder.join("report.html");
    write(&page, report::page(results, &rows, folder)?.as_bytes())?;
    Ok((vec![page, sheet, folder.join(results::FILE)], rows))
}

/// What is known before anything has run.
fn begun(args: &Together, variants: &Variants, ready: &[Ready], reference: String) -> Results {
    let bind: Vec<_> = args
        .target
        .bind
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    let head = ready.first().map(|ready| &ready.plan.head);
    let asked = [
        ("prompt", json!(args.prompt.text)),
        (
            "negative",
            json!(args.target.negative.as_deref().unwrap_or("")),
        ),
        ("model", json!(head.map(|head| head.model.name.as_str()))),
        ("sampler", json!(head.map(|head| head.sampler.as_str()))),
        ("steps", json!(head.map(|head| head.steps))),
        ("bind", json!(bind)),
        ("size", json!(args.size)),
        ("target", json!(args.aim)),
        ("prompt_weights", json!(args.prompt.weights)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
    ];
    let mut folders: Vec<String> = Vec::new();
    let found = variants.list.iter().zip(ready).map(|(variant, ready)| {
        let folder = one::output::words_of(&variant.label, "rule");
        let taken = folders.iter().filter(|known| **known == folder).count();
        let own = match taken {
            0 => folder.clone(),
            more => format!("{folder}-{}", more + 1),
        };
        folders.push(folder);
        Found {
            label: variant.label.clone(),
            place: variant.place,
            folder: own,
            plan: show::text(&ready.plan),
            planned: (ready.plan.cost.least, ready.plan.cost.most),
            pictures: BTreeMap::new(),
        }
    });
    Results {
        format: FORMAT.to_owned(),
        asked: asked
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        variants: found.collect(),
        columns: variants.columns.clone(),
        rows: variants.rows.clone(),
        reference,
    }
}

/// The folder: a new one, or one that was begun, whose finished pictures are kept.
fn place(command: &str, args: &Together, results: &mut Results) -> Result<PathBuf> {
    let Some(folder) = &args.out else {
        return new_folder(Path::new("."), command);
    };
    let is_begun = folder.join(results::FILE).exists();
    if is_begun && !args.resume {
        return Err(Failure::Usage(format!(
            "{} holds a comparison already; --resume goes on with it",
            folder.display()
        )));
    }
    make_folder(folder)?;
    if is_begun {
        let mut before = Results::read(folder)?;
        if !results.fits(&before) {
            return Err(Failure::Usage(format!(
                "{} holds a comparison of something else; name another folder",
                folder.display()
            )));
        }
        for found in &mut before.variants {
            let files: Vec<u64> = found.pictures.keys().copied().collect();
            for seed in files {
                if sheet::read(&found.file(folder, seed)).is_err() {
                    found.pictures.remove(&seed);
                }
            }
        }
        results.join(before);
    }
    results.write(folder)?;
    Ok(folder.clone())
}

/// What is needed to run variants.
struct Work<'a> {
    args: &'a Together,
    shard: Option<Shard>,
    folder: &'a Path,
    /// Begun with the first picture.
    journal: Option<Journal>,
    device: &'a Device,
    pipeline: Pipeline,
    memory: Memory,
    search: Search<'a>,
    stop: &'a Arc<AtomicBool>,
    ui: Ui,
    remembered: u64,
    seconds: (f64, f64),
}

impl Work<'_> {
    /// Makes the pictures of a variant that are not there, and keeps them as they are finished.
    fn variant(&mut self, at: usize, ready: &mut Ready, results: &mut Results) -> Result<()> {
        let Some(found) = results.variants.get(at) else {
            return Ok(());
        };
        let args = self.args;
        let part = match self.shard {
            Some(shard) => shard.of(args.batch),
            None => 0..args.batch,
        };
        let open = |i: &u32| {
            !found
                .pictures
                .contains_key(&args.seed.wrapping_add(u64::from(*i)))
        };
        let open: Vec<u32> = part.filter(open).collect();
        if open.is_empty() {
            return Ok(());
        }
        if !args.reply.quiet {
            self.ui.say(&format!(
                "{} ({} of {})",
                found.label,
                at + 1,
                results.variants.len()
            ));
        }
        one::sized(&ready.run, &mut ready.plan, &self.pipeline)?;
        let bindings = one::bind(
            &known_to(&ready.run.target, &ready.plan),
            one::conditions(&ready.run),
            &ready.plan,
            &mut self.pipeline,
            self.search,
            self.ui,
        )?;
        self.pipeline.prepare(&ready.plan)?;
        self.pipeline.set_max_batch(args.at_once.most());
        let jury = Jury::of(&self.pipeline, &ready.plan.head.model.name, self.device);
        let latent = ready.plan.head.model.latent.map(|side| side as usize);
        for samples in in_a_row(&open, at_once(&ready.plan, args.batch)) {
            let batch = samples.len() as u32;
            let mut bindings = bindings.clone();
            let run = Run {
                batch,
                ..ready.run.clone()
            };
            bindings.target = one::target(&run, &ready.plan, &self.pipeline)?;
            let seed = args.seed.wrapping_add(u64::from(samples.start));
            let request = Request {
                plan: &ready.plan,
                batch: samples.len(),
                latent: &latent,
                device: self.device,
                bindings,
                seed,
                start: Start::Noise,
                stop: self.stop,
            };
            // Elsewhere an answer may depend on what stands beside it.
            let exact = self.device.is_cpu()
                && one::device::dtype(args.machine.dtype, self.device) == DType::F32;
            let memory = exact.then_some(&mut self.memory);
            let mut bar = Bar::start(args.reply.quiet, self.ui);
            let worked = work::work(
                &request,
                &mut self.pipeline,
                memory,
                jury.as_ref(),
                &mut bar,
            );
            bar.end();
            let worked = worked?;
            self.remembered += worked.remembered;
            self.seconds.0 += worked.seconds.0;
            self.seconds.1 += worked.seconds.1;
            self.keep(at, seed, worked.pictures, results)?;
        }
        Ok(())
    }

    /// Writes pictures, and of each that it is there.
    fn keep(
        &mut self,
        at: usize,
        first: u64,
        pictures: Vec<(guide_runtime::image::Picture, Made)>,
        results: &mut Results,
    ) -> Result<()> {
        let asked = results.asked.clone();
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => {
                results.write(self.folder)?;
                none.insert(Journal::begin(self.folder)?)
            }
        };
        let Some(found) = results.variants.get_mut(at) else {
            return Ok(());
        };
        make_folder(&self.folder.join("pictures").join(&found.folder))?;
        for (i, (picture, made)) in pictures.into_iter().enumerate() {
            let seed = first.wrapping_add(i as u64);
            let place = found.file(self.folder, seed);
            let about = json!({"rule": found.label, "seed": seed, "asked": asked});
            let bytes = encode_png(&picture, &about.to_string())?;
            write_whole(&place, &bytes).map_err(|error| Failure::unwritable(&place, error))?;
            journal.add(&found.folder, seed, &made)?;
            found.pictures.insert(seed, made);
        }
        Ok(())
    }
}

/// What is bound of what a plan declares: rules that are compared need not all declare it.
fn known_to(target: &crate::args::Target, plan: &Plan) -> crate::args::Target {
    use guide_compiler::plan::Need;
    let mut own = target.clone();
    own.bind.retain(|(name, _)| {
        let input = plan.inputs.iter().any(|input| input.name == *name);
        let model = plan
            .head
            .needs
            .iter()
            .any(|need| matches!(need, Need::Model(known) if known == name));
        let judge = plan
            .classifiers
            .iter()
            .any(|classifier| classifier.name == *name);
        input || model || judge
    });
    own
}
