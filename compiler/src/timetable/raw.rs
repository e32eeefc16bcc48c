//! The fields of a `scheduler_config.json`, with what diffusers assumes where it is silent.

use serde::Deserialize;

use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Clip, Form, NoiseTable, Second, Space};

use super::{Ignored, Levels, Sampler, Shift, Spacing};

#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    #[serde(rename = "_class_name")]
    pub class: String,
    pub num_train_timesteps: u32,
    beta_start: f64,
    beta_end: f64,
    beta_schedule: String,
    pub trained_betas: Option<Vec<f64>>,
    prediction_type: Option<String>,
    timestep_spacing: Option<Spacing>,
    steps_offset: Option<u32>,
    set_alpha_to_one: Option<bool>,
    rescale_betas_zero_snr: bool,
    final_sigmas_type: Option<String>,
    use_karras_sigmas: Option<bool>,
    use_exponential_sigmas: Option<bool>,
    use_beta_sigmas: Option<bool>,
    use_lu_lambdas: Option<bool>,
    use_flow_sigmas: Option<bool>,
    pub algorithm_type: String,
    solver_order: Option<u32>,
    solver_type: String,
    predict_x0: Option<bool>,
    pub lower_order_final: Option<bool>,
    pub euler_at_final: Option<bool>,
    disable_corrector: Vec<u32>,
    clip_sample: Option<bool>,
    clip_sample_range: f64,
    thresholding: bool,
    dynamic_thresholding_ratio: f64,
    sample_max_value: f64,
    variance_type: Option<String>,
    skip_prk_steps: Option<bool>,
    pub original_inference_steps: u32,
    pub timestep_scaling: f64,
    interpolation_type: Option<String>,
    timestep_type: Option<String>,
    sigma_min: Option<f64>,
    sigma_max: Option<f64>,
    lambda_min_clipped: serde_json::Value,
    invert_sigmas: bool,
    stochastic_sampling: bool,
    shift_terminal: Option<f64>,
    shift: f64,
    use_dynamic_shifting: bool,
    time_shift_type: String,
    base_shift: f64,
    max_shift: f64,
    base_image_seq_len: f64,
    max_image_seq_len: f64,
}

impl Default for Raw {
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
            use_lu_lambdas: None,
            use_flow_sigmas: None,
            algorithm_type: "dpmsolver++".into(),
            solver_order: None,
            solver_type: String::new(),
            predict_x0: None,
            lower_order_final: None,
            euler_at_final: None,
            disable_corrector: Vec::new(),
            clip_sample: None,
            clip_sample_range: 1.0,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            variance_type: None,
            skip_prk_steps: None,
            original_inference_steps: 50,
            timestep_scaling: 10.0,
            interpolation_type: None,
            timestep_type: None,
            sigma_min: None,
            sigma_max: None,
            lambda_min_clipped: serde_json::Value::Null,
            invert_sigmas: false,
            stochastic_sampling: false,
            shift_terminal: None,
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

impl Raw {
    pub fn is_flow(&self) -> bool {
        self.class.starts_with("FlowMatch")
    }

    /// The sampler that the model was published with.
    pub fn sampler(&self) -> Option<Sampler> {
        let found = Sampler::of_class(&self.class)?;
        let stochastic = self.algorithm_type == "sde-dpmsolver++";
        Some(match found {
            Sampler::Dpmpp2m if stochastic => Sampler::Dpmpp2mSde,
            other => other,
        })
    }

    pub fn spacing(&self) -> Option<Spacing> {
        // Classes that are silent spread from end to end, but for those that came first.
        let even = !matches!(
            self.sampler(),
            None | Some(Sampler::Ddim | Sampler::Ddpm | Sampler::Pndm | Sampler::Lcm)
        );
        self.timestep_spacing
            .or((even && !self.is_flow()).then_some(Spacing::Linspace))
    }

    pub fn steps_offset(&self) -> u32 {
        // The published Stable Diffusion configs say so where they say anything.
        self.steps_offset
            .unwrap_or(u32::from(self.spacing().is_none()))
    }

    pub fn last_without_noise(&self) -> bool {
        let own = matches!(self.class.as_str(), "DDIMScheduler" | "LCMScheduler");
        self.set_alpha_to_one.unwrap_or(own)
    }

    pub fn final_sigma_zero(&self) -> bool {
        self.final_sigmas_type.as_deref().unwrap_or("zero") == "zero"
    }

    pub fn levels(&self) -> Levels {
        let asked = |field: Option<bool>| field == Some(true) && !self.is_flow();
        if asked(self.use_karras_sigmas) {
            Levels::Karras
        } else if asked(self.use_exponential_sigmas) || asked(self.use_lu_lambdas) {
            // Lu's levels, with the exponent 1 that diffusers gives them, are even in the logarithm.
            Levels::Exponential
        } else if asked(self.use_beta_sigmas) {
            Levels::Beta
        } else {
            Levels::Timesteps
        }
    }

    pub fn order(&self) -> Option<u32> {
        self.solver_order.map(|order| order.clamp(1, 3))
    }

    pub fn form(&self) -> Form {
        if self.algorithm_type == "dpmsolver" || self.predict_x0 == Some(false) {
            Form::Noise
        } else {
            Form::Clean
        }
    }

    pub fn second(&self) -> Second {
        match self.solver_type.as_str() {
            "heun" => Second::Heun,
            "bh1" => Second::Step,
            _ => Second::Midpoint,
        }
    }

    pub fn clip(&self) -> Clip {
        let clips = matches!(self.class.as_str(), "DDIMScheduler" | "DDPMScheduler");
        if self.thresholding {
            Clip::Quantile {
                ratio: self.dynamic_thresholding_ratio,
                most: self.sample_max_value,
            }
        } else if self.clip_sample.unwrap_or(clips) {
            Clip::Range(self.clip_sample_range)
        } else {
            Clip::No
        }
    }

    pub fn forward_variance(&self) -> bool {
        matches!(
            self.variance_type.as_deref(),
            Some("fixed_large" | "fixed_large_log")
        )
    }

    pub fn betas(&self) -> Result<NoiseTable, Diagnostic> {
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

    pub fn space(&self) -> Result<Space, Diagnostic> {
        match self.prediction_type.as_deref() {
            None if self.is_flow() => Ok(Space::Flow),
            None | Some("epsilon") => Ok(Space::Eps),
            Some("v_prediction") => Ok(Space::V),
            Some("sample") => Ok(Space::X0),
            Some("flow_prediction") => Ok(Space::Flow),
            Some(other) => Err(unsupported("prediction_type", other)),
        }
    }

    pub fn shift(&self, image_tokens: Option<u32>) -> Shift {
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

    /// What the config asks for and does not get. `Some` in the second place is the only sampler to
    /// which the field matters.
    pub fn ignored(&self) -> Vec<Ignored> {
        let is = |field: Option<bool>| field == Some(true);
        let of_flow = |field: Option<bool>| self.is_flow() && is(field);
        let lambda = &self.lambda_min_clipped;
        let lambda_clipped = lambda.is_number() && lambda.as_f64().is_some_and(f64::is_finite);
        let variance = self.variance_type.as_deref();
        let learned = variance.is_some_and(|v| v.starts_with("learned"));
        let unlike = |field: &Option<String>, usual: &str| {
            field.as_deref().is_some_and(|value| value != usual)
        };
        let algorithm = self.algorithm_type.as_str();
        let rows = [
            ("_class_name", self.unknown_class(), None),
            ("use_flow_sigmas", is(self.use_flow_sigmas), None),
            ("use_karras_sigmas", of_flow(self.use_karras_sigmas), None),
            (
                "use_exponential_sigmas",
                of_flow(self.use_exponential_sigmas),
                None,
            ),
            ("use_beta_sigmas", of_flow(self.use_beta_sigmas), None),
            ("algorithm_type", algorithm == "sde-dpmsolver", None),
            (
                "algorithm_type",
                algorithm != "dpmsolver++",
                Some(Sampler::Dpmpp2s),
            ),
            (
                "disable_corrector",
                !self.disable_corrector.is_empty(),
                Some(Sampler::UniPc),
            ),
            ("variance_type", learned, Some(Sampler::Ddpm)),
            (
                "skip_prk_steps",
                self.skip_prk_steps == Some(false),
                Some(Sampler::Pndm),
            ),
            (
                "interpolation_type",
                unlike(&self.interpolation_type, "linear"),
                None,
            ),
            (
                "timestep_type",
                unlike(&self.timestep_type, "discrete"),
                None,
            ),
            ("sigma_min", self.sigma_min.is_some(), None),
            ("sigma_max", self.sigma_max.is_some(), None),
            ("lambda_min_clipped", lambda_clipped, None),
            ("invert_sigmas", self.invert_sigmas, None),
            ("stochastic_sampling", self.stochastic_sampling, None),
            ("shift_terminal", self.shift_terminal.is_some(), None),
        ];
        rows.into_iter()
            .filter(|(_, lost, _)| *lost)
            .map(|(field, _, only)| Ignored { field, only })
            .collect()
    }

    fn unknown_class(&self) -> bool {
        !self.class.is_empty() && self.sampler().is_none()
    }
}

pub(super) fn unsupported(field: &str, value: &str) -> Diagnostic {
    Diagnostic::new(
        Code::BadConfig,
        format!("`{field}` of `scheduler_config.json` is `{value}`, which is not offered here"),
    )
}
