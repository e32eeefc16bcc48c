//! Laplacian pyramids as kornia makes them of pictures whose sides are powers of 2.

/// A picture of one channel.
#[derive(Clone)]
pub struct Channel {
    pub height: usize,
    pub width: usize,
    pub values: Vec<f64>,
}

/// Where a place outside lies when the side is mirrored without its end.
fn mirrored(at: isize, side: usize) -> usize {
    let last = side as isize - 1;
    let at = at.abs();
    (if at > last { 2 * last - at } else { at }) as usize
}

impl Channel {
    fn at(&self, y: usize, x: usize) -> f64 {
        self.values[y * self.width + x]
    }

    fn of(height: usize, width: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let values = places.map(|(y, x)| value(y, x)).collect();
        Self {
            height,
            width,
            values,
        }
    }

    /// The 5x5 binomial kernel.
    fn blurred(&self) -> Self {
        const TAPS: [f64; 5] = [1.0, 4.0, 6.0, 4.0, 1.0];
        Self::of(self.height, self.width, |y, x| {
            let mut sum = 0.0;
            for (i, a) in TAPS.iter().enumerate() {
                for (j, b) in TAPS.iter().enumerate() {
                    let from_y = mirrored(y as isize + i as isize - 2, self.height);
                    let from_x = mirrored(x as isize + j as isize - 2, self.width);
                    sum += a * b / 256.0 * self.at(from_y, from_x);
                }
            }
            sum
        })
    }

    /// Bilinear, pixels being areas.
    fn resized(&self, height: usize, width: usize) -> Self {
        let place = |at: usize, side: usize, from: usize| {
            let at = ((at as f64 + 0.5) * from as f64 / side as f64 - 0.5).max(0.0);
            let low = (at.floor() as usize).min(from - 1);
            (low, (low + 1).min(from - 1), at - low as f64)
        };
        Self::of(height, width, |y, x| {
            let (top, bottom, down) = place(y, height, self.height);
            let (left, right, along) = place(x, width, self.width);
            let row = |y: usize| (1.0 - along) * self.at(y, left) + along * self.at(y, right);
            (1.0 - down) * row(top) + down * row(bottom)
        })
    }

    /// kornia's `pyrdown`
    fn down(&self) -> Self {
        self.blurred().resized(self.height / 2, self.width / 2)
    }

    /// kornia's `pyrup`
    fn up(&self) -> Self {
        self.resized(2 * self.height, 2 * self.width).blurred()
    }

    pub fn mixed(&self, a: f64, other: &Self, b: f64) -> Self {
        Self::of(self.height, self.width, |y, x| {
            a * self.at(y, x) + b * other.at(y, x)
        })
    }
}

pub fn laplacian(picture: &Channel, levels: usize) -> Vec<Channel> {
    let mut gaussian = vec![picture.clone()];
    for level in 1..levels {
        gaussian.push(gaussian[level - 1].down());
    }
    let detail = |level: usize| match gaussian.get(level + 1) {
        Some(coarser) => gaussian[level].mixed(1.0, &coarser.up(), -1.0),
        None => gaussian[level].clone(),
    };
    (0..levels).map(detail).collect()
}

pub fn collapsed(pyramid: Vec<Channel>) -> Channel {
    let mut levels = pyramid.into_iter().rev();
    let coarsest = levels.next().unwrap();
    levels.fold(coarsest, |picture, level| {
        picture.up().mixed(1.0, &level, 1.0)
    })
}
