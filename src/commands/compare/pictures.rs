//! Makes the pictures of a rule that are not there, and keeps them as they are finished.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use guide_compiler::plan::{Need, Plan};
use guide_runtime::device::{DType, Device};
use guide_runtime::image::{Picture, encode_png};
use guide_runtime::inputs::{CLASSES, NETWORK};
use guide_runtime::memo::Memory;
use guide_runtime::models::Pipeline;
use guide_runtime::run::{Request, Start};
use serde_json::json;

use super::Ready;
use super::journal::Journal;
use super::results::{Made, Results};
use super::work::{self, Jury};
use crate::args::{Run, Shard, Target, Together};
use crate::commands::run as one;
use crate::commands::run::bar::Bar;
use crate::commands::run::output::make_folder;
use crate::commands::run::portions::{at_once, in_a_row};
use crate::exit::{Failure, Result};
use crate::fetch::Search;
use crate::files::write_whole;
use crate::ui::Ui;

/// What is needed to run variants.
pub struct Work<'a> {
    pub args: &'a Together,
    pub shard: Option<Shard>,
    pub folder: &'a Path,
    /// Begun with the first picture.
    pub journal: Option<Journal>,
    pub device: &'a Device,
    pub pipeline: Pipeline,
    /// What the rules before this one were answered.
    pub memory: Memory,
    pub search: Search<'a>,
    pub stop: &'a Arc<AtomicBool>,
    pub ui: Ui,
    /// Evaluations that another rule had made before.
    pub remembered: u64,
    /// Seconds in the networks and in arithmetic.
    pub seconds: (f64, f64),
}

impl Work<'_> {
    /// Makes the pictures of a variant that are not there, and keeps them as they are finished.
    pub fn variant(&mut self, at: usize, ready: &mut Ready, results: &mut Results) -> Result<()> {
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
        pictures: Vec<(Picture, Made)>,
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

/// What is bound of what a plan declares, and of its parts: rules that are compared need not all declare it.
fn known_to(target: &Target, plan: &Plan) -> Target {
    let mut own = target.clone();
    own.bind.retain(|(name, _)| {
        let part = name.strip_suffix(CLASSES);
        let name = part.or(name.strip_suffix(NETWORK)).unwrap_or(name);
        let input = plan.inputs.iter().any(|input| input.name == name);
        let model = plan
            .head
            .needs
            .iter()
            .any(|need| matches!(need, Need::Model(known) if known == name));
        let judge = plan
            .classifiers
            .iter()
            .any(|classifier| classifier.name == name);
        input || model || judge
    });
    own
}
