//! What a solver remembers of each sample: values at earlier noise levels, the latest first.

use std::collections::VecDeque;

/// Values of earlier steps, sample by sample.
#[derive(Debug)]
pub(super) struct History {
    most: usize,
    samples: Vec<VecDeque<Earlier>>,
}

/// What a step remembers of one sample.
#[derive(Debug)]
pub(super) struct Earlier {
    /// Where it was: in the solver's own measure of noise.
    pub level: f64,
    /// What is looked back at, one number an element.
    pub values: Vec<f64>,
}

impl History {
    /// Remembers at most so many steps.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            samples: Vec::new(),
        }
    }

    /// What is remembered of a sample, the latest first.
    pub fn of(&self, sample: usize) -> impl Iterator<Item = &Earlier> {
        self.samples.get(sample).into_iter().flatten()
    }

    /// The levels of [`History::of`].
    pub fn levels(&self, sample: usize) -> Vec<f64> {
        self.of(sample).map(|earlier| earlier.level).collect()
    }

    /// Remembers a step. A sample that holds breaks its chain: nothing is remembered of it.
    pub fn push(&mut self, level: f64, values: &[f64], hold: &[bool]) {
        let each = values.len() / hold.len().max(1);
        self.samples.resize_with(hold.len(), VecDeque::new);
        for ((chain, held), values) in self
            .samples
            .iter_mut()
            .zip(hold)
            .zip(values.chunks_exact(each.max(1)))
        {
            if *held {
                chain.clear();
                continue;
            }
            // The oldest one's memory is used again.
            let mut slot = if chain.len() >= self.most {
                chain.pop_back().map_or(Vec::new(), |old| old.values)
            } else {
                Vec::new()
            };
            slot.clear();
            slot.extend_from_slice(values);
            chain.push_front(Earlier {
                level,
                values: slot,
            });
        }
    }

    /// Each value times the first of its sample's weights, and each remembered one times the next, added up.
    pub fn weighted<W: AsRef<[f64]>>(
        &self,
        values: &[f64],
        each: usize,
        weights: impl Fn(usize) -> W,
    ) -> Vec<f64> {
        let mut sums = values.to_vec();
        for (sample, sums) in sums.chunks_exact_mut(each.max(1)).enumerate() {
            let weights = weights(sample);
            if let Some((now, earlier)) = weights.as_ref().split_first() {
                sums.iter_mut().for_each(|sum| *sum *= now);
                self.add(sample, earlier, sums);
            }
        }
        sums
    }

    /// Adds to `sums[i]` each remembered value of element `i` times its weight, latest first.
    pub fn add(&self, sample: usize, weights: &[f64], sums: &mut [f64]) {
        for (earlier, weight) in self.of(sample).zip(weights) {
            if *weight == 0.0 {
                continue;
            }
            for (sum, value) in sums.iter_mut().zip(&earlier.values) {
                *sum += weight * value;
            }
        }
    }
}
