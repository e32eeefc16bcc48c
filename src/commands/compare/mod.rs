//! `guidec compare` and `guidec sweep`: the same seeds through several rules, or through one rule with several
//! values; `guidec merge` joins what shards have made.

mod journal;
mod merge;
mod pictures;
mod report;
mod results;
mod sheet;
mod table;
mod variants;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use guide_compiler::plan::Plan;
use guide_compiler::show;
use guide_runtime::image::encode_png;
use guide_runtime::memo::Memory;
use serde_json::json;

use crate::args::{Compare, Format, Run, Shard, Sweep, Together};
use crate::commands::run as one;
use crate::commands::run::output::{make_folder, new_folder};
use crate::exit::{Exit, Failure, Result};
use crate::fetch::{self, Search};
use crate::files::write_whole;
use crate::ui::Ui;
use pictures::Work;
use results::{FORMAT, Found, Results};
use variants::{Variant, Variants};

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
        fetch::networks(&run.target.bind, search, ui, || one::plan(&run, true, ui))?;
        let plan = one::plan(&run, run.reply.quiet, ui)?;
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
