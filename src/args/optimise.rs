//! The options of `guidec optimise`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    AtOnce, Drawn, Machine, OPTIMISING, OUTPUT, Prompt, Reply, SAMPLING, Sdxl, Source, Target, size,
};

/// What stands under the help.
pub const EXAMPLES: &str = "\
Moves latents down the gradient of an objective with Adam, turn after turn, and shows the
picture at the end. Each turn draws a time and noise, keyed by seed and turn. Pictures are
named as by `guidec run`, and hold how they were made.

With --resume FILE the state is kept in a file: after every N turns (--every, else 50), at
the end, and on Ctrl-C. The same command then goes on from it, to the same bytes as if it had
never stopped.

Examples:
  guidec optimise std::objectives::sds --prompt \"strawberry\" --steps 300
  guidec optimise std::objectives::csd --set clip=0.1 --prompt \"panda\" --seed 7 --every 100
  guidec optimise my_objective.guide --init-image photo.png --prompt \"red apple\" \\
      --times 0.02..0.5 --resume apple.safetensors";

/// `guidec optimise`
#[derive(Debug, Args)]
pub struct Optimise {
    /// Which objective.
    #[command(flatten)]
    pub source: Source,
    /// What they show.
    #[command(flatten)]
    pub prompt: Prompt,
    /// The class to aim at, by its number or its name [default: the one that the prompt names]
    #[arg(long = "class", value_name = "CLASS", help_heading = SAMPLING)]
    pub aim: Option<String>,
    /// For what.
    #[command(flatten)]
    pub target: Target,
    /// What is drawn.
    #[command(flatten)]
    pub drawn: Drawn,
    /// What is optimised: the latent of a picture, or its pixels, through the encoder
    #[arg(long = "target", value_name = "WHAT", default_value = "latent", help_heading = OPTIMISING)]
    pub what: What,
    /// Adam's learning rate [default: 0.1 for a latent, 0.05 for pixels from 0 to 1]
    #[arg(long, value_name = "N", value_parser = rate, help_heading = OPTIMISING)]
    pub rate: Option<f64>,
    /// The seed of the first picture; the next has the next seed
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SAMPLING)]
    pub seed: u64,
    /// Number of pictures
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = SAMPLING,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub batch: u32,
    /// Width and height of the pictures [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = size, help_heading = SAMPLING)]
    pub size: Option<(u32, u32)>,
    /// For models of SDXL.
    #[command(flatten)]
    pub sdxl: Sdxl,
    /// What it runs on.
    #[command(flatten)]
    pub machine: Machine,
    /// In which portions.
    #[command(flatten)]
    pub at_once: AtOnce,
    /// Start from a picture (PNG or JPEG), brought to the size of the run, instead of noise
    #[arg(long, value_name = "FILE", conflicts_with = "init_latents", help_heading = OPTIMISING)]
    pub init_image: Option<PathBuf>,
    /// Start from these latents instead of noise: a safetensors file with `latents`
    #[arg(long, value_name = "FILE", help_heading = OPTIMISING)]
    pub init_latents: Option<PathBuf>,
    /// A folder, or the name of one .png
    #[arg(long, value_name = "PATH", default_value = ".", help_heading = OUTPUT)]
    pub out: PathBuf,
    /// Write the picture as far as it is after every N turns, as NAME-turnN.png
    #[arg(long, value_name = "N", help_heading = OUTPUT,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub every: Option<u32>,
    /// Keep the state in this file, and go on from it where it is there
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub resume: Option<PathBuf>,
    /// Write the final latents to a safetensors file, as `latents`
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub save_latents: Option<PathBuf>,
    /// How it is told.
    #[command(flatten)]
    pub reply: Reply,
}

/// What is optimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The latent, decoded at the end
    Latent,
    /// The pixels; each turn encodes them
    Image,
}

impl What {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            What::Latent => "latent",
            What::Image => "image",
        }
    }
}

impl Optimise {
    /// The learning rate.
    pub fn rate(&self) -> f64 {
        self.rate.unwrap_or(match self.what {
            What::Latent => 0.1,
            What::Image => 0.05,
        })
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("write a number above 0".to_owned()),
    }
}
