//! A run that keeps every prediction.

use std::cell::RefCell;
use std::path::Path;

use guide_compiler::plan::{ModelFacts, Tick};
use guide_runtime::device::Tensor;
use guide_runtime::error::Result;
use guide_runtime::exec::Binding;
use guide_runtime::predictor::{JudgeQuestion, Predictor, Question, Verdict};
use guide_runtime::recording::{Recorder, Rule};
use guide_runtime::run::{Finished, Observer, Progress, Request, run as sample};

use super::output::make_folder;
use crate::exit;
use crate::files::folder_of;

/// Runs, and writes the recording at the end.
///
/// # Errors
/// What the run reports; a recording that cannot be written.
pub fn run(
    request: &Request<'_>,
    predictor: &mut dyn Predictor,
    watch: &mut dyn Observer,
    file: &Path,
) -> exit::Result<Finished> {
    let facts = request.plan.head.model.clone();
    let mut sized = Sized {
        inner: predictor,
        facts: facts.clone(),
    };
    let mut recorder = Recorder::new(&mut sized, &request.plan.timetable.ticks, request.batch);
    recorder.rule(Rule::of(&request.plan.head));
    for (name, binding) in &request.bindings.inputs {
        if let Binding::Tensor(tensor) = binding {
            recorder.input(name, tensor);
        }
    }
    if let Some(target) = &request.bindings.target {
        recorder.target(target);
    }
    let recorder = RefCell::new(recorder);
    let mut asked = Asked {
        recorder: &recorder,
        facts,
    };
    let mut watched = Watched {
        recorder: &recorder,
        watch,
    };
    let finished = sample(request, &mut asked, &mut watched)?;
    make_folder(&folder_of(file))?;
    recorder.borrow().write(file)?;
    Ok(finished)
}

/// A predictor whose latents have the size of the run.
struct Sized<'a> {
    inner: &'a mut dyn Predictor,
    facts: ModelFacts,
}

impl Predictor for Sized<'_> {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        self.inner.predict(index, tick, questions)
    }

    fn judge(
        &mut self,
        index: usize,
        tick: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict> {
        self.inner.judge(index, tick, question)
    }

    fn passes(&self) -> Vec<usize> {
        self.inner.passes()
    }
}

/// The recorder as the run asks it.
struct Asked<'r, 'a> {
    recorder: &'r RefCell<Recorder<'a>>,
    facts: ModelFacts,
}

impl Predictor for Asked<'_, '_> {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        self.recorder.borrow_mut().predict(index, tick, questions)
    }

    fn judge(
        &mut self,
        index: usize,
        tick: &Tick,
        question: &JudgeQuestion<'_>,
    ) -> Result<Verdict> {
        self.recorder.borrow_mut().judge(index, tick, question)
    }

    fn passes(&self) -> Vec<usize> {
        self.recorder.borrow().passes()
    }
}

/// The recorder as the run tells it of its ticks.
struct Watched<'r, 'a, 'b> {
    recorder: &'r RefCell<Recorder<'a>>,
    watch: &'b mut dyn Observer,
}

impl Observer for Watched<'_, '_, '_> {
    fn tick(&mut self, progress: &Progress<'_>) -> Result<()> {
        self.recorder
            .borrow_mut()
            .state(progress.index, progress.before)?;
        self.watch.tick(progress)
    }
}
