//! What may be changed inside a network while it predicts.
//!
//! A network consults [`Hook`]s at each layer and knows of no single one; an intervention knows nothing
//! of the language. [`build`] turns a plan's interventions into hooks for a network's layers.

mod blur_attention;
mod identity_attention;
mod inject;
pub mod layers;
mod negative_attention;
mod skip_layers;
mod steer_away;
mod watch;

use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;
use guide_compiler::plan::{ArgValue, Condition, Intervention, Layers};

use crate::error::{ErrorKind, Result, RuntimeError};
use layers::LayerSet;

pub use blur_attention::BlurAttention;
pub use identity_attention::IdentityAttention;
pub use inject::{Inject, Injection, Keep, Kept, injections, row, stacked};
pub use negative_attention::{NegativeAttention, TokenNorm};
pub use skip_layers::SkipLayers;
pub use steer_away::SteerAway;
pub use watch::Watch;

/// The intervention that takes from another prediction; see [`injections`].
const NAME_OF_INJECTION: &str = "inject";

/// Where an attention happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The layer's place in the network's list of layers.
    pub layer: usize,
    /// Height and width of the map that the queries come from.
    pub grid: (usize, usize),
}

/// What an attention's own queries give for other states, `[1 or B, M, D]`: `[B, N, C]`.
pub type Attended<'a> = dyn Fn(&Tensor) -> Result<Tensor> + 'a;

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

    /// The keys, `[B, M, C]`, as the attention shall see them.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn keys(&self, site: Site, keys: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(keys)
    }

    /// Whether it is to be shown the residual branch of a resnet.
    fn sees_residual(&self, layer: usize) -> bool {
        let _ = layer;
        false
    }

    /// What a resnet adds to its input instead of `residual`, `[B, C, H, W]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        let _ = (layer, residual);
        Ok(None)
    }

    /// What the attention gives, `[B, N, C]`, as its output projection shall see it. `attend` gives the
    /// same queries' answer for other states.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn attended(&self, site: Site, given: Tensor, attend: &Attended<'_>) -> Result<Tensor> {
        let _ = (site, attend);
        Ok(given)
    }

    /// Is shown what attends to what: queries `[B, N, C]`, and `keys` computes `[B, M, C]`, in this many
    /// heads.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn attends(
        &self,
        site: Site,
        queries: &Tensor,
        keys: &dyn Fn() -> Result<Tensor>,
        heads: usize,
    ) -> Result<()> {
        let _ = (site, queries, keys, heads);
        Ok(())
    }
}

/// The hooks of one prediction, in order. Empty for an ordinary one, at no cost.
#[derive(Clone, Debug, Default)]
pub struct Hooks(Vec<Arc<dyn Hook>>);

impl Hooks {
    /// No change.
    pub const NONE: &'static Hooks = &Hooks(Vec::new());

    /// These hooks, in this order.
    pub fn of(hooks: Vec<Arc<dyn Hook>>) -> Self {
        Self(hooks)
    }

    /// These hooks, and one more after them.
    pub fn and(&self, hook: Arc<dyn Hook>) -> Self {
        let mut all = self.clone();
        all.0.push(hook);
        all
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

    /// The keys after every hook, in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn keys(&self, site: Site, mut keys: Tensor) -> Result<Tensor> {
        for hook in &self.0 {
            keys = hook.keys(site, keys)?;
        }
        Ok(keys)
    }

    /// Whether any hook is to be shown the residual branch of a resnet.
    pub fn sees_residual(&self, layer: usize) -> bool {
        self.0.iter().any(|hook| hook.sees_residual(layer))
    }

    /// What a resnet adds to its input instead of its residual branch: the last word of a hook.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        let mut instead = None;
        for hook in &self.0 {
            instead = hook.residual(layer, residual)?.or(instead);
        }
        Ok(instead)
    }

    /// What an attention gives, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn attended(&self, site: Site, mut given: Tensor, attend: &Attended<'_>) -> Result<Tensor> {
        for hook in &self.0 {
            given = hook.attended(site, given, attend)?;
        }
        Ok(given)
    }

    /// Shows every hook what attends to what.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn attends(
        &self,
        site: Site,
        queries: &Tensor,
        keys: &dyn Fn() -> Result<Tensor>,
        heads: usize,
    ) -> Result<()> {
        self.0
            .iter()
            .try_for_each(|hook| hook.attends(site, queries, keys, heads))
    }
}

/// What the operands of interventions are in a run.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// The text states of a condition, `[1, L, D]`.
    pub states: &'a dyn Fn(&Condition) -> Result<Tensor>,
}

/// The names that [`build`] knows.
pub const KNOWN: [&str; 6] = [
    "blur_attention",
    "identity_attention",
    NAME_OF_INJECTION,
    "negative_attention",
    "skip_layers",
    "steer_away",
];

/// Makes the hooks of a prediction for a network with these layers. What comes from another prediction's
/// evaluation is known only where that is: see [`injections`].
///
/// # Errors
/// `NotYet` for an intervention that this runtime does not do, `NoSuchLayers`, `BadPlan` for an
/// argument that is missing or of the wrong kind.
pub fn build(
    interventions: &[Intervention],
    layers: &[String],
    operands: Operands<'_>,
) -> Result<Hooks> {
    let own = interventions.iter();
    own.filter(|one| one.name != NAME_OF_INJECTION)
        .map(|one| hook(one, layers, operands))
        .collect::<Result<Vec<_>>>()
        .map(Hooks)
}

fn hook(
    intervention: &Intervention,
    names: &[String],
    operands: Operands<'_>,
) -> Result<Arc<dyn Hook>> {
    let given = Given {
        intervention,
        names,
        operands,
    };
    Ok(match intervention.name.as_str() {
        "identity_attention" => Arc::new(IdentityAttention::new(given.layers_of_kind("self")?)),
        "blur_attention" => {
            let sigma = given.number("sigma")?;
            Arc::new(BlurAttention::new(given.layers_of_kind("self")?, sigma)?)
        }
        "skip_layers" => Arc::new(SkipLayers::new(given.layers()?)),
        "negative_attention" => Arc::new(NegativeAttention::new(
            given.layers_of_kind("cross")?,
            given.states("minus")?,
            [
                given.number("scale")?,
                given.number("tau")?,
                given.number("mix")?,
            ],
            TokenNorm::named(given.word("norm")?)?,
        )),
        "steer_away" => Arc::new(SteerAway::new(
            given.layers_of_kind("cross")?,
            given.states("from")?,
            given.number("scale")?,
        )),
        name => {
            return Err(RuntimeError::new(
                ErrorKind::NotYet,
                format!("this version cannot do the intervention `{name}`"),
            )
            .help(format!(
                "use one of {}",
                KNOWN.map(|known| format!("`{known}`")).join(", ")
            )));
        }
    })
}

/// An intervention for a network with these layers.
struct Given<'a> {
    intervention: &'a Intervention,
    names: &'a [String],
    operands: Operands<'a>,
}

impl<'a> Given<'a> {
    /// The first argument that `take` takes something of.
    fn argument<T>(&self, name: &str, take: impl Fn(&'a ArgValue) -> Option<T>) -> Result<T> {
        let mut args = self.intervention.args.iter();
        let found = args.find_map(|arg| (arg.name == name).then(|| take(&arg.value))?);
        found.ok_or_else(|| lacks(self.intervention, name))
    }

    fn selector(&self) -> Result<&'a Layers> {
        self.argument("layers", |value| match value {
            ArgValue::Layers(layers) => Some(layers),
            _ => None,
        })
    }

    fn layers(&self) -> Result<LayerSet> {
        layers::select(self.selector()?, self.names)
    }

    /// Every `self` or `cross` attention in the layers that the intervention names.
    fn layers_of_kind(&self, kind: &str) -> Result<LayerSet> {
        let chosen = self.layers()?.only(kind, self.names);
        chosen.map_or_else(
            || {
                let layers = self.selector()?;
                let name = &self.intervention.name;
                let message = format!(
                    "the layers `{layers}` hold no {kind}-attention, which `{name}` works on"
                );
                let help = format!("name layers with {kind}-attention, such as `{kind}` or `all`");
                Err(RuntimeError::new(ErrorKind::NoSuchLayers, message).help(help))
            },
            Ok,
        )
    }

    fn number(&self, name: &str) -> Result<f64> {
        self.argument(name, |value| match value {
            ArgValue::Number(number) => Some(*number),
            _ => None,
        })
    }

    fn word(&self, name: &str) -> Result<&'a str> {
        self.argument(name, |value| match value {
            ArgValue::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The text states of a condition, `[1, L, D]`.
    fn states(&self, name: &str) -> Result<Tensor> {
        let condition = self.argument(name, |value| match value {
            ArgValue::Condition(condition) => Some(condition),
            _ => None,
        })?;
        (self.operands.states)(condition)
    }
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
