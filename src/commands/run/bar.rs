//! How far a run has come, for people: a bar on a terminal, a few lines elsewhere.

use std::time::Instant;

use guide_runtime::error::Result;
use guide_runtime::run::{Observer, Progress};
use indicatif::ProgressBar;

use crate::ui::Ui;

/// What is shown.
pub struct Bar {
    kind: Kind,
    /// What is counted: `step`.
    word: &'static str,
    /// What was done before, and how many there are in all, where a run is a part.
    part: Option<(usize, usize, u64)>,
}

enum Kind {
    Silent,
    Lines { ui: Ui, begin: Instant, said: usize },
    Drawn(ProgressBar),
}

impl Bar {
    /// Begins to show a run.
    pub fn start(quiet: bool, ui: Ui) -> Bar {
        Bar::of("step", quiet, ui)
    }

    /// Begins to show something else that is counted.
    pub fn of(word: &'static str, quiet: bool, ui: Ui) -> Bar {
        let line = format!("{{bar:30}} {word} {{pos}}/{{len}}  {{msg}}  {{eta}} left");
        let kind = if quiet {
            Kind::Silent
        } else if let Some(bar) = ui.bar(&line) {
            Kind::Drawn(bar)
        } else {
            Kind::Lines {
                ui,
                begin: Instant::now(),
                said: 0,
            }
        };
        Bar {
            kind,
            word,
            part: None,
        }
    }

    /// Draws something above the bar.
    pub fn above(&self, draw: impl FnOnce()) {
        match &self.kind {
            Kind::Drawn(bar) => bar.suspend(draw),
            Kind::Silent | Kind::Lines { .. } => draw(),
        }
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
        let (before, total, evaluations) = self.part.unwrap_or((0, progress.total, 0));
        self.show(
            before + progress.done,
            total,
            evaluations + progress.evaluations,
        );
        Ok(())
    }
}

impl Bar {
    /// The next run is a part: so many are done before it, of all, with so many evaluations.
    pub fn goes_on(&mut self, done: usize, total: usize, evaluations: u64) {
        self.part = Some((done, total, evaluations));
    }

    /// So many are done, with so many evaluations.
    pub fn show(&mut self, done: usize, total: usize, evaluations: u64) {
        let (total, word) = (total.max(1), self.word);
        let evaluations = format!("{evaluations} evaluations");
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
                        "{word} {done}/{total}  {evaluations}  {left:.0} s left"
                    ));
                }
            }
        }
    }
}
