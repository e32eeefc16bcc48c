//! `--every N`: the clean pictures that a run aims at on its way.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use guide_compiler::plan::{Plan, Space};
use guide_runtime::device::{DType, Tensor};
use guide_runtime::error::Result as Ran;
use guide_runtime::image::Picture;
use guide_runtime::latents;
use guide_runtime::models::Pipeline;
use guide_runtime::run::{Progress, stopped};

use super::steps::Steps;
use crate::exit::Result;

/// Notes the clean latents after every so many steps. They are decoded when the run is over, so that
/// nothing of it is another for being looked at.
pub struct Between {
    every: u32,
    space: Space,
    steps: Steps,
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
            steps: Steps::of(plan),
            cleans: Vec::new(),
        }
    }

    /// Looks at a tick: the last one of a step says what the step aims at.
    pub fn tick(&mut self, progress: &Progress<'_>) -> Ran<()> {
        // The end is the picture itself.
        if let Some(done) = self.steps.done(progress)
            && done.is_multiple_of(self.every)
            && done < self.steps.count
        {
            let clean = progress.clean(self.space)?.to_dtype(DType::F32)?;
            self.cleans.push((progress.samples.clone(), done, clean));
        }
        Ok(())
    }

    /// The pictures, in the order of the steps.
    pub fn pictures(self, pipeline: &Pipeline, stop: &AtomicBool) -> Result<Vec<Halfway>> {
        let digits = self.steps.count.to_string().len();
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
