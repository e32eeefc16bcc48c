//! The options of `guidec invert`.

use std::path::PathBuf;

use clap::Args;

use super::{Machine, OUTPUT, Reply, SAMPLING, Target, size};

/// What stands under the help.
pub const EXAMPLES: &str = "\
Finds the noise from which a run makes a picture: ddim, walked backwards. The file holds
the latents of every step on the way. Then it runs forwards again and says how near the
round trip came.

The nearer, the smaller the guidance and the more the steps. Without a guide the
conditional prediction is followed.

Examples:
  guidec invert photo.png --prompt \"red apple\" --out apple.safetensors
  guidec run std::rules::cfg --init-latents apple.safetensors --steps 50 \\
      --prompt \"green apple\"
  guidec invert photo.png std::rules::cfg_plus_plus --prompt \"red apple\" \\
      --out apple.safetensors --picture back.png";

/// `guidec invert`
#[derive(Debug, Args)]
pub struct Invert {
    /// The picture (PNG or JPEG), brought to the size of the run
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,
    /// A `.guide` file, or a rule of the standard library as std::rules::NAME [default: the
    /// conditional prediction, which is std::rules::cfg with scale=1]
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
    /// The guide to use, where the file holds several and none is named like the file
    #[arg(long, value_name = "NAME")]
    pub guide: Option<String>,
    /// A further folder whose files the guide may use; may be repeated
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// What the picture shows
    #[arg(long, value_name = "TEXT", default_value = "", help_heading = SAMPLING)]
    pub prompt: String,
    /// For what.
    #[command(flatten)]
    pub target: Target,
    /// Width and height of the picture [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = size, help_heading = SAMPLING)]
    pub size: Option<(u32, u32)>,
    /// What it runs on.
    #[command(flatten)]
    pub machine: Machine,
    /// The file to write: safetensors with `trajectory`, and its noise as `latents`
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: PathBuf,
    /// Write the picture of the round trip
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub picture: Option<PathBuf>,
    /// How it is told.
    #[command(flatten)]
    pub reply: Reply,
}
