//! `--preview`: the picture as it forms, drawn in the terminal and over itself after each step.

mod cells;
mod encode;
mod screen;
mod way;

pub use way::Way;

use std::time::{Duration, Instant};

use guide_compiler::plan::{Plan, Space};
use guide_runtime::device::{DType, Tensor};
use guide_runtime::error::Result as Ran;
use guide_runtime::image::Picture;
use guide_runtime::models::Decoder;
use guide_runtime::run::Progress;

use super::bar::Bar;
use super::steps::Steps;
use crate::ui::Ui;
use screen::Screen;

/// Pictures that are shown of those that are made together: what fits side by side.
const MOST_PICTURES: usize = 4;

/// The most pixels along a side that are decoded: a terminal shows hardly more. Larger latents are made
/// smaller first.
const MOST_PIXELS: usize = 256;

/// A preview waits until the run took so many times what the last preview did.
const PATIENCE: u32 = 10;

/// Draws what the run aims at.
pub struct Preview {
    decoder: Decoder,
    screen: Screen,
    ui: Ui,
    space: Space,
    steps: Steps,
    /// When the last one was drawn, and what it took.
    last: Option<(Instant, Duration)>,
}

impl Preview {
    /// Of the run of a plan; nothing where there is nothing to draw on, which is said.
    pub fn new(way: Way, decoder: Decoder, plan: &Plan, ui: Ui) -> Option<Self> {
        match Screen::open(way, ui) {
            Ok(screen) => Some(Self {
                decoder,
                screen,
                ui,
                space: plan.head.model.space,
                steps: Steps::of(plan),
                last: None,
            }),
            Err(why) => {
                ui.say(&format!("--preview draws nothing: {why}"));
                None
            }
        }
    }

    /// Draws above the bar after a tick, if it is time: the last tick of a step says what the step aims
    /// at, the last step what the run ends with. Latents that have no picture are left to the run itself,
    /// which says so.
    pub fn tick(&mut self, progress: &Progress<'_>, bar: &Bar) {
        let Some(done) = self.steps.done(progress) else {
            return;
        };
        let is_last = done >= self.steps.count;
        if !is_last && !self.is_due() {
            return;
        }
        let begin = Instant::now();
        let latents = if is_last {
            Ok(progress.after.clone())
        } else {
            progress.clean(self.space)
        };
        if let Ok(picture) = latents.and_then(|latents| self.picture(&latents)) {
            let drawn = self.screen.draw(&picture);
            // Terminals read slowly: what they take counts.
            bar.above(|| self.ui.draw(&drawn));
        }
        self.last = Some((Instant::now(), begin.elapsed()));
    }

    fn is_due(&self) -> bool {
        let Some((when, took)) = self.last else {
            return true;
        };
        when.elapsed() >= took * PATIENCE
    }

    /// The first pictures side by side.
    fn picture(&self, latents: &Tensor) -> Ran<Picture> {
        let latents = latents.narrow(0, 0, latents.dim(0)?.min(MOST_PICTURES))?;
        let (_, _, height, width) = latents.dims4()?;
        let side = height.max(width) * self.decoder.factor();
        let by = side.div_ceil(MOST_PIXELS).min(height.min(width));
        let small = if by > 1 {
            latents.to_dtype(DType::F32)?.avg_pool2d(by)?
        } else {
            latents
        };
        Ok(side_by_side(&Picture::of(&self.decoder.decode(&small)?)?))
    }
}

/// Pictures of one size in a row.
fn side_by_side(pictures: &[Picture]) -> Picture {
    let (width, height) = pictures.first().map_or((0, 0), |p| (p.width, p.height));
    let mut row = Picture::filled(width * pictures.len(), height, [0; 3]);
    for (at, picture) in pictures.iter().enumerate() {
        row.paste(picture, at * width, 0);
    }
    row
}
