//! What may be changed inside a network while it predicts.
//!
//! A network consults [`Hook`]s at each layer and knows of no single one; an intervention knows nothing
//! of the language. [`build`] turns a plan's interventions into hooks for a network's layers.

mod blur_attention;
mod identity_attention;
pub mod layers;
mod skip_layers;

use std::fmt;

use candle_core::Tensor;
use guide_compiler::plan::{ArgValue, Intervention, Layers};

use crate::error::{ErrorKind, Result, RuntimeError};
use layers::LayerSet;

pub use blur_attention::BlurAttention;
pub use identity_attention::IdentityAttention;
pub use skip_layers::SkipLayers;

/// Where an attention happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The layer's place in the network's list of layers.
    pub layer: usize,
    /// Height and width of the map that the queries come from.
    pub grid: (usize, usize),
}

/// What a layer asks before it works. Every answer has a default that changes nothing.
pub trait Hook: fmt::Debug + Send + Sync {
    /// Whether the layer is left out, so that its input is its output.
    fn skips(&self, layer: usize) -> bool {
        let _ = layer;
        false
    }

    /// What the attention gives instead of `softmax(q k^T) v`, before its output projection:
    /// `[B, N, C]`. `values` computes `v`, `[B, M, C]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn mixed(&self, site: Site, values: &dyn Fn() -> Result<Tensor>) -> Result<Option<Tensor>> {
        let _ = (site, values);
        Ok(None)
    }

    /// The queries, `[B, N, C]`, as the attention shall see them.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn queries(&self, site: Site, queries: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(queries)
    }
}

/// The hooks of one prediction, in order. Empty for an ordinary one, at no cost.
#[derive(Debug, Default)]
pub struct Hooks(Vec<Box<dyn Hook>>);

impl Hooks {
    /// No change.
    pub const NONE: &'static Hooks = &Hooks(Vec::new());

    /// These hooks, in this order.
    pub fn of(hooks: Vec<Box<dyn Hook>>) -> Self {
        Self(hooks)
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any hook leaves the layer out.
    pub fn skips(&self, layer: usize) -> bool {
        self.0.iter().any(|hook| hook.skips(layer))
    }

    /// The first replacement of what an attention gives.
    ///
    /// # Errors
    /// What the hook reports.
    pub fn mixed(&self, site: Site, values: &dyn Fn() -> Result<Tensor>) -> Result<Option<Tensor>> {
        for hook in &self.0 {
            if let Some(mixed) = hook.mixed(site, values)? {
                return Ok(Some(mixed));
            }
        }
        Ok(None)
    }

    /// The queries after every hook, in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn queries(&self, site: Site, mut queries: Tensor) -> Result<Tensor> {
        for hook in &self.0 {
            queries = hook.queries(site, queries)?;
        }
        Ok(queries)
    }
}

/// The names that [`build`] knows.
pub const KNOWN: [&str; 3] = ["blur_attention", "identity_attention", "skip_layers"];

/// Makes the hooks of a prediction for a network with these layers.
///
/// # Errors
/// `NotYet` for an intervention that this runtime does not do, `NoSuchLayers`, `BadPlan` for an
/// argument that is missing or of the wrong kind.
pub fn build(interventions: &[Intervention], layers: &[String]) -> Result<Hooks> {
    interventions
        .iter()
        .map(|one| hook(one, layers))
        .collect::<Result<Vec<_>>>()
        .map(Hooks)
}

fn hook(intervention: &Intervention, names: &[String]) -> Result<Box<dyn Hook>> {
    let name = intervention.name.as_str();
    match name {
        "identity_attention" => {
            let chosen = self_attentions(intervention, names)?;
            Ok(Box::new(IdentityAttention::new(chosen)))
        }
        "blur_attention" => {
            let sigma = number(intervention, "sigma")?;
            Ok(Box::new(BlurAttention::new(
                self_attentions(intervention, names)?,
                sigma,
            )?))
        }
        "skip_layers" => Ok(Box::new(SkipLayers::new(layers::select(
            layer_argument(intervention)?,
            names,
        )?))),
        _ => Err(RuntimeError::new(
            ErrorKind::NotYet,
            format!("this version cannot do the intervention `{name}`"),
        )
        .help(format!(
            "use one of {}",
            KNOWN.map(|known| format!("`{known}`")).join(", ")
        ))),
    }
}

/// Every self-attention in the layers that the intervention names.
fn self_attentions(intervention: &Intervention, names: &[String]) -> Result<LayerSet> {
    let argument = layer_argument(intervention)?;
    layers::select(argument, names)?
        .only_self_attentions(names)
        .ok_or_else(|| {
            RuntimeError::new(
                ErrorKind::NoSuchLayers,
                format!(
                    "the layers `{argument}` hold no self-attention, which `{}` works on",
                    intervention.name
                ),
            )
            .help("name layers with self-attention, such as `mid` or `all`")
        })
}

fn layer_argument(intervention: &Intervention) -> Result<&Layers> {
    let found = intervention.args.iter().find_map(|arg| match &arg.value {
        ArgValue::Layers(layers) => Some(layers),
        ArgValue::Number(_) | ArgValue::Text(_) => None,
    });
    found.ok_or_else(|| lacks(intervention, "layers"))
}

fn number(intervention: &Intervention, name: &str) -> Result<f64> {
    let found = intervention.args.iter().find_map(|arg| match arg.value {
        ArgValue::Number(value) if arg.name == name => Some(value),
        _ => None,
    });
    found.ok_or_else(|| lacks(intervention, name))
}

fn lacks(intervention: &Intervention, argument: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::BadPlan,
        format!(
            "the intervention `{}` has no argument `{argument}`",
            intervention.name
        ),
    )
}
