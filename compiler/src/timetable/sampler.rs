//! The samplers by name, and what each can do with a guide's outcome.

use std::fmt;

use serde::Deserialize;

use crate::diagnostics::{Code, Diagnostic, suggest};

/// The ways to solve for the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the names are the documentation; see `Sampler::about`"
)]
pub enum Sampler {
    #[default]
    Ddim,
    Ddpm,
    Pndm,
    Euler,
    EulerAncestral,
    Heun,
    Lms,
    Dpmpp2m,
    Dpmpp2mSde,
    Dpmpp2s,
    DpmppSde,
    UniPc,
    Lcm,
}

/// Which noise levels a run visits between its first and its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Levels {
    /// Those of evenly spread timesteps.
    #[default]
    Timesteps,
    /// Those of Karras et al. 2022, equation 5, with rho = 7.
    Karras,
    /// Evenly in the logarithm.
    Exponential,
    /// By the quantiles of a beta distribution with both parameters 0.6.
    Beta,
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

/// How a solver's steps are made of evaluations and of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Whole timesteps, each step a whole stride down, as DDIM's.
    Strides,
    /// Whole timesteps, each step to the next one, as DDPM's.
    Chain,
    /// The noise levels of the spacing, its ends included, as k-diffusion's.
    Levels,
    /// Whole timesteps of a spacing with one point more, that is left out, as DPM-Solver++.
    Inner,
    /// A choice of the timesteps that a model was distilled for.
    Distilled,
}

impl Sampler {
    /// All, in the order in which they are listed.
    pub const ALL: [Sampler; 13] = [
        Sampler::Ddim,
        Sampler::Ddpm,
        Sampler::Pndm,
        Sampler::Euler,
        Sampler::EulerAncestral,
        Sampler::Heun,
        Sampler::Lms,
        Sampler::Dpmpp2m,
        Sampler::Dpmpp2mSde,
        Sampler::Dpmpp2s,
        Sampler::DpmppSde,
        Sampler::UniPc,
        Sampler::Lcm,
    ];

    /// The name on the command line and in plans, without that of the noise levels.
    pub fn name(self) -> &'static str {
        match self {
            Sampler::Ddim => "ddim",
            Sampler::Ddpm => "ddpm",
            Sampler::Pndm => "pndm",
            Sampler::Euler => "euler",
            Sampler::EulerAncestral => "euler_a",
            Sampler::Heun => "heun",
            Sampler::Lms => "lms",
            Sampler::Dpmpp2m => "dpmpp_2m",
            Sampler::Dpmpp2mSde => "dpmpp_2m_sde",
            Sampler::Dpmpp2s => "dpmpp_2s",
            Sampler::DpmppSde => "dpmpp_sde",
            Sampler::UniPc => "unipc",
            Sampler::Lcm => "lcm",
        }
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Sampler::Ddim => "DDIM (Song et al. 2021)",
            Sampler::Ddpm => "the ancestral sampler of Ho et al. 2020",
            Sampler::Pndm => "pseudo linear multistep, fourth order (Liu et al. 2022)",
            Sampler::Euler => "Euler's method",
            Sampler::EulerAncestral => "Euler's method with fresh noise in every step",
            Sampler::Heun => "Heun's method, two evaluations a step",
            Sampler::Lms => "linear multistep, fourth order",
            Sampler::Dpmpp2m => "DPM-Solver++ 2M (Lu et al. 2022)",
            Sampler::Dpmpp2mSde => "DPM-Solver++ 2M with fresh noise in every step",
            Sampler::Dpmpp2s => "DPM-Solver++ 2S: every second step begins where the last one did",
            Sampler::DpmppSde => "DPM-Solver++ with fresh noise, two evaluations a step",
            Sampler::UniPc => "UniPC, a predictor with a corrector (Zhao et al. 2023)",
            Sampler::Lcm => "for latent consistency models (Luo et al. 2023)",
        }
    }

    /// The sampler of that name, ours or ComfyUI's, with the noise levels that the name asks for
    /// (`euler_karras`); or the one that a class of diffusers is.
    ///
    /// # Errors
    /// `G0609`, with the nearest name.
    pub fn parse(name: &str) -> Result<(Self, Option<Levels>), Diagnostic> {
        if let Some(found) = Sampler::of_class(name) {
            return Ok((found, None));
        }
        for levels in Levels::ALL {
            let Some(plain) = name.strip_suffix(levels.suffix()) else {
                continue;
            };
            let named = levels != Levels::Timesteps;
            match Sampler::plain(plain) {
                Some(found) if named && !found.takes_levels() => {
                    let message = format!("the noise levels of `{found}` cannot be chosen");
                    return Err(Diagnostic::new(Code::UnknownSampler, message)
                        .help(format!("write `{found}`")));
                }
                Some(found) => return Ok((found, named.then_some(levels))),
                None => {}
            }
        }
        let mut names = Sampler::ALL.map(|s| s.name().to_owned()).to_vec();
        names.extend(
            Sampler::ALL
                .into_iter()
                .filter(|s| s.takes_levels())
                .flat_map(|s| Levels::ALL[1..].iter().map(move |l| s.called(*l))),
        );
        let near = suggest::did_you_mean(name, names.iter().map(String::as_str));
        Err(unknown(
            "sampler",
            name,
            near,
            &Sampler::ALL.map(Sampler::name),
        ))
    }

    /// A name without noise levels.
    fn plain(name: &str) -> Option<Self> {
        if let Some(found) = Sampler::ALL.into_iter().find(|s| s.name() == name) {
            return Some(found);
        }
        Some(match name {
            "euler_ancestral" => Sampler::EulerAncestral,
            "plms" => Sampler::Pndm,
            "dpm++_2m" | "dpmpp2m" => Sampler::Dpmpp2m,
            "dpm++_2m_sde" | "dpmpp2m_sde" => Sampler::Dpmpp2mSde,
            "dpm++_2s" | "dpmpp2s" | "dpmpp_single" => Sampler::Dpmpp2s,
            "dpm++_sde" => Sampler::DpmppSde,
            "uni_pc" | "uni_pc_bh2" => Sampler::UniPc,
            _ => return None,
        })
    }

    /// The sampler of a class of diffusers.
    pub fn of_class(class: &str) -> Option<Self> {
        Some(match class {
            "DDIMScheduler" => Sampler::Ddim,
            "DDPMScheduler" => Sampler::Ddpm,
            "PNDMScheduler" => Sampler::Pndm,
            "EulerDiscreteScheduler" | "FlowMatchEulerDiscreteScheduler" => Sampler::Euler,
            "EulerAncestralDiscreteScheduler" => Sampler::EulerAncestral,
            "HeunDiscreteScheduler" | "FlowMatchHeunDiscreteScheduler" => Sampler::Heun,
            "LMSDiscreteScheduler" => Sampler::Lms,
            "DPMSolverMultistepScheduler" => Sampler::Dpmpp2m,
            "DPMSolverSinglestepScheduler" => Sampler::Dpmpp2s,
            "DPMSolverSDEScheduler" => Sampler::DpmppSde,
            "UniPCMultistepScheduler" => Sampler::UniPc,
            "LCMScheduler" => Sampler::Lcm,
            _ => return None,
        })
    }

    /// The name with that of the noise levels, as `euler_karras`.
    pub fn called(self, levels: Levels) -> String {
        if self.takes_levels() {
            format!("{}{}", self.name(), levels.suffix())
        } else {
            self.name().to_owned()
        }
    }

    /// Whether its noise levels can be chosen.
    pub fn takes_levels(self) -> bool {
        matches!(self.family(), Family::Levels | Family::Inner)
    }

    /// What it can do with an outcome.
    pub fn facts(self) -> SolverFacts {
        // Two predictions make no slope, and none has said what a solver that looks back at slopes, or
        // that corrects with them, does with two; `runtime/reference/samplers.md` has the reasons.
        let renoise = matches!(
            self,
            Sampler::Ddim
                | Sampler::Ddpm
                | Sampler::Euler
                | Sampler::EulerAncestral
                | Sampler::Dpmpp2m
        );
        SolverFacts {
            renoise,
            shift: true,
            // A second step from where the first began does not start from the state at all.
            moves: self != Sampler::Dpmpp2s,
            hold: true,
        }
    }

    /// Evaluations of the rule in a run of `steps` steps.
    pub fn evaluations(self, steps: u32) -> u32 {
        match self {
            // The last step ends without noise, where a second evaluation has nothing to add.
            Sampler::Heun | Sampler::DpmppSde => (2 * steps).saturating_sub(1),
            // The first step is made again with the slope at its end.
            Sampler::Pndm if steps > 1 => steps + 1,
            _ => steps,
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Sampler::Ddim | Sampler::Pndm => Family::Strides,
            Sampler::Ddpm => Family::Chain,
            Sampler::Euler
            | Sampler::EulerAncestral
            | Sampler::Heun
            | Sampler::Lms
            | Sampler::DpmppSde => Family::Levels,
            Sampler::Dpmpp2m | Sampler::Dpmpp2mSde | Sampler::Dpmpp2s | Sampler::UniPc => {
                Family::Inner
            }
            Sampler::Lcm => Family::Distilled,
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Levels {
    /// All.
    pub const ALL: [Levels; 4] = [
        Levels::Timesteps,
        Levels::Karras,
        Levels::Exponential,
        Levels::Beta,
    ];

    /// What a sampler's name ends in.
    pub fn suffix(self) -> &'static str {
        match self {
            Levels::Timesteps => "",
            Levels::Karras => "_karras",
            Levels::Exponential => "_exponential",
            Levels::Beta => "_beta",
        }
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
        let names = Spacing::ALL.map(Spacing::name);
        let found = Spacing::ALL.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| unknown("spacing", name, suggest::did_you_mean(name, names), &names))
    }
}

fn unknown(what: &str, name: &str, near: Option<String>, known: &[&str]) -> Diagnostic {
    let list = known
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ");
    Diagnostic::new(Code::UnknownSampler, format!("there is no {what} `{name}`"))
        .help(near.unwrap_or_else(|| format!("choose one of {list}")))
}
