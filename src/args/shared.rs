//! Options that several commands have.

use clap::Args;

use super::{Dtype, Format, OUTPUT, SAMPLING};

/// What pictures show.
#[derive(Clone, Debug, Args)]
pub struct Prompt {
    /// What the pictures show
    #[arg(long = "prompt", value_name = "TEXT", default_value = "", help_heading = SAMPLING)]
    pub text: String,
    /// Read weights in prompts: (word) and (word:1.3) are stronger, [word] is weaker, BREAK parts
    #[arg(long = "prompt-weights", help_heading = SAMPLING)]
    pub weights: bool,
}

/// What networks run on.
#[derive(Clone, Debug, Args)]
pub struct Machine {
    /// Where the model runs: cpu, cuda, cuda:N or metal
    #[arg(long, value_name = "DEVICE", default_value = "cpu", help_heading = SAMPLING)]
    pub device: String,
    /// The numbers that the network computes with: f32, f16 or bf16 [default: f32 on a CPU]
    #[arg(long, value_name = "TYPE", help_heading = SAMPLING)]
    pub dtype: Option<Dtype>,
}

/// How much they are given at once.
#[derive(Clone, Copy, Debug, Args)]
pub struct AtOnce {
    /// The most samples that go through the network together [default: as many as is faster]
    #[arg(long, value_name = "N", help_heading = SAMPLING,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    max_batch: Option<u32>,
}

impl AtOnce {
    /// The most samples.
    pub fn most(self) -> Option<usize> {
        self.max_batch.map(|most| most as usize)
    }
}

/// How what was done is told.
#[derive(Clone, Copy, Debug, Args)]
pub struct Reply {
    /// Say only what went wrong
    #[arg(long, short, help_heading = OUTPUT)]
    pub quiet: bool,
    /// human: a summary on stderr; json: an object on stdout
    #[arg(long, value_name = "FORMAT", default_value = "human", help_heading = OUTPUT)]
    pub format: Format,
}
