//! What the questions of a tick leave for one another: an unchanged network's pass up to the first layer
//! that another question changes.

use std::collections::BTreeMap;

use candle_core::Tensor;
use guide_compiler::plan::{Plan, PredictionId};

use super::sd::Begun;
use crate::error::Result;
use crate::predictor::Question;

/// A row's pass, and the latent that it began with.
#[derive(Debug)]
struct Left {
    x: Tensor,
    passes: Vec<Begun>,
}

/// What is left, and for whom.
#[derive(Debug, Default)]
pub struct Sharing {
    /// Before which layers each prediction leaves its pass.
    leaves: BTreeMap<PredictionId, Vec<usize>>,
    /// Whose pass each prediction goes on from, and before which layer.
    begins: BTreeMap<PredictionId, (PredictionId, usize)>,
    tick: Option<usize>,
    left: BTreeMap<(PredictionId, usize), Left>,
}

impl Sharing {
    /// What a plan says for a network with layers of these names.
    pub fn of(plan: &Plan, layers: &[String]) -> Self {
        let mut sharing = Self::default();
        for one in plan.segments.iter().flat_map(|segment| segment.uses()) {
            let Some(shared) = &one.shares else { continue };
            let Some(layer) = layers.iter().position(|name| *name == shared.until) else {
                continue;
            };
            let leaves = sharing.leaves.entry(shared.with).or_default();
            if !leaves.contains(&layer) {
                leaves.push(layer);
            }
            sharing.begins.insert(one.prediction, (shared.with, layer));
        }
        sharing
    }

    /// Forgets what another tick has left.
    pub fn enter(&mut self, tick: usize) {
        if self.tick != Some(tick) {
            self.tick = Some(tick);
            self.left.clear();
        }
    }

    /// Before which layers a question leaves its pass.
    pub fn leaves(&self, question: &Question<'_>) -> Vec<usize> {
        self.leaves.get(&question.id).cloned().unwrap_or_default()
    }

    /// Where each row of a question may go on from. Only from the same latent, to the bit; and not where
    /// the question wants to see what happens before.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn begun(&self, question: &Question<'_>) -> Result<Vec<Option<Begun>>> {
        let Some((with, layer)) = self.begins.get(&question.id) else {
            return Ok(Vec::new());
        };
        if !question.sights.is_empty() {
            return Ok(Vec::new());
        }
        let rows = question.rows.iter().enumerate();
        let found = rows.map(|(row, sample)| {
            let Some(left) = self.left.get(&(*with, *sample)) else {
                return Ok(None);
            };
            let is_same = bits(&left.x)? == bits(&question.x.narrow(0, row, 1)?)?;
            let pass = left.passes.iter().find(|pass| pass.is_before(*layer));
            Ok(pass.filter(|_| is_same).cloned())
        });
        found.collect()
    }

    /// Keeps what a question's rows have left.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn keep(&mut self, question: &Question<'_>, left: Vec<Vec<Begun>>) -> Result<()> {
        for (row, (sample, passes)) in question.rows.iter().zip(left).enumerate() {
            if !passes.is_empty() {
                let x = question.x.narrow(0, row, 1)?;
                self.left.insert((question.id, *sample), Left { x, passes });
            }
        }
        Ok(())
    }
}

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    let values: Vec<f32> = x.flatten_all()?.to_vec1()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}
