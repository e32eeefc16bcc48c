//! A plan's interventions as hooks for a network's layers.

use std::sync::Arc;

use candle_core::Tensor;
use guide_compiler::plan::{ArgValue, Condition, Intervention, Layers, Tokens};

use super::layers::{self, LayerSet};
use super::{
    Bias, BiasAttention, BlurAttention, Hook, Hooks, IdentityAttention, NegativeAttention,
    PushApart, ScaleSkips, ShuffleTokens, SkipLayers, SparseAttention, SteerAway, TokenNorm,
};
use crate::error::{ErrorKind, Result, RuntimeError};

/// The intervention that gives layers what they had in another prediction's evaluation.
pub(super) const NAME_OF_INJECTION: &str = "inject";

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
    /// The places of tokens in the prediction's own text.
    pub places: &'a dyn Fn(&Tokens) -> Result<Vec<u32>>,
    /// The maps that interventions read, `[rows, 1, H, W]`; none where only the arguments are looked at.
    pub maps: &'a [Tensor],
}

/// The names that [`build`] knows.
pub const KNOWN: [&str; 12] = [
    "bias_attention",
    "blur_attention",
    "identity_attention",
    NAME_OF_INJECTION,
    "mask_attention",
    "negative_attention",
    "push_apart",
    "scale_skips",
    "shuffle_tokens",
    "skip_layers",
    "sparse_attention",
    "steer_away",
];

/// Makes the hooks of a prediction for a network with these layers. What comes from another prediction's
/// evaluation is known only where that is: see [`super::borrowed`].
///
/// # Errors
/// `NotYet` for an intervention that this runtime does not do, `NoSuchLayers`, `BadPlan` for an
/// argument that is missing or of the wrong kind.
pub fn build(
    interventions: &[Intervention],
    layers: &[String],
    operands: Operands<'_>,
) -> Result<Hooks> {
    let own = interventions.iter().filter(|one| !borrows(one));
    own.map(|one| {
        let given = Given {
            intervention: one,
            names: layers,
            tick: operands.tick,
        };
        hook(&given, operands)
    })
    .collect::<Result<Vec<_>>>()
    .map(Hooks::of)
}

/// Whether it takes something from another prediction.
fn borrows(intervention: &Intervention) -> bool {
    let mut args = intervention.args.iter();
    args.any(|arg| matches!(arg.value, ArgValue::Prediction(_)))
}

fn hook(given: &Given<'_>, operands: Operands<'_>) -> Result<Arc<dyn Hook>> {
    let (intervention, names) = (given.intervention, given.names);
    Ok(match intervention.name.as_str() {
        "identity_attention" => Arc::new(IdentityAttention::new(given.layers_of_kind("self")?)),
        "blur_attention" => {
            let sigma = given.number("sigma")?;
            Arc::new(BlurAttention::new(given.layers_of_kind("self")?, sigma)?)
        }
        "skip_layers" => Arc::new(SkipLayers::new(given.layers("layers")?)),
        "bias_attention" => {
            let bias = Bias::Added(given.number("strength")?);
            Arc::new(given.biased(operands, bias)?)
        }
        "mask_attention" => Arc::new(given.biased(operands, Bias::Seen)?),
        "sparse_attention" => Arc::new(SparseAttention::new(
            given.layers_of_kind("cross")?,
            given.number("scale")?,
            given.number("alpha")?,
        )),
        "negative_attention" => Arc::new(NegativeAttention::new(
            given.layers_of_kind("cross")?,
            (operands.states)(given.condition("minus")?)?,
            [
                given.number("scale")?,
                given.number("tau")?,
                given.number("mix")?,
            ],
            TokenNorm::named(given.word("norm")?)?,
        )),
        "steer_away" => Arc::new(SteerAway::new(
            given.layers_of_kind("cross")?,
            (operands.states)(given.condition("from")?)?,
            given.number("scale")?,
        )),
        "shuffle_tokens" => Arc::new(ShuffleTokens::new(
            given.layers_of_kind("self")?,
            names,
            given.word("salt")?,
            &operands,
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

/// An intervention for a network with layers of these names, in a tick.
pub(super) struct Given<'a> {
    pub intervention: &'a Intervention,
    pub names: &'a [String],
    pub tick: usize,
}

impl<'a> Given<'a> {
    /// The first argument that `take` takes something of.
    fn argument<T>(&self, name: &str, take: impl Fn(&'a ArgValue) -> Option<T>) -> Result<T> {
        let mut args = self.intervention.args.iter();
        let found = args.find_map(|arg| (arg.name == name).then(|| take(&arg.value))?);
        found.ok_or_else(|| lacks(self.intervention, name))
    }

    pub fn selector(&self, name: &str) -> Result<&'a Layers> {
        self.argument(name, |value| match value {
            ArgValue::Layers(layers) => Some(layers),
            _ => None,
        })
    }

    pub fn layers(&self, name: &str) -> Result<LayerSet> {
        layers::select(self.selector(name)?, self.names)
    }

    /// Every `self` or `cross` attention in the layers that the intervention names.
    pub fn layers_of_kind(&self, kind: &str) -> Result<LayerSet> {
        let chosen = self.layers("layers")?.only(kind, self.names);
        chosen.map_or_else(
            || {
                let layers = self.selector("layers")?;
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

    pub fn number(&self, name: &str) -> Result<f64> {
        self.argument(name, |value| match value {
            ArgValue::Number(number) => Some(*number),
            ArgValue::Curve(curve) => Some(curve.at(self.tick)),
            _ => None,
        })
    }

    pub fn word(&self, name: &str) -> Result<&'a str> {
        self.argument(name, |value| match value {
            ArgValue::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    fn condition(&self, name: &str) -> Result<&'a Condition> {
        self.argument(name, |value| match value {
            ArgValue::Condition(condition) => Some(condition),
            _ => None,
        })
    }

    /// Tokens whose scores follow a region.
    fn biased(&self, operands: Operands<'_>, bias: Bias) -> Result<BiasAttention> {
        let tokens = self.argument("tokens", |value| match value {
            ArgValue::Tokens(tokens) => Some(tokens),
            _ => None,
        })?;
        let at = self.argument("region", |value| match value {
            ArgValue::Map { at, .. } => Some(*at as usize),
            _ => None,
        })?;
        let region = operands.maps.get(at).cloned();
        if region.is_none() && !operands.maps.is_empty() {
            return Err(lacks(self.intervention, "region"));
        }
        let layers = self.layers_of_kind("cross")?;
        let tokens = (operands.places)(tokens)?;
        Ok(BiasAttention::new(layers, tokens, region, bias))
    }
}

/// That a saved plan leaves something out.
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
