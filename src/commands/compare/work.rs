//! Runs one rule for some seeds, and measures what it does and makes.

use std::cell::RefCell;
use std::ops::Range;

use guide_compiler::plan::{Shown, Space};
use guide_runtime::device::{DType, Device};
use guide_runtime::error::Result as Ran;
use guide_runtime::image::Picture;
use guide_runtime::latents;
use guide_runtime::measures::Measures;
use guide_runtime::memo::{Memo, Memory};
use guide_runtime::models::judge::{Judge, Sight};
use guide_runtime::models::{Pipeline, embedded};
use guide_runtime::probe::{Heard, Probe};
use guide_runtime::run::{self as sampling, Observer, Progress, Request};

use super::results::{Made, Point};
use crate::commands::run::bar::Bar;
use crate::exit::Result;

/// The most numbers of a latent whose clean picture is decoded in each step.
const DECODED: usize = 1 << 12;

/// What tells whether a picture shows what the prompt names.
pub struct Jury {
    judge: Judge,
    class: usize,
}

impl Jury {
    /// The embedded model's own classifier, where it is the model and the prompt names one of its classes.
    pub fn of(pipeline: &Pipeline, model: &str, device: &Device) -> Option<Self> {
        if model != embedded::NAME {
            return None;
        }
        let judge = Judge::load(&embedded::source().below("judge/clean"), &[], device).ok()?;
        let class = pipeline.class_among(&judge.config().labels)?;
        Some(Self { judge, class })
    }

    fn right(&self, picture: &guide_runtime::device::Tensor) -> Ran<bool> {
        let showing = self.judge.config().shown(Shown::default());
        let logits = self.judge.logits(Sight::Picture(picture), 0.0, &showing)?;
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        Ok(best.is_some_and(|(class, _)| class == self.class))
    }
}

/// What a run of some seeds gave.
pub struct Worked {
    pub pictures: Vec<(Picture, Made)>,
    /// Evaluations that another rule had made before.
    pub remembered: u64,
    /// Seconds in the networks and in arithmetic.
    pub seconds: (f64, f64),
}

/// Runs `request`, and measures.
pub fn work(
    request: &Request<'_>,
    pipeline: &mut Pipeline,
    memory: Option<&mut Memory>,
    jury: Option<&Jury>,
    bar: &mut Bar,
) -> Result<Worked> {
    let heard = RefCell::new(Heard::default());
    let mut watch = Watch {
        heard: &heard,
        bar,
        curves: vec![Vec::new(); request.batch],
        cleans: Vec::new(),
        space: request.plan.head.model.space,
        decoded: request.latent.iter().product::<usize>() <= DECODED,
    };
    let mut remembered = 0;
    let finished = match memory {
        Some(memory) => {
            let mut memo = Memo::new(pipeline, memory, request.plan);
            let ran = sampling::run(request, &mut Probe::new(&mut memo, &heard), &mut watch);
            remembered = memo.remembered();
            ran?
        }
        None => sampling::run(request, &mut Probe::new(pipeline, &heard), &mut watch)?,
    };
    let Watch {
        mut curves, cleans, ..
    } = watch;
    for (samples, tick, clean) in cleans {
        for (sample, latents) in samples.zip(latents::rows(&clean)?) {
            let pictures = Picture::of(&pipeline.decode(&latents)?)?;
            let point = curves.get_mut(sample).and_then(|curve| curve.get_mut(tick));
            if let (Some(point), Some(picture)) = (point, pictures.first()) {
                point.saturation = Some(Measures::of(picture).saturation);
            }
        }
    }
    let mut pictures = Vec::with_capacity(request.batch);
    let rows = latents::rows(&finished.latents)?.into_iter();
    for ((latents, curve), evaluations) in rows.zip(curves).zip(&finished.evaluations) {
        sampling::stopped(request.stop)?;
        let tensor = pipeline.decode(&latents)?;
        let right = jury.map(|jury| jury.right(&tensor)).transpose()?;
        for picture in Picture::of(&tensor)? {
            let Measures {
                saturation,
                contrast,
                clipped,
                sharpness,
            } = Measures::of(&picture);
            let made = Made {
                evaluations: *evaluations,
                saturation,
                contrast,
                clipped,
                sharpness,
                right,
                curve: curve.clone(),
            };
            pictures.push((picture, made));
        }
    }
    Ok(Worked {
        pictures,
        remembered,
        seconds: (
            finished.network.as_secs_f64(),
            finished.arithmetic.as_secs_f64(),
        ),
    })
}

/// Notes what each step does.
struct Watch<'a> {
    heard: &'a RefCell<Heard>,
    bar: &'a mut Bar,
    curves: Vec<Vec<Point>>,
    /// The clean latents that steps aim at, to be decoded once the run is over.
    cleans: Vec<(Range<usize>, usize, guide_runtime::device::Tensor)>,
    space: Space,
    decoded: bool,
}

impl Observer for Watch<'_> {
    fn tick(&mut self, progress: &Progress<'_>) -> Ran<()> {
        let measured = self.heard.borrow_mut().measured(progress)?;
        let tick = progress.tick;
        let counts = &progress.guided.evaluated.counts;
        for (row, (sample, measured)) in progress.samples.clone().zip(measured).enumerate() {
            let Some(curve) = self.curves.get_mut(sample) else {
                continue;
            };
            curve.push(Point {
                t: tick.t,
                sigma: tick.sigma,
                evaluations: counts.get(row).copied().map_or(0, u64::from),
                norm: measured.norm,
                update: measured.update,
                cosine: measured.cosine,
                scale: measured.scale,
                saturation: None,
            });
        }
        if self.decoded {
            let place = self
                .curves
                .get(progress.samples.start)
                .map_or(0, |curve| curve.len() - 1);
            let clean = progress.clean(self.space)?.to_dtype(DType::F32)?;
            self.cleans.push((progress.samples.clone(), place, clean));
        }
        self.bar.tick(progress)
    }
}
