//! What only a model of SDXL takes.

use clap::Args;

use super::size;

const SDXL: &str = "Models of SDXL";

/// A second prompt, and what the network is told about the picture.
#[derive(Clone, Debug, Args)]
pub struct Sdxl {
    /// What the second text encoder reads [default: the prompt]
    #[arg(long = "prompt-2", value_name = "TEXT", help_heading = SDXL)]
    pub prompt_2: Option<String>,
    /// What the second text encoder reads of --negative [default: the same]
    #[arg(long = "negative-2", value_name = "TEXT", help_heading = SDXL, requires = "negative")]
    pub negative_2: Option<String>,
    /// The size of the original that the network is told [default: the picture's]
    #[arg(long, value_name = "WxH", value_parser = size, help_heading = SDXL)]
    pub original_size: Option<(u32, u32)>,
    /// Where the network is told that the picture was cut out [default: 0,0]
    #[arg(long, value_name = "X,Y", value_parser = place, help_heading = SDXL)]
    pub crop: Option<(u32, u32)>,
    /// The size that the network is told is wanted [default: the picture's]
    #[arg(long, value_name = "WxH", value_parser = size, help_heading = SDXL)]
    pub target_size: Option<(u32, u32)>,
}

fn place(text: &str) -> Result<(u32, u32), String> {
    let (x, y) = text.split_once(',').ok_or("write X,Y")?;
    match (x.trim().parse(), y.trim().parse()) {
        (Ok(x), Ok(y)) => Ok((x, y)),
        _ => Err("write X,Y, both whole numbers of pixels".to_owned()),
    }
}
