//! The predictions of a plan and their names in plans, traces and recordings:
//! `[MODEL/]CONDITION[@POINT][!TOLD][~INTERVENTION]…`.

use std::collections::{BTreeSet, HashMap};

use crate::graph::NodeId;
use crate::plan::{
    ArgValue, Condition, Input, Intervention, InterventionArg, Prediction, PredictionId,
};
use crate::show;

/// Where and when a prediction is asked for, as far as it tells two predictions apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// `at:` and its name.
    pub at: Option<(NodeId, String)>,
    /// `t:` and its text.
    pub t: Option<(NodeId, String)>,
    /// `told:` and its name.
    pub told: Option<(NodeId, String)>,
    /// The node of a class that the run finds.
    pub class: Option<NodeId>,
    /// The nodes of the maps that interventions read.
    pub maps: Vec<NodeId>,
    /// The weights of the answer, where its gradient is asked for.
    pub by: Option<NodeId>,
}

/// What labels call things by.
#[derive(Clone, Copy)]
struct Names<'a> {
    inputs: &'a [Input],
    predictions: &'a [Prediction],
}

/// All predictions that some tick may ask for.
#[derive(Debug, Default)]
pub struct Predictions {
    /// In order of first use.
    pub list: Vec<Prediction>,
    index: HashMap<String, PredictionId>,
    labels: BTreeSet<String>,
}

impl Predictions {
    /// The row of a prediction; `defaults` are the flags of [`crate::graph::With::args`].
    pub fn row(
        &mut self,
        prediction: Prediction,
        defaults: &[Vec<bool>],
        place: &Place,
        inputs: &[Input],
    ) -> PredictionId {
        let node = |of: &Option<(NodeId, String)>| of.as_ref().map(|(node, _)| *node);
        let place_key = (
            node(&place.at),
            node(&place.t),
            node(&place.told),
            place.class,
            &place.maps,
            place.by,
        );
        let key = format!(
            "{:?} {:?} {:?} {:?} {place_key:?}",
            prediction.model, prediction.condition, prediction.interventions, prediction.control
        );
        if let Some(found) = self.index.get(&key) {
            return *found;
        }
        let names = Names {
            inputs,
            predictions: &self.list,
        };
        let mut base = label(&prediction, defaults, place, names);
        if prediction.gradient {
            base = format!("grad({base})");
        }
        let mut name = base.clone();
        let mut count = 2;
        while !self.labels.insert(name.clone()) {
            name = format!("{base}#{count}");
            count += 1;
        }
        let id = PredictionId(self.list.len() as u32);
        self.list.push(Prediction {
            label: name,
            ..prediction
        });
        self.index.insert(key, id);
        id
    }
}

fn label(
    prediction: &Prediction,
    defaults: &[Vec<bool>],
    place: &Place,
    names: Names<'_>,
) -> String {
    let mut text = String::new();
    if let Some(model) = &prediction.model {
        text.push_str(model);
        text.push('/');
    }
    text.push_str(&condition(&prediction.condition, names.inputs));
    if let Some((_, name)) = &place.at {
        text.push_str(&format!("@{name}"));
    } else if let Some((_, name)) = &place.t {
        text.push_str(&format!("@{name}"));
    }
    if let Some((_, name)) = &place.told {
        text.push_str(&format!("!{name}"));
    }
    if prediction.control != 1.0 {
        text.push_str(&format!("^{}", show::number(prediction.control)));
    }
    for (at, with) in prediction.interventions.iter().enumerate() {
        text.push_str(&format!(
            "~{}",
            intervention(with, defaults.get(at).map_or(&[], Vec::as_slice), names)
        ));
    }
    text
}

fn condition(condition: &Condition, inputs: &[Input]) -> String {
    let input = |id: &crate::plan::InputId| inputs.get(id.index()).map_or("?", |i| i.name.as_str());
    match condition {
        Condition::Cond => "cond".to_string(),
        Condition::Uncond => "uncond".to_string(),
        Condition::Null => "null".to_string(),
        Condition::Prompt(id) => input(id).to_string(),
        Condition::PromptAt(id, at) => format!("{}[{at}]", input(id)),
        Condition::PromptOf(id, name) => format!("{}[{name}]", input(id)),
        Condition::Text(text) => format!("{text:?}"),
        Condition::Class(number) => format!("class({number})"),
        Condition::ClassOf(name) => format!("class({name})"),
        Condition::Unrelated { to, .. } => format!("unrelated({})", self::condition(to, inputs)),
    }
}

/// An intervention with its arguments in order, defaults left out.
fn intervention(with: &Intervention, defaults: &[bool], names: Names<'_>) -> String {
    let is_default = |at: usize| defaults.get(at).copied().unwrap_or(false);
    let mut shown = Vec::new();
    let mut skipped = false;
    for (at, arg) in with.args.iter().enumerate() {
        if is_default(at) {
            skipped = true;
            continue;
        }
        let value = argument(arg, names);
        shown.push(if skipped {
            format!("{}: {value}", arg.name)
        } else {
            value
        });
    }
    if shown.is_empty() {
        with.name.clone()
    } else {
        format!("{}({})", with.name, shown.join(", "))
    }
}

fn argument(arg: &InterventionArg, names: Names<'_>) -> String {
    match &arg.value {
        ArgValue::Layers(layers) => layers.to_string(),
        ArgValue::Number(value) => show::number(*value),
        ArgValue::Curve(curve) => curve.text.clone(),
        ArgValue::Text(text) => text.clone(),
        ArgValue::Tokens(tokens) => tokens.to_string(),
        ArgValue::Map { name, .. } => name.clone(),
        ArgValue::Condition(of) => condition(of, names.inputs),
        ArgValue::Prediction(from) => {
            let from = names.predictions.get(from.index());
            from.map_or("?", |from| from.label.as_str()).to_string()
        }
    }
}
