//! The networks of classifiers, written out in f64, one loop for each axis.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

/// Numbers of a map: channels, height, width.
#[derive(Clone)]
pub struct Map {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub at: Vec<f64>,
}

impl Map {
    fn get(&self, c: usize, y: isize, x: isize) -> f64 {
        let inside = y >= 0 && x >= 0 && (y as usize) < self.height && (x as usize) < self.width;
        if !inside {
            return 0.0;
        }
        self.at[(c * self.height + y as usize) * self.width + x as usize]
    }

    fn each(&self, f: impl Fn(usize, f64) -> f64) -> Map {
        let area = self.height * self.width;
        let at = self.at.iter().enumerate();
        Map {
            at: at.map(|(i, v)| f(i / area, *v)).collect(),
            ..self.clone()
        }
    }

    fn mean(&self) -> Vec<f64> {
        let area = self.height * self.width;
        self.at
            .chunks(area)
            .map(|plane| plane.iter().sum::<f64>() / area as f64)
            .collect()
    }
}

/// Tensors of a file, in f64.
pub struct File(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl File {
    pub fn read(path: &Path) -> Self {
        let all = candle_core::safetensors::load(path, &Device::Cpu).expect("a file");
        let wide = |tensor: Tensor| {
            let dims = tensor.dims().to_vec();
            let flat = tensor.to_dtype(DType::F64).and_then(|t| t.flatten_all());
            (dims, flat.and_then(|t| t.to_vec1()).expect("numbers"))
        };
        Self(all.into_iter().map(|(k, v)| (k, wide(v))).collect())
    }

    fn get(&self, name: &str) -> &(Vec<usize>, Vec<f64>) {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("the file has no `{name}`"))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn conv(&self, name: &str, x: &Map, stride: usize, padding: usize) -> Map {
        let (shape, weight) = self.get(&format!("{name}.weight"));
        let [out, inner, kernel, _] = shape[..] else {
            panic!("{name} is no convolution");
        };
        let side = |n: usize| (n + 2 * padding - kernel) / stride + 1;
        let (height, width) = (side(x.height), side(x.width));
        let bias = self.0.get(&format!("{name}.bias")).map(|b| &b.1);
        let mut at = Vec::new();
        for o in 0..out {
            for y in 0..height {
                for z in 0..width {
                    let mut sum = bias.map_or(0.0, |bias| bias[o]);
                    for c in 0..inner {
                        for i in 0..kernel {
                            for j in 0..kernel {
                                let place = ((o * inner + c) * kernel + i) * kernel + j;
                                let row = (y * stride + i) as isize - padding as isize;
                                let column = (z * stride + j) as isize - padding as isize;
                                sum += weight[place] * x.get(c, row, column);
                            }
                        }
                    }
                    at.push(sum);
                }
            }
        }
        Map {
            channels: out,
            height,
            width,
            at,
        }
    }

    fn dense(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (shape, weight) = self.get(&format!("{name}.weight"));
        let bias = &self.get(&format!("{name}.bias")).1;
        let row = |o: usize| {
            let own = &weight[o * shape[1]..(o + 1) * shape[1]];
            bias[o] + own.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
        };
        (0..shape[0]).map(row).collect()
    }

    fn groups(&self, name: &str, x: &Map, groups: usize, eps: f64) -> Map {
        let weight = &self.get(&format!("{name}.weight")).1;
        let bias = &self.get(&format!("{name}.bias")).1;
        let each = x.at.len() / groups;
        let area = x.height * x.width;
        let mut at = Vec::new();
        for (g, group) in x.at.chunks(each).enumerate() {
            let mean = group.iter().sum::<f64>() / each as f64;
            let variance = group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / each as f64;
            for (i, v) in group.iter().enumerate() {
                let c = (g * each + i) / area;
                at.push((v - mean) / (variance + eps).sqrt() * weight[c] + bias[c]);
            }
        }
        Map { at, ..x.clone() }
    }

    fn batch_norm(&self, name: &str, x: &Map) -> Map {
        let part = |end: &str| &self.get(&format!("{name}.{end}")).1;
        let (weight, bias) = (part("weight"), part("bias"));
        let (mean, variance) = (part("running_mean"), part("running_var"));
        x.each(|c, v| (v - mean[c]) / (variance[c] + 1e-5).sqrt() * weight[c] + bias[c])
    }

    /// The embedded model's judges: `strides` of the blocks, the time where it is told.
    pub fn plain(
        &self,
        shown: &Map,
        strides: &[usize],
        time: Option<f64>,
        softplus: Option<f64>,
    ) -> Vec<f64> {
        let relu = |v: f64| v.max(0.0);
        let act = |v: f64| softplus.map_or(relu(v), |b| (b * v).exp().ln_1p() / b);
        let told = time.map(|time| {
            let half = self.get("time.0.weight").0[1] / 2;
            let angle = |i: usize| time * (-(10000f64.ln()) * i as f64 / half as f64).exp();
            let features: Vec<f64> = (0..half)
                .map(|i| angle(i).cos())
                .chain((0..half).map(|i| angle(i).sin()))
                .collect();
            let first: Vec<f64> = self
                .dense("time.0", &features)
                .into_iter()
                .map(relu)
                .collect();
            let second = self.dense("time.1", &first).into_iter().map(relu);
            second.collect::<Vec<f64>>()
        });
        let mut x = shown.clone();
        for (at, stride) in strides.iter().enumerate() {
            let name = format!("blocks.{at}");
            x = self.conv(&format!("{name}.conv"), &x, *stride, 1);
            x = self.groups(&format!("{name}.norm"), &x, 8, 1e-5);
            if let Some(told) = &told {
                let bias = self.dense(&format!("{name}.time"), told);
                x = x.each(|c, v| v + bias[c]);
            }
            x = x.each(|_, v| act(v));
        }
        self.dense("head", &x.mean())
    }

    /// A ResNet with the names of torchvision.
    pub fn resnet(&self, shown: &Map, depths: &[usize], bottleneck: bool) -> Vec<f64> {
        let relu = |x: Map| x.each(|_, v| v.max(0.0));
        let x = relu(self.batch_norm("bn1", &self.conv("conv1", shown, 2, 3)));
        let mut x = largest_of_nine(&x);
        for (level, depth) in depths.iter().enumerate() {
            for at in 0..*depth {
                let stride = if level > 0 && at == 0 { 2 } else { 1 };
                let name = format!("layer{}.{at}", level + 1);
                let layer = |k: usize, x: &Map, stride: usize, padding: usize| {
                    let y = self.conv(&format!("{name}.conv{k}"), x, stride, padding);
                    self.batch_norm(&format!("{name}.bn{k}"), &y)
                };
                let y = match bottleneck {
                    true => {
                        let y = relu(layer(1, &x, 1, 0));
                        layer(3, &relu(layer(2, &y, stride, 1)), 1, 0)
                    }
                    false => layer(2, &relu(layer(1, &x, stride, 1)), 1, 1),
                };
                let aside = match self.has(&format!("{name}.downsample.0.weight")) {
                    true => {
                        let y = self.conv(&format!("{name}.downsample.0"), &x, stride, 0);
                        self.batch_norm(&format!("{name}.downsample.1"), &y)
                    }
                    false => x.clone(),
                };
                let both = y.at.iter().zip(&aside.at).map(|(a, b)| a + b).collect();
                x = relu(Map { at: both, ..y });
            }
        }
        self.dense("fc", &x.mean())
    }
}

/// The largest of 3x3 places, at every second one.
fn largest_of_nine(x: &Map) -> Map {
    let side = |n: usize| (n - 1) / 2 + 1;
    let (height, width) = (side(x.height), side(x.width));
    let mut at = Vec::new();
    for c in 0..x.channels {
        for y in 0..height {
            for z in 0..width {
                let mut most = f64::NEG_INFINITY;
                for (i, j) in (0..9).map(|k| (k / 3, k % 3)) {
                    let (row, column) = ((2 * y + i) as isize - 1, (2 * z + j) as isize - 1);
                    let inside = row >= 0
                        && column >= 0
                        && (row as usize) < x.height
                        && (column as usize) < x.width;
                    if inside {
                        most = most.max(x.get(c, row, column));
                    }
                }
                at.push(most);
            }
        }
    }
    Map {
        channels: x.channels,
        height,
        width,
        at,
    }
}
