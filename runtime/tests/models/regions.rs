//! Cross-attention by region and by its largest scores, against the same network in f64 by plain loops.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::Tensor;
use guide_compiler::plan::{ArgValue, Intervention, LayerTerm, Tokens};
use guide_runtime::error::{ErrorKind, Result};

use super::inside::{World, argument, layers, number, plain};
use super::slow::{Change, Scores, softmax};
use super::support::furthest;

/// The tokens that are meant.
const MEANT: [u32; 2] = [1, 3];

fn regional(name: &str, tokens: &[u32], more: Option<f64>) -> Intervention {
    let region = ArgValue::Map {
        name: "region".into(),
        at: 0,
    };
    let mut args = vec![
        argument("tokens", ArgValue::Tokens(Tokens::Places(tokens.to_vec()))),
        argument("region", region),
        layers(LayerTerm::Cross),
    ];
    args.extend(more.map(|strength| number("strength", strength)));
    plain(name, args)
}

/// Does `to` with the scores of the tokens that are meant and the region's share of each place.
struct Regional<'a> {
    world: &'a World,
    to: &'a dyn Fn(&mut f64, f64),
    /// How often a layer has been asked: once for each sample, in order.
    asked: RefCell<HashMap<String, usize>>,
}

impl<'a> Regional<'a> {
    fn new(world: &'a World, to: &'a dyn Fn(&mut f64, f64)) -> Self {
        let asked = RefCell::default();
        Self { world, to, asked }
    }

    /// The mean of the sample's region over the places that one of `grid` covers.
    fn shares(&self, sample: usize, grid: (usize, usize)) -> Vec<f64> {
        let region: Vec<f32> = self.world.region.flatten_all().unwrap().to_vec1().unwrap();
        let (high, wide) = (8 / grid.0, 8 / grid.1);
        let place = |i: usize| {
            let (y, x) = (i / grid.1 * high, i % grid.1 * wide);
            let cells = (0..high).flat_map(|dy| (0..wide).map(move |dx| (y + dy) * 8 + x + dx));
            let sum: f64 = cells
                .map(|cell| f64::from(region[sample * 64 + cell]))
                .sum();
            sum / (high * wide) as f64
        };
        (0..grid.0 * grid.1).map(place).collect()
    }
}

impl Change for Regional<'_> {
    fn scores(&self, layer: &str, scores: &mut Scores, grid: (usize, usize)) {
        if !layer.ends_with("cross") {
            return;
        }
        let mut asked = self.asked.borrow_mut();
        let sample = asked.entry(layer.to_owned()).or_default();
        let shares = self.shares(*sample, grid);
        *sample += 1;
        for head in scores {
            for (row, share) in head.iter_mut().zip(&shares) {
                for token in MEANT {
                    (self.to)(&mut row[token as usize], *share);
                }
            }
        }
    }
}

#[test]
fn a_region_adds_to_the_scores_of_its_tokens() -> Result<()> {
    let world = World::new()?;
    for strength in [3.0, -2.0] {
        let add = |score: &mut f64, share: f64| *score += strength * share;
        let biased = regional("bias_attention", &MEANT, Some(strength));
        world.same(&[biased], &Regional::new(&world, &add))?;
    }
    Ok(())
}

#[test]
fn tokens_are_seen_only_from_their_region() -> Result<()> {
    let world = World::new()?;
    let hide = |score: &mut f64, share: f64| *score += share.max(1e-300).ln();
    let masked = regional("mask_attention", &MEANT, None);
    world.same(&[masked], &Regional::new(&world, &hide))
}

/// In order, on what the one before it gave: both add.
#[test]
fn regions_add_up() -> Result<()> {
    let world = World::new()?;
    let both = |score: &mut f64, share: f64| *score += 3.0 * share + share.max(1e-300).ln();
    let list = [
        regional("bias_attention", &MEANT, Some(3.0)),
        regional("mask_attention", &MEANT, None),
    ];
    world.same(&list, &Regional::new(&world, &both))
}

/// A region of each sample's own, whatever stands beside it.
#[test]
fn a_sample_has_its_own_region() -> Result<()> {
    let mut world = World::new()?;
    let hooks = world.hooks(&[regional("mask_attention", &MEANT, None)])?;
    let both = world.fast(&hooks)?;
    world.latents = world.latents.narrow(0, 1, 1)?;
    world.text = world.text.narrow(0, 1, 1)?;
    let alone = world.fast(&hooks.for_rows(&[1]))?;
    assert_eq!(furthest(&both.narrow(0, 1, 1)?, &alone), 0.0);
    Ok(())
}

#[test]
fn a_token_that_the_text_has_not_is_refused() -> Result<()> {
    let world = World::new()?;
    let hooks = world.hooks(&[regional("mask_attention", &[900], None)])?;
    let error = world.fast(&hooks).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadBinding);
    assert!(error.message.contains("token 900"), "{}", error.message);
    Ok(())
}

/// `(1 - scale) softmax + scale entmax`, the latter by sorting (Peters et al. 2019, algorithm 2 for 1.5).
struct Sparse {
    scale: f64,
    alpha: f64,
}

fn descending(scores: &[f64]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted
}

fn entmax_15(scores: &[f64]) -> Vec<f64> {
    let half: Vec<f64> = scores.iter().map(|z| z / 2.0).collect();
    let (mut sum, mut squares, mut tau) = (0.0, 0.0, f64::NEG_INFINITY);
    for (at, z) in descending(&half).iter().enumerate() {
        let count = (at + 1) as f64;
        sum += z;
        squares += z * z;
        let mean = sum / count;
        let spread = squares / count - mean * mean;
        let candidate = mean - ((1.0 - count * spread) / count).max(0.0).sqrt();
        if candidate <= *z {
            tau = candidate;
        }
    }
    half.iter().map(|z| (z - tau).max(0.0).powi(2)).collect()
}

fn sparsemax(scores: &[f64]) -> Vec<f64> {
    let (mut sum, mut tau) = (0.0, 0.0);
    for (at, z) in descending(scores).iter().enumerate() {
        sum += z;
        if 1.0 + (at + 1) as f64 * z > sum {
            tau = (sum - 1.0) / (at + 1) as f64;
        }
    }
    scores.iter().map(|z| (z - tau).max(0.0)).collect()
}

impl Change for Sparse {
    fn shares(&self, layer: &str, scores: &[f64]) -> Vec<f64> {
        let dense = softmax(scores);
        if !layer.ends_with("cross") {
            return dense;
        }
        let sparse = match self.alpha {
            1.5 => entmax_15(scores),
            _ => sparsemax(scores),
        };
        let both = dense.iter().zip(sparse);
        both.map(|(dense, sparse)| dense + self.scale * (sparse - dense))
            .collect()
    }
}

#[test]
fn sparse_attention_is_that_of_its_paper() -> Result<()> {
    let world = World::new()?;
    for (scale, alpha) in [(2.0, 1.5), (1.0, 2.0), (-1.0, 2.0)] {
        let args = vec![
            layers(LayerTerm::Cross),
            number("scale", scale),
            number("alpha", alpha),
        ];
        world.same(&[plain("sparse_attention", args)], &Sparse { scale, alpha })?;
    }
    Ok(())
}

#[test]
fn no_extrapolation_changes_nothing() -> Result<()> {
    let world = World::new()?;
    let args = vec![
        layers(LayerTerm::Cross),
        number("scale", 0.0),
        number("alpha", 1.5),
    ];
    let hooks = world.hooks(&[plain("sparse_attention", args)])?;
    let plain: Tensor = world.fast(guide_runtime::interventions::Hooks::NONE)?;
    assert_eq!(furthest(&world.fast(&hooks)?, &plain), 0.0);
    Ok(())
}
