//! What comes from another prediction's evaluation: features and attention that take the place of a layer's own
//! (Plug-and-Play, Tumanyan et al. 2023, arXiv 2211.12572), tokens that samples are pushed apart from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use guide_compiler::plan::{ArgValue, Intervention, PredictionId};

use super::build::{Given, NAME_OF_INJECTION};
use super::layers::LayerSet;
use super::{Hook, PushApart, Site};
use crate::error::{ErrorKind, Result, RuntimeError};

/// What is kept of a layer's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// A self-attention's queries, `[B, N, C]`.
    Queries,
    /// A self-attention's keys, `[B, N, C]`.
    Keys,
    /// A resnet's residual branch, `[B, C, H, W]`.
    Residual,
    /// What a self-attention adds, `[B, N, C]`.
    Output,
}

/// What was kept of an evaluation, by layer.
pub type Kept = BTreeMap<(usize, Piece), Tensor>;

/// Layers whose work another prediction takes something of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    layers: LayerSet,
    pieces: &'static [Piece],
}

impl Lent {
    fn holds(&self, layer: usize, piece: Piece) -> bool {
        self.pieces.contains(&piece) && self.layers.holds(layer)
    }
}

/// What a prediction takes from another one's evaluation.
#[derive(Clone, Debug)]
pub struct Borrowed {
    /// The other.
    pub from: PredictionId,
    /// What of it.
    pub lent: Lent,
    /// Strength and threshold, where samples are pushed apart from what is taken; else it takes the place of
    /// their own.
    apart: Option<[f64; 2]>,
}

impl Borrowed {
    /// What does it in a pass whose samples are given `kept`, a row for each.
    pub fn hook(&self, kept: Kept) -> Arc<dyn Hook> {
        match self.apart {
            None => Arc::new(Inject(kept)),
            Some([strength, threshold]) => {
                let layers = self.lent.layers.clone();
                let outputs = kept.into_iter().map(|((layer, _), output)| (layer, output));
                let away = PushApart::new(layers, strength, threshold);
                Arc::new(away.from(outputs.collect()))
            }
        }
    }
}

/// What the interventions of a prediction take from others in a tick.
///
/// # Errors
/// `NoSuchLayers`, `BadPlan` for an argument that is missing or of the wrong kind.
pub fn borrowed<'a>(
    interventions: &'a [Intervention],
    names: &[String],
    tick: usize,
) -> Result<Vec<Borrowed>> {
    let takes = |one: &'a Intervention| {
        let args = one.args.iter().find_map(|arg| match arg.value {
            ArgValue::Prediction(from) => Some(from),
            _ => None,
        });
        args.map(|from| (one, from))
    };
    let all = interventions.iter().filter_map(takes);
    all.map(|(one, from)| {
        let given = Given {
            intervention: one,
            names,
            tick,
        };
        match one.name.as_str() {
            NAME_OF_INJECTION => injection(&given, from),
            "push_apart" => Ok(Borrowed {
                from,
                lent: Lent {
                    layers: given.layers_of_kind("self")?,
                    pieces: &[Piece::Output],
                },
                apart: Some([given.number("strength")?, given.number("threshold")?]),
            }),
            name => Err(RuntimeError::new(
                ErrorKind::BadPlan,
                format!("the intervention `{name}` takes nothing from another prediction"),
            )),
        }
    })
    .collect()
}

fn injection(given: &Given<'_>, from: PredictionId) -> Result<Borrowed> {
    let (set, names) = (given.layers("site")?, given.names);
    let what = given.word("what")?;
    let (set, noun, pieces): (_, _, &'static [Piece]) = match what {
        "features" => (
            set.only_resnets(names),
            "residual block",
            &[Piece::Residual],
        ),
        _ => (
            set.only("self", names),
            "self-attention",
            &[Piece::Queries, Piece::Keys],
        ),
    };
    let layers = match set {
        Some(layers) => layers,
        None => {
            let chosen = given.selector("site")?;
            let message =
                format!("the layers `{chosen}` hold no {noun} whose {what} could be injected");
            return Err(RuntimeError::new(ErrorKind::NoSuchLayers, message)
                .help("name layers such as `up`, with `what: attention` or `what: features`"));
        }
    };
    Ok(Borrowed {
        from,
        lent: Lent { layers, pieces },
        apart: None,
    })
}

/// Keeps what the layers compute; changes nothing.
#[derive(Debug)]
pub struct Keep {
    lent: Vec<Lent>,
    kept: Mutex<Kept>,
}

impl Keep {
    /// Of these layers.
    pub fn new(lent: Vec<Lent>) -> Self {
        Self {
            lent,
            kept: Mutex::default(),
        }
    }

    /// What was kept since the last time.
    pub fn take(&self) -> Kept {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, layer: usize, piece: Piece, tensor: &Tensor) {
        if self.wants(layer, piece) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert((layer, piece), tensor.clone());
        }
    }

    fn wants(&self, layer: usize, piece: Piece) -> bool {
        self.lent.iter().any(|lent| lent.holds(layer, piece))
    }
}

impl Hook for Keep {
    fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        self.keep(site.layer, Piece::Queries, &queries);
        Ok(queries)
    }

    fn keys(&self, site: Site<'_>, keys: Tensor) -> Result<Tensor> {
        self.keep(site.layer, Piece::Keys, &keys);
        Ok(keys)
    }

    fn sees_residual(&self, layer: usize) -> bool {
        self.wants(layer, Piece::Residual)
    }

    fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        self.keep(layer, Piece::Residual, residual);
        Ok(None)
    }

    fn reads_output(&self, layer: usize) -> bool {
        self.wants(layer, Piece::Output)
    }

    fn output(&self, site: Site<'_>, given: Tensor) -> Result<Tensor> {
        self.keep(site.layer, Piece::Output, &given);
        Ok(given)
    }
}

/// Gives layers what was kept of another evaluation, a row for each sample of the pass.
#[derive(Debug)]
struct Inject(Kept);

impl Inject {
    fn instead(&self, layer: usize, piece: Piece) -> Option<Tensor> {
        self.0.get(&(layer, piece)).cloned()
    }
}

impl Hook for Inject {
    fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        let given = self.instead(site.layer, Piece::Queries);
        Ok(given.unwrap_or(queries))
    }

    fn keys(&self, site: Site<'_>, keys: Tensor) -> Result<Tensor> {
        Ok(self.instead(site.layer, Piece::Keys).unwrap_or(keys))
    }

    fn sees_residual(&self, layer: usize) -> bool {
        self.0.contains_key(&(layer, Piece::Residual))
    }

    fn residual(&self, layer: usize, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.instead(layer, Piece::Residual))
    }
}

/// What samples have kept of these layers, one below the other.
///
/// # Errors
/// What the tensor library reports; samples that kept different things.
pub fn stacked(rows: &[&Kept], lent: &Lent) -> Result<Kept> {
    let Some(first) = rows.first() else {
        return Ok(Kept::new());
    };
    let wanted = first
        .keys()
        .filter(|(layer, piece)| lent.holds(*layer, *piece));
    let one = |key: &(usize, Piece)| {
        let parts: Option<Vec<&Tensor>> = rows.iter().map(|row| row.get(key)).collect();
        let parts = parts.ok_or_else(|| {
            RuntimeError::new(ErrorKind::BadPlan, "samples kept different layers")
        })?;
        Ok((*key, Tensor::cat(&parts, 0)?))
    };
    wanted.map(one).collect()
}

/// A row of what a pass kept.
///
/// # Errors
/// What the tensor library reports.
pub fn row(kept: &Kept, row: usize) -> Result<Kept> {
    let of = |(key, tensor): (&(usize, Piece), &Tensor)| Ok((*key, tensor.narrow(0, row, 1)?));
    kept.iter().map(of).collect()
}
