//! The course of a tick, whichever way its arithmetic runs: wave by wave the questions and what
//! follows from the answers, then what leaves.

use super::Parts;
use super::ask::{Heard, Known, Ruled, ask, judge};
use super::run::Job;
use super::sample::Slot;
use crate::error::Result;
use crate::predictor::Predictor;

/// What leaves a tick, which samples hold, and what was heard.
pub(super) type Done = (Parts, Vec<bool>, Vec<Heard>);

/// A way to do a tick's arithmetic.
pub(super) trait Arithmetic {
    /// A tick as far as it has come.
    type Begun;
    /// Such a tick as questions see it.
    type Known<'a>: Known
    where
        Self: 'a;

    /// Takes over what earlier ticks kept, where the tick begins a step, and makes room.
    fn begin(&mut self, job: &Job<'_>) -> Result<Self::Begun>;

    /// The tick as questions see it.
    fn known<'a>(
        &'a self,
        job: &'a Job<'a>,
        begun: &'a Self::Begun,
        heard: &'a [Heard],
    ) -> Self::Known<'a>;

    /// The samples.
    fn slots(&mut self) -> &mut [Slot];

    /// Computes what a wave does with the answers.
    fn compute(
        &mut self,
        job: &Job<'_>,
        begun: &mut Self::Begun,
        heard: &[Heard],
        wave: usize,
    ) -> Result<()>;

    /// What leaves, and which samples hold.
    fn finish(
        &mut self,
        job: &Job<'_>,
        begun: Self::Begun,
        heard: &[Heard],
    ) -> Result<(Parts, Vec<bool>)>;
}

/// Runs a tick. One without a wave computes and keeps all the same.
pub(super) fn tick(
    engine: &mut impl Arithmetic,
    job: &Job<'_>,
    predictor: &mut dyn Predictor,
) -> Result<Done> {
    let mut begun = engine.begin(job)?;
    let mut heard: Vec<Heard> = Vec::new();
    for wave in 0..job.waves() {
        let questions = job.segment.waves.get(wave);
        for batch in questions.into_iter().flat_map(|wave| &wave.evaluate) {
            let answers = {
                let known = engine.known(job, &begun, &heard);
                ask(&job.now(), batch, &known, &heard, predictor)?
            };
            heard.extend(answers);
        }
        for one in questions.into_iter().flat_map(|wave| &wave.judge) {
            let ruled = {
                let known = engine.known(job, &begun, &heard);
                judge(&job.now(), one, &known, predictor)?
            };
            match ruled {
                Ruled::Nothing => {}
                Ruled::Gradient(gradient) => heard.push(gradient),
                Ruled::Logits(logits) => {
                    let slots = engine.slots();
                    for (b, logits) in logits {
                        slots[b].ruled[one.judgement.index()] = Some(logits);
                    }
                }
            }
        }
        engine.compute(job, &mut begun, &heard, wave)?;
    }
    let (parts, hold) = engine.finish(job, begun, &heard)?;
    Ok((parts, hold, heard))
}

/// Makes the samples ready for a tick, once the engine has taken over its tensors.
pub(super) fn begin(slots: &mut [Slot], job: &Job<'_>) {
    for slot in slots {
        if job.begins {
            slot.begin_step(job.plan);
        }
        slot.done.clear();
        slot.done.resize(job.segment.values.len(), false);
        slot.lists.clear();
        slot.lists.resize(job.segment.values.len(), Vec::new());
        slot.ruled.clear();
        slot.ruled.resize(job.plan.judgements.len(), None);
        slot.numbers.clear();
        slot.numbers.resize(job.segment.values.len(), 0.0);
    }
}
