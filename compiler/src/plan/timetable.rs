//! When a rule is evaluated, and what the noise is then.

use serde::{Deserialize, Serialize};

/// The evaluations of a run, in order, and the noise that lies behind them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timetable {
    /// One entry an evaluation of the rule.
    pub ticks: Vec<Tick>,
    /// The first latent is this times standard normal noise.
    pub init_scale: f64,
    /// The noise as a function of time, for predictions at another time and for `time_of`.
    pub noise: NoiseTable,
}

/// One evaluation. `x = alpha*x0 + sigma*eps`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// The sampling step, from 0.
    pub step: u32,
    /// 0 for a step's first evaluation, 1 for a corrector's.
    pub substep: u32,
    /// The time that the network is given.
    pub t: f64,
    /// The training timestep, or 1000 times the flow time.
    pub t1000: f64,
    /// The signal's factor.
    pub alpha: f64,
    /// The noise's factor.
    pub sigma: f64,
    /// `t` of the state that this step leads to.
    pub t_next: f64,
    /// `alpha` of the state that this step leads to.
    pub alpha_next: f64,
    /// `sigma` of the state that this step leads to.
    pub sigma_next: f64,
    /// The variance of the ancestral (DDPM) step that this evaluation belongs to, from where it began
    /// to the next state.
    pub posterior_variance: f64,
}

/// The noise as a function of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoiseTable {
    /// A discrete variance-preserving table, `alpha^2 = prod(1 - beta)`.
    Betas {
        /// `linear`, `scaled_linear` or `squaredcos_cap_v2`.
        schedule: String,
        /// First beta.
        start: f64,
        /// Last beta.
        end: f64,
        /// Number of training timesteps.
        count: u32,
        /// Rescaled so that the last timestep has no signal.
        zero_terminal_snr: bool,
    },
    /// `alpha = 1 - sigma`, `sigma = t/1000`.
    Flow,
    /// Known at these points only: `(t, alpha, sigma)`, in the order of a run.
    Points(Vec<(f64, f64, f64)>),
}
