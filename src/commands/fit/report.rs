//! What a fit found: a table for people, an object for programs.

use guide_compiler::plan::Plan;
use guide_runtime::fit::Fitted;
use guide_runtime::latents::distance;
use guide_runtime::run::Finished;
use serde_json::json;

use super::shown;
use crate::args::{Fit, Format};
use crate::exit::Result;
use crate::ui::Ui;

/// How far results lie from those of plain guidance: norms of differences of final latents, as shares
/// of the norm that they should have.
#[derive(Clone, Debug, Default)]
pub struct Distance {
    fitted: Vec<f64>,
    with_cond: Vec<f64>,
    evaluations: (u64, u64),
}

impl Distance {
    /// Another run: of plain guidance, of the fitted guide, and of the conditional prediction in place
    /// of every estimate.
    pub fn add(&mut self, wanted: &Finished, got: &Finished, without: &Finished) -> Result<()> {
        let from = |other: &Finished| distance(&other.latents, &wanted.latents);
        self.fitted.push(from(got)?);
        self.with_cond.push(from(without)?);
        let most = |of: &Finished| of.evaluations.iter().copied().max().unwrap_or(0);
        self.evaluations = (most(wanted), most(got));
        Ok(())
    }
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len().max(1) as f64
}

/// Everything there is to say.
pub struct Report<'a> {
    /// What was asked for.
    pub args: &'a Fit,
    /// The plan that was recorded.
    pub plain: &'a Plan,
    /// How many runs were recorded.
    pub runs: usize,
    /// What was found.
    pub fitted: &'a [Fitted],
    /// What came of it.
    pub distance: Distance,
}

impl Report<'_> {
    /// Says it in the form that was asked for.
    pub fn say(&self, ui: Ui) -> Result<()> {
        match self.args.reply.format {
            Format::Json => ui.data(&self.json()),
            Format::Human if self.args.reply.quiet => Ok(()),
            Format::Human => {
                ui.say(&self.text());
                Ok(())
            }
        }
    }

    fn text(&self) -> String {
        let mut out = String::from("step  error of the estimate   of cond in its place\n");
        for one in self.fitted {
            let (error, cond) = (100.0 * one.error, 100.0 * one.error_of_cond);
            out.push_str(&format!("{:4}  {error:17.3} %   {cond:18.3} %\n", one.step));
        }
        let (before, after) = self.distance.evaluations;
        let (far, without) = (mean(&self.distance.fitted), mean(&self.distance.with_cond));
        out.push_str(&format!(
            "{before} evaluations become {after}\n\
             {} other runs end {:.2} % from plain guidance; with cond in place of the estimates {:.2} %\n\
             wrote {}",
            self.distance.fitted.len(),
            100.0 * far,
            100.0 * without,
            shown(&self.args.out)
        ));
        out
    }

    fn json(&self) -> String {
        let steps = self.fitted.iter().map(|one| {
            json!({
                "step": one.step,
                "factors": one.factors,
                "error": one.error,
                "error_of_cond": one.error_of_cond,
            })
        });
        let (before, after) = self.distance.evaluations;
        let all = json!({
            "model": self.plain.head.model.name,
            "steps": self.plain.head.steps,
            "sampler": self.plain.head.sampler,
            "scale": self.args.scale,
            "start": self.args.start,
            "past": self.args.past,
            "runs": self.runs,
            "estimated": steps.collect::<Vec<_>>(),
            "evaluations": { "plain": before, "fitted": after },
            "distances": { "fitted": self.distance.fitted, "with_cond": self.distance.with_cond },
            "file": shown(&self.args.out),
        });
        format!("{all:#}\n")
    }
}
