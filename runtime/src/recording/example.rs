//! A small recording that is always there, for the values that examples show.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Space, Tick};

use super::Recording;
use super::read::posterior_variance;
use crate::error::Result;

/// Channels, height and width.
const LATENT: [u32; 3] = [4, 8, 8];

/// The noise of the two steps, and what the last one leads to: `t`, `alpha`, `sigma`.
const NOISE: [(f64, f64, f64); 3] = [(600.0, 0.6, 0.8), (300.0, 0.8, 0.6), (0.0, 1.0, 0.0)];

/// Two steps of one sample with 4 channels of 8 by 8, in `eps`. Element `k` of the sample, counted from
/// 0 over channels, rows and columns, is `cos(k)` in `cond`, `sin(k)` in `uncond`, `sin(2k)` in `null`
/// and `cos(2k)` in `x`, the same in both steps. Nothing else is in it.
///
/// # Errors
/// There is no memory for it.
pub fn example() -> Result<Recording> {
    let tensor = |of: fn(f64) -> f64| -> Result<Tensor> {
        let [channels, height, width] = LATENT.map(|side| side as usize);
        let sample = channels * height * width;
        let values = (0..2 * sample).map(|at| of((at % sample) as f64) as f32);
        let shape = (2, 1, channels, height, width);
        Ok(Tensor::from_iter(values, &Device::Cpu)?.reshape(shape)?)
    };
    let answers = BTreeMap::from([
        ("cond".to_owned(), tensor(f64::cos)?),
        ("uncond".to_owned(), tensor(f64::sin)?),
        ("null".to_owned(), tensor(|k| (2.0 * k).sin())?),
    ]);
    Ok(Recording {
        facts: ModelFacts {
            name: "recording".into(),
            space: Space::Eps,
            latent: LATENT,
            layers: None,
        },
        batch: 1,
        ticks: ticks(),
        x: tensor(|k| (2.0 * k).cos())?,
        answers,
        sights: BTreeMap::new(),
        gaussian: BTreeMap::new(),
        inputs: BTreeMap::new(),
        target: None,
        scores: BTreeMap::new(),
        gradients: BTreeMap::new(),
        rule: None,
    })
}

fn ticks() -> Vec<Tick> {
    let tick = |from: &(f64, f64, f64), to: &(f64, f64, f64), step: u32| Tick {
        step,
        substep: 0,
        t: from.0,
        t1000: from.0,
        alpha: from.1,
        sigma: from.2,
        t_next: to.0,
        alpha_next: to.1,
        sigma_next: to.2,
        posterior_variance: posterior_variance(from.1, from.2, to.1, to.2),
    };
    let steps = NOISE.iter().zip(&NOISE[1..]).zip(0..);
    steps
        .map(|((from, to), step)| tick(from, to, step))
        .collect()
}
