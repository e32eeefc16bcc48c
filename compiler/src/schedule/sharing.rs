//! What predictions of one wave have in common: up to the first layer that an intervention changes, a
//! network does for one what it does for the other.

use crate::plan::{ArgValue, Intervention, Plan, Prediction, PredictionId, Shared, Use, Wave};
use crate::primitives::{ArgKind, InterventionSignature};

/// Marks every question that begins as one before it in its wave does.
pub fn mark(plan: &mut Plan) {
    let Some(layers) = plan.head.model.layers.clone() else {
        return;
    };
    let first: Vec<Option<usize>> = plan
        .predictions
        .iter()
        .map(|prediction| first_changed(prediction, &layers))
        .collect();
    for wave in plan.segments.iter_mut().flat_map(|s| &mut s.waves) {
        mark_wave(wave, &plan.predictions, &first, &layers);
    }
}

fn mark_wave(
    wave: &mut Wave,
    predictions: &[Prediction],
    first: &[Option<usize>],
    layers: &[String],
) {
    let mut before: Vec<Use> = Vec::new();
    for batch in &mut wave.evaluate {
        for one in &mut batch.uses {
            let place = first.get(one.prediction.index()).copied().flatten();
            let Some(until) = place.and_then(|place| layers.get(place)) else {
                continue;
            };
            let with = before.iter().find(|other| alike(one, other, predictions));
            one.shares = with.map(|other| Shared {
                with: other.prediction,
                until: until.clone(),
            });
        }
        before.extend(batch.uses.iter().cloned());
    }
}

/// Whether `other` asks the unchanged network the same, wherever `one` asks.
fn alike(one: &Use, other: &Use, predictions: &[Prediction]) -> bool {
    let row = |id: PredictionId| predictions.get(id.index());
    let (Some(changed), Some(plain)) = (row(one.prediction), row(other.prediction)) else {
        return false;
    };
    let same_point = one.at == other.at
        && one.t == other.t
        && one.time == other.time
        && one.told == other.told
        && one.class == other.class;
    let same_network = changed.model == plain.model && changed.control == plain.control;
    let always = other.when.is_none() || other.when == one.when;
    plain.interventions.is_empty()
        && !plain.gradient
        && changed.condition == plain.condition
        && same_network
        && same_point
        && always
}

/// The first layer that a prediction's interventions change, of a network with these layers; nothing
/// where that is none, the first of all, or not known, or where another network answers.
fn first_changed(prediction: &Prediction, layers: &[String]) -> Option<usize> {
    let alone = prediction.model.is_some() || prediction.gradient;
    if prediction.interventions.is_empty() || alone {
        return None;
    }
    let mut first = layers.len();
    for with in &prediction.interventions {
        first = first.min(changes(with, layers)?);
    }
    (first > 0 && first < layers.len()).then_some(first)
}

fn changes(with: &Intervention, layers: &[String]) -> Option<usize> {
    let known = InterventionSignature::find(&with.name)?;
    if with.couples() {
        return None;
    }
    let named = with.args.iter().find_map(|arg| match &arg.value {
        ArgValue::Layers(named) => Some((known.takes(&arg.name), named)),
        _ => None,
    });
    match named {
        Some((Some(ArgKind::Layers(works)), named)) => layers
            .iter()
            .position(|name| named.holds(name) && works.holds(name)),
        Some(_) => None,
        // It works where no layer is named.
        None => None,
    }
}
