//! What an objective draws in each turn.

use serde::{Deserialize, Serialize};

/// The random value of an objective's turn that is the time.
pub const DRAWN_TIME: &str = "t@turn";
/// The random value of an objective's turn that is the noise in `x`.
pub const DRAWN_NOISE: &str = "noise@turn";

/// A plan of an objective: its steps are the turns of an optimisation, its latent is what is optimised,
/// and what leaves a turn is the gradient to go down. Times are drawn between two ends, as the network is
/// given them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The least noisy time.
    pub from: f64,
    /// The noisiest time.
    pub to: f64,
}

/// A half of the noise at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoisePart {
    /// The signal's factor.
    Alpha,
    /// The noise's factor.
    Sigma,
}

impl NoisePart {
    /// Its name in the language.
    pub fn name(self) -> &'static str {
        match self {
            NoisePart::Alpha => "alpha",
            NoisePart::Sigma => "sigma",
        }
    }
}
