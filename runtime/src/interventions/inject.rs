//! Features and attention that come from another prediction's evaluation (Plug-and-Play, Tumanyan et al. 2023,
//! arXiv 2211.12572).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use guide_compiler::plan::{ArgValue, Intervention, PredictionId};

use super::build::lacks;
use super::layers::{self, LayerSet};
use super::{Hook, NAME_OF_INJECTION, Site};
use crate::error::{ErrorKind, Result, RuntimeError};

/// What was kept of an evaluation, by layer: of a resnet its residual branch, `[B, C, H, W]`, of a
/// self-attention its queries and keys, `[B, N, C]`.
pub type Kept = BTreeMap<usize, Vec<Tensor>>;

/// What a prediction takes from another one's evaluation.
#[derive(Clone, Debug)]
pub struct Injection {
    /// The other.
    pub from: PredictionId,
    /// The layers that are given what theirs had.
    pub layers: LayerSet,
}

/// The injections among the interventions of a prediction.
///
/// # Errors
/// `NoSuchLayers`, `BadPlan` for an argument that is missing or of the wrong kind.
pub fn injections(interventions: &[Intervention], names: &[String]) -> Result<Vec<Injection>> {
    let injections = interventions
        .iter()
        .filter(|one| one.name == NAME_OF_INJECTION);
    injections.map(|one| injection(one, names)).collect()
}

fn injection(intervention: &Intervention, names: &[String]) -> Result<Injection> {
    let argument = |name: &str| {
        let arg = intervention.args.iter().find(|arg| arg.name == name);
        arg.map(|arg| &arg.value)
            .ok_or_else(|| lacks(intervention, name))
    };
    let (ArgValue::Layers(chosen), ArgValue::Prediction(from), ArgValue::Text(what)) =
        (argument("site")?, argument("from")?, argument("what")?)
    else {
        return Err(lacks(intervention, "site"));
    };
    let set = layers::select(chosen, names)?;
    let (set, noun) = match what.as_str() {
        "features" => (set.only_resnets(names), "residual block"),
        _ => (set.only("self", names), "self-attention"),
    };
    let set = set.ok_or_else(|| {
        let message =
            format!("the layers `{chosen}` hold no {noun} whose {what} could be injected");
        RuntimeError::new(ErrorKind::NoSuchLayers, message)
            .help("name layers such as `up`, with `what: attention` or `what: features`")
    })?;
    Ok(Injection {
        from: *from,
        layers: set,
    })
}

/// Keeps what the layers compute; changes nothing.
#[derive(Debug)]
pub struct Keep {
    layers: Vec<LayerSet>,
    kept: Mutex<Kept>,
}

impl Keep {
    /// Of these layers.
    pub fn new(layers: Vec<LayerSet>) -> Self {
        Self {
            layers,
            kept: Mutex::default(),
        }
    }

    /// What was kept since the last time.
    pub fn take(&self) -> Kept {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, layer: usize, tensor: &Tensor) {
        if self.wants(layer) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.entry(layer).or_default().push(tensor.clone());
        }
    }

    fn wants(&self, layer: usize) -> bool {
        self.layers.iter().any(|set| set.holds(layer))
    }
}

impl Hook for Keep {
    fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        self.keep(site.layer, &queries);
        Ok(queries)
    }

    fn keys(&self, site: Site<'_>, keys: Tensor) -> Result<Tensor> {
        self.keep(site.layer, &keys);
        Ok(keys)
    }

    fn sees_residual(&self, layer: usize) -> bool {
        self.wants(layer)
    }

    fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        self.keep(layer, residual);
        Ok(None)
    }
}

/// Gives layers what was kept of another evaluation.
#[derive(Debug)]
pub struct Inject(Kept);

impl Inject {
    /// What was kept, a row for each sample of the pass.
    pub fn new(kept: Kept) -> Self {
        Self(kept)
    }

    fn of(&self, layer: usize, place: usize) -> Option<&Tensor> {
        self.0.get(&layer)?.get(place)
    }
}

impl Hook for Inject {
    fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        Ok(self.of(site.layer, 0).cloned().unwrap_or(queries))
    }

    fn keys(&self, site: Site<'_>, keys: Tensor) -> Result<Tensor> {
        Ok(self.of(site.layer, 1).cloned().unwrap_or(keys))
    }

    fn sees_residual(&self, layer: usize) -> bool {
        self.0.contains_key(&layer)
    }

    fn residual(&self, layer: usize, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.of(layer, 0).cloned())
    }
}

/// What samples have kept, one below the other.
///
/// # Errors
/// What the tensor library reports; samples that kept different things.
pub fn stacked(rows: &[&Kept], set: &LayerSet) -> Result<Kept> {
    let Some(first) = rows.first() else {
        return Ok(Kept::new());
    };
    let mut all = Kept::new();
    for (layer, tensors) in first.iter().filter(|(layer, _)| set.holds(**layer)) {
        let mut columns = Vec::with_capacity(tensors.len());
        for place in 0..tensors.len() {
            let of = |row: &&Kept| row.get(layer)?.get(place).cloned();
            let parts: Option<Vec<Tensor>> = rows.iter().map(of).collect();
            let parts = parts.ok_or_else(|| {
                RuntimeError::new(ErrorKind::BadPlan, "samples kept different layers")
            })?;
            columns.push(Tensor::cat(&parts, 0)?);
        }
        all.insert(*layer, columns);
    }
    Ok(all)
}

/// A row of what a pass kept.
///
/// # Errors
/// What the tensor library reports.
pub fn row(kept: &Kept, row: usize) -> Result<Kept> {
    let of = |(layer, tensors): (&usize, &Vec<Tensor>)| {
        let rows = tensors.iter().map(|tensor| Ok(tensor.narrow(0, row, 1)?));
        Ok((*layer, rows.collect::<Result<_>>()?))
    };
    kept.iter().map(of).collect()
}
