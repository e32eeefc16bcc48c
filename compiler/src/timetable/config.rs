//! `scheduler_config.json` as diffusers writes it; unknown fields are tolerated.

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Clip, Form, MOST_TRAIN_STEPS, NoiseTable, Second, Space};

use super::raw::{Raw, unsupported};
use super::{Levels, Sampler, SolverFacts, Spacing};

/// What a model's folder says about its noise, and how it wants to be sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerConfig {
    /// The noise as a function of time.
    pub noise: NoiseTable,
    /// What the network answers in.
    pub space: Space,
    /// Number of training timesteps.
    pub train_steps: u32,
    /// The sampler that the model was published with, where that is one of ours.
    pub sampler: Option<Sampler>,
    /// How the steps of a run are spread, where the model says so.
    pub spacing: Option<Spacing>,
    /// Added to the timesteps of [`Spacing::Leading`].
    pub steps_offset: u32,
    /// DDIM and its kin: whether the last step leads to a state without noise, rather than to
    /// timestep 0.
    pub last_without_noise: bool,
    /// Whether the others end at sigma 0, rather than at the smallest one.
    pub final_sigma_zero: bool,
    /// The noise levels of samplers that have a choice.
    pub levels: Levels,
    /// The order of solvers that look back.
    pub order: Option<u32>,
    /// What those look back at.
    pub form: Form,
    /// How those make their term of second order.
    pub second: Second,
    /// Whether the last two steps are of lower order.
    pub lower_last: Option<bool>,
    /// Whether the last step is of first order, whatever the others are.
    pub euler_last: bool,
    /// DDIM: the share of fresh noise. A config does not say it.
    pub eta: f64,
    /// DDPM: whether the fresh noise has the variance of the forward step.
    pub forward_variance: bool,
    /// What becomes of a predicted clean sample.
    pub clip: Clip,
    /// LCM: the steps that the model was distilled from.
    pub original_steps: u32,
    /// LCM: what times are multiplied by in its boundary condition.
    pub timestep_scaling: f64,
    /// Flow models: how times are shifted towards noise.
    pub shift: Shift,
    /// What the config asks for and does not get.
    pub ignored: Vec<Ignored>,
}

/// A field of a config that is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its name.
    pub field: &'static str,
    /// The only sampler to which it matters; without one it matters to all.
    pub only: Option<Sampler>,
}

/// How a flow model's times are shifted towards noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shift {
    /// `s*t / (1 + (s - 1)*t)`; 1 is none.
    Fixed(f64),
    /// `m / (m + 1/t - 1)` with `m = exp(mu)`, or `mu` itself.
    Dynamic {
        /// The shift; between `base_shift` and `max_shift` by the number of image tokens.
        mu: f64,
        /// Whether `m` is `exp(mu)`.
        exponential: bool,
    },
}

impl SchedulerConfig {
    /// Reads the text of a `scheduler_config.json`.
    ///
    /// `image_tokens`, the number of tokens of the picture, matters to flow models whose shift
    /// depends on the size; without it the smallest size is assumed.
    ///
    /// # Errors
    /// `G0709` for text that is no such config, or whose noise is not offered here.
    pub fn parse(text: &str, image_tokens: Option<u32>) -> Result<Self, Diagnostic> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| {
            Diagnostic::new(
                Code::BadConfig,
                format!("`scheduler_config.json` cannot be read: {error}"),
            )
        })?;
        if raw.trained_betas.is_some() {
            return Err(unsupported("trained_betas", "a list"));
        }
        if !(2..=MOST_TRAIN_STEPS).contains(&raw.num_train_timesteps) {
            return Err(unsupported(
                "num_train_timesteps",
                &raw.num_train_timesteps.to_string(),
            ));
        }
        let clip = raw.clip();
        if !possible(clip) {
            return Err(unsupported(
                "clip_sample_range, dynamic_thresholding_ratio or sample_max_value",
                &format!("{clip:?}"),
            ));
        }
        let noise = if raw.is_flow() {
            NoiseTable::Flow
        } else {
            raw.betas()?
        };
        Ok(Self {
            noise,
            space: raw.space()?,
            train_steps: raw.num_train_timesteps,
            sampler: raw.sampler(),
            spacing: raw.spacing(),
            steps_offset: raw.steps_offset(),
            last_without_noise: raw.last_without_noise(),
            final_sigma_zero: raw.final_sigma_zero(),
            levels: raw.levels(),
            order: raw.order(),
            form: raw.form(),
            second: raw.second(),
            lower_last: raw.lower_order_final,
            euler_last: raw.euler_at_final.unwrap_or(false),
            eta: 0.0,
            forward_variance: raw.forward_variance(),
            clip,
            original_steps: raw.original_inference_steps.max(1),
            timestep_scaling: raw.timestep_scaling,
            shift: raw.shift(image_tokens),
            ignored: raw.ignored(),
        })
    }

    /// The config that Stable Diffusion was published with; `space` is what the network answers in.
    pub fn stable_diffusion(space: Space) -> Self {
        Self {
            noise: NoiseTable::Betas {
                schedule: "scaled_linear".into(),
                start: 0.00085,
                end: 0.012,
                count: 1000,
                zero_terminal_snr: false,
            },
            space,
            train_steps: 1000,
            sampler: None,
            spacing: None,
            steps_offset: 1,
            last_without_noise: false,
            final_sigma_zero: true,
            levels: Levels::Timesteps,
            order: None,
            form: Form::Clean,
            second: Second::Midpoint,
            lower_last: None,
            euler_last: false,
            eta: 0.0,
            forward_variance: false,
            clip: Clip::No,
            original_steps: 50,
            timestep_scaling: 10.0,
            shift: Shift::Fixed(1.0),
            ignored: Vec::new(),
        }
    }

    /// What a solver can do with an outcome when this config chooses for it.
    pub fn facts(&self, sampler: Sampler) -> SolverFacts {
        let facts = sampler.facts();
        SolverFacts {
            // Which of two predictions' noises is looked back at, nobody has said.
            renoise: facts.renoise && !(sampler == Sampler::Dpmpp2m && self.form == Form::Noise),
            ..facts
        }
    }

    /// What is to be said when this config is sampled with `sampler`: one warning for each field that
    /// matters to it and is not honoured.
    pub fn warnings(&self, sampler: Sampler) -> Vec<Diagnostic> {
        let matters = |ignored: &&Ignored| ignored.only.is_none_or(|only| only == sampler);
        let clip = self.clip != Clip::No && !super::method::clips(sampler, self.clip);
        let clip = clip.then_some(if matches!(self.clip, Clip::Range(_)) {
            "clip_sample"
        } else {
            "thresholding"
        });
        let fields = self.ignored.iter().filter(matters).map(|i| i.field);
        fields
            .chain(clip)
            .map(|field| {
                Diagnostic::new(
                    Code::ConfigIgnored,
                    format!(
                        "`scheduler_config.json` sets `{field}`, which the sampler `{sampler}` does not honour"
                    ),
                )
                .help("the pictures may differ from those of other tools")
            })
            .collect()
    }
}

/// Whether a clean sample can be cut so.
fn possible(clip: Clip) -> bool {
    match clip {
        Clip::No => true,
        Clip::Range(range) => range > 0.0 && range.is_finite(),
        Clip::Quantile { ratio, most } => {
            (0.0..=1.0).contains(&ratio) && most >= 1.0 && most.is_finite()
        }
    }
}
