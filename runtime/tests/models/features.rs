//! Interventions that change features and tokens, against the same network in f64 by plain loops.

use candle_core::{DType, Tensor};
use guide_compiler::plan::{ArgValue, Intervention, LayerTerm};
use guide_runtime::error::Result;
use guide_runtime::interventions::{self, Hooks};
use guide_runtime::ops::random::Stream;

use super::inside::{SEEDS, STEP, World, argument, layers, number, plain};
use super::slow::{Change, Map, Tokens};
use super::support::furthest;

/// The tokens of a block in an order by Fisher and Yates, from the stream of its name.
struct Shuffled;

impl Change for Shuffled {
    fn enter(&self, layer: &str, tokens: Vec<Tokens>) -> Vec<Tokens> {
        if !layer.starts_with("down") {
            return tokens;
        }
        let key = format!("again/shuffle_tokens/{layer}");
        let one = |(seed, tokens): (&u64, Tokens)| {
            let stream = Stream::new(*seed, STEP, &key);
            let mut order: Vec<usize> = (0..tokens.len()).collect();
            for (drawn, last) in (1..order.len()).rev().enumerate() {
                let with = (stream.uniform(drawn as u64) * (last + 1) as f64).floor();
                order.swap(last, with as usize);
            }
            order.iter().map(|at| tokens[*at].clone()).collect()
        };
        SEEDS.iter().zip(tokens).map(one).collect()
    }
}

#[test]
fn shuffled_tokens_stay_shuffled() -> Result<()> {
    let mut world = World::new()?;
    let salt = argument("salt", ArgValue::Text("again".into()));
    let list = [plain("shuffle_tokens", vec![layers(LayerTerm::Down), salt])];
    world.same(&list, &Shuffled)?;
    // A sample's order is its own, whatever stands beside it.
    let both = world.fast(&world.hooks(&list)?)?.narrow(0, 1, 1)?;
    world.latents = world.latents.narrow(0, 1, 1)?;
    world.text = world.text.narrow(0, 1, 1)?;
    let alone = world.fast(&world.hooks(&list)?.for_rows(&[1]))?;
    assert_eq!(furthest(&both, &alone), 0.0);
    Ok(())
}

/// Equation 3 of the paper, sample by sample and token by token.
struct Apart {
    strength: f64,
    threshold: f64,
}

impl Change for Apart {
    fn output(&self, layer: &str, mut given: Vec<Tokens>) -> Vec<Tokens> {
        if !layer.ends_with("self") {
            return given;
        }
        let reference = given[0].clone();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        for token in given.iter_mut().skip(1).flatten() {
            let all = reference.iter().map(|other| cosine(token, other));
            let all: Vec<f64> = all.collect();
            let best = (0..all.len()).max_by(|a, b| all[*a].total_cmp(&all[*b]));
            let best = best.unwrap();
            if all[best] > self.threshold {
                for (value, other) in token.iter_mut().zip(&reference[best]) {
                    *value += self.strength * (*value - other);
                }
            }
        }
        given
    }
}

#[test]
fn samples_are_pushed_apart_from_the_first() -> Result<()> {
    let world = World::new()?;
    let list = |strength: f64, threshold: f64| {
        let from = argument("from", ArgValue::Text("batch".into()));
        let numbers = [number("strength", strength), number("threshold", threshold)];
        let mut args = vec![from, layers(LayerTerm::SelfAttention)];
        args.extend(numbers);
        [plain("push_apart", args)]
    };
    for (strength, threshold) in [(0.9, 0.65), (2.5, 0.9)] {
        let change = Apart {
            strength,
            threshold,
        };
        world.same(&list(strength, threshold), &change)?;
    }
    let pushed = world.fast(&world.hooks(&list(0.9, 0.65))?)?;
    let plain = world.fast(Hooks::NONE)?;
    assert_eq!(
        furthest(&pushed.narrow(0, 0, 1)?, &plain.narrow(0, 0, 1)?),
        0.0
    );
    assert!(world.hooks(&list(0.9, 0.65))?.couples());
    Ok(())
}

/// As the authors' code has it, with the Fourier transform written out.
struct Free {
    b: [f64; 2],
    s: [f64; 2],
    mean: bool,
    width: bool,
}

impl Free {
    fn pair(&self, layer: &str, way: &Map) -> Option<usize> {
        let by_level = ["up.0.", "up.1."]
            .iter()
            .position(|at| layer.starts_with(at));
        // The finest level of the tiny network has 16 channels.
        let by_width = [64, 32].iter().position(|width| way.planes.len() == *width);
        if self.width { by_width } else { by_level }
    }
}

impl Change for Free {
    fn joined(&self, layer: &str, mut way: Map, mut kept: Map) -> (Map, Map) {
        let Some(pair) = self.pair(layer, &way) else {
            return (way, kept);
        };
        let (b, s) = (self.b[pair], self.s[pair]);
        let places = way.height * way.width;
        let mean =
            |at: usize| way.planes.iter().map(|p| p[at]).sum::<f64>() / way.planes.len() as f64;
        let means: Vec<f64> = (0..places).map(mean).collect();
        let least = means.iter().copied().fold(f64::INFINITY, f64::min);
        let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let half = way.planes.len() / 2;
        for plane in &mut way.planes[..half] {
            for (at, value) in plane.iter_mut().enumerate() {
                let share = match (self.mean, most > least) {
                    (true, true) => (means[at] - least) / (most - least),
                    (true, false) => 0.0,
                    (false, _) => 1.0,
                };
                *value *= (b - 1.0) * share + 1.0;
            }
        }
        for plane in &mut kept.planes {
            *plane = low_scaled(plane, (kept.height, kept.width), s);
        }
        (way, kept)
    }
}

/// The coefficients around the middle of the shifted spectrum, `middle - 1` and `middle`, times `s`.
fn low_scaled(plane: &[f64], (height, width): (usize, usize), s: f64) -> Vec<f64> {
    let low = |size: usize| {
        if size == 1 {
            vec![0.0]
        } else {
            vec![-1.0, 0.0]
        }
    };
    let turn = |frequency: f64, at: usize, size: usize| {
        std::f64::consts::TAU * frequency * at as f64 / size as f64
    };
    let mut out = plane.to_vec();
    for u in low(height) {
        for v in low(width) {
            let angle = |at: usize| turn(u, at / width, height) + turn(v, at % width, width);
            let (mut real, mut imaginary) = (0.0, 0.0);
            for (at, value) in plane.iter().enumerate() {
                real += value * angle(at).cos();
                imaginary -= value * angle(at).sin();
            }
            for (at, out) in out.iter_mut().enumerate() {
                let back = real * angle(at).cos() - imaginary * angle(at).sin();
                *out += (s - 1.0) * back / plane.len() as f64;
            }
        }
    }
    out
}

#[test]
fn skips_are_scaled_as_in_freeu() -> Result<()> {
    let world = World::new()?;
    for (b, s, mean, width) in [
        ([1.5, 1.6], [0.9, 0.2], false, false),
        ([1.3, 1.4], [0.9, 0.2], true, false),
        ([1.0, 1.0], [0.0, 3.0], false, false),
        ([-0.5, 2.0], [1.0, 1.0], true, false),
    ] {
        let change = Free { b, s, mean, width };
        world.same(&[free(b, s, mean, width)], &change)?;
    }
    Ok(())
}

fn free(b: [f64; 2], s: [f64; 2], mean: bool, width: bool) -> Intervention {
    let backbone = if mean { "mean" } else { "constant" };
    let by = if width { "width" } else { "level" };
    let args = vec![
        number("b1", b[0]),
        number("b2", b[1]),
        number("s1", s[0]),
        number("s2", s[1]),
        argument("backbone", ArgValue::Text(backbone.into())),
        argument("by", ArgValue::Text(by.into())),
    ];
    plain("scale_skips", args)
}

/// Which numbers work where, by the channels that come up.
#[test]
fn skips_may_be_told_by_their_width() -> Result<()> {
    let world = World::new()?;
    let ones = Tensor::ones((1, 2, 1, 1), DType::F32, &candle_core::Device::Cpu)?;
    let hooks = world.hooks(&[free([3.0, 5.0], [7.0, 9.0], false, true)])?;
    for (level, widths, way, kept) in [
        (0, 4.0, 3.0, 7.0),
        (3, 4.0, 3.0, 7.0),
        (0, 2.0, 5.0, 9.0),
        (0, 1.0, 1.0, 1.0),
    ] {
        let joint = interventions::Joint { level, widths };
        let (got_way, got_kept) = hooks.joined(joint, ones.clone(), ones.clone())?;
        let way = vec![way, 1.0];
        assert_eq!(got_way.flatten_all()?.to_vec1::<f32>()?, way);
        assert_eq!(got_kept.flatten_all()?.to_vec1::<f32>()?, [kept; 2]);
    }
    Ok(())
}
