//! Noise as torch's CPU generator draws it: the same start for the same seed as in diffusers.
//!
//! Draw for draw the same numbers as `torch.randn(..., generator=torch.manual_seed(seed))`; the last
//! bits of `log` and `cos` may differ.

use crate::error::Result;

/// Length of the twister's state.
const STATE: usize = 624;
/// Distance of the words that a new word is mixed from.
const MIDDLE: usize = 397;

/// A 32-bit Mersenne twister (Matsumoto and Nishimura 1998) with torch's ways to make reals of it.
#[derive(Clone, Debug)]
pub struct Generator {
    state: [u32; STATE],
    next: usize,
    /// The second number of the latest pair of [`Generator::normals`] below 16 elements.
    spare: Option<f64>,
}

impl Generator {
    /// As `torch.manual_seed(seed)`: the low 32 bits of `seed` count.
    pub fn new(seed: u64) -> Self {
        let mut word = seed as u32;
        let mut state = [0; STATE];
        for (i, slot) in state.iter_mut().enumerate() {
            if i > 0 {
                word = 1_812_433_253u32
                    .wrapping_mul(word ^ (word >> 30))
                    .wrapping_add(i as u32);
            }
            *slot = word;
        }
        Self {
            state,
            next: STATE,
            spare: None,
        }
    }

    /// The next 32 bits.
    fn word(&mut self) -> u32 {
        if self.next == STATE {
            for i in 0..STATE {
                let mixed =
                    (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
                let twist = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + MIDDLE) % STATE] ^ (mixed >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A uniform number of 24 bits in `0..1`, as `torch.rand` in f32.
    fn uniform(&mut self) -> f32 {
        (self.word() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// A uniform number of 53 bits in `0..1`.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.word());
        let bits = (high << 32 | u64::from(self.word())) & ((1 << 53) - 1);
        bits as f64 / (1u64 << 53) as f64
    }

    /// `count` uniform numbers in `0..1`, as `torch.rand`.
    pub fn uniforms(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.uniform()).collect()
    }

    /// `count` standard normal numbers, as `torch.randn`.
    ///
    /// From 16 elements on, groups of 16 uniforms become pairs at a distance of 8 (Box and Muller
    /// 1958), and the last 16 are drawn anew where `count` is no multiple of 16. Below, the numbers
    /// come one by one in f64, and a spare one is kept for the next small draw.
    pub fn normals(&mut self, count: usize) -> Vec<f32> {
        if count < 16 {
            return (0..count).map(|_| self.normal() as f32).collect();
        }
        let mut out = self.uniforms(count);
        out.chunks_exact_mut(16).for_each(to_normal);
        if !count.is_multiple_of(16) {
            let tail = &mut out[count - 16..];
            tail.iter_mut().for_each(|slot| *slot = self.uniform());
            to_normal(tail);
        }
        out
    }

    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (turn, length) = (self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-length).ln_1p()).sqrt();
        let angle = std::f64::consts::TAU * turn;
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// Turns 16 uniforms into 16 normals, in place.
fn to_normal(group: &mut [f32]) {
    let (left, right) = group.split_at_mut(8);
    for (a, b) in left.iter_mut().zip(right) {
        // Logarithm and cosine in f64, so that they round alike on every machine.
        let radius = (-2.0 * f64::from(1.0 - *a).ln()).sqrt();
        let angle = f64::from(std::f32::consts::TAU * *b);
        *a = (radius * angle.cos()) as f32;
        *b = (radius * angle.sin()) as f32;
    }
}

/// Where a run's noise comes from.
pub trait NoiseSource {
    /// The next standard normal numbers for all samples, sample after sample, `each` for a sample.
    ///
    /// # Errors
    /// A source that holds no more.
    fn draw(&mut self, each: usize) -> Result<Vec<f32>>;
}

/// One generator for each sample: first the initial latents, then each step's noise in order, as
/// a diffusers pipeline with a list of generators draws them. Sample `i` has the seed `seed + i`.
#[derive(Clone, Debug)]
pub struct Seeded {
    generators: Vec<Generator>,
}

impl Seeded {
    /// Generators for `samples` samples, the first of which has the seed `seed`.
    pub fn new(seed: u64, samples: usize) -> Self {
        let generators = (0..samples as u64)
            .map(|i| Generator::new(seed.wrapping_add(i)))
            .collect();
        Self { generators }
    }
}

impl NoiseSource for Seeded {
    fn draw(&mut self, each: usize) -> Result<Vec<f32>> {
        Ok(self
            .generators
            .iter_mut()
            .flat_map(|g| g.normals(each))
            .collect())
    }
}

/// Noise that is given: one row for each draw, sample after sample.
#[derive(Clone, Debug)]
pub struct Supplied {
    rows: std::collections::VecDeque<Vec<f32>>,
}

impl Supplied {
    /// These draws, in order.
    pub fn new(rows: impl IntoIterator<Item = Vec<f32>>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
        }
    }
}

impl NoiseSource for Supplied {
    fn draw(&mut self, _each: usize) -> Result<Vec<f32>> {
        self.rows.pop_front().ok_or_else(|| {
            crate::error::RuntimeError::new(
                crate::error::ErrorKind::BadBinding,
                "the noise that was supplied does not reach the last step",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twister_is_the_published_one() {
        // The 10000th number of mt19937 with the default seed, from the C++ standard, [rand.predef].
        let mut generator = Generator::new(5489);
        let last = (0..10_000).map(|_| generator.word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn a_sample_does_not_depend_on_the_others() {
        let mut three = Seeded::new(7, 3);
        let mut last = Seeded::new(9, 1);
        for each in [64, 5, 17] {
            let all = three.draw(each).expect("noise");
            assert_eq!(all[2 * each..], last.draw(each).expect("noise"));
        }
    }
}
