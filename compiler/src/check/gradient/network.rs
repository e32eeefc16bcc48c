//! Gradients through networks.

use super::{Backward, Stop};
use crate::graph::{NodeId, Op, Predict, With};
use crate::plan::Shape;
use crate::primitives::InterventionSignature;

impl Backward<'_> {
    /// Through a network, to the latent that it is asked at.
    pub(super) fn network(
        &mut self,
        predict: Box<Predict>,
        node: NodeId,
        so_far: NodeId,
    ) -> Result<(), Stop> {
        let point = predict.at.as_ref().map_or(self.by, |(at, _)| *at);
        let known = |with: &With| InterventionSignature::find(&with.name);
        let closed = |with: &&With| known(with).is_none_or(|known| !known.gradient);
        if let Some(with) = predict.with.iter().find(closed) {
            return Err(self.without(node, &format!("a network with `{}`", with.name)));
        }
        // What it is told besides its point has no gradient.
        let told = predict.told.as_ref().map(|(told, _)| *told);
        if told.is_some_and(|told| self.is_on_the_way(told)) {
            return Err(self.without(node, "the time that a network is told"));
        }
        let by = self.add(Op::PredictGradient(predict, so_far), Shape::Tensor);
        self.give(point, by);
        Ok(())
    }
}
