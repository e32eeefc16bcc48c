//! Pyramids and resampling of one channel, pixel by pixel.

/// A channel: its height, its width, and its rows one after the other.
#[derive(Clone)]
pub struct Plane {
    height: usize,
    width: usize,
    pixels: Vec<f64>,
}

impl Plane {
    pub fn new(height: usize, width: usize, pixels: &[f64]) -> Self {
        Self {
            height,
            width,
            pixels: pixels.to_vec(),
        }
    }

    pub fn pixels(&self) -> &[f64] {
        &self.pixels
    }

    fn filled(height: usize, width: usize, pixel: impl Fn(usize, usize) -> f64) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        Self {
            height,
            width,
            pixels: places.map(|(y, x)| pixel(y, x)).collect(),
        }
    }

    fn at(&self, y: usize, x: usize) -> f64 {
        self.pixels[y * self.width + x]
    }

    pub fn plus(&self, factor: f64, other: &Plane) -> Plane {
        Self::filled(self.height, self.width, |y, x| {
            self.at(y, x) + factor * other.at(y, x)
        })
    }

    /// `[1 4 6 4 1]/16` along both axes, the border mirrored at its pixels.
    fn blurred(&self) -> Plane {
        self.mixed(&[1.0, 4.0, 6.0, 4.0, 1.0].map(|w| w / 16.0))
    }

    /// A Gaussian of nine pixels along both axes, the border mirrored at its pixels.
    pub fn gaussian(&self, sigma: f64) -> Plane {
        let bell = |i: i32| (-f64::from(i * i) / (2.0 * sigma * sigma)).exp();
        let all: f64 = (-4..=4).map(bell).sum();
        let weights: Vec<f64> = (-4..=4).map(|i| bell(i) / all).collect();
        self.mixed(&weights)
    }

    /// Weights of pixels side by side, along both axes.
    fn mixed(&self, weights: &[f64]) -> Plane {
        let half = (weights.len() / 2) as isize;
        let mirror = |i: isize, side: usize| -> usize {
            // A border that is wider than the plane is mirrored at the other side again.
            let last = side as isize - 1;
            let i = if last == 0 { 0 } else { i.rem_euclid(2 * last) };
            (if i > last { 2 * last - i } else { i }) as usize
        };
        Self::filled(self.height, self.width, |y, x| {
            let mut sum = 0.0;
            for (j, down) in weights.iter().enumerate() {
                for (i, across) in weights.iter().enumerate() {
                    let row = mirror(y as isize + j as isize - half, self.height);
                    let column = mirror(x as isize + i as isize - half, self.width);
                    sum += down * across * self.at(row, column);
                }
            }
            sum
        })
    }

    /// Bilinear between the centres of pixels, without antialiasing.
    pub fn resized(&self, height: usize, width: usize) -> Plane {
        let place = |i: usize, from: usize, to: usize| {
            let centre = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
            let low = (centre.floor() as usize).min(from - 1);
            (low, (low + 1).min(from - 1), centre - low as f64)
        };
        Self::filled(height, width, |y, x| {
            let (top, bottom, down) = place(y, self.height, height);
            let (left, right, across) = place(x, self.width, width);
            let row = |y: usize| (1.0 - across) * self.at(y, left) + across * self.at(y, right);
            (1.0 - down) * row(top) + down * row(bottom)
        })
    }

    fn halved(&self) -> Plane {
        self.blurred().resized(self.height / 2, self.width / 2)
    }

    fn doubled(&self) -> Plane {
        self.resized(self.height * 2, self.width * 2).blurred()
    }

    /// A Laplacian pyramid: what each level loses when it is halved, and last the coarsest.
    pub fn pyramid(&self, levels: usize) -> Vec<Plane> {
        let mut whole = self.clone();
        let mut pyramid = Vec::new();
        for _ in 1..levels {
            let half = whole.halved();
            pyramid.push(whole.plus(-1.0, &half.doubled()));
            whole = half;
        }
        pyramid.push(whole);
        pyramid
    }

    pub fn collapsed(pyramid: &[Plane]) -> Plane {
        let (coarsest, finer) = pyramid.split_last().expect("a level");
        let up = |below: Plane, level: &Plane| below.doubled().plus(1.0, level);
        finer.iter().rev().fold(coarsest.clone(), up)
    }

    /// Down to a share of each side, and back.
    pub fn low(&self, cutoff: f64) -> Plane {
        let small = |side: usize| ((cutoff * side as f64).floor() as usize).max(1);
        self.resized(small(self.height), small(self.width))
            .resized(self.height, self.width)
    }
}

/// Every channel of a latent, made of the same channel of several.
pub fn channels(shape: [usize; 3], of: &[&[f64]], make: impl Fn(&[Plane]) -> Plane) -> Vec<f64> {
    let [count, height, width] = shape;
    let area = height * width;
    let channel = |k: usize| {
        let plane = |v: &&[f64]| Plane::new(height, width, &v[k * area..(k + 1) * area]);
        let planes: Vec<Plane> = of.iter().map(plane).collect();
        make(&planes).pixels().to_vec()
    };
    (0..count).flat_map(channel).collect()
}
