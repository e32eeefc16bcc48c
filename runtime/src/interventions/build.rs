//! A plan's interventions as hooks for a network's layers.

use std::sync::Arc;

use candle_core::Tensor;
use guide_compiler::plan::{ArgValue, Condition, Intervention, Layers};

use super::layers::{self, LayerSet};
use super::{
    BlurAttention, Hook, Hooks, IdentityAttention, NAME_OF_INJECTION, NegativeAttention, PushApart,
    ScaleSkips, ShuffleTokens, SkipLayers, SteerAway, TokenNorm,
};
use crate::error::{ErrorKind, Result, RuntimeError};

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
/// evaluation is known only where that is: see [`super::injections`].
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

/// That a saved plan leaves something out.
pub(super) fn lacks(intervention: &Intervention, argument: &str) -> RuntimeError {
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
