//! A UNet of Stable Diffusion 1.5 in f64 by plain loops, written from its definition, with places where a
//! test changes it. Samples go through it side by side.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::Value;

/// A map of one sample: `[channels][height * width]`.
#[derive(Clone, Debug)]
pub struct Map {
    pub planes: Vec<Vec<f64>>,
    pub height: usize,
    pub width: usize,
}

/// Tokens of one sample: `[tokens][channels]`.
pub type Tokens = Vec<Vec<f64>>;

/// Scores of one sample's attention: `[heads][queries][keys]`.
pub type Scores = Vec<Vec<Vec<f64>>>;

/// What the queries of each sample give for other states.
pub type Ask<'a> = dyn Fn(&[Tokens]) -> Vec<Tokens> + 'a;

/// What a test changes. `layer` is a name such as `down.1.attn.0.cross`.
pub trait Change {
    /// The tokens that enter a transformer block, of every sample, by the name of its self-attention.
    fn enter(&self, layer: &str, tokens: Vec<Tokens>) -> Vec<Tokens> {
        let _ = layer;
        tokens
    }
    /// What an attention adds after its output projection, of every sample.
    fn output(&self, layer: &str, given: Vec<Tokens>) -> Vec<Tokens> {
        let _ = layer;
        given
    }
    /// The scores of an attention before the softmax.
    fn scores(&self, layer: &str, scores: &mut Scores, grid: (usize, usize)) {
        let _ = (layer, scores, grid);
    }
    /// What one place's scores in a head become, to weigh the values with.
    fn shares(&self, layer: &str, scores: &[f64]) -> Vec<f64> {
        let _ = layer;
        softmax(scores)
    }
    /// What an attention gives before its output projection, of every sample.
    fn attended(&self, layer: &str, given: Vec<Tokens>, ask: &Ask<'_>) -> Vec<Tokens> {
        let _ = (layer, ask);
        given
    }
    /// What meets where a layer of the way up reads a layer of the way down.
    fn joined(&self, layer: &str, way: Map, kept: Map) -> (Map, Map) {
        let _ = layer;
        (way, kept)
    }
}

/// Nothing.
pub struct Plain;
impl Change for Plain {}

/// The network's weights.
pub struct Slow {
    weights: HashMap<String, Tensor>,
    width: usize,
    levels: usize,
    heads: usize,
    groups: usize,
    layers: usize,
}

impl Slow {
    /// Of a folder in diffusers layout.
    pub fn read(folder: &std::path::Path) -> Self {
        let unet = folder.join("unet");
        let config = std::fs::read_to_string(unet.join("config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        let number = |name: &str| config[name].as_u64().unwrap() as usize;
        let file = unet.join("diffusion_pytorch_model.safetensors");
        Self {
            weights: safetensors::load(file, &Device::Cpu).unwrap(),
            width: config["block_out_channels"][0].as_u64().unwrap() as usize,
            levels: config["block_out_channels"].as_array().unwrap().len(),
            heads: number("attention_head_dim"),
            groups: number("norm_num_groups"),
            layers: number("layers_per_block"),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }

    fn weight(&self, name: &str) -> Vec<f64> {
        let tensor = &self.weights[name];
        let tensor = tensor.to_dtype(DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = self.weight(&format!("{name}.weight"));
        let bias = format!("{name}.bias");
        let bias = self.has(&bias).then(|| self.weight(&bias));
        let rows = weight.chunks(x.len()).enumerate();
        rows.map(|(i, row)| dot(row, x) + bias.as_ref().map_or(0.0, |b| b[i]))
            .collect()
    }

    fn each(&self, name: &str, tokens: &Tokens) -> Tokens {
        let weight = self.weight(&format!("{name}.weight"));
        let bias = format!("{name}.bias");
        let bias = self.has(&bias).then(|| self.weight(&bias));
        let one = |x: &Vec<f64>| {
            let rows = weight.chunks(x.len()).enumerate();
            rows.map(|(i, row)| dot(row, x) + bias.as_ref().map_or(0.0, |b| b[i]))
                .collect()
        };
        tokens.iter().map(one).collect()
    }

    fn conv(&self, name: &str, x: &Map, stride: usize) -> Map {
        let weight = self.weight(&format!("{name}.weight"));
        let bias = self.weight(&format!("{name}.bias"));
        let side = self.weights[&format!("{name}.weight")].dims()[2];
        let reach = (side / 2) as i64;
        let (height, width) = (x.height.div_ceil(stride), x.width.div_ceil(stride));
        let per = weight.len() / bias.len();
        let plane = |out: usize| {
            let kernel = &weight[out * per..(out + 1) * per];
            let at = |place: usize| {
                let (row, column) = (place / width * stride, place % width * stride);
                let mut sum = bias[out];
                for (channel, plane) in x.planes.iter().enumerate() {
                    for tap in 0..side * side {
                        let r = row as i64 + (tap / side) as i64 - reach;
                        let c = column as i64 + (tap % side) as i64 - reach;
                        let inside =
                            (0..x.height as i64).contains(&r) && (0..x.width as i64).contains(&c);
                        if inside {
                            let value = plane[r as usize * x.width + c as usize];
                            sum += kernel[channel * side * side + tap] * value;
                        }
                    }
                }
                sum
            };
            (0..height * width).map(at).collect()
        };
        Map {
            planes: (0..bias.len()).map(plane).collect(),
            height,
            width,
        }
    }

    fn group_norm(&self, name: &str, x: &Map, eps: f64) -> Map {
        let weight = self.weight(&format!("{name}.weight"));
        let bias = self.weight(&format!("{name}.bias"));
        let mut out = x.clone();
        let size = x.planes.len() / self.groups;
        for (group, planes) in out.planes.chunks_mut(size).enumerate() {
            let all: Vec<f64> = planes.iter().flatten().copied().collect();
            let (mean, root) = moments(&all, eps);
            for (i, plane) in planes.iter_mut().enumerate() {
                let channel = group * size + i;
                for value in plane {
                    *value = (*value - mean) / root * weight[channel] + bias[channel];
                }
            }
        }
        out
    }

    fn layer_norm(&self, name: &str, tokens: &Tokens) -> Tokens {
        let weight = self.weight(&format!("{name}.weight"));
        let bias = self.weight(&format!("{name}.bias"));
        let one = |token: &Vec<f64>| {
            let (mean, root) = moments(token, 1e-5);
            let values = token.iter().enumerate();
            values
                .map(|(i, v)| (v - mean) / root * weight[i] + bias[i])
                .collect()
        };
        tokens.iter().map(one).collect()
    }

    fn resnet(&self, name: &str, x: &Map, time: &[f64]) -> Map {
        let h = silu_map(self.group_norm(&format!("{name}.norm1"), x, 1e-5));
        let mut h = self.conv(&format!("{name}.conv1"), &h, 1);
        let shift = self.linear(&format!("{name}.time_emb_proj"), time);
        for (plane, shift) in h.planes.iter_mut().zip(shift) {
            plane.iter_mut().for_each(|value| *value += shift);
        }
        let h = silu_map(self.group_norm(&format!("{name}.norm2"), &h, 1e-5));
        let h = self.conv(&format!("{name}.conv2"), &h, 1);
        let shortcut = format!("{name}.conv_shortcut");
        let x = match self.has(&format!("{shortcut}.weight")) {
            true => self.conv(&shortcut, x, 1),
            false => x.clone(),
        };
        plus(&h, &x)
    }

    fn attention(
        &self,
        (name, layer): (&str, &str),
        asks: &[Tokens],
        answers: &[Tokens],
        grid: (usize, usize),
        change: &dyn Change,
    ) -> Vec<Tokens> {
        let ask = |others: &[Tokens], changed: bool| -> Vec<Tokens> {
            let pairs = asks.iter().zip(others);
            let one = |(h, from): (&Tokens, &Tokens)| {
                let q = self.each(&format!("{name}.to_q"), h);
                let k = self.each(&format!("{name}.to_k"), from);
                let v = self.each(&format!("{name}.to_v"), from);
                let mut scores = scores(&q, &k, self.heads);
                if !changed {
                    return weighted(&scores, &v, &softmax);
                }
                change.scores(layer, &mut scores, grid);
                weighted(&scores, &v, &|row| change.shares(layer, row))
            };
            pairs.map(one).collect()
        };
        let given = ask(answers, true);
        let given = change.attended(layer, given, &|others| ask(others, false));
        let out = |tokens: &Tokens| self.each(&format!("{name}.to_out.0"), tokens);
        change.output(layer, given.iter().map(out).collect())
    }

    fn transformer(
        &self,
        (name, layer): (&str, &str),
        xs: Vec<Map>,
        texts: &[Tokens],
        change: &dyn Change,
    ) -> Vec<Map> {
        let grid = (xs[0].height, xs[0].width);
        let enter = |x: &Map| {
            let normed = self.group_norm(&format!("{name}.norm"), x, 1e-6);
            tokens(&self.conv(&format!("{name}.proj_in"), &normed, 1))
        };
        let mut hs: Vec<Tokens> = xs.iter().map(enter).collect();
        hs = change.enter(&format!("{layer}.self"), hs);
        let block = format!("{name}.transformer_blocks.0");
        for (i, kind) in ["self", "cross", "ff"].into_iter().enumerate() {
            let norm = |h: &Tokens| self.layer_norm(&format!("{block}.norm{}", i + 1), h);
            let layer = format!("{layer}.{kind}");
            let normed: Vec<Tokens> = hs.iter().map(norm).collect();
            let inner = format!("{block}.attn{}", i + 1);
            let at = (inner.as_str(), layer.as_str());
            let more = match kind {
                "self" => self.attention(at, &normed, &normed, grid, change),
                "cross" => self.attention(at, &normed, texts, grid, change),
                _ => normed.iter().map(|h| self.feed(&block, h)).collect(),
            };
            for (h, more) in hs
                .iter_mut()
                .flatten()
                .flatten()
                .zip(more.iter().flatten().flatten())
            {
                *h += more;
            }
        }
        let leave = |(x, h): (Map, Tokens)| {
            let out = self.conv(&format!("{name}.proj_out"), &map(&h, grid), 1);
            plus(&out, &x)
        };
        xs.into_iter().zip(hs).map(leave).collect()
    }

    fn feed(&self, block: &str, h: &Tokens) -> Tokens {
        let gated = |token: &Vec<f64>| -> Vec<f64> {
            let (value, gate) = token.split_at(token.len() / 2);
            value.iter().zip(gate).map(|(v, g)| v * gelu(*g)).collect()
        };
        let wide = self.each(&format!("{block}.ff.net.0.proj"), h);
        self.each(
            &format!("{block}.ff.net.2"),
            &wide.iter().map(gated).collect(),
        )
    }

    /// A resnet and the transformer after it, where there is one.
    fn layer(
        &self,
        (block, side): (&str, &str),
        i: usize,
        xs: Vec<Map>,
        given: (&[f64], &[Tokens]),
        change: &dyn Change,
    ) -> Vec<Map> {
        let resnet = format!("{block}.resnets.{i}");
        let xs: Vec<Map> = xs
            .iter()
            .map(|x| self.resnet(&resnet, x, given.0))
            .collect();
        let attention = format!("{block}.attentions.{i}");
        match self.has(&format!("{attention}.norm.weight")) {
            true => {
                let layer = format!("{side}.attn.{i}");
                self.transformer((&attention, &layer), xs, given.1, change)
            }
            false => xs,
        }
    }

    /// The answers for samples at one time: maps of latents and their texts.
    pub fn forward(&self, xs: &[Map], t: f64, texts: &[Tokens], change: &dyn Change) -> Vec<Map> {
        let half = self.width / 2;
        let angle = |i: usize| t * (-(10000f64.ln()) * i as f64 / half as f64).exp();
        let waves = (0..half).map(|i| angle(i).cos());
        let waves: Vec<f64> = waves.chain((0..half).map(|i| angle(i).sin())).collect();
        let time = self.linear("time_embedding.linear_1", &waves);
        let time: Vec<f64> = time.into_iter().map(silu).collect();
        let time = self.linear("time_embedding.linear_2", &time);
        let time: Vec<f64> = time.into_iter().map(silu).collect();
        let given = (time.as_slice(), texts);
        let conv = |name: &str, xs: &[Map], stride: usize| -> Vec<Map> {
            xs.iter().map(|x| self.conv(name, x, stride)).collect()
        };

        let mut xs = conv("conv_in", xs, 1);
        let mut kept = vec![xs.clone()];
        for level in 0..self.levels {
            let (block, side) = (format!("down_blocks.{level}"), format!("down.{level}"));
            for i in 0..self.layers {
                xs = self.layer((&block, &side), i, xs, given, change);
                kept.push(xs.clone());
            }
            if level + 1 < self.levels {
                xs = conv(&format!("{block}.downsamplers.0.conv"), &xs, 2);
                kept.push(xs.clone());
            }
        }
        xs = self.layer(("mid_block", "mid"), 0, xs, given, change);
        xs = xs
            .iter()
            .map(|x| self.resnet("mid_block.resnets.1", x, given.0))
            .collect();
        for level in 0..self.levels {
            let (block, side) = (format!("up_blocks.{level}"), format!("up.{level}"));
            for i in 0..=self.layers {
                let below = kept.pop().unwrap();
                let layer = format!("{side}.resnet.{i}");
                let joined = xs.into_iter().zip(below).map(|(way, kept)| {
                    let (mut way, kept) = change.joined(&layer, way, kept);
                    way.planes.extend(kept.planes);
                    way
                });
                xs = self.layer((&block, &side), i, joined.collect(), given, change);
            }
            if level + 1 < self.levels {
                let doubled: Vec<Map> = xs.iter().map(doubled).collect();
                xs = conv(&format!("{block}.upsamplers.0.conv"), &doubled, 1);
            }
        }
        let out = |x: &Map| {
            let normed = silu_map(self.group_norm("conv_norm_out", x, 1e-5));
            self.conv("conv_out", &normed, 1)
        };
        xs.iter().map(out).collect()
    }
}

/// The maps of `[B, C, H, W]`.
pub fn maps(tensor: &Tensor) -> Vec<Map> {
    let (samples, channels, height, width) = tensor.dims4().unwrap();
    let all = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    let all: Vec<f64> = all.to_vec1().unwrap();
    let plane = |i: usize| all[i * height * width..(i + 1) * height * width].to_vec();
    let one = |sample: usize| Map {
        planes: (0..channels)
            .map(|c| plane(sample * channels + c))
            .collect(),
        height,
        width,
    };
    (0..samples).map(one).collect()
}

/// The tokens of `[B, L, D]`.
pub fn texts(tensor: &Tensor) -> Vec<Tokens> {
    tensor.to_dtype(DType::F64).unwrap().to_vec3().unwrap()
}

/// The tensor of maps, `[B, C, H, W]`.
pub fn tensor(maps: &[Map]) -> Tensor {
    let all: Vec<f64> = maps.iter().flat_map(|map| map.planes.concat()).collect();
    let first = &maps[0];
    let shape = (maps.len(), first.planes.len(), first.height, first.width);
    Tensor::from_vec(all, shape, &Device::Cpu).unwrap()
}

/// Weights of one row of scores.
pub fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let all: Vec<f64> = row.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|value| value / sum).collect()
}

fn scores(q: &Tokens, k: &Tokens, heads: usize) -> Scores {
    let size = q[0].len() / heads;
    let of = |head: usize| {
        let part = move |token: &'_ Vec<f64>| token[head * size..(head + 1) * size].to_vec();
        let row = |q: &Vec<f64>| {
            let q = part(q);
            let one = |k: &Vec<f64>| dot(&q, &part(k)) / (size as f64).sqrt();
            k.iter().map(one).collect()
        };
        q.iter().map(row).collect()
    };
    (0..heads).map(of).collect()
}

fn weighted(scores: &Scores, v: &Tokens, shares: &dyn Fn(&[f64]) -> Vec<f64>) -> Tokens {
    let size = v[0].len() / scores.len();
    let mut out = vec![vec![0.0; v[0].len()]; scores[0].len()];
    for (head, rows) in scores.iter().enumerate() {
        for (row, out) in rows.iter().zip(&mut out) {
            for (weight, token) in shares(row).into_iter().zip(v) {
                for i in head * size..(head + 1) * size {
                    out[i] += weight * token[i];
                }
            }
        }
    }
    out
}

fn tokens(map: &Map) -> Tokens {
    let at = |place: usize| map.planes.iter().map(|plane| plane[place]).collect();
    (0..map.height * map.width).map(at).collect()
}

fn map(tokens: &Tokens, (height, width): (usize, usize)) -> Map {
    let plane = |channel: usize| tokens.iter().map(|token| token[channel]).collect();
    Map {
        planes: (0..tokens[0].len()).map(plane).collect(),
        height,
        width,
    }
}

fn doubled(map: &Map) -> Map {
    let (height, width) = (map.height * 2, map.width * 2);
    let plane = |plane: &Vec<f64>| {
        let at = |place: usize| plane[place / width / 2 * map.width + place % width / 2];
        (0..height * width).map(at).collect()
    };
    Map {
        planes: map.planes.iter().map(plane).collect(),
        height,
        width,
    }
}

fn plus(a: &Map, b: &Map) -> Map {
    let mut sum = a.clone();
    for (a, b) in sum
        .planes
        .iter_mut()
        .flatten()
        .zip(b.planes.iter().flatten())
    {
        *a += b;
    }
    sum
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The mean, and the root of the variance and `eps`.
fn moments(all: &[f64], eps: f64) -> (f64, f64) {
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, (variance + eps).sqrt())
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn silu_map(mut map: Map) -> Map {
    map.planes.iter_mut().flatten().for_each(|v| *v = silu(*v));
    map
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / 2f64.sqrt()))
}

/// By a series whose terms have one sign; from 6 on it is 1 in f64.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp()
}
