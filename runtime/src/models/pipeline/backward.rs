//! What gradients go through: losses, and whether the networks and the memory are such.

use guide_compiler::plan::{Plan, Seen};

use super::super::autoencoder::no_backward;
use super::super::judges::own_folder;
use super::super::loss::{Loss, Place};
use super::Pipeline;
use crate::device;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::weights::Source;

impl Pipeline {
    /// Binds a loss under the name that rules call it by, with the network that it asks where one is given.
    ///
    /// # Errors
    /// `BadBinding` for a value that names no loss; `NotBound` for a network that it needs; `Unreadable` for
    /// a file; what loading and the tensor library report.
    pub fn bind_loss(
        &mut self,
        name: &str,
        value: &str,
        network: Option<&Source>,
        picture: (usize, usize),
    ) -> Result<()> {
        let place = Place {
            picture,
            factor: self.autoencoder.config().factor(),
            network,
            own: &self.source.below(own_folder(Seen::Image)),
            device: &self.device,
        };
        self.judges.bind_loss(name, Loss::read(value, &place)?);
        Ok(())
    }

    /// Whether every gradient of a plan goes through what has one, and the memory that is free holds it.
    pub(super) fn goes_back(&self, plan: &Plan) -> Result<()> {
        let networks = plan.predictions.iter().any(|row| row.gradient);
        let decoder = self.judges.asks_decoder(plan)?;
        if !self.device.is_cpu() && (networks || decoder) {
            return Err(no_backward(if networks {
                "the network"
            } else {
                "the decoder"
            }));
        }
        let [_, height, width] = plan.head.model.latent.map(|side| side as usize);
        let mut needed = 0;
        if networks {
            needed = self.main.unet.config().backward(height, width);
        }
        if decoder {
            needed = needed.max(self.autoencoder.config().backward(height, width));
        }
        match device::free_memory() {
            Some(free) if needed > free => Err(no_memory(needed, free)),
            _ => Ok(()),
        }
    }
}

/// The error for a backward pass that needs more memory than is free.
fn no_memory(needed: u64, free: u64) -> RuntimeError {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    RuntimeError::new(
        ErrorKind::OutOfMemory,
        format!(
            "a backward pass holds about {:.1} GiB, and {:.1} GiB are free",
            gib(needed),
            gib(free)
        ),
    )
    .help("use a smaller `--size`, or end other programs")
}
