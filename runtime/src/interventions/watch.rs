//! What is seen inside a network while it answers, for rules that look at it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Tensor};
use guide_compiler::plan::{Look, Sees};

use super::{Hook, Scores, Site, regions, seen_tokens};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::kernels;

/// Looks into layers; changes nothing.
#[derive(Debug)]
pub struct Watch {
    looks: Vec<Watched>,
    /// Height and width of the latent, to which maps are enlarged.
    size: (usize, usize),
}

/// A look, the layers that it means, and what was seen there.
#[derive(Debug)]
struct Watched {
    look: Look,
    /// Places of tokens, where it looks at such.
    tokens: Vec<u32>,
    layers: Vec<bool>,
    seen: Mutex<Seen>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    /// Of a transformer block whose attention to the text is still to come: its self-attention.
    own: Option<Tensor>,
    /// The sum over layers, `[B, K, H, W]`, and of how many.
    sum: Option<(Tensor, usize)>,
}

impl Seen {
    fn add(&mut self, map: Tensor) -> Result<()> {
        self.sum = Some(match self.sum.take() {
            Some((sum, count)) => ((sum + map)?, count + 1),
            None => (map, 1),
        });
        Ok(())
    }
}

impl Watched {
    fn holds(&self, layer: usize) -> bool {
        self.layers.get(layer).copied().unwrap_or(false)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// For these looks into a network with layers of these names, each with the places of the tokens that it
    /// looks at.
    pub fn new<'a>(
        looks: impl IntoIterator<Item = (&'a Look, Vec<u32>)>,
        names: &[String],
        size: (usize, usize),
    ) -> Self {
        let watched = looks.into_iter().map(|(look, tokens)| Watched {
            look: look.clone(),
            tokens,
            layers: names.iter().map(|name| look.holds(name)).collect(),
            seen: Mutex::default(),
        });
        Self {
            looks: watched.collect(),
            size,
        }
    }

    /// What was seen by each look since the last time: `[B, 1, H, W]`, the mean over its layers, or by region
    /// the place of the token that is strongest.
    ///
    /// # Errors
    /// A look that saw nothing: no layer attends so, or an intervention does the attention's work.
    pub fn maps(&self) -> Result<Vec<Tensor>> {
        let maps = self.looks.iter().map(|watched| {
            let seen = std::mem::take(&mut *watched.seen());
            let Some((sum, count)) = seen.sum else {
                return Err(nothing_seen(&watched.look));
            };
            match watched.look.of {
                Sees::Regions => regions::strongest(&sum, &watched.tokens),
                _ => Ok((sum / count as f64)?),
            }
        });
        maps.collect()
    }

    /// A map of a layer, `[B, K, h, w]`, enlarged to the latent.
    fn enlarged(&self, map: &Tensor) -> Result<Tensor> {
        Ok(kernels::upsample(map, self.size.0, self.size.1)?)
    }

    /// Those that look so into a layer.
    fn looking(&self, layer: usize, of: &[Sees]) -> impl Iterator<Item = &Watched> {
        let looks = self.looks.iter();
        looks.filter(move |watched| of.contains(&watched.look.of) && watched.holds(layer))
    }

    fn sees_features(&self, layer: usize) -> bool {
        self.looking(layer, &[Sees::Features]).next().is_some()
    }

    /// How strong what a layer adds is, `[B, C, h, w]`: `[B, 1, h, w]` for the latent.
    fn see_features(&self, layer: usize, added: &Tensor) -> Result<()> {
        for watched in self.looking(layer, &[Sees::Features]) {
            let strength = added.to_dtype(DType::F32)?.sqr()?.mean_keepdim(1)?.sqrt()?;
            watched.seen().add(self.enlarged(&strength)?)?;
        }
        Ok(())
    }
}

fn nothing_seen(look: &Look) -> RuntimeError {
    let message = format!(
        "no {} was computed in the layers `{}`, so that there is nothing to look at",
        look.of.noun(),
        look.layers
    );
    RuntimeError::new(ErrorKind::NoSuchLayers, message)
        .help("look into a prediction whose interventions leave these layers their attention")
}

impl Hook for Watch {
    fn attends(&self, site: Site<'_>, scores: &Scores<'_>) -> Result<()> {
        let (height, width) = site.grid;
        for watched in self.looking(site.layer, &[Sees::Own, Sees::Cross]) {
            let spread = spread(&watched.look, &watched.tokens, scores)?;
            let map = spread.reshape(((), 1, height, width))?;
            watched.seen().add(self.enlarged(&map)?)?;
        }
        for watched in self.looking(site.layer, &[Sees::Regions]) {
            let shares = regions::shares(scores)?;
            let mut seen = watched.seen();
            if shares.dim(1)? == shares.dim(2)? && seen.own.is_none() {
                seen.own = Some(shares);
            } else if let Some(own) = seen.own.take() {
                seen_tokens(&watched.tokens, shares.dim(2)?)?;
                let maps = regions::spread(&shares, &own, watched.look.spread, &watched.tokens)?;
                let maps = maps.reshape(((), watched.tokens.len(), height, width))?;
                seen.add(self.enlarged(&maps)?)?;
            }
        }
        Ok(())
    }

    fn sees_residual(&self, layer: usize) -> bool {
        self.sees_features(layer)
    }

    fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        self.see_features(layer, residual)?;
        Ok(None)
    }

    fn reads_output(&self, layer: usize) -> bool {
        self.sees_features(layer)
    }

    fn output(&self, site: Site<'_>, given: Tensor) -> Result<Tensor> {
        if self.sees_features(site.layer) {
            let (height, width) = site.grid;
            let (rows, _, channels) = given.dims3()?;
            let map = given
                .transpose(1, 2)?
                .reshape((rows, channels, height, width))?;
            self.see_features(site.layer, &map)?;
        }
        Ok(given)
    }
}

/// A number for each place, `[B, N]`: what it got from all places, or what it gave to the tokens.
fn spread(look: &Look, tokens: &[u32], scores: &Scores<'_>) -> Result<Tensor> {
    let (batch, heads) = (scores.queries.dim(0)?, scores.heads);
    seen_tokens(tokens, scores.keys.dim(1)?)?;
    let tokens = match look.of {
        Sees::Own => None,
        _ => Some(Tensor::new(tokens, scores.queries.device())?),
    };
    let mut rows = Vec::with_capacity(batch);
    for sample in 0..batch {
        let mut sum: Option<Tensor> = None;
        for head in 0..heads {
            let shares = scores.shares(sample, head)?;
            let one = match &tokens {
                None => shares.sum(0)?,
                Some(tokens) => shares.index_select(tokens, 1)?.sum(1)?,
            };
            sum = Some(match sum {
                Some(sum) => (sum + one)?,
                None => one,
            });
        }
        let sum = sum.ok_or_else(|| nothing_seen(look))?;
        rows.push((sum / heads as f64)?);
    }
    Ok(Tensor::stack(&rows, 0)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use candle_core::Device;
    use guide_compiler::plan::{LayerTerm, Layers, Tokens};

    use super::*;

    const HEADS: usize = 2;
    const CHANNELS: usize = 6;
    const GRID: (usize, usize) = (2, 3);

    fn numbers(count: usize, seed: f64) -> Vec<f32> {
        (0..count)
            .map(|i| (2.0 * (i as f64 * 1.37 + seed).sin()) as f32)
            .collect()
    }

    fn look(of: Sees, tokens: &[u32]) -> Look {
        Look {
            layers: Layers::of(LayerTerm::Mid),
            of,
            tokens: Tokens::Places(tokens.to_vec()),
            spread: 0,
        }
    }

    /// Shares of one sample, head by head: `[heads][places][keys]`, in f64.
    fn shares(q: &[f32], k: &[f32], keys: usize) -> Vec<Vec<Vec<f64>>> {
        let width = CHANNELS / HEADS;
        let of = |head: usize, place: usize| -> Vec<f64> {
            let scores: Vec<f64> = (0..keys)
                .map(|key| {
                    let pairs = (0..width).map(|c| {
                        let c = head * width + c;
                        f64::from(q[place * CHANNELS + c]) * f64::from(k[key * CHANNELS + c])
                    });
                    (pairs.sum::<f64>() / (width as f64).sqrt()).exp()
                })
                .collect();
            let all: f64 = scores.iter().sum();
            scores.into_iter().map(|score| score / all).collect()
        };
        let places = GRID.0 * GRID.1;
        (0..HEADS)
            .map(|head| (0..places).map(|place| of(head, place)).collect())
            .collect()
    }

    fn seen(look: Look, keys: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let names = ["mid.attn.0.self".to_owned(), "mid.attn.0.cross".to_owned()];
        let layer = usize::from(look.of == Sees::Cross);
        let Tokens::Places(tokens) = &look.tokens else {
            panic!("places");
        };
        let watch = Watch::new([(&look, tokens.clone())], &names, (4, 6));
        let places = GRID.0 * GRID.1;
        let (q, k) = (
            numbers(2 * places * CHANNELS, 0.3),
            numbers(2 * keys * CHANNELS, 1.9),
        );
        let site = Site {
            layer,
            grid: GRID,
            rows: &[],
        };
        let tensor = |all: &[f32], rows: usize| {
            Tensor::from_slice(all, (2, rows, CHANNELS), &Device::Cpu).unwrap()
        };
        let scores = Scores {
            queries: &tensor(&q, places),
            keys: &tensor(&k, keys),
            heads: HEADS,
            bias: None,
        };
        watch.attends(site, &scores)?;
        let found = watch.maps()?.remove(0);
        assert_eq!(found.dims(), [2, 1, 4, 6]);
        let found: Vec<f32> = found.flatten_all()?.to_vec1()?;
        let mut wanted = Vec::new();
        for sample in 0..2 {
            let (q, k) = (
                &q[sample * places * CHANNELS..],
                &k[sample * keys * CHANNELS..],
            );
            let shares = shares(q, k, keys);
            let small: Vec<f64> = (0..places)
                .map(|place| {
                    let heads = shares.iter().map(|head| match look.of {
                        Sees::Own => head.iter().map(|of| of[place]).sum::<f64>(),
                        _ => {
                            let given = tokens.iter().map(|token| head[place][*token as usize]);
                            given.sum()
                        }
                    });
                    heads.sum::<f64>() / HEADS as f64
                })
                .collect();
            let large = (0..4).flat_map(|y| (0..6).map(move |x| (y / 2) * 3 + x / 2));
            wanted.extend(large.map(|place| small[place]));
        }
        Ok((found.into_iter().map(f64::from).collect(), wanted))
    }

    #[test]
    fn maps_are_what_loops_give() -> Result<()> {
        let own = look(Sees::Own, &[]);
        let words = look(Sees::Cross, &[1, 3]);
        for (look, keys) in [(own, 6), (words, 5)] {
            let (found, wanted) = seen(look, keys)?;
            for (found, wanted) in found.iter().zip(&wanted) {
                assert!((found - wanted).abs() < 1e-5, "{found} is not {wanted}");
            }
        }
        Ok(())
    }

    #[test]
    fn tokens_that_no_text_has_and_layers_that_see_nothing_are_refused() {
        let error = seen(look(Sees::Cross, &[5]), 5).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadBinding);
        assert_eq!(
            error.message,
            "the text has 5 tokens, and token 5 is looked at"
        );
        let watch = Watch::new([(&look(Sees::Own, &[]), Vec::new())], &[], (4, 6));
        let error = watch.maps().unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoSuchLayers);
        assert!(error.message.starts_with("no self-attention was computed"));
    }

    /// A block's two attentions make one map; another block's are the mean with it.
    #[test]
    fn regions_are_seen_where_a_block_has_both_attentions() -> Result<()> {
        let names = ["mid.attn.0.self".to_owned(), "mid.attn.0.cross".to_owned()];
        let look = Look {
            layers: Layers::of(LayerTerm::Mid),
            of: Sees::Regions,
            tokens: Tokens::default(),
            spread: 2,
        };
        let watch = Watch::new([(&look, vec![0, 2])], &names, (4, 6));
        let places = GRID.0 * GRID.1;
        let tensor = |seed: f64, rows: usize| {
            let numbers = numbers(2 * rows * CHANNELS, seed);
            Tensor::from_vec(numbers, (2, rows, CHANNELS), &Device::Cpu).unwrap()
        };
        let (queries, keys, words) = (tensor(0.3, places), tensor(1.9, places), tensor(2.5, 4));
        let scores = |keys| Scores {
            queries: &queries,
            keys,
            heads: HEADS,
            bias: None,
        };
        let site = |layer| Site {
            layer,
            grid: GRID,
            rows: &[],
        };
        watch.attends(site(1), &scores(&words))?;
        assert!(watch.maps().is_err(), "the text alone tells no regions");
        watch.attends(site(0), &scores(&keys))?;
        watch.attends(site(1), &scores(&words))?;
        let found = watch.maps()?.remove(0);
        let shares = |keys| regions::shares(&scores(keys));
        let maps = regions::spread(&shares(&words)?, &shares(&keys)?, 2, &[0, 2])?;
        let maps = maps
            .reshape((2, 2, GRID.0, GRID.1))?
            .upsample_nearest2d(4, 6)?;
        let wanted = regions::strongest(&maps, &[0, 2])?;
        assert_eq!(
            found.flatten_all()?.to_vec1::<f32>()?,
            wanted.flatten_all()?.to_vec1::<f32>()?
        );
        Ok(())
    }

    #[test]
    fn features_are_as_strong_as_their_mean_square() -> Result<()> {
        let names = ["mid.resnet.0".to_owned(), "mid.attn.0.self".to_owned()];
        let look = Look {
            layers: Layers::of(LayerTerm::Mid),
            of: Sees::Features,
            tokens: Tokens::default(),
            spread: 0,
        };
        let watch = Watch::new([(&look, Vec::new())], &names, (2, 2));
        let tensor = |shape: &[usize], values: &[f32]| {
            Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
        };
        // Two channels; of the first layer a map, of the second tokens.
        assert!(watch.sees_residual(0) && watch.reads_output(1));
        watch.residual(0, &tensor(&[1, 2, 1, 2], &[3.0, 0.0, 4.0, 2.0]))?;
        let site = Site {
            layer: 1,
            grid: (1, 2),
            rows: &[],
        };
        let added = tensor(&[1, 2, 2], &[6.0, 8.0, 0.0, 0.0]);
        let passed = watch.output(site, added.clone())?;
        assert_eq!(
            passed.flatten_all()?.to_vec1::<f32>()?,
            added.flatten_all()?.to_vec1::<f32>()?
        );
        let found: Vec<f32> = watch.maps()?.remove(0).flatten_all()?.to_vec1()?;
        let left = 0.5 * (12.5f32.sqrt() + 50f32.sqrt());
        let right = 0.5 * 2f32.sqrt();
        for (found, wanted) in found.iter().zip([left, right, left, right]) {
            assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
        }
        Ok(())
    }
}
