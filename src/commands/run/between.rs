//! `--every N`: the clean pictures that a run aims at on its way.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use guide_compiler::plan::{Plan, Space, Tick};
use guide_runtime::device::{DType, Tensor};
use guide_runtime::error::Result as Ran;
use guide_runtime::image::Picture;
use guide_runtime::latents;
use guide_runtime::models::Pipeline;
use guide_runtime::run::{Progress, stopped};

use crate::exit::Result;

/// Notes the clean latents after every so many steps. They are decoded when the run is over, so that
/// nothing of it is another for being looked at.
pub struct Between {
    every: u32,
    space: Space,
    ticks: Vec<Tick>,
    steps: u32,
    cleans: Vec<(Range<usize>, u32, Tensor)>,
}

/// A picture on its way.
pub struct Halfway {
    /// Which sample's.
    pub sample: usize,
    /// How many steps were done.
    pub step: u32,
    /// How many digits the number of all steps has: names that are as long sort.
    pub digits: usize,
    /// The picture.
    pub picture: Picture,
}

impl Between {
    /// Of the run of a plan.
    pub fn new(every: u32, plan: &Plan) -> Self {
        Self {
            every,
            space: plan.head.model.space,
            ticks: plan.timetable.ticks.clone(),
            steps: plan.head.steps,
            cleans: Vec::new(),
        }
    }

    /// Looks at a tick: the last one of a step says what the step aims at.
    pub fn tick(&mut self, progress: &Progress<'_>) -> Ran<()> {
        let step = progress.tick.step;
        let goes_on = self
            .ticks
            .get(progress.index + 1)
            .is_some_and(|next| next.step == step);
        let done = step.saturating_add(1);
        // The end is the picture itself.
        if !goes_on && done.is_multiple_of(self.every) && done < self.steps {
            let clean = progress.clean(self.space)?.to_dtype(DType::F32)?;
            self.cleans.push((progress.samples.clone(), done, clean));
        }
        Ok(())
    }

    /// The pictures, in the order of the steps.
    pub fn pictures(self, pipeline: &Pipeline, stop: &AtomicBool) -> Result<Vec<Halfway>> {
        let digits = self.steps.to_string().len();
        let mut all = Vec::new();
        for (samples, step, clean) in self.cleans {
            for (sample, latents) in samples.zip(latents::rows(&clean)?) {
                stopped(stop)?;
                let pictures = Picture::of(&pipeline.decode(&latents)?)?;
                all.extend(pictures.into_iter().map(|picture| Halfway {
                    sample,
                    step,
                    digits,
                    picture,
                }));
            }
        }
        Ok(all)
    }
}

impl Halfway {
    /// Where it stands beside the final picture.
    pub fn beside(&self, picture: &Path) -> PathBuf {
        let mut name = picture.file_stem().unwrap_or_default().to_os_string();
        name.push(format!("{}.png", self.suffix()));
        picture.with_file_name(name)
    }

    /// What stands after the final picture's name: `-step05`.
    pub fn suffix(&self) -> String {
        format!("-step{:0digits$}", self.step, digits = self.digits)
    }
}
