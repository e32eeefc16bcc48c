//! What a plan costs besides its evaluations, and how it compares with plain guidance.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Operand, Plan, Segment, Shape, State};

/// Fewest and most evaluations as a share of what plain guidance costs: two a tick.
pub fn ratio(plan: &Plan) -> (f64, f64) {
    let plain = 2.0 * plan.timetable.ticks.len().max(1) as f64;
    (
        plan.cost.least as f64 / plain,
        plan.cost.most as f64 / plain,
    )
}

/// A tensor that memory holds while a tick runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tensor {
    Prediction(u32),
    Judgement(u32),
    Value(u32),
}

/// Most tensors alive at once for a sample: `x`, state, predictions and values.
pub fn peak(segments: &[Segment], states: &[State]) -> u32 {
    let kept = states.iter().filter(|s| s.shape == Shape::Tensor).count();
    let most = segments.iter().map(|s| peak_of(s, kept)).max().unwrap_or(0);
    most as u32
}

fn peak_of(segment: &Segment, kept: usize) -> usize {
    // Moments are batches and groups in order; the last one is the end of the tick.
    let mut born: BTreeMap<Tensor, usize> = BTreeMap::new();
    let mut last: BTreeMap<Tensor, usize> = BTreeMap::new();
    let mut moment = 0;
    for wave in &segment.waves {
        for batch in &wave.evaluate {
            for one in &batch.uses {
                note(&mut last, &one.operands(), moment);
                born.insert(Tensor::Prediction(one.prediction.0), moment);
            }
            moment += 1;
        }
        for one in &wave.judge {
            note(&mut last, &one.operands(), moment);
            if one.by.is_some() {
                born.insert(Tensor::Judgement(one.judgement.0), moment);
            }
            moment += 1;
        }
        for group in &wave.compute {
            for op in &group.ops {
                note(&mut last, &op.operands(), moment);
                let stored = segment.values.get(op.out.index());
                if stored.is_some_and(|v| v.stored && v.shape == Shape::Tensor) {
                    born.insert(Tensor::Value(op.out.0), moment);
                }
            }
            moment += 1;
        }
    }
    note(&mut last, &segment.ends(), moment);
    let mut events: BTreeMap<usize, (usize, BTreeSet<Tensor>)> = BTreeMap::new();
    for (tensor, from) in &born {
        events.entry(*from).or_default().0 += 1;
        let until = last.get(tensor).copied().unwrap_or(*from).max(*from);
        events.entry(until).or_default().1.insert(*tensor);
    }
    let (mut alive, mut most) = (0, 0);
    for (born, dying) in events.into_values() {
        alive += born;
        most = most.max(alive);
        alive -= dying.len();
    }
    most + kept + 1
}

fn note(last: &mut BTreeMap<Tensor, usize>, operands: &[&Operand], moment: usize) {
    for operand in operands {
        let tensor = match operand {
            Operand::Prediction(id) => Tensor::Prediction(id.0),
            Operand::Judgement(id) => Tensor::Judgement(id.0),
            Operand::Value(id) => Tensor::Value(id.0),
            _ => continue,
        };
        last.insert(tensor, moment);
    }
}
