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
    /// Steps that were left out at the beginning, because the run starts from a picture's latents with
    /// the noise of the first tick.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skipped: u32,
    /// What the solver is told besides.
    #[serde(default, skip_serializing_if = "Method::is_standard")]
    pub method: Method,
}

impl Timetable {
    /// Ticks of a run from standard normal noise, solved as published.
    pub fn new(ticks: Vec<Tick>, noise: NoiseTable) -> Self {
        Self {
            ticks,
            init_scale: 1.0,
            noise,
            skipped: 0,
            method: Method::default(),
        }
    }
}

/// The free choices of a solver; each reads those that it has. The default is the published method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Method {
    /// The highest order that each step may have, for solvers that look back; a step that is not listed
    /// has the solver's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<u32>,
    /// What the predictions are turned into before they are looked back at.
    #[serde(skip_serializing_if = "is_default")]
    pub form: Form,
    /// The term of second order.
    #[serde(skip_serializing_if = "is_default")]
    pub second: Second,
    /// DDIM: the share of the ancestral step's fresh noise, 0 to 1.
    #[serde(skip_serializing_if = "is_default")]
    pub eta: f64,
    /// DDPM: the fresh noise has the variance of the forward step, rather than that of the posterior.
    #[serde(skip_serializing_if = "is_default")]
    pub forward_variance: bool,
    /// LCM: what the boundary condition multiplies times by, and its `sigma_data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<(f64, f64)>,
    /// What becomes of a predicted clean sample.
    #[serde(skip_serializing_if = "is_default")]
    pub clip: Clip,
}

impl Method {
    /// Whether all choices are those of the published method.
    pub fn is_standard(&self) -> bool {
        *self == Self::default()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What an exponential integrator takes as the slowly changing part of its solution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The clean sample, as in DPM-Solver++.
    #[default]
    Clean,
    /// The noise, as in DPM-Solver.
    Noise,
}

/// How an exponential integrator makes its term of second order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Second {
    /// DPM-Solver's midpoint, UniPC's `B(h) = exp(h) - 1`.
    #[default]
    Midpoint,
    /// DPM-Solver's Heun: the integral of the slope.
    Heun,
    /// UniPC's `B(h) = h`.
    Step,
}

/// What becomes of a predicted clean sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Clip {
    /// It stays.
    #[default]
    No,
    /// Cut to `-r..r`.
    Range(f64),
    /// Dynamic thresholding (Saharia et al. 2022): cut to `-s..s` and divided by `s`, the quantile
    /// `ratio` of the sample's magnitudes within `1..=most`.
    Quantile {
        /// Which quantile, 0 to 1.
        ratio: f64,
        /// The largest `s`.
        most: f64,
    },
}

/// One evaluation. `x = alpha*x0 + sigma*eps`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// The sampling step, from 0.
    pub step: u32,
    /// 0 for a step's first evaluation, 1 for its second.
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
