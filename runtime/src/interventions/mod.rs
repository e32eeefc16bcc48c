//! What may be changed inside a network while it predicts.
//!
//! A network consults [`Hook`]s at each layer and knows of no single one; an intervention knows nothing
//! of the language. [`build`] turns a plan's interventions into hooks for a network's layers.

mod blur_attention;
mod identity_attention;
mod inject;
pub mod layers;
mod negative_attention;
mod push_apart;
mod scale_skips;
mod shuffle_tokens;
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
pub use push_apart::PushApart;
pub use scale_skips::ScaleSkips;
pub use shuffle_tokens::ShuffleTokens;
pub use skip_layers::SkipLayers;
pub use steer_away::SteerAway;
pub use watch::Watch;

/// The intervention that takes from another prediction; see [`injections`].
const NAME_OF_INJECTION: &str = "inject";

/// Where an attention happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site<'a> {
    /// The layer's place in the network's list of layers.
    pub layer: usize,
    /// Height and width of the map that the queries come from.
    pub grid: (usize, usize),
    /// Which rows of the question the samples are, in order.
    pub rows: &'a [usize],
}

/// Where the way up meets what the way down has kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Joint {
    /// The level on the way up; 0 is the coarsest.
    pub level: usize,
    /// The channels of what comes up, in those of the finest level.
    pub widths: f64,
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
    fn mixed(&self, site: Site<'_>, values: &dyn Fn() -> Result<Tensor>) -> Result<Option<Tensor>> {
        let _ = (site, values);
        Ok(None)
    }

    /// The queries, `[B, N, C]`, as the attention shall see them.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(queries)
    }

    /// The keys, `[B, M, C]`, as the attention shall see them.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn keys(&self, site: Site<'_>, keys: Tensor) -> Result<Tensor> {
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
    fn attended(&self, site: Site<'_>, given: Tensor, attend: &Attended<'_>) -> Result<Tensor> {
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
        site: Site<'_>,
        queries: &Tensor,
        keys: &dyn Fn() -> Result<Tensor>,
        heads: usize,
    ) -> Result<()> {
        let _ = (site, queries, keys, heads);
        Ok(())
    }

    /// Whether [`Hook::output`] is asked about this layer.
    fn reads_output(&self, layer: usize) -> bool {
        let _ = layer;
        false
    }

    /// What an attention adds, `[B, N, C]`, after its output projection.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn output(&self, site: Site<'_>, given: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(given)
    }

    /// The tokens, `[B, N, C]`, that enter a transformer block, of whose self-attention `site` is.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn enter(&self, site: Site<'_>, tokens: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(tokens)
    }

    /// What comes up and what the way down has kept, each `[B, C, H, W]`, before they are put together.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn joined(&self, joint: Joint, way: Tensor, kept: Tensor) -> Result<(Tensor, Tensor)> {
        let _ = joint;
        Ok((way, kept))
    }

    /// Whether samples see one another, so that all rows of a question go through together.
    fn couples(&self) -> bool {
        false
    }
}

/// The hooks of one prediction, in order. Empty for an ordinary one, at no cost.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    list: Vec<Arc<dyn Hook>>,
    rows: Vec<usize>,
}

impl Hooks {
    /// No change.
    pub const NONE: &'static Hooks = &Hooks {
        list: Vec::new(),
        rows: Vec::new(),
    };

    /// These hooks, in this order, for the first rows of a question.
    pub fn of(list: Vec<Arc<dyn Hook>>) -> Self {
        let rows = Vec::new();
        Self { list, rows }
    }

    /// The same for a pass of these rows of the question.
    pub fn for_rows(&self, rows: &[usize]) -> Self {
        match self.list.is_empty() {
            true => Self::default(),
            false => Self {
                list: self.list.clone(),
                rows: rows.to_vec(),
            },
        }
    }

    /// Where an attention happens.
    pub fn site(&self, layer: usize, grid: (usize, usize)) -> Site<'_> {
        Site {
            layer,
            grid,
            rows: &self.rows,
        }
    }

    /// These hooks, and one more after them.
    pub fn and(&self, hook: Arc<dyn Hook>) -> Self {
        let mut all = self.clone();
        all.list.push(hook);
        all
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any hook leaves the layer out.
    pub fn skips(&self, layer: usize) -> bool {
        self.list.iter().any(|hook| hook.skips(layer))
    }

    /// The first replacement of what an attention gives.
    ///
    /// # Errors
    /// What the hook reports.
    pub fn mixed(
        &self,
        site: Site<'_>,
        values: &dyn Fn() -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        for hook in &self.list {
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
    pub fn queries(&self, site: Site<'_>, mut queries: Tensor) -> Result<Tensor> {
        for hook in &self.list {
            queries = hook.queries(site, queries)?;
        }
        Ok(queries)
    }

    /// The keys after every hook, in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn keys(&self, site: Site<'_>, mut keys: Tensor) -> Result<Tensor> {
        for hook in &self.list {
            keys = hook.keys(site, keys)?;
        }
        Ok(keys)
    }

    /// Whether any hook is to be shown the residual branch of a resnet.
    pub fn sees_residual(&self, layer: usize) -> bool {
        self.list.iter().any(|hook| hook.sees_residual(layer))
    }

    /// What a resnet adds to its input instead of its residual branch: the last word of a hook.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        let mut instead = None;
        for hook in &self.list {
            instead = hook.residual(layer, residual)?.or(instead);
        }
        Ok(instead)
    }

    /// What an attention gives, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn attended(
        &self,
        site: Site<'_>,
        mut given: Tensor,
        attend: &Attended<'_>,
    ) -> Result<Tensor> {
        for hook in &self.list {
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
        site: Site<'_>,
        queries: &Tensor,
        keys: &dyn Fn() -> Result<Tensor>,
        heads: usize,
    ) -> Result<()> {
        self.list
            .iter()
            .try_for_each(|hook| hook.attends(site, queries, keys, heads))
    }

    /// Whether any hook changes what this attention adds.
    pub fn reads_output(&self, layer: usize) -> bool {
        self.list.iter().any(|hook| hook.reads_output(layer))
    }

    /// What an attention adds, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn output(&self, site: Site<'_>, mut given: Tensor) -> Result<Tensor> {
        for hook in &self.list {
            given = hook.output(site, given)?;
        }
        Ok(given)
    }

    /// The tokens that enter a transformer block, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn enter(&self, site: Site<'_>, mut tokens: Tensor) -> Result<Tensor> {
        for hook in &self.list {
            tokens = hook.enter(site, tokens)?;
        }
        Ok(tokens)
    }

    /// What comes up and what was kept, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn joined(&self, joint: Joint, way: Tensor, kept: Tensor) -> Result<(Tensor, Tensor)> {
        let mut both = (way, kept);
        for hook in &self.list {
            both = hook.joined(joint, both.0, both.1)?;
        }
        Ok(both)
    }

    /// Whether samples see one another.
    pub fn couples(&self) -> bool {
        self.list.iter().any(|hook| hook.couples())
    }
}

/// What the operands of interventions are in a tick of a run.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// The tick's place in the timetable.
    pub tick: usize,
    /// The step that the tick belongs to.
    pub step: u32,
    /// The seed of each row of the question.
    pub seeds: &'a [u64],
    /// The text states of a condition, `[1, L, D]`.
    pub states: &'a dyn Fn(&Condition) -> Result<Tensor>,
}

/// The names that [`build`] knows.
pub const KNOWN: [&str; 9] = [
    "blur_attention",
    "identity_attention",
    NAME_OF_INJECTION,
    "negative_attention",
    "push_apart",
    "scale_skips",
    "shuffle_tokens",
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
        .map(Hooks::of)
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
        "shuffle_tokens" => Arc::new(ShuffleTokens::new(
            given.layers_of_kind("self")?,
            names,
            given.word("salt")?,
            &given.operands,
        )),
        "scale_skips" => Arc::new(ScaleSkips::new(
            [given.number("b1")?, given.number("b2")?],
            [given.number("s1")?, given.number("s2")?],
            given.word("backbone")?,
            given.word("by")?,
        )?),
        "push_apart" => {
            if given.word("from")? != "batch" {
                return Err(odd(intervention, "from"));
            }
            Arc::new(PushApart::new(
                given.layers_of_kind("self")?,
                given.number("strength")?,
                given.number("threshold")?,
            ))
        }
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
            ArgValue::Curve(curve) => Some(curve.at(self.operands.tick)),
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

fn odd(intervention: &Intervention, argument: &str) -> RuntimeError {
    let name = &intervention.name;
    RuntimeError::new(
        ErrorKind::BadPlan,
        format!("`{argument}` of the intervention `{name}` is a word that is not known"),
    )
}
