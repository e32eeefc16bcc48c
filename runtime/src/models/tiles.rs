//! A large map made in overlapping tiles that are blended where they meet, so that no step holds more
//! than one tile.

use candle_core::{Device, Tensor};

use crate::error::Result;

/// A side of a tile, and what neighbours share of it at least, both in the units of what goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    pub side: usize,
    pub shared: usize,
}

impl Tiles {
    /// Makes a map `[1, C, H*factor, W*factor]`, f32, of `[1, c, H, W]`: each tile by `make`. What two
    /// tiles show is mixed, from all of one to all of the other.
    ///
    /// # Errors
    /// What `make` and the tensor library report.
    pub fn blend(
        self,
        from: &Tensor,
        factor: usize,
        make: &dyn Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (_, _, height, width) = from.dims4()?;
        let (rows, columns) = (self.axis(height, factor), self.axis(width, factor));
        let (tall, wide) = (height * factor, width * factor);
        let mut whole: Vec<f32> = Vec::new();
        for row in &rows {
            for column in &columns {
                let part = from
                    .narrow(2, row.start, row.length)?
                    .narrow(3, column.start, column.length)?
                    .contiguous()?;
                let tile = make(&part)?.to_device(&Device::Cpu)?;
                let channels = tile.dim(1)?;
                whole.resize(channels * tall * wide, 0.0);
                let numbers = tile.flatten_all()?.to_vec1::<f32>()?;
                let (high, broad) = (row.weights.len(), column.weights.len());
                for (line, values) in numbers.chunks_exact(broad.max(1)).enumerate() {
                    let (channel, y) = (line / high, line % high);
                    let at =
                        (channel * tall + row.start * factor + y) * wide + column.start * factor;
                    for ((sum, value), weight) in whole[at..at + broad]
                        .iter_mut()
                        .zip(values)
                        .zip(&column.weights)
                    {
                        *sum += value * weight * row.weights[y];
                    }
                }
            }
        }
        let channels = whole.len() / (tall * wide).max(1);
        Ok(Tensor::from_vec(
            whole,
            (1, channels, tall, wide),
            &Device::Cpu,
        )?)
    }

    /// The tiles along an axis: as few as can be, evenly spread from end to end.
    fn axis(self, length: usize, factor: usize) -> Vec<Strip> {
        let step = self.side.saturating_sub(self.shared).max(1);
        let count = length.saturating_sub(self.side).div_ceil(step) + 1;
        let side = self.side.min(length);
        let start = |i: usize| (length - side) * i / (count - 1).max(1);
        let mut strips: Vec<Strip> = (0..count)
            .map(|i| {
                let before = (i > 0).then(|| start(i - 1) + side - start(i));
                let after = (i + 1 < count).then(|| start(i) + side - start(i + 1));
                Strip::new(start(i), side, [before, after], factor)
            })
            .collect();
        let mut sums = vec![0.0f32; length * factor];
        for strip in &strips {
            let sums = &mut sums[strip.start * factor..];
            sums.iter_mut()
                .zip(&strip.weights)
                .for_each(|(sum, weight)| *sum += weight);
        }
        for strip in &mut strips {
            let sums = &sums[strip.start * factor..];
            strip
                .weights
                .iter_mut()
                .zip(sums)
                .for_each(|(weight, sum)| *weight /= sum);
        }
        strips
    }
}

/// A tile's place along one axis.
#[derive(Debug)]
struct Strip {
    start: usize,
    length: usize,
    /// How much of each made place is this tile's.
    weights: Vec<f32>,
}

impl Strip {
    /// `shared` is what the tiles before and after show too.
    fn new(start: usize, length: usize, shared: [Option<usize>; 2], factor: usize) -> Self {
        let [before, after] = shared.map(|shared| shared.map(|shared| (shared * factor) as f32));
        let ramp = |place: usize, shared: Option<f32>| {
            shared.map_or(1.0, |shared| ((place as f32 + 0.5) / shared).min(1.0))
        };
        let made = length * factor;
        let weights = (0..made)
            .map(|at| ramp(at, before).min(ramp(made - 1 - at, after)))
            .collect();
        Self {
            start,
            length,
            weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILES: Tiles = Tiles { side: 8, shared: 2 };

    fn map(height: usize, width: usize) -> Tensor {
        let numbers: Vec<f32> = (0..2 * height * width)
            .map(|i| ((i * 37 % 101) as f32 / 10.0).sin())
            .collect();
        Tensor::from_vec(numbers, (1, 2, height, width), &Device::Cpu).expect("a map")
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor
            .flatten_all()
            .and_then(|t| t.to_vec1())
            .expect("numbers")
    }

    /// What a place depends on alone is the same in tiles, for every size.
    #[test]
    fn what_does_not_look_around_is_unchanged() {
        for (height, width) in [(8, 8), (9, 8), (13, 30), (14, 15), (3, 21), (40, 17)] {
            let from = map(height, width);
            let whole = from
                .upsample_nearest2d(height * 3, width * 3)
                .expect("larger");
            let tiled = TILES
                .blend(&from, 3, &|part| {
                    let (_, _, h, w) = part.dims4()?;
                    assert!(h <= 8 && w <= 8);
                    Ok(part.upsample_nearest2d(h * 3, w * 3)?)
                })
                .expect("tiles");
            assert_eq!(tiled.dims(), whole.dims());
            for (a, b) in numbers(&tiled).iter().zip(numbers(&whole)) {
                assert!((a - b).abs() < 1e-6, "{height}x{width}: {a} is not {b}");
            }
        }
    }

    /// Between two tiles the one goes over into the other evenly.
    #[test]
    fn neighbours_are_mixed_along_what_they_share() {
        let from = Tensor::from_vec(
            (0..14)
                .map(|x| if x < 7 { 0.0f32 } else { 1.0 })
                .collect::<Vec<_>>(),
            (1, 1, 1, 14),
            &Device::Cpu,
        )
        .expect("a map");
        // Each tile is all of what stands at its left end: 0, then 1 from place 6.
        let tiled = TILES
            .blend(&from, 2, &|part| {
                let last = part.narrow(3, part.dim(3)? - 7, 1)?;
                Ok(last
                    .broadcast_as((1, 1, 2, part.dim(3)? * 2))?
                    .contiguous()?)
            })
            .expect("tiles");
        let row = &numbers(&tiled)[..28];
        assert_eq!(row[..12], [0.0; 12]);
        assert_eq!(row[16..], [1.0; 12]);
        for (found, wanted) in row[12..16].iter().zip([0.125, 0.375, 0.625, 0.875]) {
            assert!((found - wanted).abs() < 1e-6, "{row:?}");
        }
    }
}
