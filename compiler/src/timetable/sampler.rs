//! The samplers by name, and what each can do with a guide's outcome.

use std::fmt;

use serde::Deserialize;

use crate::diagnostics::{Code, Diagnostic, suggest};

/// The ways to solve for the picture; `…Karras` are the same ones with the noise levels of Karras
/// et al. 2022, equation 5 (rho = 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the names are the documentation; see `Sampler::about`"
)]
pub enum Sampler {
    #[default]
    Ddim,
    Euler,
    EulerKarras,
    EulerAncestral,
    EulerAncestralKarras,
    Dpmpp2m,
    Dpmpp2mKarras,
    Heun,
    HeunKarras,
}

/// How a run's steps are spread over the training timesteps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Whole strides from 0, plus the model's offset; what Stable Diffusion was published with.
    Leading,
    /// Whole strides down from the last timestep; for models whose last timestep has no signal.
    Trailing,
    /// Evenly from the last timestep to the first, ends included.
    Linspace,
}

/// Which of a guide's outcomes a solver can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SolverFacts {
    /// A `renoise` that is not `denoise`.
    pub renoise: bool,
    /// A `shift`.
    pub shift: bool,
    /// A `move`.
    pub moves: bool,
    /// A `hold`.
    pub hold: bool,
}

impl Sampler {
    /// All, in the order in which they are listed.
    pub const ALL: [Sampler; 9] = [
        Sampler::Ddim,
        Sampler::Euler,
        Sampler::EulerKarras,
        Sampler::EulerAncestral,
        Sampler::EulerAncestralKarras,
        Sampler::Dpmpp2m,
        Sampler::Dpmpp2mKarras,
        Sampler::Heun,
        Sampler::HeunKarras,
    ];

    /// The name on the command line and in plans.
    pub fn name(self) -> &'static str {
        match self {
            Sampler::Ddim => "ddim",
            Sampler::Euler => "euler",
            Sampler::EulerKarras => "euler_karras",
            Sampler::EulerAncestral => "euler_a",
            Sampler::EulerAncestralKarras => "euler_a_karras",
            Sampler::Dpmpp2m => "dpmpp_2m",
            Sampler::Dpmpp2mKarras => "dpmpp_2m_karras",
            Sampler::Heun => "heun",
            Sampler::HeunKarras => "heun_karras",
        }
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Sampler::Ddim => "DDIM without added noise (Song et al. 2021)",
            Sampler::Euler => "Euler's method",
            Sampler::EulerKarras => "Euler's method, noise levels of Karras et al. 2022",
            Sampler::EulerAncestral => "Euler's method with fresh noise in every step",
            Sampler::EulerAncestralKarras => "the same, noise levels of Karras et al. 2022",
            Sampler::Dpmpp2m => "DPM-Solver++ 2M (Lu et al. 2022)",
            Sampler::Dpmpp2mKarras => "DPM-Solver++ 2M, noise levels of Karras et al. 2022",
            Sampler::Heun => "Heun's method, two evaluations a step",
            Sampler::HeunKarras => "Heun's method, noise levels of Karras et al. 2022",
        }
    }

    /// The sampler of that name: ours, ComfyUI's or the name of a class of diffusers.
    ///
    /// # Errors
    /// `G0609`, with the nearest name.
    pub fn parse(name: &str) -> Result<Self, Diagnostic> {
        if let Some(found) = Sampler::ALL.into_iter().find(|s| s.name() == name) {
            return Ok(found);
        }
        match name {
            "DDIMScheduler" => Ok(Sampler::Ddim),
            "EulerDiscreteScheduler" => Ok(Sampler::Euler),
            "EulerAncestralDiscreteScheduler" | "euler_ancestral" => Ok(Sampler::EulerAncestral),
            "euler_ancestral_karras" => Ok(Sampler::EulerAncestralKarras),
            "DPMSolverMultistepScheduler" | "dpm++_2m" | "dpmpp2m" => Ok(Sampler::Dpmpp2m),
            "dpm++_2m_karras" | "dpmpp2m_karras" => Ok(Sampler::Dpmpp2mKarras),
            "HeunDiscreteScheduler" => Ok(Sampler::Heun),
            _ => Err(unknown("sampler", name, &Sampler::ALL.map(Sampler::name))),
        }
    }

    /// What it can do with an outcome.
    pub fn facts(self) -> SolverFacts {
        // Heun's corrector averages two slopes of one curve. What is stepped toward and what is kept
        // as noise are one slope there; with two predictions they are none.
        let two_halves = !matches!(self, Sampler::Heun | Sampler::HeunKarras);
        SolverFacts {
            renoise: two_halves,
            shift: true,
            moves: true,
            hold: true,
        }
    }

    /// Whether it spreads noise levels as Karras et al. 2022 do.
    pub fn is_karras(self) -> bool {
        matches!(
            self,
            Sampler::EulerKarras
                | Sampler::EulerAncestralKarras
                | Sampler::Dpmpp2mKarras
                | Sampler::HeunKarras
        )
    }

    /// Whether a step draws fresh noise.
    pub fn draws_noise(self) -> bool {
        matches!(
            self,
            Sampler::EulerAncestral | Sampler::EulerAncestralKarras
        )
    }

    /// Evaluations of the rule in a run of `steps` steps.
    pub fn evaluations(self, steps: u32) -> u32 {
        match self {
            // The last step ends without noise, where a corrector has nothing to add.
            Sampler::Heun | Sampler::HeunKarras => (2 * steps).saturating_sub(1),
            _ => steps,
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Spacing {
    /// All.
    pub const ALL: [Spacing; 3] = [Spacing::Leading, Spacing::Trailing, Spacing::Linspace];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Spacing::Leading => "leading",
            Spacing::Trailing => "trailing",
            Spacing::Linspace => "linspace",
        }
    }

    /// The spacing of that name.
    ///
    /// # Errors
    /// `G0609`, with the nearest name.
    pub fn parse(name: &str) -> Result<Self, Diagnostic> {
        let found = Spacing::ALL.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| unknown("spacing", name, &Spacing::ALL.map(Spacing::name)))
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Diagnostic {
    let list = known
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let help = suggest::did_you_mean(name, known.iter().copied());
    Diagnostic::new(Code::UnknownSampler, format!("there is no {what} `{name}`"))
        .help(help.unwrap_or_else(|| format!("choose one of {list}")))
}
