//! What the executor relies on in a plan, checked before anything runs: a plan may come from a file.

use guide_compiler::plan::{Code, FORMAT, Filter, Init, Number, Operand, Plan, Segment, Shape};

use super::sample::broken;
use super::{Place, reads};
use crate::error::Result;

/// Checks a plan and finds the segment of each tick.
pub(super) fn plan(plan: &Plan) -> Result<Vec<Place>> {
    if plan.format != FORMAT {
        return Err(broken(format!(
            "a plan of format `{}` is not `{FORMAT}`",
            plan.format
        )));
    }
    let mut counts = vec![0usize; plan.segments.len()];
    let mut places = Vec::with_capacity(plan.timetable.ticks.len());
    for (index, tick) in plan.timetable.ticks.iter().enumerate() {
        let mut fitting = plan
            .segments
            .iter()
            .enumerate()
            .filter(|(_, s)| {
                s.substep == tick.substep && s.steps.0 <= tick.step && tick.step < s.steps.1
            })
            .map(|(i, _)| i);
        let (Some(segment), None) = (fitting.next(), fitting.next()) else {
            return Err(broken(format!(
                "tick {index} does not belong to exactly one segment of the plan"
            )));
        };
        places.push(Place {
            segment,
            k: counts[segment],
        });
        counts[segment] += 1;
    }
    for (i, segment) in plan.segments.iter().enumerate() {
        Check {
            plan,
            segment,
            ticks: counts[i],
            number: i,
        }
        .all()?;
    }
    Ok(places)
}

struct Check<'a> {
    plan: &'a Plan,
    segment: &'a Segment,
    ticks: usize,
    number: usize,
}

impl Check<'_> {
    fn bad<T>(&self, what: &str) -> Result<T> {
        Err(broken(format!(
            "segment {} of the plan {what}",
            self.number
        )))
    }

    fn all(&self) -> Result<()> {
        let mut made = vec![false; self.segment.values.len()];
        for wave in &self.segment.waves {
            for question in wave.evaluate.iter().flat_map(|batch| &batch.uses) {
                if question.prediction.index() >= self.plan.predictions.len() {
                    return self.bad("asks for a prediction that the plan does not list");
                }
                if let Some(t) = &question.t {
                    self.number(t)?;
                }
                let parts = question
                    .at
                    .iter()
                    .chain(&question.told)
                    .chain(&question.class);
                for operand in parts.chain(reads::of_guard(question.when.as_ref())) {
                    self.operand(operand, &made)?;
                }
            }
            for op in wave.compute.iter().flat_map(|group| &group.ops) {
                for operand in reads::all(op) {
                    self.operand(operand, &made)?;
                }
                self.code(&op.code)?;
                match made.get_mut(op.out.index()) {
                    Some(made) if !*made => *made = true,
                    _ => return self.bad("makes a value twice, or one that it does not list"),
                }
            }
        }
        for keep in &self.segment.keep {
            self.operand(&keep.value, &made)?;
            for operand in reads::of_guard(keep.when.as_ref()) {
                self.operand(operand, &made)?;
            }
            let Some(state) = self.plan.states.get(keep.state.index()) else {
                return self.bad("keeps a state that the plan does not list");
            };
            if matches!(state.init, Init::Computed)
                && matches!(&keep.value, Operand::State(other) if *other == keep.state)
            {
                return self.bad("keeps a state as itself");
            }
        }
        let result = &self.segment.result;
        let hold = if let guide_compiler::plan::Hold::When(operand) = &result.hold {
            Some(operand)
        } else {
            None
        };
        for operand in [
            &result.denoise,
            &result.renoise,
            &result.shift,
            &result.moves,
        ]
        .into_iter()
        .flatten()
        .chain(hold)
        {
            self.operand(operand, &made)?;
        }
        Ok(())
    }

    fn number(&self, number: &Number) -> Result<()> {
        if number.values.len() == 1 || number.values.len() == self.ticks {
            return Ok(());
        }
        self.bad(&format!(
            "has {} numbers for `{}` and {} ticks",
            number.values.len(),
            number.text,
            self.ticks
        ))
    }

    fn operand(&self, operand: &Operand, made: &[bool]) -> Result<()> {
        let listed = match operand {
            Operand::Value(id) => made.get(id.index()).copied().unwrap_or(false),
            Operand::Prediction(id) => id.index() < self.plan.predictions.len(),
            Operand::State(id) => id.index() < self.plan.states.len(),
            Operand::Input(id) | Operand::Entry(id, ..) => id.index() < self.plan.inputs.len(),
            Operand::Number(number) => return self.number(number),
            Operand::Latent | Operand::Target => true,
        };
        if listed {
            Ok(())
        } else {
            self.bad("reads something that is not there yet")
        }
    }

    fn code(&self, code: &Code) -> Result<()> {
        match code {
            Code::Linear(terms) => terms.iter().try_for_each(|term| self.number(&term.factor)),
            Code::Filter(filter, of) => {
                match filter {
                    Filter::GaussianBlur { sigma: number, .. }
                    | Filter::Resample { factor: number }
                    | Filter::FftDisk { radius: number }
                    | Filter::FftBox { radius: number }
                    | Filter::DctHighpass { cutoff: number } => self.number(number)?,
                    Filter::Band { .. } => {}
                }
                let shape = super::program::shape_of(self.plan, self.segment, of);
                if matches!(shape, Shape::Tensor | Shape::Map) {
                    Ok(())
                } else {
                    self.bad("filters something that has no plane")
                }
            }
            Code::Fresh(state, _) if state.index() >= self.plan.states.len() => {
                self.bad("reads a state that the plan does not list")
            }
            _ => Ok(()),
        }
    }
}
