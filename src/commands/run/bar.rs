//! How far a run has come, for people: a bar on a terminal, a few lines elsewhere.

use std::time::Instant;

use guide_runtime::error::Result;
use guide_runtime::run::{Observer, Progress};
use indicatif::ProgressBar;

use crate::ui::Ui;

const LINE: &str = "{bar:30} step {pos}/{len}  {msg}  {eta} left";

/// What is shown.
pub struct Bar {
    kind: Kind,
}

enum Kind {
    Silent,
    Lines { ui: Ui, begin: Instant, said: usize },
    Drawn(ProgressBar),
}

impl Bar {
    /// Begins to show a run.
    pub fn start(quiet: bool, ui: Ui) -> Bar {
        let kind = if quiet {
            Kind::Silent
        } else if let Some(bar) = ui.bar(LINE) {
            Kind::Drawn(bar)
        } else {
            Kind::Lines {
                ui,
                begin: Instant::now(),
                said: 0,
            }
        };
        Bar { kind }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Kind::Drawn(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Bar {
    fn tick(&mut self, progress: &Progress<'_>) -> Result<()> {
        let (done, total) = (progress.done, progress.total.max(1));
        let evaluations = format!("{} evaluations", progress.evaluations);
        match &mut self.kind {
            Kind::Silent => {}
            Kind::Drawn(bar) => {
                bar.set_message(evaluations);
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Kind::Lines { ui, begin, said } => {
                // A line for each quarter.
                let quarter = done * 4 / total;
                if quarter > *said {
                    *said = quarter;
                    let each = begin.elapsed().as_secs_f64() / done.max(1) as f64;
                    let left = each * (total - done.min(total)) as f64;
                    ui.say(&format!(
                        "step {done}/{total}  {evaluations}  {left:.0} s left"
                    ));
                }
            }
        }
        Ok(())
    }
}
