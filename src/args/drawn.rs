//! What an objective draws.

use clap::Args;

/// The options of what is drawn in each turn of an objective.
#[derive(Clone, Debug, Default, Args)]
pub struct Drawn {
    /// For an objective: from where to where in the noise its times are drawn, as shares of it
    /// [default: 0.02..0.98]
    #[arg(long, value_name = "LO..HI", value_parser = range, help_heading = super::OPTIMISING)]
    pub times: Option<(f64, f64)>,
}

fn range(text: &str) -> Result<(f64, f64), String> {
    let ends = text.split_once("..");
    let ends = ends.and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    match ends {
        Some((low, high)) if 0.0 <= low && low <= high && high <= 1.0 => Ok((low, high)),
        _ => Err("write LO..HI, both from 0 to 1".to_owned()),
    }
}
