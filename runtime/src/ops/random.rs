//! Randomness by counter: a number depends on seed, step, key and position, never on a stream.
//!
//! The 64-bit generator is SplitMix64 (Steele, Lea and Flood 2014) read at a position: entry `i` of
//! the stream that starts at `s` is `mix(s + (i + 1) * 0x9e3779b97f4a7c15)`. The start is mixed from
//! the seed, the step and the FNV-1a hash of the key, one after the other, so that no two of them can
//! be exchanged. A uniform number takes the upper 53 bits; a normal one is Box and Muller's, two from
//! each pair of uniform numbers, computed in f64.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A place from which random numbers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    start: u64,
}

impl Stream {
    /// The numbers for a sample's seed, a sampling step and the key of a call.
    pub fn new(seed: u64, step: u32, key: &str) -> Self {
        let start = mix(
            mix(mix(seed.wrapping_add(GOLDEN)) ^ u64::from(step).wrapping_add(GOLDEN)) ^ fnv1a(key),
        );
        Self { start }
    }

    fn bits(self, i: u64) -> u64 {
        mix(self
            .start
            .wrapping_add(i.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// Number `i`, uniform in `0..1`.
    pub fn uniform(self, i: u64) -> f64 {
        (self.bits(i) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// The first of the normal numbers, in f64.
    pub fn one_normal(self) -> f64 {
        self.pair(0)[0]
    }

    /// Normal numbers `2*pair` and `2*pair + 1`.
    fn pair(self, pair: u64) -> [f64; 2] {
        // 1 - u lies in (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform(2 * pair)).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform(2 * pair + 1);
        [radius * angle.cos(), radius * angle.sin()]
    }

    /// A permutation of `0..count`, each as likely, by Fisher and Yates' exchanges from the end: the
    /// entry at `i` is exchanged with that at `floor(u (i + 1))`, `u` the stream's next number.
    pub fn permutation(self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for (draw, at) in (1..count).rev().enumerate() {
            let with = (self.uniform(draw as u64) * (at + 1) as f64) as usize;
            order.swap(at, with.min(at));
        }
        order
    }

    /// Fills `to` with standard normal numbers.
    pub fn normal(self, to: &mut [f32]) {
        for (pair, out) in to.chunks_mut(2).enumerate() {
            for (value, normal) in out.iter_mut().zip(self.pair(pair as u64)) {
                *value = normal as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn every_part_of_the_key_counts() {
        let base = Stream::new(1, 2, "a");
        let others = [
            Stream::new(2, 1, "a"),
            Stream::new(1, 3, "a"),
            Stream::new(2, 2, "a"),
            Stream::new(1, 2, "b"),
        ];
        assert!(
            others
                .iter()
                .all(|other| other.uniform(0) != base.uniform(0))
        );
        assert_eq!(base, Stream::new(1, 2, "a"));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let stream = Stream::new(7, 0, "moments");
        let n = 200_000;
        let mean = (0..n).map(|i| stream.uniform(i)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.003, "{mean}");
        let mut normal = vec![0f32; n as usize];
        stream.normal(&mut normal);
        let mean = normal.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
        let second = normal.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n as f64;
        let fourth = normal.iter().map(|v| f64::from(*v).powi(4)).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.01 && (second - 1.0).abs() < 0.02 && (fourth - 3.0).abs() < 0.1,
            "{mean} {second} {fourth}"
        );
    }

    #[test]
    fn a_shorter_fill_is_the_beginning_of_a_longer_one() {
        let stream = Stream::new(3, 4, "k");
        let (mut short, mut long) = (vec![0f32; 5], vec![0f32; 8]);
        stream.normal(&mut short);
        stream.normal(&mut long);
        assert_eq!(short, long[..5]);
    }
}
