//! `scheduler_config.json` as diffusers writes it; unknown fields are tolerated.

use serde::Deserialize;

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{MOST_TRAIN_STEPS, NoiseTable, Space};

use super::Spacing;

/// What a model's folder says about its noise.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerConfig {
    /// The noise as a function of time.
    pub noise: NoiseTable,
    /// What the network answers in.
    pub space: Space,
    /// Number of training timesteps.
    pub train_steps: u32,
    /// How the steps of a run are spread, where the model says so.
    pub spacing: Option<Spacing>,
    /// Added to the timesteps of [`Spacing::Leading`].
    pub steps_offset: u32,
    /// DDIM: whether the last step leads to a state without noise, rather than to timestep 0.
    pub last_without_noise: bool,
    /// Whether the Euler family and DPM-Solver++ end at sigma 0, rather than at the smallest one.
    pub final_sigma_zero: bool,
    /// Noise levels as Karras et al. 2022, equation 5, whatever the sampler's name says.
    pub karras: bool,
    /// Flow models: how times are shifted towards noise.
    pub shift: Shift,
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

#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(rename = "_class_name")]
    class: String,
    num_train_timesteps: u32,
    beta_start: f64,
    beta_end: f64,
    beta_schedule: String,
    trained_betas: Option<Vec<f64>>,
    prediction_type: Option<String>,
    timestep_spacing: Option<Spacing>,
    steps_offset: Option<u32>,
    set_alpha_to_one: Option<bool>,
    rescale_betas_zero_snr: bool,
    final_sigmas_type: Option<String>,
    use_karras_sigmas: Option<bool>,
    use_exponential_sigmas: Option<bool>,
    use_beta_sigmas: Option<bool>,
    shift: f64,
    use_dynamic_shifting: bool,
    time_shift_type: String,
    base_shift: f64,
    max_shift: f64,
    base_image_seq_len: f64,
    max_image_seq_len: f64,
}

impl Default for Raw {
    /// What diffusers assumes where a config is silent.
    fn default() -> Self {
        Self {
            class: String::new(),
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: "linear".into(),
            trained_betas: None,
            prediction_type: None,
            timestep_spacing: None,
            steps_offset: None,
            set_alpha_to_one: None,
            rescale_betas_zero_snr: false,
            final_sigmas_type: None,
            use_karras_sigmas: None,
            use_exponential_sigmas: None,
            use_beta_sigmas: None,
            shift: 1.0,
            use_dynamic_shifting: false,
            time_shift_type: "exponential".into(),
            base_shift: 0.5,
            max_shift: 1.15,
            base_image_seq_len: 256.0,
            max_image_seq_len: 4096.0,
        }
    }
}

impl SchedulerConfig {
    /// Reads the text of a `scheduler_config.json`.
    ///
    /// `image_tokens`, the number of tokens of the picture, matters to flow models whose shift
    /// depends on the size; without it the smallest size is assumed.
    ///
    /// # Errors
    /// `G0709` for text that is no such config, or that asks for what is not offered here.
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
        if raw.use_exponential_sigmas == Some(true) {
            return Err(unsupported("use_exponential_sigmas", "true"));
        }
        if raw.use_beta_sigmas == Some(true) {
            return Err(unsupported("use_beta_sigmas", "true"));
        }
        if !(2..=MOST_TRAIN_STEPS).contains(&raw.num_train_timesteps) {
            return Err(unsupported(
                "num_train_timesteps",
                &raw.num_train_timesteps.to_string(),
            ));
        }
        let flow = raw.class.starts_with("FlowMatch");
        let noise = if flow { NoiseTable::Flow } else { raw.betas()? };
        Ok(Self {
            noise,
            space: raw.space(flow)?,
            train_steps: raw.num_train_timesteps,
            spacing: raw.timestep_spacing,
            // The published Stable Diffusion configs say so where they say anything.
            steps_offset: raw
                .steps_offset
                .unwrap_or(u32::from(raw.timestep_spacing.is_none())),
            last_without_noise: raw.set_alpha_to_one.unwrap_or(raw.class == "DDIMScheduler"),
            final_sigma_zero: raw.final_sigmas_type.as_deref().unwrap_or("zero") == "zero",
            karras: raw.use_karras_sigmas.unwrap_or(false),
            shift: raw.shift(image_tokens),
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
            spacing: None,
            steps_offset: 1,
            last_without_noise: false,
            final_sigma_zero: true,
            karras: false,
            shift: Shift::Fixed(1.0),
        }
    }
}

impl Raw {
    fn betas(&self) -> Result<NoiseTable, Diagnostic> {
        let in_range =
            0.0 < self.beta_start && self.beta_start <= self.beta_end && self.beta_end < 1.0;
        if !in_range {
            return Err(unsupported("beta_start", &self.beta_start.to_string()));
        }
        match self.beta_schedule.as_str() {
            "linear" | "scaled_linear" | "squaredcos_cap_v2" => Ok(NoiseTable::Betas {
                schedule: self.beta_schedule.clone(),
                start: self.beta_start,
                end: self.beta_end,
                count: self.num_train_timesteps,
                zero_terminal_snr: self.rescale_betas_zero_snr,
            }),
            other => Err(unsupported("beta_schedule", other)),
        }
    }

    fn space(&self, flow: bool) -> Result<Space, Diagnostic> {
        match self.prediction_type.as_deref() {
            None if flow => Ok(Space::Flow),
            None | Some("epsilon") => Ok(Space::Eps),
            Some("v_prediction") => Ok(Space::V),
            Some("sample") => Ok(Space::X0),
            Some("flow_prediction") => Ok(Space::Flow),
            Some(other) => Err(unsupported("prediction_type", other)),
        }
    }

    fn shift(&self, image_tokens: Option<u32>) -> Shift {
        if !self.use_dynamic_shifting {
            return Shift::Fixed(self.shift);
        }
        let slope =
            (self.max_shift - self.base_shift) / (self.max_image_seq_len - self.base_image_seq_len);
        let tokens = image_tokens.map_or(self.base_image_seq_len, f64::from);
        Shift::Dynamic {
            mu: self.base_shift + slope * (tokens - self.base_image_seq_len),
            exponential: self.time_shift_type != "linear",
        }
    }
}

fn unsupported(field: &str, value: &str) -> Diagnostic {
    Diagnostic::new(
        Code::BadConfig,
        format!("`{field}` of `scheduler_config.json` is `{value}`, which is not offered here"),
    )
}
